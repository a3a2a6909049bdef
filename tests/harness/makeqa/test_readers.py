"""Reading documents: what becomes text, and what is refused or skipped with its reason."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pytest
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
)

from harness.makeqa.extract import Limits
from harness.makeqa.readers import (
    LIMITS,
    Document,
    Skipped,
    Unreadable,
    read_document,
    read_documents,
)

LINES = ("The pump was replaced in March by a new one.", "It had leaked since the winter before.")


def write_pdf(path: Path, pages: tuple[str, ...], password: str | None = None) -> Path:
    """Write a PDF with one line of text on each page; an empty text makes a page without any."""
    writer = PdfWriter()
    font = writer._add_object(
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
    )
    for text in pages:
        page = writer.add_blank_page(width=600, height=800)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        if text:
            stream = DecodedStreamObject()
            stream.set_data(f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode())
            page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    writer.write(path)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py", "LICENSE", "a.rst"])
def test_text_and_source_stay_as_they_are(tmp_path: Path, name: str) -> None:
    """Indents, signs and blank lines are kept; line ends are those of Unix."""
    path = tmp_path / name
    path.write_bytes(b"# Head\r\n\r\ndef f():\r\n    return 1  \r\n")
    assert read_document(path) == "# Head\n\ndef f():\n    return 1\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "cp1251", "shift_jis"]
)
def test_letters_are_read_in_many_encodings(tmp_path: Path, encoding: str) -> None:
    """What is not UTF-8 is recognised by its mark or by its letters."""
    text = {
        "cp1251": "Съешь ещё этих мягких французских булок, да выпей чаю. " * 5,
        "shift_jis": "これは日本語の文章です。文字コードを調べるために書かれました。" * 5,
    }.get(encoding, "Der Käufer zahlt für die Räume im März, und über Größe wird geschwiegen. " * 5)
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert read_document(path).strip() == text.strip()


def test_html_becomes_its_visible_text(tmp_path: Path) -> None:
    """Blocks are paragraphs, inline tags leave no trace, scripts and comments are gone."""
    path = tmp_path / "a.html"
    path.write_text(
        "<!doctype html><html><head><title>No</title><style>p{}</style></head><body>"
        "<h1>Pumps</h1><p>The <b>pump</b> was\nreplaced.<br>It leaked.</p><!-- no -->"
        "<script>var no</script><table><tr><td>March</td><td>900</td></tr></table>"
        "<pre>def f():\n    return 1</pre></body></html>"
    )
    assert read_document(path) == (
        "Pumps\n\nThe pump was replaced.\nIt leaked.\n\nMarch 900\n\ndef f():\n    return 1\n"
    )


def test_html_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    """The meta tag counts."""
    path = tmp_path / "a.htm"
    path.write_bytes(
        '<html><meta charset="cp1251"><p>Съешь ещё этих мягких французских булок.'.encode("cp1251")
    )
    assert read_document(path) == "Съешь ещё этих мягких французских булок.\n"


def test_pdf_becomes_the_text_of_its_pages(tmp_path: Path) -> None:
    """Pages are paragraphs, whatever the file is called."""
    assert read_document(write_pdf(tmp_path / "scan", LINES)) == "\n\n".join(LINES) + "\n"


def test_word_documents_are_read_in_order_with_their_tables(tmp_path: Path) -> None:
    """Paragraphs, links and tables, whose merged cells stand once; in a folder, too."""
    document = docx.Document()
    document.add_heading("Lease", 1)
    document.add_paragraph("The rent is 2,480 euros.")
    table = document.add_table(2, 2)
    for cell, text in zip((*table.rows[0].cells, *table.rows[1].cells), "abcd", strict=True):
        cell.text = text
    table.rows[1].cells[0].merge(table.rows[1].cells[1])
    document.add_paragraph("It ends in May.")
    document.save(str(tmp_path / "lease.docx"))
    (found,) = read_documents([tmp_path])
    assert isinstance(found, Document)
    wanted = "Lease\n\nThe rent is 2,480 euros.\n\na b\nc\nd\n\nIt ends in May.\n"
    assert found.text == wanted


def test_a_word_document_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """Within the limits of memory and time, and by its name."""
    path, part = tmp_path / "bomb.docx", "word/document.xml"
    docx.Document().save(str(tmp_path / "small.docx"))
    with ZipFile(tmp_path / "small.docx") as small, ZipFile(path, "w", ZIP_DEFLATED) as large:
        for name in set(small.namelist()) - {part}:
            large.writestr(name, small.read(name))
        with large.open(part, "w") as file:
            for _ in range(600):
                file.write(b" " * 2**20)
    with pytest.raises(Unreadable, match="memory"):
        read_document(path, replace(LIMITS, memory_bytes=2**29))


def test_a_pdf_that_opens_without_a_password_is_read(tmp_path: Path) -> None:
    """Many published PDFs forbid changes only."""
    assert read_document(write_pdf(tmp_path / "a.pdf", LINES[:1], password="")) == f"{LINES[0]}\n"


def test_the_licence_of_project_gutenberg_is_left_out(tmp_path: Path) -> None:
    """What is outside of the marks is not the book."""
    path = tmp_path / "11.txt"
    path.write_text(
        "Project Gutenberg's Alice\nThis is for anyone\n\n"
        "*** START OF THIS PROJECT GUTENBERG EBOOK ALICE ***\n\n\nAlice was tired.\n\n"
        "End of Project Gutenberg's Alice\n\n*** END OF THIS PROJECT GUTENBERG EBOOK ALICE ***\n"
        "Tax\n"
    )
    assert read_document(path) == "Alice was tired.\n"


def _damaged(path: Path) -> None:
    write_pdf(path, LINES)
    path.write_bytes(path.read_bytes()[:200])


UNREADABLE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty.txt": ("is empty", lambda path: path.write_bytes(b" \n")),
    "binary.bin": ("is binary", lambda path: path.write_bytes(bytes(range(256)) * 20)),
    "noise.dat": ("is binary", lambda path: path.write_bytes(bytes([1, 2, 3, 6, 65, 200]) * 99)),
    "report.xlsx": ("is a ZIP", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(50))),
    "report.docx": (
        "is a damaged Word document",
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(26) + b"word/document.xml"),
    ),
    "page.html": ("holds no text", lambda path: path.write_text("<html><script>x</script>")),
    "locked.pdf": ("is an encrypted PDF", lambda path: write_pdf(path, LINES, password="x")),
    "scan.pdf": ("is a PDF without text", lambda path: write_pdf(path, ("", "", "1"))),
    "torn.pdf": ("is a damaged PDF", _damaged),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_has_no_text_is_refused_alone_and_skipped_in_a_folder(
    tmp_path: Path, name: str
) -> None:
    """The reason is one line that names the file; the rest of the folder is read."""
    reason, make = UNREADABLE[name]
    make(tmp_path / name)
    (tmp_path / "zz.txt").write_text(LINES[0])
    with pytest.raises(Unreadable, match=reason) as refused:
        list(read_documents([tmp_path / name]))
    assert str(refused.value).startswith(f"{tmp_path / name} ")
    assert "\n" not in str(refused.value)
    skipped, read = read_documents([tmp_path])
    assert isinstance(skipped, Skipped)
    assert skipped.reason == refused.value.reason
    assert read == Document((tmp_path / "zz.txt").as_posix(), f"{LINES[0]}\n")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The line says that there is no such file."""
    with pytest.raises(Unreadable, match="no such file"):
        read_document(tmp_path / "nothing.txt")


