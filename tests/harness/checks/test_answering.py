"""Honest backends pass every check of what they do, and each planted cheat turns one red."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gist.decode
import harness.run.cell
import harness.run.handed
from benchmarks.qa import Qa
from harness.api import Generation, PreparedContext, Question, Sample, Suite
from harness.checks.run import check_backends
from harness.checks.trial import Table, Trial
from harness.run.cell import CellRun
from harness.run.choose import choose_backends, choose_suites
from harness.run.handed import questions_of
from harness.run.plan import Settings
from harness.run.planning import make_plan
from tests.support import cheats
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_models import load_tiny

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

SUITE = "qa,documents=3,people=1,facts=2,filler=1,questions=2,max_new_tokens=4"
LONG = 200  # tokens: of the three contexts, one has more
FINETUNE = "finetune,steps=2,rank=2"
HONEST = (
    "full",
    "rag,embedder=bm25,chunk_tokens=16,top_k=1",
    "closed_book",
    "truncate,ratio=4",
    "mean_pool,ratio=4",
    "gist,ADAPTER,ratio=4",
    "gist,ADAPTER,window_tokens=64",
    "full,adapter=on,ADAPTER",
    "hybrid,embedder=bm25,ADAPTER",
    "gist_store,embedder=bm25,segment_tokens=64,ADAPTER",
    "hierarchical,ADAPTER",
    FINETUNE,
)


@pytest.fixture(scope="module")
def adapter(tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny Llama."""
    return save_tiny_adapter(load_tiny(tiny_llama_folder), tmp_path_factory.mktemp("adapter"))


def failed(lm: "LanguageModel", adapter: Path, *backends: str) -> dict[str, set[str]]:
    """Return the names of the checks that fail, of each backend."""
    given = [text.replace("ADAPTER", f"checkpoint={adapter}") for text in backends]
    plan = make_plan(lm, choose_suites([SUITE]), choose_backends(given), Settings())
    entries = check_backends(lm, plan)
    assert [entry["backends"] for entry in entries] == [[c.name] for c in plan.configurations]
    return {
        text: {check["name"] for check in entry["proofs"] if not check["passed"]}
        for text, entry in zip(backends, entries, strict=True)
    }


@pytest.mark.parametrize("backend", HONEST)
def test_an_honest_backend_passes(tiny_llama: "LanguageModel", adapter: Path, backend: str) -> None:
    """Whether it keeps everything, passages, gists or nothing."""
    assert failed(tiny_llama, adapter, backend) == {backend: set()}


def test_samples_are_of_the_sizes_of_the_run(tiny_llama: "LanguageModel") -> None:
    """The faults below that sleep on short contexts are met awake, and asleep."""
    ((_, suite),) = choose_suites([SUITE])
    encode = tiny_llama.tokenizer.encode
    sizes = sorted(len(encode(s.context)) for s in suite.samples(tiny_llama.tokenizer, 0))
    assert sizes[0] < LONG < sizes[-1]


@pytest.mark.parametrize(
    ("suites", "reads"),
    [
        (["qa,documents=4,people=2"], 3),
        ([f"qa,documents=1,filler=0,people={n}" for n in (1, 2, 4)], 4),
    ],
    ids=["alike", "of three sizes"],
)
def test_samples_of_one_size_are_not_read_for_their_size(
    tiny_llama: "LanguageModel", monkeypatch: pytest.MonkeyPatch, suites: list[str], reads: int
) -> None:
    """An honest backend reads two contexts, a median one that differs, and the longest again."""
    run, contexts = Table.run, []

    def counted(self: Table, job: Any, sample: Sample, **options: Any) -> Trial:
        contexts.append(sample.context)
        return run(self, job, sample, **options)

    monkeypatch.setattr(Table, "run", counted)
    plan = make_plan(tiny_llama, choose_suites(suites), choose_backends(["full"]), Settings())
    (entry,) = check_backends(tiny_llama, plan)
    assert all(check["passed"] for check in entry["proofs"])
    assert len(contexts) == reads
    assert len(set(contexts)) == reads - 1
    assert contexts[-1] == contexts[0] == max(contexts, key=len)


CHEATS = {
    "SecretContext": "keys in attention",
    "TellsNoTokens": "keys in attention",
    "KeptText,place=module": "held bytes",
    "KeptText,place=class": "held bytes",
    "KeptText,place=field": "held bytes",
    "KeptText,place=ids": "held bytes",
    "KeptOnDisk": "held bytes",
    "FewNewTokens": "keys in attention",
    "ClaimedEvidence": "evidence read",
    "FewEntries": "tokens beside the context",
    "HalfTheBytes": "held bytes",
    "KeptInTheBackend": "held bytes",
    "LateCompression": "keys in attention",
    "FirstQuestion": "order of questions",
    "Memory": "keys in attention",
    "OldAnswers": "answers from logits",
    "MergedOnClose": "base model",
    "AdapterLeftOn": "base model",
}


@pytest.mark.parametrize("above", [pytest.param(0, marks=pytest.mark.slow), LONG])
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_noticed(
    tiny_llama: "LanguageModel", adapter: Path, name: str, above: int
) -> None:
    """Also where it is only done on contexts of more than 200 tokens."""
    cheats.Memory.said.clear()
    cheats.KeptInTheBackend.stash.clear()
    cheats.KeptText.shelf.clear()
    cheats.NOTES.clear()
    cheat = f"tests.support.cheats:{name},ADAPTER,above={above}"
    assert CHEATS[name] in failed(tiny_llama, adapter, cheat)[cheat]


