"""Score an adapter on contexts that training never sees, beside what it must beat.

A pass over the given answers costs no generation. The answer loss, in nats a token, is what the
curve shows and the best adapter is chosen by: it falls long before answers are right word for word,
which `right` counts (exact match as token ids, as greedy decoding would give them). What gists
store of a context is the answers' cost in bits without it, less their cost with the gists. Both
compare with closed book, adapter on, which knows the format and the prior but no document.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from gist.collator import IGNORED, Example, uncompressed
from gist.compress import gists_for
from gist.forward import Forward
from gist.gradients import evaluating

WAYS = ("gist", "swapped", "closed_book_on", "full_on")  # what changes as the adapter learns
BASELINES = ("full", "closed_book")  # the adapter is off
CAUSES = (
    "a learning rate that is too low or too high, contexts or ratios that are too "
    "hard to begin with (start with few facts and many gists), or questions that need no document"
)


@dataclass(frozen=True, slots=True)
class Scores:
    """What came out for each context, in order."""

    right: np.ndarray  # (contexts,) share of its answers that are right in every token
    bits: np.ndarray  # (contexts,) cross-entropy of all its answers together
    tokens: np.ndarray  # (contexts,) of all its answers together

    @property
    def mean(self) -> float:
        """Mean share of right answers over contexts."""
        return float(self.right.mean())

    @property
    def nats(self) -> float:
        """The answer loss: cross-entropy in nats of a token."""
        return float(self.bits.sum() / self.tokens.sum()) * math.log(2)

    def above(self, other: "Scores") -> bool:
        """Whether more answers are right, beyond chance."""
        return _above_zero(self.right - other.right)

    def costs_less_than(self, other: "Scores") -> bool:
        """Whether the answer loss is lower, beyond chance."""
        return _above_zero((other.bits - self.bits) / self.tokens)


def _above_zero(differences: np.ndarray) -> bool:
    """Whether paired differences (contexts,) are more than two standard errors above 0."""
    count, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    return mean > max(0.0, 2 * error)


def gap_recovered(own: Scores, none: Scores, full: Scores) -> float | None:
    """Return the share of the loss from no context to full context; None if there is no gap."""
    if not full.costs_less_than(none):
        return None
    return (none.nats - own.nats) / (none.nats - full.nats)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Contexts with all their questions, in order of length so that neighbours are alike.

    `examples` have no gists; every way of asking them is made from these.
    """

    examples: tuple[Example, ...]
    forward: Forward
    batch_tokens: int = 8192

    def ask(
        self, model: Any, way: str, *, ratio: float | None = None, tokens: int | None = None
    ) -> Scores:
        """Score one of `WAYS` or `BASELINES` of giving the context, with PEFT's model.

        `gist` and `swapped` give a gist for `ratio` context tokens, or so many `tokens` gists, as
        far as a context has tokens.
        """
        asked = [self._given(number, way, ratio, tokens) for number in range(len(self.examples))]
        off = model.disable_adapter() if way in BASELINES else nullcontext()
        with evaluating(model), torch.no_grad(), off:
            parts = [self._score(model, batch) for batch in self._batches(asked)]
        return Scores(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _given(self, number: int, way: str, ratio: float | None, tokens: int | None) -> Example:
        example = self.examples[number]
        if way in ("gist", "swapped"):
            # The longest is given the shortest's; every other one its longer neighbour's.
            other = self.examples[(number + 1) % len(self.examples)]
            context = other.context if way == "swapped" else example.context
            wanted = gists_for(len(context), tokens=tokens, ratio=ratio)
            return replace(example, context=context, gists=min(wanted, len(context)))
        if way in ("closed_book", "closed_book_on"):
            return replace(example, context=())
        return uncompressed(example)

    def _batches(self, examples: Sequence[Example]) -> Iterator[list[Example]]:
        batch: list[Example] = []
        for example in examples:
            size = max(map(_size, [*batch, example])) * (len(batch) + 1)
            if batch and size > self.batch_tokens:
                yield batch
                batch = []
            batch.append(example)
        yield batch

    def _score(self, model: Any, batch: list[Example]) -> tuple[np.ndarray, ...]:
        found = self.forward(model, batch)
        logits, labels = found.logits.float(), found.labels
        lost = F.cross_entropy(
            logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        )
        wrong = logits.argmax(dim=-1) != labels  # (batch, kept)
        right, bits = [], []
        for row, numbers in enumerate(found.answers):
            asked = numbers[numbers != IGNORED].unique()
            failed = numbers[wrong[row] & (numbers != IGNORED)].unique()
            right.append(1 - len(failed) / len(asked))
            bits.append(float(lost[row].sum()) / math.log(2))
        tokens = (labels != IGNORED).sum(dim=1)  # (batch,)
        return np.array(right), np.array(bits), tokens.cpu().numpy()


def held_out(examples: Sequence[Example], forward: Forward, *, batch_tokens: int) -> HeldOut:
    """Put examples in order of their contexts' length."""
    ordered = sorted(examples, key=lambda example: len(example.context))
    return HeldOut(tuple(ordered), forward, batch_tokens)


USED = "gists are used"  # the verdict where they help


def verdict(scores: Mapping[str, Scores]) -> str | None:
    """Return the line for a run in which gists do not help yet, or None.

    They are ignored where another document's do as well, and used but of no use yet where answers
    cost no less than without any document.
    """
    own = scores["gist"]
    if not own.costs_less_than(scores["swapped"]):
        return (
            f"the model ignores its gists: the held-out answer loss is {own.nats:.2f} nats, with "
            f"another document's gists {scores['swapped'].nats:.2f}. Usual causes: {CAUSES}."
        )
    if not own.costs_less_than(scores["closed_book_on"]):
        return (
            f"the task is not learnt yet: the held-out answer loss is {own.nats:.2f} nats, without "
            f"a document {scores['closed_book_on'].nats:.2f}. Train on with more steps."
        )
    return None


def table(
    model: Any, held: HeldOut, *, ratios: Sequence[float] = (), tokens: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """Return a row for each number of gists and range of context tokens.

    `gap_recovered` is (score - closed_book) / (full - closed_book), and None where full is not
    above closed_book; `loss_gap_recovered` the same of the answer loss, adapter on throughout;
    `stored_bits` are per context, its answers counted apart.
    """
    base = {way: held.ask(model, way) for way in (*BASELINES, "closed_book_on", "full_on")}
    sizes = np.array([len(example.context) for example in held.examples])
    upper = 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(int)  # (contexts,)
    rows = []
    amounts: list[tuple[float | None, int | None]] = [(ratio, None) for ratio in ratios]
    for ratio, count in amounts + [(None, count) for count in tokens]:
        own = held.ask(model, "gist", ratio=ratio, tokens=count)
        name = f"ratio={ratio:g}" if ratio else f"tokens={count}"
        for edge in sorted(set(upper.tolist())):
            rows.append(_row(name, edge, upper == edge, own, base))
    return rows


def _row(
    gists: str, edge: int, there: np.ndarray, own: Scores, base: Mapping[str, Scores]
) -> dict[str, Any]:
    def part(scores: Scores) -> Scores:
        return Scores(scores.right[there], scores.bits[there], scores.tokens[there])

    mine, full, closed = part(own), part(base["full"]), part(base["closed_book"])
    gap = full.mean - closed.mean
    apart = full.above(closed)
    none_on, full_on = part(base["closed_book_on"]), part(base["full_on"])
    loss_gap = gap_recovered(mine, none_on, full_on)
    return {
        "gists": gists,
        "context_tokens": f"{edge // 2 + 1}-{edge}",
        "contexts": int(there.sum()),
        "held_out": round(mine.mean, 4),
        "full": round(full.mean, 4),
        "closed_book": round(closed.mean, 4),
        "gap_recovered": round((mine.mean - closed.mean) / gap, 4) if apart else None,
        "nats": round(mine.nats, 4),
        "full_on_nats": round(full_on.nats, 4),
        "closed_book_on_nats": round(none_on.nats, 4),
        "loss_gap_recovered": None if loss_gap is None else round(loss_gap, 4),
        "stored_bits": round(float((none_on.bits - mine.bits).mean()), 1),
    }


def _size(example: Example) -> int:
    asked = sum(len(q) + len(a) + 40 for q, a in example.questions)
    return len(example.context) + example.gists + asked
