"""A person's documents as plain text: text, Markdown, HTML, PDF, Word and source files.

The bytes of a file decide its type, before its name does. Markdown and source stay as they are
written; HTML, PDF and Word's .docx are reduced to their text. A scanned PDF without text is
refused. The licence that Project Gutenberg puts around its books is left out.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.makeqa.extract import Limits, Refused, extract

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})  # and hidden ones
LIMITS = Limits()

_BINARY = {  # how they begin, and what they are; their text would be noise
    b"PK\x03\x04": "a ZIP archive, or a spreadsheet, OpenDocument or EPUB file",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"{\\rtf": "RTF",
    b"\x1f\x8b": "compressed",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
}
_WORD = b"word/document"  # a name in the archive that a .docx is; names are not compressed
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Possessive: one way alone to divide comments, or a page of them would take for ever.
_HTML = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:[^-]|-(?!->))*+-->\s*+)*+<(?:!doctype\s+html|html)\b",
    re.I,
)
_GUTENBERG = re.compile(
    r"\*\*\* ?START OF TH\w+ PROJECT GUTENBERG.*?\*\*\*[^\n]*\n"
    r"(.*?)(?:\n *End of (?:the )?Project Gutenberg|\*\*\* ?END OF TH\w+ PROJECT GUTENBERG|\Z)",
    re.S,
)


class Unreadable(UserError):
    """A file whose text cannot be read.

    Args:
        path: the file.
        reason: what it is, and what to do: `is empty. Give ...`.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """A file and its text."""

    source: str  # its path, as it was given
    text: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file in a folder that was left out."""

    source: str
    reason: str


def read_document(path: Path | str, limits: Limits = LIMITS) -> str:
    r"""Return the text of a file; every line of it ends with `\n`.

    Raises:
        Unreadable: it is missing, empty, binary, encrypted, damaged, has pictures alone, or
            exceeds a limit.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(limits.bytes + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Unreadable(path, f"cannot be read: {reason}.") from error
    if len(data) > limits.bytes:
        size = f"{limits.bytes / 1024**2:.0f} MB"
        raise Unreadable(path, f"has more than {size}, the most that is read. Divide it.")
    if not data.strip():
        raise Unreadable(path, "is empty.")
    word = data.startswith(b"PK\x03\x04") and _WORD in data
    for start, name in _BINARY.items():
        if data.startswith(start) and not word:
            raise Unreadable(path, f"is {name}. Save it as text, Markdown, HTML, PDF or .docx.")
    try:
        if word:
            text = extract("docx", data, limits)
        elif b"%PDF-" in data[:1024]:
            text = extract("pdf", data, limits)
        elif _HTML.match(data) or path.suffix.lower() in (".html", ".htm", ".xhtml"):
            text = extract("html", data, limits)
        else:
            text = _decode(data, limits)
    except Refused as error:
        raise Unreadable(path, str(error)) from error
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"
    book = _GUTENBERG.search(text)
    text = book[1].strip("\n") + "\n" if book else text
    if not text.strip():
        raise Unreadable(path, "holds no text.")
    return text


def read_documents(paths: Sequence[Path], limits: Limits = LIMITS) -> Iterator[Document | Skipped]:
    """Yield the documents that the paths name, the files of a folder in the order of their names.

    A file in a folder that cannot be read within the limits, or has the text of an earlier one, is
    skipped with the reason; hidden files and folders, and `__pycache__` and its like, are passed
    over.

    Raises:
        Unreadable: a file that was given by its own name cannot be read.
    """
    seen: set[Path] = set()  # a file may be named twice: alone, and by its folder
    texts: dict[str, str] = {}
    for path, alone in _files(paths):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        source = path.as_posix()
        try:
            if not alone:
                _refuse_link_out(path, paths)
            text = read_document(path, limits)
        except Unreadable as error:
            if alone:
                raise
            yield Skipped(source, error.reason)
            continue
        if texts.setdefault(text, source) != source:
            yield Skipped(source, f"has the same text as {texts[text]}.")
        else:
            yield Document(source, text)


def _refuse_link_out(path: Path, folders: Sequence[Path]) -> None:
    """Refuse a link that leads out of the folders that were given."""
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise Unreadable(path, "is a link out of its folder. Give the file that it leads to.")


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield files, each with whether it was given by its own name."""
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                name for name in folders if name[0] != "." and name not in SKIPPED_FOLDERS
            )
            inside = (Path(folder, name) for name in sorted(names) if name[0] != ".")
            # Reading a pipe or a device would wait for ever.
            yield from ((file, False) for file in inside if file.is_file() or not file.exists())


def _decode(data: bytes, limits: Limits) -> str:
    """Return text of unknown encoding: by its mark, as UTF-8, or as what its letters suggest."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise Refused(f"is damaged {encoding} text.") from error
    if b"\0" in data:
        raise Refused("is binary, not text.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = extract("text", data, limits)
    if len(_CONTROL.findall(text)) > len(text) / 100:
        raise Refused("is binary, not text.")
    return text
