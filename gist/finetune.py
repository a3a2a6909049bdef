"""Fine-tune a model on one document: LoRA on its text, and on questions about it.

The rows of a step, each with its own loss:

    text    begin | 256 tokens of the document                      every token is predicted
    asked   before | between | question | after | answer | end      the answer is

The questions are those that it is handed. In the frame of the prompt, without the document, they
teach the model to answer from what it learnt.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, pairwise

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict

from gist.adapter import added
from gist.layout import GistPlan
from gist.lora import LINEAR, LoraOptions
from gist.models.model import LanguageModel

TEXT_TOKENS = 256
PLAN = GistPlan(rows=0)
SEED = 0  # of the first weights, and of the order of the rows

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Row:
    """Ids of which the last `predicted` count in the loss."""

    ids: list[int]
    predicted: int


def text_rows(lm: LanguageModel, context: str) -> list[Row]:
    """Return the document in rows of equal length, at most 256 tokens each."""
    ids, begin = lm.tokenizer.encode(context), list(lm.prompt.before[:1])
    count = -(-len(ids) // TEXT_TOKENS)
    edges = [len(ids) * number // max(1, count) for number in range(count + 1)]
    parts = [ids[a:b] for a, b in pairwise(edges)]
    return [Row([*begin, *part], len(part)) for part in parts]


def asked_rows(lm: LanguageModel, questions: Sequence[tuple[str, str]]) -> list[Row]:
    """Return a row for each question and its answer."""
    encode, prompt, rows = lm.tokenizer.encode, lm.prompt, []
    for question, right in questions:
        answer = [*encode(right), lm.answer_end_id]
        asked = [*prompt.before, *prompt.between, *encode(question), *prompt.after]
        rows.append(Row([*asked, *answer], len(answer)))
    return rows


def finetune(
    lm: LanguageModel,
    context: str,
    questions: Sequence[tuple[str, str]],
    *,
    steps: int,
    rank: int,
    lr: float,
) -> Tensors:
    """Return the LoRA tensors of a document, on all linear layers; the model is left as it was.

    Each of the steps is on a row of the context, if there is any text, and on a question with its
    answer. The learning rate falls to 0.

    Raises:
        ContextTooLong: a row needs more positions than the model has.
        OutOfMemory: a row needs more memory than there is to be read, foreseen.
    """
    texts, asked = text_rows(lm, context), asked_rows(lm, questions)
    longest = max((len(row.ids) for row in (*texts, *asked)), default=1)
    lm.reserve(longest, entries=longest, new_tokens=longest, batch=1)
    random.Random(SEED).shuffle(asked)
    with added(lm.model, PLAN, _options(rank), seed=SEED) as adapted, torch.enable_grad():
        adapted.eval()  # LoRA has no dropout here
        trained = [each for each in adapted.parameters() if each.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
        for step, rows in zip(range(steps), _rounds(texts, asked), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = lr * (1 - step / steps)
            for row in rows:
                ids = lm.ids([row.ids])
                logits = lm.model(ids, use_cache=False, logits_to_keep=row.predicted + 1).logits
                loss = torch.nn.functional.cross_entropy(
                    logits[0, :-1].float(), ids[0, -row.predicted :]
                )
                loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        found = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        return {name: tensor.detach().clone() for name, tensor in found.items()}


@contextmanager
def finetuned(lm: LanguageModel, tensors: Tensors, *, rank: int) -> Iterator[None]:
    """Put the LoRA tensors of a document onto the model, and take them off again."""
    with added(lm.model, PLAN, _options(rank), seed=SEED) as adapted:
        set_peft_model_state_dict(adapted, dict(tensors))
        adapted.eval()
        yield


def _options(rank: int) -> LoraOptions:
    return LoraOptions(rank=rank, alpha=2 * rank, targets=LINEAR)


def _rounds(texts: Sequence[Row], asked: Sequence[Row]) -> Iterator[tuple[Row, ...]]:
    """Yield the rows of each step: the next of either kind, from the start again at the end."""
    kinds = [cycle(rows) for rows in (texts, asked) if rows]
    while kinds:
        yield tuple(next(kind) for kind in kinds)
