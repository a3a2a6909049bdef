"""What happens beside the steps of a training: the log, held-out scores, checkpoints, signals."""

import csv
import io
import json
import logging
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gist.adapter import save, whole
from gist.training.configuration import EvaluationOptions
from gist.training.curriculum import Curriculum
from gist.training.heldout import BASELINES, WAYS, HeldOut, Scores, gap_recovered, verdict
from harness.errors import reading

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
LOG, CURVE = "log.csv", "heldout.csv"
LOST = "Remove it, and what was logged so far is lost."
CURVE_FIELDS = (
    *("step", "gist", "swapped", "closed_book_on", "full", "closed_book", "full_on"),
    *(f"{way}_nats" for way in (*WAYS, *BASELINES)),
    "gap_recovered",
)
SPIKE = 20.0  # times the median of late
log = logging.getLogger(__name__)


class LoggingCallback(TrainerCallback):
    """Write the log and the curriculum's progress; stop when every stage has ended.

    `seal` makes the folder of a checkpoint usable as it is.
    """

    def __init__(self, curriculum: Curriculum, output: Path, seal: Callable[[Path], None]) -> None:
        self._curriculum = curriculum
        self._output = output
        self._seal = seal
        self._started = time.monotonic()
        self._first_step, self._seconds = 0, 0.0  # of what a resumed training did before
        self._gist_norms: deque[float] = deque(maxlen=50)  # of steps that had gists
        self._warned = 0  # step of the last warning

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go on where a resumed training stands: rows of later steps will come again."""
        self._first_step = state.global_step  # not 0 in a resumed run
        rows = rows_until(self._output / LOG, state, LOG_FIELDS)
        self._seconds = float(rows[-1]["seconds"]) if rows else 0.0
        if self._curriculum.done:
            control.should_training_stop = True

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the gradient of the gist embeddings; gradients have been clipped by now."""
        rows = [
            p.grad
            for name, p in kwargs["model"].named_parameters()
            if "gist_" in name and p.requires_grad and p.grad is not None
        ]
        if not rows:
            return
        norm = float(torch.stack([whole(grad.norm()) for grad in rows]).norm())
        self._warn(norm, state.global_step)
        if norm > 0:
            self._gist_norms.append(norm)

    def _warn(self, norm: float, step: int) -> None:
        usual = median(self._gist_norms) if len(self._gist_norms) >= 10 else None
        asks_gists = self._curriculum.stage.compresses and self._curriculum.stage.plain == 0
        if norm == 0 and asks_gists:
            text = "is 0: nothing reaches the gists; is the context hidden, do answers follow?"
        elif usual is not None and norm > SPIKE * usual:
            text = f"spikes: {norm:.2g}, of late {usual:.2g}; a lower gist_lr or more warm-up helps"
        else:
            return
        if not self._warned or step - self._warned >= 100:
            self._warned = step
            log.warning("step %d: the gradient of the gist embeddings %s", step, text)

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
            "rows_grad_norm": self._gist_norms[-1] if self._gist_norms else None,
            "right": right,
            "seconds": round(self._seconds + time.monotonic() - self._started, 1),
        }
        row |= {key: value for key, value in logs.items() if key in LOG_FIELDS}
        rate = (time.monotonic() - self._started) / max(1, state.global_step - self._first_step)
        left = (args.max_steps - state.global_step) * rate / 60
        log.info(  # stages that are passed early leave less to do
            f"step {row['step']} ({row['stage']}): loss {row['loss']:.3f}, right {right}, "
            f"gradient {row['grad_norm']:.2f}; at most {left:.0f} minutes left"
        )
        append(self._output / LOG, LOG_FIELDS, row)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the curriculum's progress beside the checkpoint; it is whole from then on."""
        if not state.is_world_process_zero:
            return
        folder = self._output / f"checkpoint-{state.global_step}"
        self._seal(folder)
        partial = folder / "curriculum.json.tmp"
        partial.write_text(json.dumps(asdict(self._curriculum.progress)))
        partial.replace(folder / "curriculum.json")


