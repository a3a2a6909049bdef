"""The lines of a text file, numbered from 1, as text or as JSON objects."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import name_of
from harness.errors import UserError

_GZIP = b"\x1f\x8b"
_UNPACKED_BYTES = 128 * 1024**2  # that a gzip file may always have
_UNPACKED_RATIO = 100  # and times its size beyond; text is packed 3 to 30 times, a trap a thousand
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ADVICE = (
    "This layout is one JSON text in a whole file. Give the file as it was published; JSONL of "
    "your own goes without a prefix, data=FILE."
)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield `FILE line N` and the text of every line that is not blank, without its end.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    # Not splitlines(): U+2028 and its like may stand inside a text. A file of bytes ends its lines
    # by \n alone, and holds one at a time.
    for number, ended in enumerate(io.BytesIO(_content(path)), start=1):
        line = ended.removesuffix(b"\n")
        where = f"{path} line {number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{where}: byte {error.start + 1} is not UTF-8. Save the file as UTF-8 text."
            ) from error
        if text.strip():
            yield where, text.removesuffix("\r")


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `FILE line N` and the JSON object of every line that is not blank.

    Raises:
        UserError: the file cannot be read or is empty, or a line is no object.
    """
    where = ""
    for where, line in read_lines(path):
        row = _parsed(where, line, "Write one JSON object per line.")
        if not isinstance(row, dict):
            raise UserError(
                f"{where}: is {name_of(row)}, not an object. Write {{...}} on each line."
            )
        yield where, row
    if not where:
        raise UserError(f"{path} is empty. Give one JSON object per line.")


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and JSON object of every row of a file: one object per line, or one list."""
    if not starts_with(path, "["):
        yield from read_objects(path)
        return
    for number, row in enumerate(read_json(path), start=1):
        where = f"{path}, question {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: is {name_of(row)}, not an object.")
        yield where, row


def read_json(path: Path) -> Any:
    """Return the value of a file that is one JSON text.

    Raises:
        UserError: the file cannot be read, or is no JSON.
    """
    content = _content(path)
    try:
        return _parsed(str(path), content.decode("utf-8"), _ADVICE)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} line {line}: byte {error.start + 1} of the file is not UTF-8. "
            "Save it as UTF-8 text."
        ) from error


def starts_with(path: Path, mark: str) -> bool:
    """Say whether the first character that is not blank is `mark`."""
    return _content(path).lstrip()[:1] == mark.encode()


def _content(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is gzipped."""
    try:
        content = path.read_bytes()
        content = _unpacked(path, content) if content.startswith(_GZIP) else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is a damaged gzip file: {error}. Get it again.") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"cannot read {path}: {reason}. Give the path of a file.") from error
    return content.removeprefix(_BYTE_ORDER_MARK)


def _unpacked(path: Path, packed: bytes) -> bytes:
    """Return what a gzip file holds; a small one that fills the memory is refused first."""
    longest = max(_UNPACKED_BYTES, _UNPACKED_RATIO * len(packed))
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        size = 0
        while piece := file.read(1024**2):  # counted first: nothing is kept of a trap
            size += len(piece)
            if size > longest:
                raise UserError(
                    f"{path} unpacks to more than {longest // 1024**2} MB, over "
                    f"{size // len(packed)} times its size. Unpack it, and give the file inside."
                )
        file.seek(0)
        return file.read()


def _parsed(where: str, text: str, advice: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = "" if error.lineno == 1 else f" of line {error.lineno}"
        raise UserError(
            f"{where}: not JSON: {error.msg} at character {error.colno}{line}. {advice}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 100,000 brackets
        raise UserError(f"{where}: not JSON that can be read: {error}.") from error
