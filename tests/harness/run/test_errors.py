"""One error tree: what a backend of somebody else raises through `gist` becomes a row."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from backends.kv.cached import CachedContext
from gist.decode import read
from harness.api import Question, Sample, Tokenizer
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

HERE = "tests.harness.run.test_errors"


@dataclass
class Bare:
    """A backend as the README writes one: it calls `read`, and catches nothing."""

    model: Any

    def prepare(self, context: str) -> CachedContext:
        """Read the context, however long it is."""
        ids = self.model.tokenizer.encode(context)
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids))

    def describe(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


@dataclass
class LongInTheMiddle:
    """Three contexts, of which the second is longer than the model's positions."""

    metrics: ClassVar[tuple[str, ...]] = ("right",)
    slice_names: ClassVar[tuple[str, ...]] = ()

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield them."""
        del tokenizer, seed
        for name, words in (("short", 5), ("long", 1000), ("last", 5)):
            yield Sample(name, "word " * words, (Question("q", "Which?", ("word",)),), 2)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return whether the answer is the target."""
        del context
        return {"right": float(answer in question.targets)}


@pytest.mark.parametrize("backend", [f"{HERE}:Bare", "full"])
def test_a_context_that_is_too_long_is_a_row_and_the_run_goes_on(
    tiny_llama: "LanguageModel", tmp_path: Path, backend: str
) -> None:
    """A backend need not translate what `gist` raises."""
    suites, backends = choose_suites([f"{HERE}:LongInTheMiddle"]), choose_backends([backend])
    plan = make_plan(tiny_llama, suites, backends, Settings())
    folder = run(plan, OneProcess(tiny_llama), out=tmp_path, command="test")
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["sample_id"]: row for row in csv.DictReader(file)}
    errors = {name: row["error"] for name, row in rows.items()}
    assert errors == {"short": "", "long": "context_too_long", "last": ""}
    assert "positions" in rows["long"]["notice"]
    assert (rows["long"]["answer"], rows["long"]["right"]) == ("", "")
