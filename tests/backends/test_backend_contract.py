"""What every installed backend must keep to; a new one adds no test code."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import Backend, Generation, PreparedContext, prompt_with
from harness.errors import NotReady, SampleError, UserError
from harness.run import plugins
from harness.run.choose import budget_option
from harness.run.spec import Spec, build, options_of

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

PACKAGES = {"kvpress": "kvpress"}  # what a backend needs that pip does not install with ours
NAMES = [name for name in plugins.names(plugins.BACKENDS) if find_spec(PACKAGES.get(name, "torch"))]
CHEAP = {"embedder": "bm25"}  # for backends that have such an option
CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. A boat left. Mira has room 12."
OTHER = "Tomo lives by the sea and keeps two grey geese, which nobody in the town has counted."
QUESTIONS = ["Which hall holds the harp?", "Room of Mira?", "What is the name of the town by it?"]


def backend_class(name: str) -> Any:
    """Return the class behind a backend's name."""
    return plugins.load(plugins.BACKENDS, name)


def option_names(name: str) -> set[str]:
    """Return the options of a backend."""
    return {option.name for option in options_of(backend_class(name), given=1)}


WITH_ADAPTER = [name for name in NAMES if "checkpoint" in option_names(name)]
PACKING = [name for name in NAMES if "kv_bits" in option_names(name)]
WITH_BUDGET = [name for name in NAMES if budget_option(backend_class(name))]
CONFIGURATIONS = [
    *NAMES,
    *(f"{name} with adapter" for name in WITH_ADAPTER),
    *("gist with pooling", "gist_store with pooling"),
    *(f"{name} with packing" for name in PACKING),
]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def lm(request: pytest.FixtureRequest) -> "LanguageModel":
    """A tiny model, shared: every backend must leave it as it was."""
    from tests.support.tiny_models import load_tiny

    return load_tiny(request.getfixturevalue(f"tiny_{request.param}_folder"))


