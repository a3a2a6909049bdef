"""A person's documents as plain text: text, Markdown, HTML, PDF and source files.

The bytes of a file decide its type, before its name does. Markdown and source stay as they are
written; HTML and PDF are reduced to their text. A scanned PDF without text is refused. The licence
that Project Gutenberg puts around its books is left out.
"""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from harness.errors import UserError

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})  # and hidden ones
LETTERS_PER_PAGE = 16  # a scanned page may carry a stamp or a page number as text

_BINARY = {  # how they begin, and what they are; their text would be noise
    b"PK\x03\x04": "a ZIP archive or an Office, OpenDocument or EPUB file",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"{\\rtf": "RTF",
    b"\x1f\x8b": "compressed",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
}
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HTML = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.I)
# What separates the text of an element from its surroundings; inline elements have no entry.
_EDGES = {
    **dict.fromkeys(("tr", "dt", "dd", "option", "figcaption"), "\n"),
    **dict.fromkeys(("td", "th"), " "),
    **dict.fromkeys(
        "address article aside blockquote div dl fieldset figure footer form h1 h2 h3 h4 h5 h6"
        " header hr li main ol p section table ul details summary".split(),
        "\n\n",
    ),
}
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


def read_document(path: Path | str) -> str:
    r"""Return the text of a file; every line of it ends with `\n`.

    Raises:
        Unreadable: it is missing, empty, binary, encrypted, damaged or has pictures alone.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Unreadable(path, f"cannot be read: {reason}.") from error
    if not data.strip():
        raise Unreadable(path, "is empty.")
    for start, name in _BINARY.items():
        if data.startswith(start):
            raise Unreadable(path, f"is {name}. Save it as text, Markdown, HTML or PDF.")
    if b"%PDF-" in data[:1024]:
        text = _read_pdf(path, data)
    elif _HTML.match(data) or path.suffix.lower() in (".html", ".htm", ".xhtml"):
        text = _read_html(path, data)
    else:
        text = _decode(path, data)
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"
    book = _GUTENBERG.search(text)
    text = book[1].strip("\n") + "\n" if book else text
    if not text.strip():
        raise Unreadable(path, "holds no text.")
    return text


def read_documents(paths: Sequence[Path]) -> Iterator[Document | Skipped]:
    """Yield the documents that the paths name, the files of a folder in the order of their names.

    A file in a folder that cannot be read, or has the text of an earlier one, is skipped with the
    reason; hidden files and folders, and `__pycache__` and its like, are passed over.

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
            text = read_document(path)
        except Unreadable as error:
            if alone:
                raise
            yield Skipped(source, error.reason)
            continue
        if texts.setdefault(text, source) != source:
            yield Skipped(source, f"has the same text as {texts[text]}.")
        else:
            yield Document(source, text)


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


def _decode(path: Path, data: bytes) -> str:
    """Return text of unknown encoding: by its mark, as UTF-8, or as what its letters suggest."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise Unreadable(path, f"is damaged {encoding} text.") from error
    if b"\0" in data:
        raise Unreadable(path, "is binary, not text.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(data).best()
        if best is None:
            raise Unreadable(path, "is binary, or text in an unknown encoding.") from None
        text = str(best)
    if len(_CONTROL.findall(text)) > len(text) / 100:
        raise Unreadable(path, "is binary, not text.")
    return text


def _read_html(path: Path, data: bytes) -> str:
    """Return the visible text: blocks as paragraphs, what stands in a line as one line."""
    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XHTML is read as HTML on purpose
        soup = BeautifulSoup(data, "html.parser")
    if soup.original_encoding is None and "\N{REPLACEMENT CHARACTER}" in soup.text:
        raise Unreadable(path, "is HTML in an unknown encoding. Save it as UTF-8.")
    for hidden in soup(["script", "style", "template", "noscript", "head", "svg", "nav"]):
        hidden.decompose()
    text = "".join(_html_pieces(soup))
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return text.replace("\0", "\n").replace("\1", " ")


def _html_pieces(soup: object) -> Iterator[str]:
    """Yield the texts below a node with the breaks between them."""
    from bs4.element import NavigableString, PreformattedString, Tag

    assert isinstance(soup, Tag)
    for child in soup.children:
        if isinstance(child, NavigableString):
            if not isinstance(child, PreformattedString):  # comments, declarations
                yield re.sub(r"\s+", " ", child)
        elif not isinstance(child, Tag):
            continue
        elif child.name == "pre":  # its line breaks and indents mean something
            kept = child.get_text().strip("\n").replace("\n", "\0").replace(" ", "\1")
            yield f"\n\n{kept}\n\n"
        elif child.name == "br":
            yield "\n"
        else:
            edge = _EDGES.get(child.name, "")
            yield edge
            yield from _html_pieces(child)
            yield edge


def _read_pdf(path: Path, data: bytes) -> str:
    import zlib

    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable(path, "is an encrypted PDF. Save a copy without a password.")
        pages = [page.extract_text() for page in reader.pages]
    except DependencyError as error:  # a cipher of a package that is not installed
        raise Unreadable(path, "is an encrypted PDF. Save a copy without encryption.") from error
    # Damaged files break the parser at any place, not only where it looks for damage.
    except (
        PyPdfError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        NotImplementedError,
        AssertionError,
        OSError,
        zlib.error,
    ) as error:
        raise Unreadable(path, f"is a damaged PDF: {error}.") from error
    letters = sum(char.isalnum() for page in pages for char in page)
    if letters < LETTERS_PER_PAGE * max(1, len(pages)):
        raise Unreadable(
            path, "is a PDF without text, of scanned pages perhaps. Run text recognition on it."
        )
    return "\n\n".join(pages)
