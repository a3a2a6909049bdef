"""Check that answers see the context through its gists alone, and that only those are kept.

Each function measures one property on a model with a gist adapter on it and returns the figures;
`passed` says whether it holds. Short pieces of the examples are enough, since a mask, a slice or a
position is wrong at any length; so the checks fit where the model itself does. They go through the
code that trains and answers, and see it from outside (forward hooks, torch's attention). A run
looks at the mask at its longest context that fits as well, since a fault may begin with length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from gist.caches import entries_of
from gist.collator import IGNORED, Example, PackedCollator
from gist.compress import compress
from gist.decode import KVState, ask
from gist.forward import Forward, TwoPassForward, forward_for
from gist.layout import BEFORE, CONTEXT, GIST, GistPlan, max_gists
from gist.models.fit import kv_bytes_per_entry
from gist.models.model import LanguageModel
from gist.sdpa import EachAttention, Inputs
from gist.watch import reading

if TYPE_CHECKING:
    from peft import PeftModel  # seconds: every run takes a limit from here

EXAMPLES, CONTEXT_TOKENS, QUESTIONS, ANSWER_TOKENS = 2, 128, 2, 4  # upper limits of what is checked
LIMITS = {  # of the difference between two ways to the same logits, as a share of the largest
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.float16: 2e-2,
    torch.bfloat16: 5e-2,
}


@dataclass(frozen=True, slots=True)
class MaskCheck:
    """The gradient from answers to the embeddings of the context: largest absolute value."""

    cut: float  # gist keys and values detached in every layer: nothing is left
    whole: float  # nothing detached: the context does reach the answers
    context_tokens: int

    @property
    def passed(self) -> bool:
        """Whether answers see the context through its gists, and in no other way."""
        return self.cut == 0.0 and self.whole > 0.0


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


def mask_blocks(
    model: "PreTrainedModel | PeftModel",
    forward: Forward,
    examples: Sequence[Example],
    *,
    tokens: int = CONTEXT_TOKENS,
) -> MaskCheck:
    """Measure what reaches the answers past the gists, which must be nothing.

    Gradients, training mode and what is trained are left as they were.

    Args:
        model: with an adapter, PEFT's or the one inside it; in any dtype, under autocast or not.
        forward: the pass, or passes, of training.
        examples: each with gists; the first few are enough.
        tokens: of each context at most.

    Raises:
        UserError: the model's attention is not torch's sdpa.
    """
    assert all(example.gists for example in examples), "an example without gists hides nothing"
    collator = forward.collator
    few = [shortened(example, collator.plan, tokens) for example in examples[:EXAMPLES]]
    if isinstance(forward, TwoPassForward):
        return _kept_alone(model, forward, few)
    batch = {name: tensor.to(model.device) for name, tensor in collator(few).items()}
    labels = batch.pop("shift_labels")  # (batch, kept): of answers, and of snippets
    batch.pop("answers")
    ids = batch.pop("input_ids")  # (batch, tokens)
    layers = int(model.config.get_text_config().num_hidden_layers)
    gists, context = (_columns(collator, few, ids, kind) for kind in (GIST, CONTEXT))

    def gradient(*, cut: bool) -> float:
        def detach(inputs: Inputs, _scale: float) -> Inputs:
            where = (gists & cut)[:, None, :, None]  # (batch, 1, tokens, 1)
            keys, values = (torch.where(where, each.detach(), each) for each in inputs[1:])
            return inputs[0], keys, values

        embeddings = model.get_input_embeddings()(ids).detach().requires_grad_()
        attention = EachAttention(detach)
        with attention:
            logits = model(inputs_embeds=embeddings, **batch, use_cache=False).logits
        attention.check_seen(layers)
        predicted = logits[labels != IGNORED]  # (answer tokens, vocabulary)
        right = predicted.gather(-1, labels[labels != IGNORED][:, None])
        (found,) = torch.autograd.grad(right.float().sum(), embeddings)
        return float(found[context].abs().max())

    with evaluating(model), torch.enable_grad():
        return MaskCheck(gradient(cut=True), gradient(cut=False), int(context.sum()))


def _kept_alone(
    model: "PreTrainedModel | PeftModel", forward: TwoPassForward, examples: Sequence[Example]
) -> MaskCheck:
    """Measure what reaches the answers of two passes past the entries that the first has kept."""
    read: list[torch.Tensor] = []  # embeddings of each pass: `before`, contexts, questions
    tokens = [len(example.context) for example in examples]
    longest = max(len(forward.collator.layout(example).ids) for example in examples)
    start = forward.collator.layout(examples[0]).kinds.count(BEFORE) - longest

    def remember(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        read.append(output.detach().requires_grad_())
        return read[-1]

    def gradient(*, cut: bool) -> float:
        read.clear()
        kept = forward.read(model, examples)
        contexts = read[-1]  # (batch, tokens, hidden)
        found = forward.ask(model, examples, kept.detached() if cut else kept)
        asked = found.labels != IGNORED
        right = found.logits[asked].gather(-1, found.labels[asked][:, None])
        (gradient,) = torch.autograd.grad(right.float().sum(), contexts, allow_unused=True)
        return 0.0 if gradient is None else float(gradient[:, start:][:, : max(tokens)].abs().max())

    hooked = model.get_input_embeddings().register_forward_hook(remember)
    with hooked, evaluating(model), torch.enable_grad():
        return MaskCheck(gradient(cut=True), gradient(cut=False), sum(tokens))


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


def _columns(
    collator: PackedCollator, examples: Sequence[Example], ids: torch.Tensor, kind: int
) -> torch.Tensor:
    """Return where the batch `ids` (batch, tokens) has tokens of a kind: bool, its shape."""
    found = torch.zeros_like(ids, dtype=torch.bool)
    for row, example in enumerate(examples):
        layout = collator.layout(example)
        assert ids[row, : len(layout.ids)].tolist() == layout.ids, "packed in another way"
        found[row, : len(layout.ids)] = torch.tensor(layout.kinds, device=ids.device) == kind
    return found


def _kept_before(lm: LanguageModel, plan: GistPlan) -> int:
    return len(lm.prompt.before) if plan.keep_prefix else 0


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module into evaluation, where nothing is checkpointed, and back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
