"""What was asked about what: questions, contexts, and the places in them that matter.

Contexts are long, so a page has so many letters of them, and each once.
"""

import json
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from harness.report.html.excerpts import Span, excerpt, find
from harness.report.sections import INVALID
from harness.run.contexts import Context, read_contexts
from harness.run.texts import Key, read_texts

MAX_CONTEXT = 8000  # letters of one context; a longer one is cut
MAX_CONTEXTS = 2_500_000  # letters of all
Item = MutableMapping[str, Any]


def add_sources(
    items: Sequence[Item], backends: Sequence[str], folders: Sequence[Path]
) -> list[str]:
    """Add to each item its question, and the places of support and passages in its context.

    Args:
        items: as page.js reads them; `source` says where each is from: number of the run,
            suite, sample, question.
        backends: all backends of the report; items name them by number.
        folders: of the runs.

    Returns:
        The contexts that the items name by number.
    """
    shown: list[str] = []
    letters = 0
    place = {name.removesuffix(INVALID): at for at, name in enumerate(backends)}
    for run, folder in enumerate(folders):
        of_run = {item["source"][1:]: item for item in items if item["source"][0] == run}
        passages: dict[Key, dict[int, list[str]]] = {}
        for row in read_texts(folder, of_run.keys()):
            of_run[row.key]["question"] = row.question[:MAX_CONTEXT]
            texts = listed(row.evidence)  # none: this backend does not retrieve
            if texts and row.backend in place:
                passages.setdefault(row.key, {})[place[row.backend]] = texts
        of_sample: dict[tuple[str, str], dict[Key, Item]] = {}
        for key, item in of_run.items():
            of_sample.setdefault(key[:2], {})[key] = item
        for sample, context in read_contexts(folder, of_sample.keys()).items():
            if letters < MAX_CONTEXTS:
                shown.append(_add_context(len(shown), context, of_sample[sample], passages))
                letters += len(shown[-1])
    return shown


def _add_context(
    number: int,
    context: Context,
    items: Mapping[Key, Item],
    passages: Mapping[Key, Mapping[int, Sequence[str]]],
) -> str:
    """Add the number of a context and the places in it to its items; return what is shown of it."""
    support = {key: _found(context.text, context.support.get(key[2], ())) for key in items}
    retrieved = {
        key: {at: _found(context.text, texts) for at, texts in passages.get(key, {}).items()}
        for key in items
    }
    spans = [span for found in support.values() for span in found]
    spans += [span for of in retrieved.values() for found in of.values() for span in found]
    part = excerpt(context.text, spans, MAX_CONTEXT)
    for key, item in items.items():
        item["context"] = number
        item["support"] = part.places(support[key])
        item["passages"] = {at: part.places(found) for at, found in retrieved[key].items()}
    return part.text


def _found(text: str, pieces: Sequence[str]) -> list[Span]:
    return [span for piece in pieces if (span := find(text, piece))]


def listed(cell: str) -> list[str]:
    """Return the texts of a cell that is a JSON list; none: it is empty, or no list."""
    try:
        found = json.loads(cell or "[]")
    except ValueError:
        return []
    return [str(text) for text in found] if isinstance(found, list) else []
