"""Who writes the questions: what `--teacher` names."""

from pathlib import Path

from harness.errors import UserError
from harness.makeqa.asking import Asking
from harness.makeqa.models import Models
from harness.makeqa.proposals import Proposer
from harness.makeqa.rules import Rules
from harness.served.address import is_address


def open_teacher(teacher: str, models: Models, *, key: str, seed: int) -> Proposer:
    """Return the source of questions that `--teacher` names.

    Raises:
        UserError: there is no such teacher.
    """
    if teacher == "rules":
        return Rules(seed)
    if is_address(teacher):
        from harness.served.client import Server

        return Asking(Server(teacher, key, seed=seed))
    name = teacher.removeprefix("hf:")
    if name and (name != teacher or Path(name).is_dir()):
        return Asking(models.teacher(name))
    raise UserError(
        f"unknown teacher {teacher!r}. Allowed: rules, hf:NAME, a folder of a model, "
        "http://host:port/v1#model."
    )
