"""The answers of all backends side by side, question by question, for the browser of samples.

A page cannot hold every answer of a large run. Each suite has an equal part of `MAX_QUESTIONS`: it
is filled with the questions on which the backends disagree, then with others. The page says how
many it shows. sources.py adds what was asked about what.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.report.html.sources import add_sources
from harness.report.sections import Section, backends_of, scored
from harness.run.records import listed_cell, unescaped

MAX_QUESTIONS = 2000  # on a page
MAX_LETTERS = 1500  # of one answer; a longer one is cut
FLAGS = {"invented": "hallucinated", "cut": "cut"}  # of an answer: the column that says so


@dataclass(frozen=True, slots=True)
class Samples:
    """What the browser of samples shows."""

    backends: tuple[str, ...]
    suites: tuple[str, ...]
    items: tuple[Mapping[str, Any], ...]  # as page.js reads them
    counts: tuple[str, ...]  # how many questions of each suite are shown, in words
    contexts: tuple[str, ...]  # that the items name by number


def samples(sections: Sequence[Section], folders: Sequence[Path] = ()) -> Samples:
    """Choose questions of the suites with scores, each with the answers of all backends.

    The texts of questions and contexts are in the `folders` of the runs, if they are given.
    """
    with_scores, backends = scored(sections), backends_of(sections)
    items: list[dict[str, Any]] = []
    counts: list[str] = []
    for number, section in enumerate(with_scores):
        room = (MAX_QUESTIONS - len(items)) // (len(with_scores) - number)
        chosen, count = _choose(section, room)
        counts.append(f"{section.name}: {count}")
        items += _items(section, number, chosen, backends)
    contexts = add_sources(items, backends, folders)
    for item in items:
        del item["source"]
    names = tuple(section.name for section in with_scores)
    return Samples(tuple(backends), names, tuple(items), tuple(counts), tuple(contexts))


def script_text(shown: Samples) -> str:
    """Return the samples as JSON that is safe inside a <script> element, whatever it holds."""
    names = ("backends", "suites", "items", "contexts")
    data = {name: getattr(shown, name) for name in names}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # No end tag, no comment, and no line end of JavaScript's own.
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _choose(section: Section, room: int) -> tuple["pd.Series[bool]", str]:
    """Return the questions to show, whether the backends disagree on each, and their count."""
    found = _ranges(section)
    spread = (found["max"] - found["min"]) > 1e-9
    differ = spread | ((found["count"] > 0) & (found["count"] < found["size"]))
    disagreeing, alike = differ[differ], differ[~differ]
    kept = pd.concat([disagreeing[:room], alike[: max(0, room - len(disagreeing))]])
    shown = differ[differ.index.isin(kept.index)]  # in the order of the rows
    count = f"{len(shown):,} of {len(differ):,} questions"
    if len(shown) < len(differ):
        count += (
            f": {int(shown.sum()):,} of the {len(disagreeing):,} on which the backends disagree "
            f"and {int((~shown).sum()):,} of the {len(alike):,} others; the rest is in records.csv"
        )
    return shown, count


def _ranges(section: Section) -> pd.DataFrame:
    """Return, for each question, the lowest and highest score, and how many backends have one."""
    main = section.metrics[0]
    scores = section.rows[["question", main]].groupby("question", sort=False)[main]
    return scores.agg(["max", "min", "count", "size"])


def _items(
    section: Section, number: int, chosen: "pd.Series[bool]", backends: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the chosen questions of a section as page.js reads them."""
    main, place = section.metrics[0], {backend: at for at, backend in enumerate(backends)}
    rows = section.rows.where("question", lambda numbers: numbers.isin(chosen.index))
    items: dict[int, dict[str, Any]] = {}
    found: list[Any] = rows[rows.names].to_dict("records")
    for row in found:
        slices = (f"{name}={row[name]}" for name in section.slices if row[name] != "")
        item = items.setdefault(
            row["question"],
            {
                "suite": number,
                "name": f"{row['sample_id']} / {row['question_id']}",
                "slices": ", ".join(slices),
                "metric": main,
                "disagree": bool(chosen[row["question"]]),
                "targets": [],
                "answers": [],
                "invented": [],
                "cut": [],
                "source": (row["run"], row["suite"], row["sample_id"], row["question_id"]),
            },
        )
        score = None if np.isnan(row[main]) else row[main]
        failed = ": ".join(filter(None, (row["error"], row["notice"])))
        answer = _cut(unescaped(row["answer"]).replace("\0", ""))
        item["answers"].append((place[row["backend"]], score, answer, failed))
        item["targets"] = item["targets"] or list(map(_cut, listed_cell(row, "targets")))
        for flag, column in FLAGS.items():
            if row.get(column, 0) >= 0.5:  # NaN: not known
                item[flag].append(place[row["backend"]])
    yield from items.values()


def _cut(text: str) -> str:
    if len(text) <= MAX_LETTERS:
        return text
    return f"{text[:MAX_LETTERS]}… ({len(text) - MAX_LETTERS:,} letters more, in records.csv)"
