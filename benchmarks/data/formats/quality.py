"""QuALITY (arXiv 2112.08608): multiple choice about articles and stories of 2,000 to 8,000 tokens.

One JSON object per line: `article` with `questions`, each with `options` and `gold_label`, counted
from 1. The test set has no labels, and cannot be scored.
"""

import re
from pathlib import Path

from benchmarks.data.formats import choices
from benchmarks.data.formats.fields import field, objects, text, texts
from benchmarks.data.formats.format import Entry, Format, Paragraph
from benchmarks.data.formats.lines import read_objects
from harness.api import Question
from harness.errors import UserError

_TAG = re.compile(r"<[^>]*>")


def read(path: Path) -> list[Entry]:
    """Return one entry per line; an article has several, one for each set of questions."""
    entries: dict[str, Entry] = {}
    for where, row in read_objects(path):
        name = str(row.get("set_unique_id") or row.get("article_id") or len(entries))
        if name in entries:
            name = f"{name}.{len(entries)}"
        asked = []
        for number, (here, one) in enumerate(objects(where, row, "questions")):
            options, gold = texts(here, one, "options"), field(here, one, "gold_label", int)
            if not 1 <= gold <= len(options):
                raise UserError(f"{here}: 'gold_label' is {gold}, and there are {len(options)}.")
            hard = {"difficult": str(one["difficult"])} if "difficult" in one else {}
            asked.append(
                Question(
                    str(one.get("question_unique_id", number)),
                    choices.asked(text(here, one, "question"), options),
                    (choices.LETTERS[gold - 1], options[gold - 1]),
                    hard,
                )
            )
        paragraph = Paragraph(_TAG.sub("", text(where, row, "article")), str(row.get("title", "")))
        entries[name] = Entry(name, (paragraph,), tuple(asked))
    return list(entries.values())


FORMAT = Format(
    title="QuALITY: multiple choice about long articles and stories",
    licence="CC BY 4.0; articles as their publishers say",
    source="https://github.com/nyu-mll/quality",
    read=read,
    metrics=("choice_accuracy",),
    score=choices.score,
    slice_names=("difficult",),
)
