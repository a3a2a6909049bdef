"""Who writes the questions: what `--teacher` names, and the key of a server."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness.errors import UserError
from harness.makeqa.asking import Asking
from harness.makeqa.models import Models
from harness.makeqa.proposals import Proposer
from harness.makeqa.rules import Rules

DEFAULT_KEY = "OPENAI_API_KEY"  # the environment variable


def is_address(teacher: str) -> bool:
    """Say whether a teacher is a server."""
    return teacher.startswith(("http://", "https://"))


def open_teacher(
    teacher: str, models: Models, stack: ExitStack, *, key: str, seed: int
) -> Proposer:
    """Return the source of questions that `--teacher` names; `stack` closes it.

    Raises:
        UserError: there is no such teacher.
    """
    if teacher == "rules":
        return Rules(seed)
    if is_address(teacher):
        from harness.makeqa.server import Server

        server = Server(teacher, key, seed=seed)
        stack.callback(server.close)
        return Asking(server)
    name = teacher.removeprefix("hf:")
    if name and (name != teacher or Path(name).is_dir()):
        return Asking(models.teacher(name))
    raise UserError(
        f"unknown teacher {teacher!r}. Allowed: rules, hf:NAME, a folder of a model, "
        "http://host:port/v1#model."
    )


def read_key(name: str | None, teacher: str, notify: Callable[[str], object]) -> str:
    """Return the key for a server, or nothing; it is never printed.

    A key that nobody named for this server goes over no unencrypted connection to another machine.

    Raises:
        UserError: the variable that was named is not set, or holds what is no key.
    """
    key = os.environ.get(name or DEFAULT_KEY, "").strip()
    if name and not key:
        raise UserError(f"the environment variable {name} of --key-env is not set.")
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the key in {name or DEFAULT_KEY} has characters that no key has.")
    if key and not name and teacher.startswith("http://"):
        from harness.makeqa.server import is_loopback

        if not is_loopback(teacher):
            notify(
                f"{DEFAULT_KEY} is not sent to the teacher: its address is not encrypted (http). "
                f"--key-env {DEFAULT_KEY} sends it anyway."
            )
            return ""
    return key
