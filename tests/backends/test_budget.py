"""One budget of KV entries for every backend that can keep so many."""

import csv
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backends.gist import Gist
from backends.mean_pool import MeanPool
from backends.rag import Rag
from backends.truncate import Truncate
from harness.api import BUDGET
from harness.cli.run import command
from harness.errors import UserError
from harness.report.contrasts import pairs
from harness.report.render import render
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.metadata import Budget
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.fakes import Fake, FakeModel
from tests.support.rows import scored, sections, write_run
from tests.support.tiny_adapter import save_tiny_adapter

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

WIDE = "tests.backends.test_budget:Wide"
SENTENCES = [f"The red cup {n} is on shelf {n * 7}." for n in range(12)]
CONTEXT = " ".join(SENTENCES)


@dataclass
class Wide(Fake):
    """A backend whose budget has a name of its own."""

    width: int | None = field(default=None, metadata=BUDGET)


def names(*texts: str, budgets: tuple[int, ...] = (64, 128)) -> list[str]:
    """Return the names of the backends that are chosen."""
    return [choice.name for choice in choose_backends(texts, budgets=budgets)]


def test_a_backend_with_a_budget_runs_at_each() -> None:
    """The option is found by its metadata, not by the backend's name or its own."""
    assert names(f"{WIDE},words=9", "tests.support.fakes:Fake") == [
        f"{WIDE},width=64,words=9",
        f"{WIDE},width=128,words=9",
        "tests.support.fakes:Fake",
    ]


def test_built_in_backends_that_keep_entries_take_a_budget() -> None:
    """Without naming any, gist, rag, truncate and mean_pool run at the budget; others as ever."""
    found = names(budgets=(64,))
    assert {"gist,tokens=64", "rag,tokens=64", "truncate,tokens=64", "mean_pool,tokens=64"} <= {
        *found
    }
    assert {"full", "closed_book"} <= set(found)


def test_controls_have_the_budget_of_their_gist() -> None:
    """What a gist has to beat keeps as many entries."""
    found = [c.name for c in choose_backends(["gist"], budgets=(64,), controls=True)]
    assert {"shuffled(gist,tokens=64)", "truncate,tokens=64", "mean_pool,tokens=64"} <= {*found}


def test_two_budgets_for_one_backend_are_a_mistake() -> None:
    """A backend that has its budget by its spec cannot be given others."""
    with pytest.raises(UserError, match=r"gist,tokens=8 has a budget of its own\. Leave out"):
        names("gist,tokens=8")


