"""Train a model or an adapter on packed batches, with the Hugging Face Trainer.

The subclass overrides `compute_loss` alone: cross-entropy on answers, and the share of answers
that are right in every token, which drives the curriculum.
"""

import csv
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from gist.collator import IGNORED, Example, PackedCollator
from gist.curriculum import Batches, Curriculum, Progress

LOG_FIELDS = ("step", "stage", "loss", "learning_rate", "grad_norm", "right", "tokens", "seconds")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How to train; the curriculum says on what."""

    output: Path
    lr: float = 1e-3
    gist_lr: float = 1e-3
    weight_decay: float = 0.1
    warmup_steps: int = 50
    max_grad_norm: float = 1.0
    bf16: bool = True
    save_steps: int = 250
    log_steps: int = 20
    gradient_checkpointing: bool = False
    seed: int = 0
    resume: bool = False


class PackedTrainer(Trainer):
    """A Trainer whose loss is taken on the answers of a packed batch."""

    curriculum: Curriculum
    tokens = 0  # seen by this process

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross-entropy of the answers' tokens."""
        source, answers = self.curriculum.names[int(inputs.pop("source"))], inputs.pop("answers")
        labels = inputs.pop("shift_labels")  # (batch, kept)
        outputs = model(**inputs, use_cache=False)
        logits = outputs.logits.float()  # (batch, kept, vocabulary)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        self.tokens += inputs["input_ids"].numel()
        if model.training:
            self.curriculum.count(source, share_right(logits.detach(), labels, answers))
        return (loss, outputs) if return_outputs else loss


def share_right(logits: torch.Tensor, labels: torch.Tensor, answers: torch.Tensor) -> float:
    """Return the share of answers whose every token is the most likely one.

    Args:
        logits: (batch, kept, vocabulary).
        labels: (batch, kept), IGNORED where nothing is predicted.
        answers: (batch, kept), the number of the answer that a label belongs to.
    """
    wanted = labels != IGNORED
    wrong = (logits.argmax(dim=-1) != labels) & wanted
    asked, failed = (len(answers[which].unique()) for which in (wanted, wrong))
    return 1.0 - failed / asked


def train(
    model: torch.nn.Module,
    batches: Batches,
    collator: PackedCollator,
    options: Options,
    *,
    callbacks: Sequence[TrainerCallback] = (),
) -> PackedTrainer:
    """Train until the curriculum is done; checkpoints and `log.csv` go to `options.output`."""
    curriculum = batches.curriculum
    arguments = TrainingArguments(
        output_dir=str(options.output),
        max_steps=curriculum.max_steps,
        per_device_train_batch_size=1,  # an item of `batches` is a whole batch
        learning_rate=options.lr,
        max_grad_norm=options.max_grad_norm,
        bf16=options.bf16,
        use_cpu=not torch.cuda.is_available(),
        save_steps=options.save_steps,
        save_total_limit=2,
        logging_steps=options.log_steps,
        logging_first_step=True,
        activation_checkpointing=options.gradient_checkpointing,
        remove_unused_columns=False,
        ignore_data_skip=True,  # `Batches` itself starts at the step reached
        dataloader_pin_memory=False,
        accelerator_config={"dispatch_batches": False},  # batches differ in size
        disable_tqdm=True,
        seed=options.seed,
    )
    optimizer = torch.optim.AdamW(_groups(model, options), betas=(0.9, 0.95), fused=True)

    def lr_factor(step: int) -> float:
        return min(1.0, (step + 1) / options.warmup_steps) * curriculum.lr_factor()

    def collate(items: list[tuple[str, list[Example]]]) -> dict[str, torch.Tensor]:
        name, examples = items[0]
        # The Trainer takes tensors only, and the batch size from the first of them.
        return collator(examples) | {"source": torch.tensor(curriculum.names.index(name))}

    trainer = PackedTrainer(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=collate,
        optimizers=(optimizer, LambdaLR(optimizer, lr_factor)),
        callbacks=[_Follow(curriculum, options.output), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # `_Follow` tells it
    trainer.curriculum = curriculum
    # Else the Trainer takes the loss for a sum over the accumulated batches.
    trainer.model_accepts_loss_kwargs = False
    checkpoint = last_checkpoint(options.output) if options.resume else None
    if checkpoint is not None:
        state = json.loads((checkpoint / "curriculum.json").read_text())
        curriculum.progress = Progress(**state)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def last_checkpoint(output: Path) -> Path | None:
    """Return the newest finished checkpoint in a folder; its curriculum is written last."""
    done = [path.parent for path in output.glob("checkpoint-*/curriculum.json")]
    return max(done, key=lambda path: int(path.name.split("-")[1]), default=None)


def _groups(model: torch.nn.Module, options: Options) -> list[dict[str, Any]]:
    """Split what trains: gist rows, matrices (decayed), and the rest."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rows = [p for name, p in trained if "gist_rows" in name]
    others = [(name, p) for name, p in trained if "gist_rows" not in name]
    matrices = [p for name, p in others if p.ndim >= 2 and "embed" not in name]
    rest = [p for name, p in others if p.ndim < 2 or "embed" in name]
    groups = [
        {"params": matrices, "lr": options.lr, "weight_decay": options.weight_decay},
        {"params": rest, "lr": options.lr, "weight_decay": 0.0},
        {"params": rows, "lr": options.gist_lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _line(row: Mapping[str, Any], *, steps_left: int, rate: float) -> str:
    """Return what is shown of a logged step; stages that are passed early leave less to do."""
    return (
        f"step {row['step']} ({row['stage']}): loss {row['loss']:.3f}, right {row['right']}, "
        f"gradient {row['grad_norm']:.2f}; at most {steps_left * rate / 60:.0f} minutes left"
    )


class _Follow(TrainerCallback):
    """Write the log and the curriculum's progress; stop when every stage has ended."""

    def __init__(self, curriculum: Curriculum, output: Path) -> None:
        self._curriculum = curriculum
        self._output = output
        self._started = time.monotonic()
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._first_step = state.global_step  # not 0 in a resumed run

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
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
        if not logs or "loss" not in logs:
            return
        progress = self._curriculum.progress
        right = " ".join(f"{name}={share:.3f}" for name, share in progress.right.items())
        row = {
            "step": state.global_step,
            "stage": self._curriculum.stage.name,
            "right": right,
            "seconds": round(time.monotonic() - self._started, 1),
        }
        row |= {key: value for key, value in logs.items() if key in LOG_FIELDS}
        log.info(
            "%s", _line(row, steps_left=args.max_steps - state.global_step, rate=self._rate(state))
        )
        path = self._output / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _rate(self, state: TrainerState) -> float:
        """Return seconds per step of this process."""
        return (time.monotonic() - self._started) / (state.global_step - self._first_step)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        folder = self._output / f"checkpoint-{state.global_step}"
        (folder / "curriculum.json").write_text(json.dumps(self._curriculum.progress.state()))