def test_a_model_that_was_changed_fails_every_backend(
    tiny_llama: "LanguageModel", adapter: Path
) -> None:
    """Rows come after all checks, so that those of a backend before it are of no use either."""
    cheat = "tests.support.cheats:MergedOnClose,ADAPTER"
    found = failed(tiny_llama, adapter, "full", cheat, "closed_book")
    assert {"base model of the run"} == found["full"]
    assert "base model" in found[cheat] & found["closed_book"]


# Faults of the runner and of scoring


def test_bytes_that_are_counted_wrong_are_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all backends count them, and where the runner writes them down."""
    whole = gist.decode.KVState.held_bytes.fget
    assert whole is not None
    monkeypatch.setattr(gist.decode.KVState, "held_bytes", property(lambda self: whole(self) // 2))
    assert failed(tiny_llama, adapter, "truncate") == {"truncate": {"held bytes"}}


@pytest.mark.parametrize("backend", ["gist,ADAPTER", "rag,embedder=bm25"])
def test_a_question_handed_to_compression_is_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """The runner gives prepare more than the context."""
    prepare = CellRun._prepare

    def leaking(
        self: CellRun, sample: Sample, context: str, held: list[PreparedContext]
    ) -> dict[str, Any]:
        return prepare(self, sample, f"{context} {sample.questions[0].text}", held)

    monkeypatch.setattr(CellRun, "_prepare", leaking)
    assert failed(tiny_llama, adapter, backend)[backend] >= {"given texts", "questions hidden"}


def test_a_test_question_handed_to_learn_from_is_noticed(
    tiny_llama: "LanguageModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness hands over what the sample asks, in place of what its context gives."""
    prepare = CellRun._prepare

    def leaking(
        self: CellRun, sample: Sample, context: str, held: list[PreparedContext]
    ) -> dict[str, Any]:
        asked = tuple(question for question in sample.questions if question.targets)
        monkeypatch.setattr(harness.run.handed, "questions_of", lambda _: asked)
        return prepare(self, sample, context, held)

    monkeypatch.setattr(CellRun, "_prepare", leaking)
    found = failed(tiny_llama, Path(), FINETUNE)[FINETUNE]
    assert found >= {"handed questions", "questions hidden"}


def test_a_question_of_another_context_handed_to_learn_from_is_noticed(
    tiny_llama: "LanguageModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked nowhere, and yet it does not follow from the context."""
    other = questions_of("The amber harp is in hall 7.")
    monkeypatch.setattr(harness.run.handed, "questions_of", lambda _: other)
    assert failed(tiny_llama, Path(), FINETUNE) == {FINETUNE: {"handed questions"}}


def test_a_backend_that_is_not_handed_what_it_wants_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tiny_llama: "LanguageModel"
) -> None:
    """It would learn from the text alone, and its figures would be another backend's."""
    monkeypatch.setattr(harness.run.handed, "questions_of", lambda _: ())
    assert failed(tiny_llama, Path(), FINETUNE) == {FINETUNE: {"handed questions"}}


def test_a_question_handed_over_behind_the_contract_is_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is kept, which then depends on the questions of the sample."""
    prepare = CellRun._prepare

    def leaking(
        self: CellRun, sample: Sample, context: str, held: list[PreparedContext]
    ) -> dict[str, Any]:
        monkeypatch.setattr(cheats.Hinted, "questions", tuple(q.text for q in sample.questions))
        return prepare(self, sample, context, held)

    monkeypatch.setattr(CellRun, "_prepare", leaking)
    cheat = "tests.support.cheats:Hinted,ADAPTER"
    assert "questions hidden" in failed(tiny_llama, adapter, cheat)[cheat]


@pytest.mark.parametrize("above", [pytest.param(0, marks=pytest.mark.slow), LONG])
def test_a_proving_sentence_handed_to_retrieval_is_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    """Other support, other answers: retrieval knows what it must not."""
    prepare = CellRun._prepare

    def leaking(
        self: CellRun, sample: Sample, context: str, held: list[PreparedContext]
    ) -> dict[str, Any]:
        told = {q.text: q.support for q in sample.questions if q.support}
        monkeypatch.setattr(cheats.ToldRag, "support", told)
        return prepare(self, sample, context, held)

    monkeypatch.setattr(CellRun, "_prepare", leaking)
    cheat = f"tests.support.cheats:ToldRag,embedder=bm25,chunk_tokens=16,top_k=1,above={above}"
    assert "gold answers hidden" in failed(tiny_llama, adapter, cheat)[cheat]


Answered = Callable[[Suite, Sample, Question, Generation], dict[str, Any]]


def gold_scored(answer_cells: Answered) -> Answered:
    """Return what scores the accepted answer in place of the given one."""

    def cells(
        suite: Suite, sample: Sample, question: Question, generation: Generation
    ) -> dict[str, Any]:
        honest = answer_cells(suite, sample, question, generation)
        gold = question.targets[0] if question.targets else ""
        return {**honest, **suite.score(question, gold, sample.context)}

    return cells


def test_gold_answers_fed_to_the_scorer_are_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics of a row are not those of its answer."""
    monkeypatch.setattr(
        harness.run.cell, "_answer_cells", gold_scored(harness.run.cell._answer_cells)
    )
    assert failed(tiny_llama, adapter, "truncate") == {"truncate": {"scores"}}


def test_a_scorer_that_does_not_read_the_answer_is_noticed(
    tiny_llama: "LanguageModel", adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics that are the same for a right answer and a wrong one."""

    def generous(self: Qa, question: Question, answer: str, context: str) -> Mapping[str, float]:
        del question, answer, context
        return dict.fromkeys(self.metrics, 1.0)

    monkeypatch.setattr(Qa, "score", generous)
    assert failed(tiny_llama, adapter, "truncate") == {"truncate": {"scores"}}