class EvaluationCallback(TrainerCallback):
    """Score held-out contexts now and then; keep the best adapter; stop when it is over.

    Args:
        held: the contexts.
        baselines: scores with the adapter off, which do not change.
        ratio, tokens: how much the contexts are compressed for the curve.
        output: where the curve and `best/` go.
        options: when scores are taken, and how long training goes on without a better one.
    """

    def __init__(
        self,
        held: HeldOut,
        baselines: Mapping[str, Scores],
        *,
        ratio: float | None,
        tokens: int | None,
        output: Path,
        options: EvaluationOptions,
    ) -> None:
        self.held = held
        self._baselines = baselines
        self._amount: dict[str, Any] = {"ratio": ratio, "tokens": tokens}
        self._output = output
        self._steps, self._patience = options.eval_steps, options.patience
        self.curve: list[dict[str, float | None]] = []
        self.last: Mapping[str, Scores] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the curve where a resumed training left it."""
        self.curve = curve_until(self._output / CURVE, state)
        if self.curve and self._patience is not None and self._worn_out():
            control.should_training_stop = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score the held-out contexts when it is time, and at the end."""
        ends = control.should_training_stop or state.global_step >= args.max_steps
        if state.global_step % self._steps and not ends:
            return
        scores = self.score(kwargs["model"])
        row = self._point(state.global_step, scores)
        better = self._patience is not None and self._loss(row) < min(
            map(self._loss, self.curve), default=math.inf
        )
        self.curve.append(row)
        if state.is_world_process_zero:
            append(self._output / CURVE, CURVE_FIELDS, row)
            log.info("%s", _point(row))
        if better:
            save(kwargs["model"], self._output / "best")
        found = verdict(scores)
        if found and not ends:
            log.info("so far %s", found.partition(":")[0])
        if self._patience is not None and self._worn_out():
            log.info("no better score in %d evaluations: stopping", self._patience)
            control.should_training_stop = True
            control.should_save = True

    def score(self, model: Any) -> Mapping[str, Scores]:
        """Score the held-out contexts with the adapter on, and keep the scores as the last."""
        self.last = {way: self.held.ask(model, way, **self._amount) for way in WAYS}
        return self.last

    def _point(self, step: int, scores: Mapping[str, Scores]) -> dict[str, float | None]:
        both = {**scores, **self._baselines}
        gap = gap_recovered(scores["gist"], scores["closed_book_on"], scores["full_on"])
        return {
            "step": float(step),
            **{way: round(score.mean, 4) for way, score in both.items()},
            **{f"{way}_nats": round(score.nats, 4) for way, score in both.items()},
            "gap_recovered": None if gap is None else round(gap, 4),
        }

    @staticmethod
    def _loss(row: Mapping[str, float | None]) -> float:
        loss = row["gist_nats"]
        return math.inf if loss is None else loss

    def _worn_out(self) -> bool:
        losses = [self._loss(row) for row in self.curve]
        return len(losses) - 1 - losses.index(min(losses)) >= (self._patience or 0)


class StopCallback(TrainerCallback):
    """Save a checkpoint at the end of the step in which a signal has asked to stop."""

    def __init__(self) -> None:
        self._signal: int | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let a first SIGINT or SIGTERM end the training inside; raise it again afterwards.

        A second one takes effect at once.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def handle(number: int, _: Any) -> None:
            self._signal = number
            restore()
            log.warning("stopping after this step; a second signal stops at once")

        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            restore()
        if self._signal is not None:
            signal.raise_signal(self._signal)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop in every process if any of them was asked to."""
        stops = self._signal is not None
        if args.world_size > 1:
            flag = torch.tensor(float(stops), device=args.device)
            torch.distributed.all_reduce(flag)
            stops = bool(flag)
        if stops:
            control.should_training_stop = control.should_save = True
            folder = f"{args.output_dir}/checkpoint-{state.global_step}"
            log.warning("stopped: %s is saved; go on with --resume", folder)


def _point(row: Mapping[str, float | None]) -> str:
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


def rows_until(path: Path, state: TrainerState, names: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV up to the step reached; the file loses the others."""
    if not path.is_file():
        return []
    # A killed training may leave a torn last row, whose last number can look like a whole one.
    text = path.read_bytes().decode(errors="replace")
    with reading(path, advice=LOST):
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        if list(reader.fieldnames or names) != list(names):
            raise ValueError(f"its columns are not {', '.join(names)}")
        whole = [row for row in reader if None not in (*row, *row.values())]
        rows = [row for row in whole if float(row["step"]) <= state.global_step]
    if state.is_world_process_zero:
        partial = path.with_suffix(".tmp")
        partial.unlink(missing_ok=True)
        for row in rows:
            append(partial, names, row)
        partial.replace(path) if rows else path.unlink()
    return rows


def curve_until(path: Path, state: TrainerState) -> list[dict[str, float | None]]:
    """Return the scores of held-out contexts up to the step reached, as `rows_until` does."""
    rows = rows_until(path, state, CURVE_FIELDS)
    with reading(path, advice=LOST):
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in rows]


def append(path: Path, names: Sequence[str], row: Mapping[str, Any]) -> None:
    """Add a row to a CSV, under a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, names)
        if new:
            writer.writeheader()
        writer.writerow(row)
