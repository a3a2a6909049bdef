"""Train a model or an adapter on packed batches, with the Hugging Face Trainer.

The subclass overrides `compute_loss` alone: the weighted terms of `gist.losses`, and the share of
answers that are right in every token, which drives the curriculum.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gist.collator import IGNORED, Example, PackedCollator, uncompressed
from gist.curriculum import Batches, Progress
from gist.follow import Follow
from gist.losses import LossWeights, cross_entropy, distillation, share_right

TEACHER = "teacher_"


@dataclass(frozen=True, slots=True)
class Options:
    """How to train; the curriculum says on what."""

    output: Path
    lr: float = 1e-3
    gist_lr: float = 1e-3
    weight_decay: float = 0.1
    warmup_steps: int = 50
    rows_first_steps: int = 0  # steps in which the gist rows learn alone
    accumulation: int = 1  # batches of an optimizer step
    max_grad_norm: float = 1.0
    bf16: bool = True
    save_steps: int = 250
    log_steps: int = 20
    gradient_checkpointing: bool = False
    weights: LossWeights = field(default_factory=LossWeights)
    report_to: tuple[str, ...] = ()  # trackers that the Trainer knows
    seed: int = 0
    resume: bool = False


class PackedTrainer(Trainer):
    """A Trainer whose loss is taken on the answers of a packed batch."""

    batches: Batches
    weights: LossWeights

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - the Trainer gives it
    ) -> Any:
        """Return the weighted loss of a batch."""
        curriculum, weights = self.batches.curriculum, self.weights
        source, answers = int(inputs.pop("source")), inputs.pop("answers")  # (batch, kept)
        labels = inputs.pop("shift_labels")  # (batch, kept)
        teacher = {
            name.removeprefix(TEACHER): inputs.pop(name)
            for name in list(inputs)
            if name.startswith(TEACHER)
        }
        outputs = model(**inputs, use_cache=False)
        logits = outputs.logits  # (batch, kept, vocabulary)
        asked = answers != IGNORED
        told = (labels != IGNORED) & ~asked  # of snippets
        loss = weights.answers * cross_entropy(logits, labels, asked)
        if teacher:
            wanted = self._teacher_logits(model, teacher)
            loss = loss + weights.distillation * distillation(
                logits[asked], wanted, top_k=weights.top_k
            )
        if told.any():
            loss = loss + weights.reconstruction * cross_entropy(logits, labels, told)
        right = share_right(logits.detach(), labels, answers)
        for number, share in self._over_processes(source, right):
            curriculum.note(curriculum.names[number], share)
        return (loss, outputs) if return_outputs else loss

    def _teacher_logits(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return what the model without adapter says, reading all: (answer tokens, vocabulary)."""
        asked = inputs.pop("answers") != IGNORED
        inputs.pop("shift_labels")
        plain: Any = self.accelerator.unwrap_model(model)
        with torch.no_grad(), plain.disable_adapter():
            logits: torch.Tensor = plain(**inputs, use_cache=False).logits
        return logits[asked]

    def _over_processes(self, source: int, right: float) -> list[tuple[int, float]]:
        """Return (source, mean share right) of the sources that any process has just seen."""
        if self.accelerator.num_processes == 1:
            return [(source, right)]
        seen = torch.zeros(len(self.batches.curriculum.names), 2, device=self.accelerator.device)
        seen[source] = torch.tensor([right, 1.0])
        total: Any = self.accelerator.reduce(seen, "sum")
        return [(i, float(s / n)) for i, (s, n) in enumerate(total.tolist()) if n]


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
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # as torchrun gives it
    batches.per_step, batches.ahead = options.accumulation * processes, processes
    arguments = TrainingArguments(
        output_dir=str(options.output),
        max_steps=curriculum.max_steps,
        per_device_train_batch_size=1,  # an item of `batches` is a whole batch
        gradient_accumulation_steps=options.accumulation,
        learning_rate=options.lr,
        max_grad_norm=options.max_grad_norm,
        bf16=options.bf16,
        use_cpu=not torch.cuda.is_available(),
        save_steps=options.save_steps,
        save_total_limit=2,
        logging_steps=options.log_steps,
        logging_first_step=True,
        report_to=list(options.report_to) or "none",
        activation_checkpointing=options.gradient_checkpointing,
        remove_unused_columns=False,
        ignore_data_skip=True,  # `Batches` itself starts at the step reached
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=processes > 1,  # a batch without gists uses no gist rows
        accelerator_config={"dispatch_batches": False},  # batches differ in size
        disable_tqdm=True,
        seed=options.seed,
    )
    groups = _groups(model, options)
    optimizer = torch.optim.AdamW([group for _, group in groups], betas=(0.9, 0.95), fused=True)

    def collate(items: list[tuple[str, list[Example]]]) -> dict[str, torch.Tensor]:
        name, examples = items[0]
        inputs = collator(examples)
        if options.weights.distillation:
            plain = collator([uncompressed(example) for example in examples])
            inputs |= {TEACHER + key: tensor for key, tensor in plain.items()}
        # The Trainer takes tensors only, and the batch size from the first of them.
        return inputs | {"source": torch.tensor(curriculum.names.index(name))}

    trainer = PackedTrainer(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=collate,
        optimizers=(
            optimizer,
            _schedule(optimizer, [name for name, _ in groups], options, batches),
        ),
        callbacks=[Follow(curriculum, options.output), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # `Follow` tells it
    trainer.batches, trainer.weights = batches, options.weights
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


def _schedule(
    optimizer: torch.optim.Optimizer, names: Sequence[str], options: Options, batches: Batches
) -> LambdaLR:
    """Return warm-up times the stage's factor; the rest waits while the gist rows learn alone."""

    def factor(name: str, step: int) -> float:
        since = step if name == "rows" else step - options.rows_first_steps
        warm = min(1.0, max(0, since + 1) / options.warmup_steps)
        return warm * batches.curriculum.lr_factor()

    return LambdaLR(optimizer, [partial(factor, name) for name in names])


def _groups(model: torch.nn.Module, options: Options) -> list[tuple[str, dict[str, Any]]]:
    """Split what trains: matrices (decayed), gist rows, and the rest."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    rows = [p for name, p in trained if "gist_rows" in name]
    others = [(name, p) for name, p in trained if "gist_rows" not in name]
    matrices = [p for name, p in others if p.ndim >= 2 and "embed" not in name]
    rest = [p for name, p in others if p.ndim < 2 or "embed" in name]
    groups = [
        ("matrices", matrices, options.lr, options.weight_decay),
        ("rest", rest, options.lr, 0.0),
        ("rows", rows, options.gist_lr, 0.0),
    ]
    return [
        (name, {"params": parameters, "lr": lr, "weight_decay": decay})
        for name, parameters, lr, decay in groups
        if parameters
    ]
