"""Held-out scores in the course of a training: the curve, the best adapter, when it is over."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_high
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gist.adapter import save
from gist.training import heldout
from gist.training.checks import BEST
from gist.training.configuration import EvaluationOptions
from gist.training.curriculum_options import Stage
from gist.training.logfiles import CURVE, CURVE_FIELDS, append, curve_until
from gist.training.preparation import Training

log = logging.getLogger(__name__)


@dataclass(eq=False)
class EvaluationCallback(TrainerCallback):
    """Score held-out contexts now and then; keep the best adapter; stop when it is over."""

    held: heldout.HeldOut
    baselines: Mapping[str, heldout.Scores]  # with the adapter off, which do not change
    ratio: float | None  # how much the contexts are compressed for the curve: by ratio or by tokens
    tokens: int | None
    output: Path  # where the curve and `best/` go
    options: EvaluationOptions
    curve: list[dict[str, float | None]] = field(default_factory=list)
    last: Mapping[str, heldout.Scores] = field(default_factory=dict)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the curve where a resumed training left it."""
        self.curve = curve_until(self.output / CURVE, state)
        if self.curve and self._worn_out():
            control.should_training_stop = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score the held-out contexts when it is time, and at the end."""
        ends = control.should_training_stop or state.global_step >= args.max_steps
        if state.global_step % self.options.eval_steps and not ends:
            return
        scores = self.score(kwargs["model"])
        row = self._row(state.global_step, scores)
        self.curve.append(row)
        *earlier, loss = self._losses()
        better = self.options.patience is not None and loss < min(earlier, default=math.inf)
        if state.is_world_process_zero:
            append(self.output / CURVE, CURVE_FIELDS, row)
            log.info("%s", _in_words(row))
        if better:
            save(kwargs["model"], self.output / BEST)
        found = heldout.verdict(scores)
        if found and not ends:
            log.info("so far %s", found.partition(":")[0])
        if self._worn_out():
            log.info("no better score in %d evaluations: stopping", self.options.patience)
            control.should_training_stop = True
            control.should_save = True

    def score(self, model: Any) -> Mapping[str, heldout.Scores]:
        """Score the held-out contexts with the adapter on, and keep the scores as the last."""
        self.last = {
            way: self.held.ask(model, way, ratio=self.ratio, tokens=self.tokens)
            for way in heldout.WAYS
        }
        return self.last

    def results(self, model: Any, stages: Sequence[Stage]) -> dict[str, Any]:
        """Return curve, table over gists and context tokens, and the verdict on the last scores."""
        ratios = sorted({ratio for stage in stages for ratio in stage.ratios})
        tokens = sorted({count for stage in stages for count in stage.tokens})
        rows = heldout.table(model, self.held, ratios=ratios, tokens=tokens)
        unused = heldout.verdict(self.last) if stages[-1].compresses else None
        if unused:
            log.warning("%s", unused)
        return {"curve": self.curve, "table": rows, "verdict": unused or heldout.USED}

    def _row(self, step: int, scores: Mapping[str, heldout.Scores]) -> dict[str, float | None]:
        both = {**scores, **self.baselines}
        gap = heldout.gap_recovered(scores["gist"], scores["closed_book_on"], scores["full_on"])
        return {
            "step": float(step),
            **{way: round(score.mean, 4) for way, score in both.items()},
            **{f"{way}_nats": round(score.nats, 4) for way, score in both.items()},
            "gap_recovered": None if gap is None else round(gap, 4),
        }

    def _losses(self) -> list[float]:
        given = (row["gist_nats"] for row in self.curve)
        return [math.inf if loss is None else loss for loss in given]

    def _worn_out(self) -> bool:
        losses = self._losses()
        since_best = len(losses) - 1 - losses.index(min(losses))
        return self.options.patience is not None and since_best >= self.options.patience


def _in_words(row: Mapping[str, float | None]) -> str:
    """Return a point of the curve in words."""
    gap = row["gap_recovered"]
    return (
        f"step {row['step']:.0f}, held-out answer loss in nats: gists {row['gist_nats']:.3f}, "
        f"another document's {row['swapped_nats']:.3f}, no document "
        f"{row['closed_book_on_nats']:.3f}, full context {row['full_on_nats']:.3f}"
        f"{'' if gap is None else f', {gap:.0%} of the gap recovered'} (adapter off: full context "
        f"{row['full_nats']:.3f}, no document {row['closed_book_nats']:.3f}); right in every "
        f"token: gists {row['gist']:.3f}, full context {row['full_on']:.3f}"
    )


def evaluation_of(training: Training, adapted: PeftModel) -> EvaluationCallback | None:
    """Return what scores held-out contexts at the middle of the last stage's compressions."""
    if len(training.held) < 2:
        log.warning("too few contexts to hold any back: there will be no held-out score")
        return None
    stage = training.stages[-1]
    held = heldout.held_out(training.held, training.forward, batch_tokens=stage.batch_tokens)
    return EvaluationCallback(
        held,
        {way: held.ask(adapted, way) for way in heldout.BASELINES},
        ratio=median_high(stage.ratios) if stage.ratios else None,
        tokens=median_high(stage.tokens) if stage.tokens else None,
        output=training.output,
        options=training.configuration.evaluation,
    )