@pytest.fixture(scope="module")
def adapter(lm: "LanguageModel", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter for the tiny model."""
    from tests.support.tiny_adapter import save_tiny_adapter

    return save_tiny_adapter(lm, tmp_path_factory.mktemp("adapter"))


@contextmanager
def opened(configuration: str, lm: "LanguageModel", adapter: Path) -> Iterator[Backend]:
    """Build a backend as the command line does, and close it."""
    name, _, adapted = configuration.partition(" ")
    if adapted == "with pooling":
        adapter = _pooling(lm, adapter.parent / f"{adapter.name}-pool")
    known = option_names(name)
    wanted = {**CHEAP, **({"checkpoint": str(adapter), "adapter": "on"} if adapted else {})}
    if adapted == "with packing":
        wanted["kv_bits"] = "4"
    options = {option: value for option, value in wanted.items() if option in known}
    backend = _build(name, options, lm)
    try:
        yield backend
    finally:
        backend.close()


def _pooling(lm: "LanguageModel", folder: Path) -> Path:
    from tests.support.tiny_adapter import POOL, save_tiny_adapter

    return folder if folder.exists() else save_tiny_adapter(lm, folder, POOL)


def _build(name: str, options: Mapping[str, str], lm: "LanguageModel") -> Backend:
    try:
        backend: Backend = build(backend_class(name), Spec(name, options), lm)
    except NotReady as lacking:
        backend = build(backend_class(name), Spec(name, lacking.cost_options), lm)
    return backend


@pytest.fixture(params=CONFIGURATIONS)
def backend(
    request: pytest.FixtureRequest, lm: "LanguageModel", adapter: Path
) -> Iterator[Backend]:
    """Every installed backend in turn, with and without an adapter."""
    with opened(request.param, lm, adapter) as built:
        yield built


@pytest.fixture
def prepared(backend: Backend) -> Iterator[PreparedContext]:
    """A context that the backend has read."""
    context = backend.prepare(CONTEXT)
    yield context
    context.close()


def asked(context: PreparedContext, *questions: str) -> list[Generation]:
    """Ask for a few tokens."""
    return context.generate(questions or QUESTIONS, max_new_tokens=8)


def test_built_in_backends_are_installed() -> None:
    """The backends and the controls come in by entry point."""
    assert {"full", "rag", "gist", "closed_book", "truncate", "mean_pool"} <= set(NAMES)


def test_asking_leaves_the_context_unchanged(prepared: PreparedContext) -> None:
    """Asked twice is asked once, whatever is asked in between, in as many bytes."""
    held = prepared.held_bytes
    first = asked(prepared)
    asked(prepared, "x")
    prepared.generate(["Where? " * 40, "y"], max_new_tokens=20)
    assert asked(prepared) == first
    assert prepared.held_bytes == held > 0


def test_a_batch_answers_as_each_question_alone(prepared: PreparedContext) -> None:
    """Questions of different lengths in one batch get the answers they get alone."""
    together = asked(prepared)
    assert together == [asked(prepared, question)[0] for question in QUESTIONS]
    assert asked(prepared, *reversed(QUESTIONS)) == together[::-1]


def test_contexts_held_at_once_do_not_mix(backend: Backend) -> None:
    """A context answers alike alone, beside another one, and after that one is closed."""
    alone = backend.prepare(CONTEXT)
    expected = asked(alone)
    alone.close()
    first, other = backend.prepare(CONTEXT), backend.prepare(OTHER)
    asked(other)
    assert asked(first) == expected
    other.close()
    assert asked(first) == expected
    first.close()


def test_entries_and_tokens_add_up(prepared: PreparedContext, lm: "LanguageModel") -> None:
    """What is not the context's is the prompt's pieces and the question."""
    pieces = (lm.prompt.before, lm.prompt.between, lm.prompt.after)
    fixed = sum(len(piece) for piece in pieces)
    for question, answer in zip(QUESTIONS, asked(prepared), strict=True):
        own = len(lm.tokenizer.encode(question))
        assert answer.prompt_tokens - answer.context_entries == fixed + own
        assert answer.context_entries >= 0
        assert 1 <= answer.new_tokens <= 8


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_worked_examples_are_not_the_context_s(
    configuration: str, lm: "LanguageModel", tmp_path: Path
) -> None:
    """Every backend has the same ones in front, and as much of the context as without them.

    What holds KV entries of the prompt's beginning holds those of the examples too.
    """
    from gist.models.fit import kv_bytes_per_entry
    from gist.models.prompt import render_prompt
    from tests.support.tiny_adapter import save_tiny_adapter

    shown = replace(lm, prompt=render_prompt(lm.tokenizer.inner, prompt_with(2)))
    found = []
    for number, each in enumerate((lm, shown)):
        own_adapter = save_tiny_adapter(each, tmp_path / str(number))
        with opened(configuration, each, own_adapter) as backend:
            context = backend.prepare(CONTEXT)
            found.append((context.held_bytes, asked(context)))
            context.close()
    (held, without), (held_with, answers) = found
    more = len(shown.prompt.before) - len(lm.prompt.before)
    for one, other in zip(without, answers, strict=True):
        assert other.context_entries == one.context_entries
        assert other.prompt_tokens == one.prompt_tokens + more
        assert other.evidence == one.evidence
    assert held_with - held == more * kv_bytes_per_entry(lm.model.config, lm.model.dtype)


def test_evidence_is_verbatim(prepared: PreparedContext) -> None:
    """A passage that was shown is text of the context."""
    assert all(passage in CONTEXT for answer in asked(prepared) for passage in answer.evidence)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_new_tokens_are_within_what_was_asked(
    configuration: str, lm: "LanguageModel", adapter: Path
) -> None:
    """An end token ends an answer, but not before min_new_tokens."""
    ends_often = replace(lm, end_ids=frozenset(range(0, 320, 2)))
    with opened(configuration, ends_often, adapter) as backend:
        context = backend.prepare(CONTEXT)
        counts = {
            limits: [
                answer.new_tokens
                for answer in context.generate(
                    QUESTIONS, min_new_tokens=limits[0], max_new_tokens=limits[1]
                )
            ]
            for limits in ((0, 40), (7, 40), (40, 40), (1, 1))
        }
        context.close()
    assert all(low <= n <= high for (low, high), found in counts.items() for n in found)
    assert min(counts[0, 40]) < 7


@pytest.mark.parametrize("tokens", [3, 40, 5000])
@pytest.mark.parametrize("name", WITH_BUDGET)
def test_no_more_is_kept_than_the_budget(
    name: str, tokens: int, lm: "LanguageModel", adapter: Path
) -> None:
    """A backend with a budget keeps no more entries than it, or than the context has tokens."""
    size = len(lm.tokenizer.encode(CONTEXT))
    option = budget_option(backend_class(name)) or ""
    wanted = {**CHEAP, "checkpoint": str(adapter), option: str(tokens)}
    options = {key: value for key, value in wanted.items() if key in option_names(name)}
    backend = _build(name, options, lm)
    context = backend.prepare(CONTEXT)
    kept = {answer.context_entries for answer in asked(context)}
    context.close()
    backend.close()
    assert max(kept) <= min(tokens, size)


@pytest.mark.parametrize("special", ["<|end|>", "<|begin|>", "<|turn|>"])
def test_special_tokens_in_a_document_are_text(backend: Backend, special: str) -> None:
    """What looks like a special token is spelled out: it has as many ids as other text."""
    plain = special.replace("<|", "((").replace("|>", "))")
    counts = []
    for mark in (special, plain):
        context = backend.prepare(f"One {mark} two {mark}.")
        answer = asked(context, f"Is it {mark}?")[0]
        counts.append((answer.prompt_tokens, answer.context_entries))
        context.close()
    assert counts[0] == counts[1]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_closing_leaves_the_model_as_it_was(
    configuration: str, lm: "LanguageModel", adapter: Path
) -> None:
    """After close() the base model's logits, weights and modules are bit for bit what they were."""
    import torch

    ids = lm.ids([lm.tokenizer.encode(OTHER)])

    def look() -> tuple["torch.Tensor", dict[str, "torch.Tensor"]]:
        with torch.inference_mode():
            logits = lm.model(ids).logits
        return logits, {name: value.clone() for name, value in lm.model.state_dict().items()}

    logits, weights = look()
    with opened(configuration, lm, adapter) as backend:
        context = backend.prepare(CONTEXT)
        asked(context)
        context.close()
    logits_after, weights_after = look()
    assert torch.equal(logits, logits_after)
    assert weights.keys() == weights_after.keys()
    assert all(torch.equal(value, weights_after[name]) for name, value in weights.items())


def test_the_order_of_backends_does_not_matter(lm: "LanguageModel", adapter: Path) -> None:
    """Every backend answers alike, whichever ran before it."""

    def answers(configuration: str) -> list[Generation]:
        with opened(configuration, lm, adapter) as backend:
            context = backend.prepare(CONTEXT)
            found = asked(context)
            context.close()
        return found

    forwards = {each: answers(each) for each in CONFIGURATIONS}
    backwards = {each: answers(each) for each in reversed(CONFIGURATIONS)}
    assert forwards == backwards


def test_an_adapter_changes_the_answers(lm: "LanguageModel", adapter: Path) -> None:
    """The adapter of these tests does something, or they would not see it left on."""
    found = []
    for configuration in (WITH_ADAPTER[0], f"{WITH_ADAPTER[0]} with adapter"):
        with opened(configuration, lm, adapter) as backend:
            found.append([answer.text for answer in asked(backend.prepare(CONTEXT))])
    assert found[0] != found[1]


@pytest.mark.parametrize("context", ["", " ", "word " * 600])
def test_an_awkward_context_is_answered_or_refused_by_name(backend: Backend, context: str) -> None:
    """No text, or more than the model has positions for, gives answers or an error for a person."""
    with suppress(SampleError, UserError):
        prepared = backend.prepare(context)
        assert len(asked(prepared)) == len(QUESTIONS)
        prepared.close()


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_what_a_backend_says_of_itself_is_stable(
    configuration: str, lm: "LanguageModel", adapter: Path
) -> None:
    """describe() goes into a run's identity: plain values, the same for the same options."""
    said = []
    for _ in range(2):
        with opened(configuration, lm, adapter) as backend:
            said.append(json.dumps(dict(backend.describe()), sort_keys=True))
    assert said[0] == said[1]


@pytest.mark.parametrize("spec", ["hierarchical", "gist,embeddings=random"])
def test_what_needs_gist_tokens_refuses_an_adapter_that_pools(
    lm: "LanguageModel", adapter: Path, spec: str
) -> None:
    """In one line, and the model is left without an adapter."""
    folder = _pooling(lm, adapter.parent / f"{adapter.name}-pool")
    asked = Spec.parse(f"{spec},checkpoint={folder}")
    with pytest.raises(NotReady, match="pools"):
        build(backend_class(asked.name), asked, lm)
    assert not any("lora" in name for name, _ in lm.model.named_parameters())
