"""The lines of a text file, numbered from 1."""

from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, without their ends.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"cannot read {path}: {reason}. Give the path of a file.") from error
    # Not splitlines(): U+2028 and its like may stand inside a text.
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path} line {number}: byte {error.start + 1} is not UTF-8. "
                "Save the file as UTF-8 text."
            ) from error
        if text.strip():
            yield number, text.removesuffix("\r")
