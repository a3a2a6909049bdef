"""Score an adapter on contexts that training never sees, beside what it must beat.

A packed pass tells whether greedy decoding would give an answer word for word, so a score costs no
generation: `right` is exact match of answers as token ids, by context. `bits` is the cross-entropy
of whole answers; what gists store of a context is counted against the answers' cost without it,
closed book with the adapter on, which knows the format and the prior but no document.
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
from gist.training.forward import Forward

WAYS = ("gist", "swapped", "closed_book_on")  # what changes as the adapter learns
BASELINES = ("full", "closed_book")  # the adapter is off
CAUSES = (
    "too few steps, a learning rate that is too low or too high, contexts or ratios that are too "
    "hard to begin with (start with few facts and many gists), or questions that need no document"
)


@dataclass(frozen=True, slots=True)
class Scores:
    """What came out for each context, in order."""

    right: np.ndarray  # (contexts,) share of its answers that are right in every token
    bits: np.ndarray  # (contexts,) cross-entropy of all its answers together

    @property
    def mean(self) -> float:
        """Mean over contexts."""
        return float(self.right.mean())

    def above(self, other: "Scores") -> bool:
        """Whether the paired difference over contexts is more than two standard errors above 0."""
        difference = self.right - other.right
        error = difference.std(ddof=1) / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
        return bool(difference.mean() > 2 * error) and bool(difference.mean() > 0)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Contexts with all their questions, in order of length so that neighbours are alike.

    `examples` have no gists; every way of asking them is made from these.
    """

    examples: tuple[Example, ...]
    forward: Forward
    batch_tokens: int = 8192

    def ask(
        self,
        model: Any,
        way: str,
        *,
        ratio: float | None = None,
        tokens: int | None = None,
    ) -> Scores:
        """Score one way of giving the context.

        Args:
            model: a PEFT model with the gist adapter.
            way: one of `WAYS` or `BASELINES`, or `full_on`.
            ratio: context tokens per gist, for `gist` and `swapped`.
            tokens: gists of every context, instead; no more than it has tokens.
        """
        asked = [self._given(number, way, ratio, tokens) for number in range(len(self.examples))]
        off = model.disable_adapter() if way in BASELINES else nullcontext()
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), off:
                parts = [self._score(model, batch) for batch in self._batches(asked)]
        finally:
            model.train(was_training)
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

    def _score(self, model: Any, batch: list[Example]) -> tuple[np.ndarray, np.ndarray]:
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
        return np.array(right), np.array(bits)


def held_out(examples: Sequence[Example], forward: Forward, *, batch_tokens: int) -> HeldOut:
    """Put examples in order of their contexts' length."""
    ordered = sorted(examples, key=lambda example: len(example.context))
    return HeldOut(tuple(ordered), forward, batch_tokens)


def verdict(scores: Mapping[str, Scores]) -> str | None:
    """Return the line for a run in which gists carry nothing, or None.

    Gists carry something when they beat both another document's gists and no document at all.
    """
    own = scores["gist"]
    for floor, name in (("closed_book_on", "closed book"), ("swapped", "another document's gists")):
        if not own.above(scores[floor]):
            return (
                f"the model ignores its gists: held-out {own.mean:.2f}, {name} "
                f"{scores[floor].mean:.2f}. Usual causes: {CAUSES}."
            )
    return None


def table(
    model: Any,
    held: HeldOut,
    *,
    ratios: Sequence[float] = (),
    tokens: Sequence[int] = (),
) -> list[dict[str, Any]]:
    """Return a row for each number of gists and range of context tokens.

    `gap_recovered` is (score - closed_book) / (full - closed_book), and None where full is not
    above closed_book; `stored_bits` are per context, its answers counted apart.
    """
    base = {way: held.ask(model, way) for way in (*BASELINES, "closed_book_on")}
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
        return Scores(scores.right[there], scores.bits[there])

    mine, full, closed = part(own), part(base["full"]), part(base["closed_book"])
    gap = full.mean - closed.mean
    apart = full.above(closed)
    return {
        "gists": gists,
        "context_tokens": f"{edge // 2 + 1}-{edge}",
        "contexts": int(there.sum()),
        "held_out": round(mine.mean, 4),
        "full": round(full.mean, 4),
        "closed_book": round(closed.mean, 4),
        "gap_recovered": round((mine.mean - closed.mean) / gap, 4) if apart else None,
        "stored_bits": round(float((part(base["closed_book_on"]).bits - mine.bits).mean()), 1),
    }


def _size(example: Example) -> int:
    asked = sum(len(q) + len(a) + 40 for q, a in example.questions)
    return len(example.context) + example.gists + asked
