"""Text out of HTML, PDF, Word and unknown encodings, in a process with limits where it takes long.

A file of a few kilobytes can ask for hours or for gigabytes: a PDF that shows one page 500 times,
a stream that unpacks a thousandfold. So parsers of such formats run in a process of their own,
which is ended at a limit; only the file that asked for it is lost.
"""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import printable

if TYPE_CHECKING:
    from docx.table import Table

LETTERS_PER_PAGE = 16  # a scanned page may carry a stamp or a page number as text
PACKED = frozenset({"pdf", "docx"})  # how much they unpack to is not seen from their size
SMALL_BYTES = 32 * 1024  # HTML and text of this size are read in a second at the worst

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


class Refused(Exception):
    """A document that cannot be read; the message says what it is and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost."""

    bytes: int = 128 * 1024**2  # of the file
    seconds: float = 10.0  # of parsing
    seconds_per_megabyte: float = 20.0  # in addition
    longest_seconds: float = 300.0
    memory_bytes: int = 2 * 1024**3  # of the parser

    def seconds_for(self, size: int) -> float:
        """Return how long a file of this size may be parsed."""
        asked = self.seconds + self.seconds_per_megabyte * size / 1024**2
        return min(asked, max(self.longest_seconds, self.seconds))


def extract(kind: str, data: bytes, limits: Limits) -> str:
    """Return the text of a document of a `KINDS`.

    Raises:
        Refused: it is damaged, encrypted, or needs more time or memory than the limits allow.
    """
    if kind not in PACKED and len(data) <= SMALL_BYTES:
        return KINDS[kind](data)
    seconds = limits.seconds_for(len(data))
    root = Path(__file__).resolve().parents[2]
    start = f"import sys; sys.path.insert(0, {str(root)!r}); import {__name__} as m; m.serve()"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", start, kind, str(limits.memory_bytes)],
            input=data,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(
            f"takes more than {seconds:.0f} s to read. Save it as text, or divide it."
        ) from None
    try:
        reply = json.loads(done.stdout)
    except ValueError:  # killed, or out of memory beyond Python's knowledge
        raise Refused("cannot be read: its parser stopped. Save it as text.") from None
    if "refused" in reply:
        raise Refused(reply["refused"])
    text: str = reply["text"]
    return text


def serve() -> None:
    """Read a document from stdin, and write its text or why there is none to stdout, as JSON."""
    kind, memory = sys.argv[1], int(sys.argv[2])
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    out = sys.stdout
    sys.stdout = sys.stderr  # what a parser prints is no reply
    try:
        reply = {"text": KINDS[kind](sys.stdin.buffer.read())}
    except Refused as refused:
        reply = {"refused": str(refused)}
    except MemoryError:
        reply = {
            "refused": f"needs more than {memory / 1024**3:.0f} GB of memory to read. "
            "Save it as text, or divide it."
        }
    json.dump(reply, out)


def any_encoding(data: bytes) -> str:
    """Return text that is not UTF-8, as its letters suggest."""
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None:
        raise Refused("is binary, or text in an unknown encoding.")
    return str(best)


def html_text(data: bytes) -> str:
    """Return the visible text: blocks as paragraphs, what stands in a line as one line."""
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # XHTML is read as HTML on purpose
            soup = BeautifulSoup(data, "html.parser")
    except ParserRejectedMarkup as error:
        raise Refused(f"is damaged HTML: {printable(error)}.") from error
    if soup.original_encoding is None and "\N{REPLACEMENT CHARACTER}" in soup.text:
        raise Refused("is HTML in an unknown encoding. Save it as UTF-8.")
    for hidden in soup(["script", "style", "template", "noscript", "head", "svg", "nav"]):
        hidden.decompose()
    text = "".join(_html_pieces(soup))
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]{2,}", " ", text))
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return text.replace("\0", "\n").replace("\1", " ")


def _html_pieces(soup: object) -> Iterator[str]:
    """Yield the texts below a node with the breaks between them; nesting may be of any depth."""
    from bs4.element import NavigableString, PreformattedString, Tag

    ahead: list[object] = [soup]  # nodes, and the breaks that follow them; the next one is last
    while ahead:
        node = ahead.pop()
        if isinstance(node, Tag):
            if node.name == "pre":  # its line breaks and indents mean something
                kept = node.get_text().strip("\n").replace("\n", "\0").replace(" ", "\1")
                yield f"\n\n{kept}\n\n"
            elif node.name == "br":
                yield "\n"
            else:
                edge = _EDGES.get(node.name, "")
                yield edge
                ahead += [edge, *reversed(node.contents)]
        elif isinstance(node, PreformattedString):  # comments, declarations
            continue
        elif isinstance(node, NavigableString):
            yield re.sub(r"\s+", " ", node)
        else:
            yield str(node)


def pdf_text(data: bytes) -> str:
    """Return the text of all pages."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Refused("is an encrypted PDF. Save a copy without a password.")
        pages = [page.extract_text() for page in reader.pages]
    except DependencyError as error:  # a cipher of a package that is not installed
        raise Refused("is an encrypted PDF. Save a copy without encryption.") from error
    except (Refused, MemoryError):
        raise
    # Damaged files break the parser at any place, not only where it looks for damage.
    except Exception as error:
        raise Refused(f"is a damaged PDF: {printable(error)}.") from error
    letters = sum(char.isalnum() for page in pages for char in page)
    if letters < LETTERS_PER_PAGE * max(1, len(pages)):
        raise Refused(
            "is a PDF without text, of scanned pages perhaps. Run text recognition on it."
        )
    return "\n\n".join(pages)


def docx_text(data: bytes) -> str:
    """Return paragraphs and tables in their order; a row of a table is a line."""
    from docx import Document
    from docx.table import Table

    try:
        document = Document(BytesIO(data))
        blocks = [
            _table_text(block) if isinstance(block, Table) else block.text
            for block in document.iter_inner_content()
        ]
    except MemoryError:
        raise
    # Damaged files break the parser at any place, not only where it looks for damage.
    except Exception as error:
        raise Refused(f"is a damaged Word document: {printable(error)}.") from error
    return "\n\n".join(filter(str.strip, blocks))


def _table_text(table: "Table") -> str:
    rows = ({cell._tc: cell.text for cell in row.cells} for row in table.rows)  # merged ones once
    return "\n".join(" ".join(row.values()) for row in rows)


KINDS: Mapping[str, Callable[[bytes], str]] = {
    "docx": docx_text,
    "html": html_text,
    "pdf": pdf_text,
    "text": any_encoding,
}
