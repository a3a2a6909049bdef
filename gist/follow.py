"""What is told while training runs: the log, the gradient of the gist rows, held-out scores."""

import csv
import json
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gist.curriculum import Curriculum
from gist.heldout import WAYS, HeldOut, Scores, verdict

LOG_FIELDS = (
    "step",
    "stage",
    "loss",
    "learning_rate",
    "grad_norm",
    "rows_grad_norm",
    "right",
    "seconds",
)
CURVE = "heldout.csv"
SPIKE = 20.0  # times the median of late
log = logging.getLogger(__name__)


class Follow(TrainerCallback):
    """Write the log and the curriculum's progress; stop when every stage has ended."""

    def __init__(self, curriculum: Curriculum, output: Path) -> None:
        self._curriculum = curriculum
        self._output = output
        self._started = time.monotonic()
        self._first_step = 0
        self._rows_norms: deque[float] = deque(maxlen=50)  # of steps that had gists
        self._warned = 0  # step of the last warning

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note where a resumed run begins."""
        self._first_step = state.global_step  # not 0 in a resumed run

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the gradient of the gist rows; gradients have been clipped by now."""
        rows = [
            p.grad
            for name, p in kwargs["model"].named_parameters()
            if "gist_rows" in name and p.requires_grad and p.grad is not None
        ]
        if not rows:
            return
        norm = float(torch.stack([grad.norm() for grad in rows]).norm())
        self._warn(norm, state.global_step)
        if norm > 0:
            self._rows_norms.append(norm)

    def _warn(self, norm: float, step: int) -> None:
        usual = median(self._rows_norms) if len(self._rows_norms) >= 10 else None
        asks_gists = self._curriculum.stage.compresses and self._curriculum.stage.plain == 0
        if norm == 0 and asks_gists:
            text = "is 0: nothing reaches the gists; is the context hidden, do answers follow?"
        elif usual is not None and norm > SPIKE * usual:
            text = f"spikes: {norm:.2g}, of late {usual:.2g}; a lower gist_lr or more warm-up helps"
        else:
            return
        if not self._warned or step - self._warned >= 100:
            self._warned = step
            log.warning("step %d: the gradient of the gist rows %s", step, text)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count the step; end when every stage has ended."""
        self._curriculum.advance()
        if self._curriculum.done:
            control.should_training_stop = True
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write a line of the log."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        progress = self._curriculum.progress
        right = " ".join(f"{name}={share:.3f}" for name, share in progress.right.items())
        row = {
            "step": state.global_step,
            "stage": self._curriculum.stage.name,
            "rows_grad_norm": self._rows_norms[-1] if self._rows_norms else None,
            "right": right,
            "seconds": round(time.monotonic() - self._started, 1),
        }
        row |= {key: value for key, value in logs.items() if key in LOG_FIELDS}
        rate = (time.monotonic() - self._started) / max(1, state.global_step - self._first_step)
        left = (args.max_steps - state.global_step) * rate / 60
        log.info("%s", _line(row, minutes_left=left))
        append(self._output / "log.csv", LOG_FIELDS, row)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the curriculum's progress beside the checkpoint; it is whole from then on."""
        if not state.is_world_process_zero:
            return
        folder = self._output / f"checkpoint-{state.global_step}"
        (folder / "curriculum.json").write_text(json.dumps(self._curriculum.progress.state()))


class Watch(TrainerCallback):
    """Score held-out contexts every `steps` steps; keep the best adapter; stop when it is over.

    Args:
        held: the contexts.
        baselines: scores with the adapter off, which do not change.
        ratio, tokens: how much the contexts are compressed for the curve.
        output: where the curve and `best/` go.
        steps: steps between scores.
        patience: scores without a better one before training stops; None: never.
    """

    def __init__(
        self,
        held: HeldOut,
        baselines: Mapping[str, Scores],
        *,
        ratio: float | None,
        tokens: int | None,
        output: Path,
        steps: int,
        patience: int | None,
    ) -> None:
        self.held = held
        self._baselines = baselines
        self._amount: dict[str, Any] = {"ratio": ratio, "tokens": tokens}
        self._output = output
        self._steps = steps
        self._patience = patience
        self.curve: list[dict[str, float]] = []
        self.last: Mapping[str, Scores] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the curve where a resumed training left it."""
        path = self._output / CURVE
        if path.is_file():
            with path.open(newline="") as file:
                rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
            self.curve = [row for row in rows if row["step"] <= state.global_step]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score the held-out contexts when it is time, and at the end."""
        ends = control.should_training_stop or state.global_step >= args.max_steps
        if state.global_step % self._steps and not ends:
            return
        scores = {way: self.held.ask(kwargs["model"], way, **self._amount) for way in WAYS}
        self.last = scores
        row = {"step": float(state.global_step)}
        row |= {way: round(s.mean, 4) for way, s in {**scores, **self._baselines}.items()}
        best = max((old["gist"] for old in self.curve), default=-1.0)
        self.curve.append(row)
        if state.is_world_process_zero:
            append(self._output / CURVE, tuple(row), row)
            log.info("%s", told(row))
            if self._patience is not None and row["gist"] > best:
                kwargs["model"].save_pretrained(str(self._output / "best"))
        if verdict(scores) and not ends:
            log.info("gists carry nothing so far")
        if self._patience is not None and self._worn_out():
            log.info("no better score in %d evaluations: stopping", self._patience)
            control.should_training_stop = True
            control.should_save = True

    def _worn_out(self) -> bool:
        scores = [row["gist"] for row in self.curve]
        since = len(scores) - 1 - scores.index(max(scores))
        return since >= (self._patience or 0)


def told(row: Mapping[str, float]) -> str:
    """Return a point of the curve in words."""
    return (
        f"step {row['step']:.0f}, held-out: gist {row['gist']:.3f}; "
        f"another document's gists {row['swapped']:.3f}, no document {row['closed_book_on']:.3f} "
        f"(adapter off: full {row['full']:.3f}, no document {row['closed_book']:.3f})"
    )


def append(path: Path, names: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a CSV, under a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, names)
        if new:
            writer.writeheader()
        writer.writerow(row)


def _line(row: Mapping[str, Any], *, minutes_left: float) -> str:
    """Return what is shown of a logged step; stages that are passed early leave less to do."""
    return (
        f"step {row['step']} ({row['stage']}): loss {row['loss']:.3f}, right {row['right']}, "
        f"gradient {row['grad_norm']:.2f}; at most {minutes_left:.0f} minutes left"
    )
