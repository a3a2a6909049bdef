"""verify: sound adapters pass, others fail by name, and a check that cannot run does not pass."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import gist.compress
from gist.models.model import LanguageModel
from harness.api import Generation, Question, Sample, Tokenizer
from harness.checks.adapter import check_adapter
from harness.checks.shuffled import (
    OWN_ABOVE_SHUFFLED,
    SHUFFLED_AT_FLOOR,
    Check,
    answerable,
    check_shuffled,
    judge_shuffled,
)
from harness.errors import UserError
from harness.run.spec import Spec
from tests.support.commands import GistBench
from tests.support.tiny_adapter import save_tiny_adapter

STRUCTURE = ["mask blocks", "one pass = two passes", "poisoned cache", "cached tokens"]
SHUFFLED = [OWN_ABOVE_SHUFFLED, SHUFFLED_AT_FLOOR]
AS_RUN = [
    *("given texts", "keys in attention", "tokens beside the context", "answers from logits"),
    *("held bytes", "scores", "order of questions", "gold answers hidden", "questions hidden"),
    *("nothing else is read", "base model"),
]
CONTEXTS = 12


@dataclass
class Towns:
    """Who lives where: three people for each context, in towns of their own."""

    metrics: ClassVar[tuple[str, ...]] = ("right",)
    slice_names: ClassVar[tuple[str, ...]] = ()

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield contexts of the form `P0-1 T0-1, ...`."""
        del tokenizer, seed
        for number in range(CONTEXTS):
            people = {f"P{number}-{k}": f"T{number}-{k}" for k in range(3)}
            asked = tuple(Question(p, f"Where is {p}?", (t,)) for p, t in people.items())
            context = ", ".join(f"{p} {t}" for p, t in people.items())
            yield Sample(f"s{number}", context, asked, 4)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return whether it is the town."""
        del context
        return {"right": float(answer in question.targets)}


@dataclass
class State:
    """What a backend keeps."""

    backend: "Reader"
    context: str
    held_bytes: int = 0

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Look the person up."""
        del max_new_tokens, min_new_tokens
        assert len(questions) <= 8
        return [Generation(self.backend.answer(self.context, q), 1, 1, 1) for q in questions]

    def close(self) -> None:
        """Count it."""
        self.backend.log.append("state")


