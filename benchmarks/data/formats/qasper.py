"""QASPER (arXiv 2105.03011): questions about research papers.

The published file is one JSON object of papers by their id, each with `abstract`, `full_text` in
sections, and `qas`. An answer is spans of the paper, a free text, yes or no, or that the paper does
not say; several people have answered, and the best match counts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data.formats.fields import field, name_of, objects, text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_json
from benchmarks.scoring.answers import squad_scores
from harness.api import Question
from harness.errors import UserError


def read(path: Path) -> list[Entry]:
    """Return one entry per paper."""
    papers = read_json(path)
    if not isinstance(papers, dict):
        raise UserError(f"{path}: is {name_of(papers)}, not an object of papers. Is it QASPER?")
    entries = []
    for name, paper in papers.items():
        where = f"{path}, paper {name}"
        if not isinstance(paper, dict):
            raise UserError(f"{where}: is {name_of(paper)}, not an object. Is it QASPER?")
        questions = tuple(_question(at, one) for at, one in objects(where, paper, "qas"))
        if questions:
            paragraphs = tuple(map(Paragraph, _paragraphs(where, paper)))
            entries.append(Entry(name, paragraphs, questions))
    if not entries:
        raise UserError(f"{path} holds no question. Give a file of QASPER.")
    return entries


def _paragraphs(where: str, paper: dict[str, Any]) -> Iterator[str]:
    yield text(where, paper, "title")
    yield field(where, paper, "abstract", str)
    for at, section in objects(where, paper, "full_text"):
        yield str(section.get("section_name") or "")
        yield from texts(at, section, "paragraphs")


def _question(where: str, row: dict[str, Any]) -> Question:
    given: list[str] = []
    proofs: list[str] = []
    for at, one in objects(where, row, "answers"):
        answer = field(at, one, "answer", dict)
        if said := _said(at, answer):
            given.append(said)
            proofs += [] if proofs else list(texts(at, answer, "evidence"))
    return Question(
        text(where, row, "question_id"),
        text(where, row, "question"),
        tuple(dict.fromkeys(given)),
        support=tuple(proof for proof in proofs if not proof.startswith("FLOAT SELECTED")),
    )


def _said(where: str, answer: dict[str, Any]) -> str:
    """Return an answer as the official script compares it; nothing: the paper does not say."""
    if answer.get("unanswerable"):
        return ""
    if spans := texts(where, answer, "extractive_spans"):
        return ", ".join(spans)
    if free := field(where, answer, "free_form_answer", str):
        return str(free)
    return "Yes" if answer.get("yes_no") else "No"


FORMAT = Format(
    title="QASPER: questions about research papers",
    licence="CC BY 4.0",
    source="https://allenai.org/data/qasper",
    read=read,
    metrics=("f1", "exact_match"),
    score=squad_scores,
    max_new_tokens=64,
)
