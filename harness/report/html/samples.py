"""The answers of all backends side by side, question by question, for the browser of samples.

A page cannot hold every answer of a large run. Each suite has an equal part of `MAX_QUESTIONS`: it
is filled with the questions on which the backends disagree, then with others. The page says how
many it shows.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.report.sections import INVALID, Section, scored
from harness.run.metadata import RECORDS
from harness.run.rows import Rows

MAX_QUESTIONS = 2000  # on a page
MAX_LETTERS = 1500  # of one answer; a longer one is cut
_ESCAPE = re.compile(r"\\(.)")  # as in records.py
_BREAKS = {"n": "\n", "r": "\r", "t": "\t", "0": ""}

Key = tuple[int, str, str, str, str]  # run, suite, backend, sample_id, question_id


@dataclass(frozen=True, slots=True)
class Samples:
    """What the browser of samples shows."""

    backends: tuple[str, ...]
    suites: tuple[str, ...]
    items: tuple[Mapping[str, Any], ...]  # as page.js reads them
    counts: tuple[str, ...]  # how many questions of each suite are shown, in words


@dataclass(slots=True)
class _Item:
    """A question; page.js has the names of the fields."""

    suite: int
    name: str
    slices: str
    metric: str
    disagree: bool
    targets: list[str] = field(default_factory=list)
    answers: list[tuple[int, float | None, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the answer of a row goes."""

    item: _Item
    backend: int
    score: float | None


def samples(rows: Rows, sections: Sequence[Section], backends: Sequence[str]) -> Samples:
    """Choose questions of the suites with scores, and read the answers of all backends to them.

    Args:
        rows: all rows of the report.
        sections: all sections of the report.
        backends: all backends of the report.
    """
    with_scores = scored(sections)
    items: list[_Item] = []
    counts: list[str] = []
    places: dict[Key, _Place] = {}
    for number, section in enumerate(with_scores):
        room = (MAX_QUESTIONS - len(items)) // (len(with_scores) - number)
        chosen, count = _choose(section, room)
        counts.append(f"{section.name}: {count}")
        items += _items(section, number, chosen, backends, places)
    for run, folder in enumerate(rows.folders):
        _read_answers(folder / RECORDS, run, places)
    shown = tuple(
        {name: getattr(item, name) for name in _Item.__slots__} for item in items if item.answers
    )
    names = tuple(section.name for section in with_scores)
    return Samples(tuple(backends), names, shown, tuple(counts))


def script_text(shown: Samples) -> str:
    """Return the samples as JSON that is safe inside a <script> element, whatever it holds."""
    data = {"backends": shown.backends, "suites": shown.suites, "items": shown.items}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # No end tag, no comment, and no line end of JavaScript's own.
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _choose(section: Section, room: int) -> tuple[pd.DataFrame, str]:
    """Return the questions to show, whether the backends disagree on each, and their count."""
    scores = section.frame.groupby("question", sort=False)[section.metrics[0]]
    spread = (scores.max() - scores.min()) > 1e-9
    missing = scores.count()
    differ = spread | ((missing > 0) & (missing < scores.size()))
    disagreeing, alike = differ[differ], differ[~differ]
    kept = pd.concat([disagreeing[:room], alike[: max(0, room - len(disagreeing))]])
    shown = differ[differ.index.isin(kept.index)]  # in the order of the rows
    count = f"{len(shown):,} of {len(differ):,} questions"
    if len(shown) < len(differ):
        count += (
            f": {int(shown.sum()):,} of the {len(disagreeing):,} on which the backends disagree "
            f"and {int((~shown).sum()):,} of the {len(alike):,} others; the rest is in records.csv"
        )
    return shown.rename("disagree").to_frame(), count


def _items(
    section: Section,
    number: int,
    chosen: pd.DataFrame,
    backends: Sequence[str],
    places: dict[Key, _Place],
) -> Iterator[_Item]:
    """Yield the chosen questions of a section, and note where their answers go."""
    main, at = section.metrics[0], {backend: place for place, backend in enumerate(backends)}
    rows = section.frame[section.frame["question"].isin(chosen.index)]
    made: dict[int, _Item] = {}
    columns = ["question", "run", "suite", "backend", "sample_id", "question_id", main]
    slices = rows[list(section.slices)].to_dict("records")
    for row, values in zip(rows[columns].itertuples(index=False), slices, strict=True):
        question, run, suite, backend, sample_id, question_id, score = row
        item = made.get(question)
        if item is None:
            shown = ", ".join(f"{name}={value}" for name, value in values.items() if value != "")
            name = f"{sample_id} / {question_id}"
            disagree = bool(chosen.loc[question, "disagree"])
            item = made[question] = _Item(number, name, shown, main, disagree)
        known = None if np.isnan(score) else float(score)
        key = (run, suite, backend.removesuffix(INVALID), sample_id, question_id)
        places[key] = _Place(item, at[backend], known)
    yield from made.values()


def _read_answers(file: Path, run: int, places: Mapping[Key, _Place]) -> None:
    """Fill in answers and targets from a file, line by line: evidence alone may be gigabytes."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                place = places.get(
                    (run, row["suite"], row["backend"], row["sample_id"], row["question_id"])
                )
                if place is None:
                    continue
                failed = ": ".join(filter(None, (row["error"], row["notice"])))
                answer = _cut(_unescaped(row["answer"] or ""))
                place.item.answers.append((place.backend, place.score, answer, failed))
                place.item.targets = place.item.targets or _targets(row["targets"])
    finally:
        csv.field_size_limit(limit)


def _targets(cell: str | None) -> list[str]:
    try:
        found = json.loads(cell or "[]")
    except ValueError:
        return []
    return [_cut(str(target)) for target in found] if isinstance(found, list) else []


def _unescaped(cell: str) -> str:
    """Return a text as it was before records.py put it on one line."""
    return _ESCAPE.sub(lambda found: _BREAKS.get(found[1], found[1]), cell)


def _cut(text: str) -> str:
    if len(text) <= MAX_LETTERS:
        return text
    return f"{text[:MAX_LETTERS]}… ({len(text) - MAX_LETTERS:,} letters more, in records.csv)"