@pytest.mark.parametrize("text", ["64,128", "0", "64+", "-1", "many"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    """One line says what was given and how it is written."""
    refused = CliRunner().invoke(command, ["--budget", text])
    assert refused.exit_code == 2
    assert f"'{text}' are no numbers of KV entries. Write 64+128+256." in refused.output


@pytest.mark.parametrize("tokens", [1, 7, 40, 100])
def test_every_backend_keeps_its_budget(
    tiny_llama: "LanguageModel", tmp_path: Path, tokens: int
) -> None:
    """Gist, truncate and mean_pool keep exactly so many entries; rag never more, and nearly all."""
    adapter = save_tiny_adapter(tiny_llama, tmp_path / "adapter")

    def kept(backend: Gist | Truncate | MeanPool | Rag) -> int:
        (answer,) = backend.prepare(CONTEXT).generate(["Which shelf, cup 3?"], max_new_tokens=1)
        backend.close()
        return answer.context_entries

    assert kept(Gist(tiny_llama, checkpoint=adapter, tokens=tokens)) == tokens
    assert kept(Truncate(tiny_llama, tokens=tokens)) == tokens
    assert kept(MeanPool(tiny_llama, tokens=tokens)) == tokens
    shown = kept(Rag(tiny_llama, embedder="bm25", tokens=tokens))
    longest_word = 7  # bytes, with its space: what a passage that is cut between words may lack
    assert max(0, tokens - longest_word) <= shown <= tokens


def test_what_has_no_budget_and_takes_long_runs_only_when_asked_for() -> None:
    """At a budget every backend that takes one runs; fine-tuning takes none."""
    at_budget, unasked = {*names(budgets=(64,))}, {*names(budgets=())}
    slow = {"selective_context", "summary", "kvpress", "mean_pool"}
    assert {f"{name},tokens=64" for name in slow} <= at_budget
    assert not (slow | {"finetune"}) & unasked
    assert "finetune" not in at_budget


def test_a_context_below_the_budget_is_kept_as_it_is(
    tiny_llama: "LanguageModel", tmp_path: Path
) -> None:
    """Nobody keeps more entries than the context has tokens."""
    adapter = save_tiny_adapter(tiny_llama, tmp_path / "adapter")
    context = SENTENCES[0]
    size = len(tiny_llama.tokenizer.encode(context))
    for backend in (
        Gist(tiny_llama, checkpoint=adapter, tokens=500),
        Truncate(tiny_llama, tokens=500),
        MeanPool(tiny_llama, tokens=500),
        Rag(tiny_llama, embedder="bm25", tokens=500),
    ):
        (answer,) = backend.prepare(context).generate(["Which?"], max_new_tokens=1)
        assert answer.context_entries == size
        backend.close()


@pytest.mark.parametrize("overlap", [0, 1])
def test_passages_within_a_budget_are_the_best_ones(
    tiny_llama: "LanguageModel", overlap: int
) -> None:
    """The best chunk is shown first of all; what is cut short is verbatim text of the context."""
    question = "Where is cup 9?"
    for tokens in (20, 45, 80, 200):
        backend = Rag(tiny_llama, embedder="bm25", chunk_tokens=10, overlap=overlap, tokens=tokens)
        (answer,) = backend.prepare(CONTEXT).generate([question], max_new_tokens=1)
        assert all(passage in CONTEXT for passage in answer.evidence)
        shown = " ".join(answer.evidence)
        assert SENTENCES[9][:20].rsplit(" ", 1)[0] in shown
        assert (SENTENCES[9] in shown) == (tokens > len(SENTENCES[9]))
        backend.close()


def test_all_of_a_context_within_the_budget_is_the_full_context(
    tiny_llama: "LanguageModel",
) -> None:
    """With room for everything, everything is shown once."""
    backend = Rag(tiny_llama, embedder="bm25", chunk_tokens=10, overlap=1, tokens=1000)
    (answer,) = backend.prepare(CONTEXT).generate(["Where is cup 9?"], max_new_tokens=1)
    assert answer.evidence == (CONTEXT,)


def test_quality_over_budget_is_a_table(tmp_path: Path) -> None:
    """Backends with a budget stand by its size, with the entries that they did keep."""
    model = FakeModel()
    chosen = choose_backends([f"{WIDE},words=9", "tests.support.fakes:Fake"], budgets=(2, 1000))
    suites = choose_suites(["tests.support.fakes:Scored,contexts=5"])
    plan = make_plan(model, suites, chosen, Settings())
    folder = run(plan, OneProcess(model), out=tmp_path, command="test")
    configured = json.loads((folder / "run.json").read_text())["configuration"]["backends"]
    assert configured[f"{WIDE},width=2,words=9"]["budget"] == {
        "tokens": 2,
        "family": f"{WIDE},words=9",
    }
    assert configured["tests.support.fakes:Fake"]["budget"] is None
    table = render([folder], markdown=True).partition("**right by budget**\n\n")[2]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.partition("\n\n")[0].splitlines()
    ]
    assert [row[:2] + row[3:] for row in lines[2:]] == [
        ["2", f"{WIDE},words=9", "3.00", "15", "5"],  # contexts of 1 to 5 words
        ["1,000", f"{WIDE},words=9", "3.00", "15", "5"],
    ]
    with (folder / "records.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3 * 15


def test_backends_are_compared_at_the_same_budget(tmp_path: Path) -> None:
    """Two budgets of one backend are a pair, and so is whoever has none; others must be alike."""
    families = ("gist", "rag")
    budgets = {f"{one},tokens={n}": Budget(n, one) for one in families for n in (8, 64)}
    f1 = [[float(number % 2)] for number in range(6)]
    rows = [row for backend in ("full", *budgets) for row in scored(backend, f1)]
    (section,) = sections(write_run(tmp_path / "run", rows))
    section = replace(section, budgets=budgets)
    assert {frozenset((pair.backend, pair.other)) for pair in pairs(section)} == {
        frozenset(pair)
        for pair in (
            ("gist,tokens=8", "full"),
            ("gist,tokens=64", "full"),
            ("gist,tokens=8", "rag,tokens=8"),
            ("gist,tokens=64", "rag,tokens=64"),
            ("gist,tokens=8", "gist,tokens=64"),
        )
    }