def test_a_folder_is_read_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    """Names decide the order; a file is read once; a second one of the same text is skipped."""
    for name in ("b/2.txt", "a.txt", "b/1.txt", ".git/config", "__pycache__/x.py", "b/.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"Text of {name}.")
    (tmp_path / "copy.txt").write_text("Text of a.txt.")
    found = list(read_documents([tmp_path, tmp_path / "a.txt"]))
    names = [Path(one.source).relative_to(tmp_path).as_posix() for one in found]
    assert names == ["a.txt", "copy.txt", "b/1.txt", "b/2.txt"]
    assert [type(one) for one in found] == [Document, Skipped, Document, Document]


def write_shared_pages(path: Path, *, pages: int, words: int) -> Path:
    """Write a small PDF that shows one long page many times."""
    writer = PdfWriter(write_pdf(path, LINES[:1]))
    page = writer.pages[0]
    stream = DecodedStreamObject()
    stream.set_data(b"BT /F1 12 Tf 50 700 Td" + b" (word) Tj" * words + b" ET")
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode(9))
    tree = writer.root_object["/Pages"].get_object()
    assert isinstance(tree, DictionaryObject)
    tree[NameObject("/Kids")] = ArrayObject([page.indirect_reference] * pages)
    tree[NameObject("/Count")] = NumberObject(pages)
    writer.write(path)
    return path


