"""Check that of a context its gists alone are kept, and that answering computes what training does.

Each function measures one property on a model with a gist adapter on it and returns the figures;
`passed` says whether it holds. Short pieces of the examples are enough, since a slice or a position
is wrong at any length; so the checks fit where the model itself does. They go through the code that
trains and answers, and see it from outside (forward hooks). What answers see is `gist.gradients`'.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from gist.caches import entries_of
from gist.collator import IGNORED, Example
from gist.compress import compress
from gist.decode import KVState, ask
from gist.forward import forward_for
from gist.layout import GistPlan, max_gists
from gist.models.fit import kv_bytes_per_entry
from gist.models.model import LanguageModel
from gist.watch import reading

CONTEXT_TOKENS, QUESTIONS, ANSWER_TOKENS = 128, 2, 4  # upper limits of what is checked
LIMITS = {  # of the difference between two ways to the same logits, as a share of the largest
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.float16: 2e-2,
    torch.bfloat16: 5e-2,
}


@dataclass(frozen=True, slots=True)
class SinglePassCheck:
    """The logits of a masked pass, as in training, beside those of compress, slice, ask."""

    difference: float  # largest absolute one
    scale: float  # largest absolute logit
    tokens: int
    agreeing: int  # tokens whose most likely successor is the same
    dtype: torch.dtype

    @property
    def limit(self) -> float:
        """The largest difference that rounding explains."""
        return LIMITS[self.dtype] * self.scale

    @property
    def passed(self) -> bool:
        """Whether training and answering are the same computation."""
        return self.difference <= self.limit


@dataclass(frozen=True, slots=True)
class PoisonCheck:
    """The answers' logits before and after NaN is written into all that was read."""

    identical: int
    tokens: int
    held_bytes: int  # of the storage behind the state
    expected_bytes: int  # of the KV entries that it should keep

    @property
    def passed(self) -> bool:
        """Whether the state shares no memory with the full cache and is as small as it should."""
        return self.identical == self.tokens and self.held_bytes == self.expected_bytes


@dataclass(frozen=True, slots=True)
class EntriesCheck:
    """How many KV entries a state has in each layer."""

    entries: tuple[int, ...]
    before: int  # of them kept from in front of the context
    gists: int

    @property
    def passed(self) -> bool:
        """Whether it is those in every layer."""
        return set(self.entries) == {self.before + self.gists}


def shortened(example: Example, plan: GistPlan, tokens: int = CONTEXT_TOKENS) -> Example:
    """Return a piece of an example, of at most so many tokens, that is compressed about as much."""
    context = example.context[:tokens]
    gists = max(1, round(example.gists * len(context) / max(1, len(example.context))))
    asked = example.questions[:QUESTIONS]
    return replace(
        example,
        context=context,
        questions=tuple((question, answer[:ANSWER_TOKENS]) for question, answer in asked),
        gists=min(gists, max_gists(len(context), plan)),
        snippets=example.snippets[:QUESTIONS],
        windows=None,
    )


def single_pass(lm: LanguageModel, plan: GistPlan, example: Example) -> SinglePassCheck:
    """Compare the logits of training's pass, or passes, with those that answering computes.

    The adapter must be loaded. Of the example, which has gists, a piece is used.
    """
    example = replace(shortened(example, plan), snippets=())
    with torch.inference_mode():
        found = forward_for(lm, plan)(lm.model, [example])
    packed = found.logits[found.answers != IGNORED]  # (tokens, vocabulary)
    state = compress(lm, example.context, gists=example.gists, plan=plan)
    asked = _asked(lm, state, example)
    packed = torch.cat([packed, packed[:1]])  # the first is asked twice
    return SinglePassCheck(
        difference=float((packed - asked).abs().max()),
        scale=float(packed.abs().max()),
        tokens=len(packed),
        agreeing=int((packed.argmax(dim=-1) == asked.argmax(dim=-1)).sum()),
        dtype=packed.dtype,
    )


def poison(lm: LanguageModel, plan: GistPlan, example: Example) -> PoisonCheck:
    """Write NaN into everything that was read, after compressing, and ask; see `single_pass`."""
    example = shortened(example, plan)
    clean = _asked(lm, compress(lm, example.context, gists=example.gists, plan=plan), example)
    with reading(lm) as read:
        state = compress(lm, example.context, gists=example.gists, plan=plan)
    assert read, "compressing reads into no cache"
    with torch.inference_mode():
        for tensor in read:
            tensor.fill_(torch.nan)
    held_bytes = state.held_bytes  # before asking, which may copy
    asked = _asked(lm, state, example)
    entries = _kept_before(lm, plan) + example.gists
    per_entry = kv_bytes_per_entry(lm.model.config, entries_of(state.cache.layers[0])[0].dtype)
    identical = int((clean == asked).all(dim=-1).sum())
    return PoisonCheck(identical, len(clean), held_bytes, entries * per_entry)


def entries(lm: LanguageModel, plan: GistPlan, example: Example) -> EntriesCheck:
    """Count the KV entries kept of a context; see `single_pass`."""
    example = shortened(example, plan)
    state = compress(lm, example.context, gists=example.gists, plan=plan)
    counted = tuple(entries_of(layer)[0].shape[2] for layer in state.cache.layers)
    return EntriesCheck(counted, _kept_before(lm, plan), example.gists)


def _asked(lm: LanguageModel, state: KVState, example: Example) -> torch.Tensor:
    """Return the logits after each piece of each answer: all in one batch, then the first alone."""
    prompt = lm.prompt
    rows = [
        [*prompt.between, *question, *prompt.after, *answer[:count]]
        for question, answer in example.questions
        for count in range(len(answer))
    ]
    caught: list[torch.Tensor] = []

    def catch(_module: Any, _inputs: Any, output: Any) -> None:
        caught.append(output.logits[:, -1].clone())  # (rows, vocabulary)

    with lm.model.register_forward_hook(catch):
        ask(lm, state, rows, max_new_tokens=1)
        ask(lm, state, rows[:1], max_new_tokens=1)
    return torch.cat(caught)


def _kept_before(lm: LanguageModel, plan: GistPlan) -> int:
    return len(lm.prompt.before) if plan.keep_prefix else 0
