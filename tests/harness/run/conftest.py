"""What tests of runs that are killed share."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.processes import Start, begin, end


@pytest.fixture
def start() -> Iterator[Start]:
    """Start commands in processes of their own, and end them with the test."""
    processes: list[subprocess.Popen[str]] = []

    def started(*words: object) -> subprocess.Popen[str]:
        processes.append(begin(*words))
        return processes[-1]

    yield started
    for process in processes:
        end(process)