HARMFUL: dict[str, tuple[str, Callable[[Path], object], Limits]] = {
    "shared.pdf": (
        "takes more than 2 s to read",
        lambda path: write_shared_pages(path, pages=500, words=5_000),
        Limits(seconds=2),
    ),
    "big.txt": (
        "has more than 1 MB, the most that is read",
        lambda path: path.write_bytes(b"word " * 300_000),
        Limits(bytes=1024**2),
    ),
    "memory.html": (
        r"needs more than 0 GB of memory|its parser stopped",
        lambda path: path.write_bytes(b"<html>" + b"<p>x" * 100_000),
        Limits(memory_bytes=96 * 1024**2, seconds=60),
    ),
    "comments.html": (
        "takes more than 1 s to read",
        lambda path: path.write_bytes(b"<html>" + b"<!--" * 200_000),
        Limits(seconds=1, seconds_per_megabyte=0),
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_document_that_costs_too_much_is_skipped_and_named(tmp_path: Path, name: str) -> None:
    """Size, memory and time of one document are limited, and the others are read."""
    reason, make, limits = HARMFUL[name]
    make(tmp_path / name)
    (tmp_path / "zz.txt").write_text(LINES[0])
    skipped, read = read_documents([tmp_path], limits)
    assert isinstance(skipped, Skipped)
    assert re.search(reason, skipped.reason)
    assert read == Document((tmp_path / "zz.txt").as_posix(), f"{LINES[0]}\n")


@pytest.mark.parametrize("depth", [1_000, 100_000])
@pytest.mark.parametrize("tag", ["div", "b"])
def test_html_of_any_depth_is_read(tmp_path: Path, depth: int, tag: str) -> None:
    """Nesting is no reason to lose a document."""
    path = tmp_path / "deep.html"
    path.write_text(f"<html>{f'<{tag}>' * depth}The pump leaked.{f'</{tag}>' * depth}")
    assert read_document(path, Limits(seconds=120)) == "The pump leaked.\n"


def test_comments_in_front_of_html_take_no_time(tmp_path: Path) -> None:
    """What is no page after all was a riddle of 2 to the power of their number."""
    path = tmp_path / "a.txt"
    path.write_text("<!-- a --> " * 2_000 + "That was all.")
    assert read_document(path).endswith("That was all.\n")


def test_an_error_of_a_parser_has_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    """A damaged file may hold any sign where its message quotes it."""
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7\n\x1b[2J\x07 trailer << /Root \x1b[31m >>\nstartxref\n9\n%%EOF")
    with pytest.raises(Unreadable) as refused:
        read_document(path)
    assert refused.value.reason.isprintable()


def test_a_link_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    """It is named; a link inside the folder is the file it leads to, and one given by name too."""
    secret = tmp_path / "secret.txt"
    secret.write_text("Nobody is to read this.")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "own.txt").write_text("Ann keeps bees.")
    (notes / "out.txt").symlink_to(secret)
    (notes / "outside").symlink_to(tmp_path, target_is_directory=True)
    found = list(read_documents([notes]))
    assert [each.text for each in found if isinstance(each, Document)] == ["Ann keeps bees.\n"]
    (skipped,) = [each for each in found if isinstance(each, Skipped)]
    assert skipped.source.endswith("out.txt")
    assert "link out of its folder" in skipped.reason
    (named,) = read_documents([notes / "out.txt"])
    assert isinstance(named, Document)
