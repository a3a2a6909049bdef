"""What happens beside the steps of a training: the log, checkpoints, signals."""

import json
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gist.adapter import whole
from gist.training.curriculum import Curriculum
from gist.training.logfiles import LOG, LOG_FIELDS, append, rows_until
from harness.files import write_atomically

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
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write a line of the log."""
        logs: Mapping[str, Any] = kwargs["logs"]
        if "loss" not in logs or not state.is_world_process_zero:
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
        progress = json.dumps(asdict(self._curriculum.progress))
        write_atomically(folder / "curriculum.json", progress.encode())


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
