"""Check by gradients that answers see the context through its gists alone.

It goes through the code that trains, and sees it from outside (forward hooks, torch's attention).
Short pieces of the examples are enough, since a mask is wrong at any length; a run looks at its
longest context that fits as well, since a fault may begin with length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from gist.collator import IGNORED, Example, PackedCollator
from gist.forward import Forward, TwoPassForward
from gist.layout import BEFORE, CONTEXT, GIST
from gist.sdpa import EachAttention, Inputs
from gist.validity import CONTEXT_TOKENS, shortened

EXAMPLES = 2  # at most are looked at


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


def mask_blocks(
    model: PreTrainedModel | PeftModel,
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
        attention.check_seen(int(model.config.get_text_config().num_hidden_layers))
        return float(_gradient(logits, labels, embeddings)[context].abs().max())

    with evaluating(model), torch.enable_grad():
        return MaskCheck(gradient(cut=True), gradient(cut=False), int(context.sum()))


def _kept_alone(
    model: PreTrainedModel | PeftModel, forward: TwoPassForward, examples: Sequence[Example]
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
        reached = _gradient(found.logits, found.labels, contexts)
        return float(reached[:, start:][:, : max(tokens)].abs().max())

    hooked = model.get_input_embeddings().register_forward_hook(remember)
    with hooked, evaluating(model), torch.enable_grad():
        return MaskCheck(gradient(cut=True), gradient(cut=False), sum(tokens))


def _gradient(logits: torch.Tensor, labels: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the labels' logits (batch, kept, vocabulary) at some embeddings."""
    right = logits[labels != IGNORED].gather(-1, labels[labels != IGNORED][:, None])
    (found,) = torch.autograd.grad(right.float().sum(), embeddings, allow_unused=True)
    return torch.zeros_like(embeddings) if found is None else found


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
