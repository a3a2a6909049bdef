"""Commands in processes of their own, which tests kill."""

import subprocess
import sys
from collections.abc import Callable

from tests.support.paths import ROOT

Start = Callable[..., subprocess.Popen[str]]


def begin(*words: object) -> subprocess.Popen[str]:
    """Start `python -m` with some words, at the top of the repository."""
    command = [sys.executable, "-m", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=pipe, stderr=pipe)