@dataclass
class Reader:
    """Answers from the context that it was given."""

    log: list[str] = field(default_factory=list)  # what was closed

    def prepare(self, context: str) -> State:
        """Keep the context."""
        return State(self, context)

    def answer(self, context: str, question: str) -> str:
        """Return the town of the person asked for."""
        person = question.removeprefix("Where is ").removesuffix("?")
        return dict(pair.split() for pair in context.split(", ")).get(person, "nowhere")

    def describe(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Count it."""
        self.log.append("backend")


class Deaf(Reader):
    """Has lost the context."""

    def answer(self, context: str, question: str) -> str:
        """Guess."""
        del context, question
        return "T0-0"


class Leaking(Reader):
    """Knows every document, whichever it was given: as a shared cache would."""

    def answer(self, context: str, question: str) -> str:
        """Return the town, which is named after the person."""
        del context
        return question.removeprefix("Where is ").removesuffix("?").replace("P", "T")


def towns() -> list[Sample]:
    """Return the samples of the suite."""
    return list(Towns().samples(None, 0))  # type: ignore[arg-type]


def verdicts(checks: Sequence[Check]) -> dict[str, bool]:
    """Return which checks hold, by name."""
    return {check.name: check.passed for check in checks}


@pytest.mark.parametrize(
    ("backend", "expected"),
    [(Reader, [True, True]), (Deaf, [False, True]), (Leaking, [False, False])],
)
def test_only_a_state_that_knows_its_document_alone_passes(
    backend: type[Reader], expected: list[bool]
) -> None:
    """One that knows nothing beats no other; one that knows all knows too much."""
    checks = check_shuffled(backend, Deaf, Towns(), towns())
    assert verdicts(checks) == dict(zip(SHUFFLED, expected, strict=True))


def test_every_state_and_backend_is_closed() -> None:
    """One backend is closed before the other is opened: each may change the model."""
    log: list[str] = []

    def open_floor() -> Deaf:
        assert log == ["state"] * CONTEXTS + ["backend"]
        return Deaf(log)

    check_shuffled(lambda: Reader(log), open_floor, Towns(), towns())
    assert log == (["state"] * CONTEXTS + ["backend"]) * 2


def test_a_repeated_context_is_not_taken_for_another() -> None:
    """The other state is that of the next different context."""
    twice = [sample for sample in towns() for _ in range(2)]
    assert all(check.passed for check in check_shuffled(Reader, Deaf, Towns(), twice))


def test_too_few_contexts_are_refused() -> None:
    """Below the number that an interval needs, and when most questions have no answer."""
    with pytest.raises(UserError, match="4 different contexts"):
        answerable(towns()[:4])
    unanswerable = Sample("u", "u", (Question("u", "?", ()),), 4)
    with pytest.raises(UserError, match="4 different contexts"):
        answerable([*towns()[:4], unanswerable])
    assert [sample.id for sample in answerable([*towns(), unanswerable])] == [
        sample.id for sample in towns()
    ]


def scores(mean: float, rng: np.random.Generator, n: int = 40) -> np.ndarray:
    """Return 0/1 scores of two questions on each of n contexts."""
    return (rng.random(2 * n) < mean).astype(float)


def test_a_difference_that_chance_explains_is_no_check() -> None:
    """The interval decides, not the means."""
    contexts = np.repeat(np.arange(6), 2)
    own = np.array([1.0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1])
    shuffled = np.array([0.0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0])
    assert own.mean() > shuffled.mean()
    nothing = np.zeros(12)
    checks = judge_shuffled(own, shuffled, nothing, nothing, contexts, metric="right")
    assert not checks[0].passed
    assert checks[0].measured.startswith("0.50 - 0.42 = +0.08 [")


def test_without_an_interval_both_checks_fail() -> None:
    """Scores that look well, of too few contexts that differ among each other."""
    own, shuffled = np.array([1.0, 1, 1, 1, 1, 0, 1, 1]), np.array([0.0, 0, 0, 0, 0, 0, 0, 1])
    none = np.zeros(8)
    checks = judge_shuffled(own, shuffled, none, none, np.repeat(np.arange(4), 2), metric="right")
    assert verdicts(checks) == dict.fromkeys(SHUFFLED, False)


@pytest.mark.parametrize(
    ("floor", "prior", "expected", "message"),
    [
        (0.0, 0.5, True, "minus the prior"),
        (0.5, 0.0, True, "minus closed book"),
        (0.0, 0.05, False, "minus the prior"),
    ],
)
def test_the_shuffled_context_may_reach_the_floor(
    floor: float, prior: float, expected: bool, message: str
) -> None:
    """The higher of both floors counts."""
    rng = np.random.default_rng(3)
    contexts = np.repeat(np.arange(40), 2)
    own, shuffled = scores(0.9, rng), scores(0.45, rng)
    checks = judge_shuffled(
        own, shuffled, scores(floor, rng), scores(prior, rng), contexts, metric="right"
    )
    assert verdicts(checks) == dict(zip(SHUFFLED, [True, expected], strict=True))
    assert message in checks[1].detail


def test_the_prior_knows_questions_of_the_same_wording() -> None:
    """Similar questions of other contexts give the answer; a deaf state may do as much."""

    class Counts(Towns):
        def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
            for sample in super().samples(tokenizer, seed):
                count = Question("n", "How many people?", ("3",))
                yield Sample(sample.id, sample.context, (*sample.questions, count), 4)

    class Counting(Reader):
        def answer(self, context: str, question: str) -> str:
            return "3" if question.startswith("How") else super().answer(context, question)

    samples = list(Counts().samples(None, 0))  # type: ignore[arg-type]
    own, shuffled = check_shuffled(Counting, Deaf, Counts(), samples)
    assert own.measured.startswith("1.00 - 0.25 = +0.75")
    assert shuffled.passed
    assert "questions (0.25)" in shuffled.detail


def test_questions_without_the_metric_count_for_nothing() -> None:
    """A metric that does not apply is left out by the suite, and is no 0."""

    class Partly(Towns):
        def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
            whole = super().score(question, answer, context)
            return whole if question.id.endswith("-0") else {}

    own, _ = check_shuffled(Reader, Deaf, Partly(), towns())
    assert own.measured.startswith("1.00 - 0.00")
    assert f"of {CONTEXTS} questions on {CONTEXTS} contexts" in own.detail

    class Never(Towns):
        def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
            del question, answer, context
            return {}

    with pytest.raises(UserError, match="no question has the metric 'right'"):
        check_shuffled(Reader, Deaf, Never(), towns())


# On a model


@pytest.fixture
def adapter(tiny_llama: LanguageModel, tmp_path: Path) -> Path:
    """An adapter that nobody trained, as a checkpoint."""
    return save_tiny_adapter(tiny_llama, tmp_path / "adapter")


def test_the_reference_adapter_passes(gist_bench: GistBench) -> None:
    """All checks hold on the model that the package carries."""
    code, out, _ = gist_bench("verify", "--device", "cpu", "--samples", "8")
    assert code == 0, out
    assert out.endswith("All 17 checks hold.\n")


def test_an_adapter_that_carries_nothing_fails_by_name(
    adapter: Path, tiny_llama_folder: Path, tmp_path: Path, gist_bench: GistBench
) -> None:
    """Masks and caches are in order, but its gists know nothing: exit code 1, and written so."""
    file, pictures = tmp_path / "checks.json", tmp_path / "new/pictures"
    code, out, _ = gist_bench(
        "verify",
        *("--model", str(tiny_llama_folder), "--backend", f"gist,checkpoint={adapter}"),
        *("--samples", "6", "--json", str(file), "--pictures", str(pictures)),
    )
    assert code == 1
    assert out.endswith("1 of 17 checks failed: shuffled-context control.\n")
    said = json.loads(file.read_text())
    assert list(said) == ["model", "fingerprint", "backend", "adapter", "proofs"]
    assert {p["name"]: p["passed"] for p in said["proofs"]} == {
        name: name != OWN_ABOVE_SHUFFLED for name in STRUCTURE + SHUFFLED + AS_RUN
    }
    assert sorted(path.name for path in pictures.iterdir()) == [
        "gist_attention.png",
        "training_mask.png",
    ]


def test_a_planted_fault_reaches_the_verdict(
    tiny_llama: LanguageModel, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that keeps everything turns three checks red; the mask has nothing to do with it."""
    monkeypatch.setattr(gist.compress, "select", lambda cache, _index: cache)
    spec = Spec("gist", {"checkpoint": str(adapter), "ratio": "8"})
    assert verdicts(check_adapter(tiny_llama, spec, shuffled=False)) == {
        name: name == "mask blocks" for name in STRUCTURE
    }


def test_checking_leaves_the_model_as_it_was(tiny_llama: LanguageModel, adapter: Path) -> None:
    """No adapter, hook or gradient is left on it."""

    def state() -> list[object]:
        modules = tiny_llama.model.named_modules()
        return [
            (name, len(m._forward_hooks), len(m._forward_pre_hooks), m.training)
            for name, m in modules
        ]

    before = state()
    check_adapter(tiny_llama, Spec("gist", {"checkpoint": str(adapter)}), shuffled=False)
    assert state() == before
    assert all(parameter.grad is None for parameter in tiny_llama.model.parameters())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backend", "full"], "puts no gist adapter on the model"),
        (["--backend", "gist"], "there is no gist adapter"),
        (["--backend", "gist,untrained=true"], "has no trained adapter"),
        (["--backend", "gist,checkpoint=ADAPTER", "--suite", "vram"], "scores no answers"),
        (["--backend", "gist,checkpoint=ADAPTER", "--samples", "3"], "3 different contexts"),
        (["--backend", "gits"], "Did you mean 'gist'?"),
        (["--backend", "gist,ratoi=4"], "unknown option 'ratoi'"),
        (["--suite", "qa,peopel=3"], "unknown option 'peopel'"),
        (["--json", "none/checks.json"], "no folder none"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_checked_is_a_message_of_one_line(
    words: list[str],
    message: str,
    adapter: Path,
    tiny_llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gist_bench: GistBench,
) -> None:
    """Exit code 2, and nothing is said to hold."""
    monkeypatch.chdir(tmp_path)
    given = [word.replace("ADAPTER", str(adapter)) for word in words]
    code, out, err = gist_bench("verify", "--model", str(tiny_llama_folder), *given)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("gist-bench: error: ") == 1
    assert err.endswith("\n")
