"""Natural Questions with documents, in the layout of Liu et al. (arXiv 2307.03172).

One JSON object per line: `question`, `answers`, and in `ctxs` the documents that are shown, in
their order, each with `title` and `text`. The file nq-open-oracle shows the gold document alone;
the files of 10, 20 and 30 documents are read as well.
"""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.data.formats.fields import answers, objects, text
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from benchmarks.scoring.answers import exact_match
from harness.api import Metric, Question
from harness.errors import UserError
from harness.text import normalize_pair


def read(path: Path) -> list[Entry]:
    """Return one entry per line; its id is the number of the row."""
    entries: list[Entry] = []
    for where, row in read_objects(path):
        shown = tuple(
            titled(text(here, document, "title"), text(here, document, "text"))
            for here, document in objects(where, row, "ctxs")
        )
        if not shown:
            raise UserError(f"{where}: 'ctxs' is empty. Give at least one document.")
        accepted = answers(where, row, "answers")
        if not accepted:
            raise UserError(f"{where}: 'answers' is empty. Every question has one in this data.")
        question = Question("q", text(where, row, "question"), accepted)
        entries.append(Entry(str(len(entries)), shown, (question,)))
    return entries


def titled(title: str, body: str) -> Paragraph:
    """Return a document as it is shown: questions are often about its title."""
    return Paragraph(f"{title}\n{body.strip()}", title)


def score(question: Question, answer: str) -> Mapping[str, float]:
    """Return `exact_match`, and `subspan_match`: the share that Liu et al. report.

    subspan_match: an accepted answer is part of what was said, whatever else was.
    """
    pairs = [normalize_pair(answer, target) for target in question.targets]
    return {
        "exact_match": exact_match(answer, question.targets),
        "subspan_match": float(any(target and target in given for given, target in pairs)),
    }


FORMAT = Format(
    title="Natural Questions with their documents, as in Lost in the Middle",
    licence="CC BY-SA 3.0",
    source="https://github.com/nelson-liu/lost-in-the-middle",
    read=read,
    metrics=("exact_match", "subspan_match"),
    score=score,
    fills=True,
)

METRICS = (
    Metric(
        "subspan_match",
        "1 if any target is part of the answer as text, both normalised as for exact_match.",
        source="Lost in the Middle, arXiv 2307.03172, best_subspan_em",
    ),
)
