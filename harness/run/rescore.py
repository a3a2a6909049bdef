"""The metrics of a finished run anew, from its stored answers: no model, no context is read.

For a run that was scored by rules that have changed since. What a metric reads beside question,
targets and answer is not in the records: the context, the classes to choose from, and in runs of
earlier versions the question. So each answer is scored twice, with nothing in their place and with
everything the answer says. A metric that is the same both times does not depend on them; of any
other the stored value stays.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from harness.api import Question, Suite
from harness.errors import UserError
from harness.run import plugins
from harness.run.bertscore import BertScore
from harness.run.choose import choose_suites
from harness.run.environment import code_hash
from harness.run.metadata import RECORDS, read_run
from harness.run.metrics import BERT_SCORE, JUDGED
from harness.run.records import LISTS, Cell, Row, cell, columns, each_row, listed_cell, unescaped
from harness.run.rows import read_rows
from harness.run.runfolder import AT_ONCE, folder_name, refuse_existing, write_finished
from harness.run.spec import Spec
from harness.run.thoughts import split_thought
from harness.served.judge import PROMPT, Ask, Judge, Judged


@dataclass(frozen=True, slots=True)
class Rescored:
    """A run with new metrics."""

    folder: Path
    notices: tuple[str, ...]  # how many values changed or could not be computed anew


def rescore(
    run: Path,
    folder: Path | None,
    *,
    command: str,
    judge: Judge | None = None,
    bert_score: BertScore | None = None,
) -> Rescored:
    """Write a run folder with the rows of another and their metrics computed anew.

    Args:
        run: a finished run's folder.
        folder: the new folder; by default one beside `run`, named by a hash.
        command: what the user typed, for `run.json`.
        judge: adds a column of its verdicts.
        bert_score: adds a column of BERTScore.

    Raises:
        UserError: `run` is no run, its suites are not installed, or the folder exists.
    """
    rows = read_rows([run])  # says in a line what is wrong with the file
    source = run if run.is_dir() else run.parent
    suites = _suites(unescaped(name) for _, name in rows.parts)
    if not suites:
        raise UserError(f"{run} has no suite with metrics, so there is nothing to score.")
    added = [*([JUDGED] if judge else []), *([BERT_SCORE] if bert_score else [])]
    metrics = {name: [*suite.metrics, *added] for name, suite in suites.items()}
    old = read_run(source)
    configuration = {
        **(old.get("configuration") or {}),
        "metrics": metrics,
        "rescored": {"run": source.resolve().name, "code": code_hash(map(type, suites.values()))},
    }
    if judge:
        configuration["judge"] = {"model": judge.name, "prompt": PROMPT}
    if bert_score:
        configuration[BERT_SCORE] = {"model": bert_score.name}
    new = folder or source.resolve().parent / folder_name(configuration)
    tally = _Tally()
    scored: Iterable[Row] = (
        _scored(row, suites.get(row["suite"]), rows.slices, tally)
        for row in each_row(source / RECORDS)
    )
    about = f"Metrics computed anew from the answers of run {source.resolve().name}."
    asked: list[_Column] = []

    def notices() -> list[str]:
        return [about, *tally, *map(str, asked)]

    def describe() -> dict[str, Any]:
        return {
            **old,
            "status": old.get("status", "finished"),
            "command": command,
            "notices": [*(old.get("notices") or ()), *notices()],
            "configuration": configuration,
        }

    with ExitStack() as asking:
        if judge:
            refuse_existing(new)
            ask = asking.enter_context(judge.asking(new.with_name(f".{new.name}.judging")))
            asked.append(_Column(JUDGED, judge.name, ask))
        if bert_score:
            asked.append(_Column(BERT_SCORE, bert_score.name, bert_score.ask))
        for column in asked:
            scored = column.add(scored, suites)
        header = columns(rows.slices, chain(rows.metrics, *metrics.values()))
        write_finished(new, header, scored, describe)
    return Rescored(new, tuple(notices()))


class _Tally:
    """How many values of each metric changed, and how many had to stay as they were."""

    def __init__(self) -> None:
        self._changed: Counter[str] = Counter()
        self._new: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._all: Counter[str] = Counter()

    def add(self, metric: str, before: str, now: Cell, *, is_known: bool) -> None:
        """Count one value."""
        self._all[metric] += 1
        self._new[metric] += is_known and not before
        self._changed[metric] += is_known and bool(before) and cell(now) != before
        self._kept[metric] += not is_known

    def __iter__(self) -> Iterator[str]:
        """Yield a line for each metric, in words."""
        for metric, n in sorted(self._all.items()):
            new, changed = self._new[metric], self._changed[metric]
            line = f"{metric}: {new or changed:,} of {n:,} values {'are new' if new else 'changed'}"
            if new and changed:
                line += f", {changed:,} changed"
            if kept := self._kept[metric]:
                line += f", {kept:,} depend on texts that are not stored and stay as they were"
            yield f"{line}."


def _suites(names: Iterable[str]) -> dict[str, Suite]:
    """Return the suites that have metrics, by their name in the rows."""
    found = {}
    for name in dict.fromkeys(names):
        try:
            plugins.load(plugins.SUITES, Spec.parse(name).name)
        except UserError as unknown:
            raise UserError(
                f"suite {name!r} cannot be scored here: {unknown} "
                "Predictions of other tools are scored by gist-bench import."
            ) from unknown
        ((_, suite),) = choose_suites([name])
        if suite.metrics:
            found[name] = suite
    return found


def _scored(
    row: Mapping[str, str], suite: Suite | None, slices: Sequence[str], tally: _Tally
) -> Row:
    """Return a row with new metrics; one without an answer stays as it is."""
    kept: dict[str, Cell] = {name: text or None for name, text in row.items()}
    kept |= {name: listed_cell(row, name) for name in LISTS if row[name]}
    if suite is None or row["error"]:
        return kept
    thought, answer = split_thought(row["answer"])
    of_row = {name: row[name] for name in slices if row[name]}
    asked = Question(
        row["question_id"], row.get("question", ""), listed_cell(row, "targets"), of_row
    )
    classes = (*asked.targets, answer)
    said = Question(asked.id, asked.text or answer, asked.targets, asked.slices, choices=classes)
    least, most = suite.score(asked, answer, ""), suite.score(said, answer, answer)
    for name in suite.metrics:
        is_known = least.get(name) == most.get(name)
        value = float(least[name]) if name in least else None
        before = row.get(name, "")
        if before or value is not None:
            tally.add(name, before, value, is_known=is_known)
        kept[name] = value if is_known else before or None
    return {
        **kept,
        "answer_words": len(answer.split()),
        "thought_words": len(thought.split()) or None,
    }


@dataclass(slots=True)
class _Column:
    """What a model says of some answers, and how many it was shown."""

    name: str
    model: str
    ask: Ask
    shown: int = 0
    silent: int = 0

    def add(self, rows: Iterable[Row], suites: Collection[str]) -> Iterator[Row]:
        """Yield the rows with a column more."""
        left = iter(rows)
        while some := list(islice(left, AT_ONCE)):
            places = [
                at for at, row in enumerate(some) if row["suite"] in suites and not row["error"]
            ]
            said = self.ask([_asked(some[at]) for at in places])
            self.shown += len(said)
            self.silent += said.count(None)
            found = dict(zip(places, said, strict=True))
            yield from ({**row, self.name: found.get(at)} for at, row in enumerate(some))

    def __str__(self) -> str:
        without = f", {self.silent:,} of them without a verdict" if self.silent else ""
        return f"{self.name}: {self.shown:,} answers were shown to {self.model}{without}."


def _asked(row: Row) -> Judged:
    targets = row["targets"]
    _, answer = split_thought(str(row["answer"] or ""))
    return str(row.get("question") or ""), targets if isinstance(targets, tuple) else (), answer
