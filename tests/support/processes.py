"""Commands in processes of their own, which tests kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tests.support.paths import ROOT

Start = Callable[..., subprocess.Popen[str]]


def begin(*words: object) -> subprocess.Popen[str]:
    """Start `python -m` with some words, at the top of the repository."""
    command = [sys.executable, "-m", *map(str, words)]
    pipe, env = subprocess.PIPE, os.environ | {"PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=pipe, stderr=pipe)


def end(process: subprocess.Popen[str]) -> None:
    """End a process; of one that was still there, print where each of its threads was."""
    hangs = process.poll() is None
    if hangs:
        process.send_signal(signal.SIGABRT)
    try:
        err = process.communicate(timeout=10)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        err = process.communicate()[1]
    if hangs:
        print(err)
