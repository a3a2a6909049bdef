"""What every reader returns, and what they share."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.run.records import Row

_LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
_ITEM = re.compile(
    r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|([-+]?\d[\d.]*(?:e[-+]?\d+)?)", re.DOTALL | re.I
)
_ESCAPED = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})|(.))",
    re.DOTALL,
)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Names:
    """What the rows are called; the user's own names win over those of the file."""

    suite: str = ""
    backend: str = ""
    model: str = ""

    def over(self, found: "Names") -> "Names":
        """Return these names, and those found where one is not given."""
        return Names(
            self.suite or found.suite, self.backend or found.backend, self.model or found.model
        )


@dataclass(frozen=True, slots=True)
class Imported:
    """The rows of one file of another tool."""

    tool: str
    file: Path
    names: Names
    slice_names: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: Sequence[Row]
    data_hash: str  # of the questions: two files with the same can be paired
    notices: tuple[str, ...]


def read_text(path: Path) -> str:
    """Return the text of a file, with its line ends as they are.

    Raises:
        UserError: it cannot be read, is empty, or is not UTF-8.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"cannot read {path}: {reason}. Give the path of a file.") from error
    if not content.strip():
        raise UserError(f"{path} is empty.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path} line {line} is not UTF-8. Save the file as UTF-8 text.") from error


def listed(text: str) -> tuple[str, ...]:
    r"""Return the texts of a list that was written as text, or the text alone.

    Python and numpy write lists differently, `['a', 'b']` and `['a' 'b']`; read as Python, the
    second would be one text, `ab`. Escapes are what they stand for: `\xa0` is one character.
    """
    if not _LIST.fullmatch(text):
        return (text,)
    inside = text.strip()[1:-1]
    # Numbers are items only in a list of nothing but items: "[see page 5]" is a text.
    items_alone = not _ITEM.sub("", inside).replace(",", " ").strip()
    found = [
        number or _ESCAPED.sub(_unescaped, one or other)
        for one, other, number in _ITEM.findall(inside)
        if items_alone or not number
    ]
    return tuple(found) if items_alone or found else (text,)


def _unescaped(found: re.Match[str]) -> str:
    """Return the character that an escape of Python stands for."""
    code = found[1] or found[2] or found[3]
    return chr(int(code, 16)) if code else _LETTERS.get(found[4], found[4])


def hash_of(questions: Iterable[object]) -> str:
    """Return a hash of what was asked, in its order."""
    text = json.dumps(list(questions), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", errors="backslashreplace")).hexdigest()[:16]


def spec(name: str, options: Mapping[str, object]) -> str:
    """Return a name with the options that are known, as a spec is written."""
    known = [f"{key}={value}" for key, value in options.items() if value not in (None, "")]
    return ",".join([name, *known])
