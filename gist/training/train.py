"""Train a model or an adapter by a curriculum, with the Hugging Face Trainer.

The subclass overrides `compute_loss` alone: the loss is that of a `TrainingStep`, and the share of
answers that are right in every token drives the curriculum.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gist.collator import Example
from gist.training.callbacks import LoggingCallback, StopCallback
from gist.training.checks import check_checkpoint
from gist.training.configuration import OptimiserOptions, SavingOptions
from gist.training.curriculum import Batches, Progress
from gist.training.step import TrainingStep

LOG_STEPS = 20
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One training in its folder."""

    output: Path
    seed: int
    resume: bool
    optimiser: OptimiserOptions
    saving: SavingOptions
    weight_decay: float = 0.0
    callbacks: Sequence[TrainerCallback] = ()
    seal: Callable[[Path], None] = lambda _: None  # makes a checkpoint's folder usable as it is


class CurriculumTrainer(Trainer):
    """A Trainer that trains the batches of a curriculum by a step of ours."""

    batches: Batches
    step: TrainingStep

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - the Trainer gives it
    ) -> Any:
        """Return the loss of a batch, and note how many of its answers are right."""
        curriculum = self.batches.curriculum
        result = self.step(model, inputs["examples"])
        source = curriculum.names.index(inputs["source"])
        for number, share in self._over_processes(source, result.right):
            curriculum.note(curriculum.names[number], share)
        return (result.loss, None) if return_outputs else result.loss

    def _over_processes(self, source: int, right: float) -> list[tuple[int, float]]:
        """Return (source, mean share right) of the sources that any process has just seen."""
        if self.accelerator.num_processes == 1:
            return [(source, right)]
        seen = torch.zeros(len(self.batches.curriculum.names), 2, device=self.accelerator.device)
        seen[source] = torch.tensor([right, 1.0])
        total: Any = self.accelerator.reduce(seen, "sum")
        return [(i, float(s / n)) for i, (s, n) in enumerate(total.tolist()) if n]


def train(model: torch.nn.Module, batches: Batches, step: TrainingStep, run: Run) -> None:
    """Train until the curriculum is done; checkpoints and `log.csv` go to `run.output`.

    A first SIGINT or SIGTERM saves a checkpoint and is then passed on.
    """
    curriculum, optimiser = batches.curriculum, run.optimiser
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # as torchrun gives it
    batches.per_step, batches.ahead = optimiser.accumulation * processes, processes
    arguments = TrainingArguments(
        output_dir=str(run.output),
        max_steps=curriculum.max_steps,
        per_device_train_batch_size=1,  # an item of `batches` is a whole batch
        gradient_accumulation_steps=optimiser.accumulation,
        learning_rate=optimiser.lr,
        max_grad_norm=MAX_GRAD_NORM,
        bf16=optimiser.bf16,
        use_cpu=not torch.cuda.is_available(),
        save_steps=run.saving.save_steps,
        save_total_limit=2,
        logging_steps=LOG_STEPS,
        logging_first_step=True,
        report_to=list(run.saving.report_to) or "none",
        remove_unused_columns=False,
        ignore_data_skip=True,  # `Batches` itself starts at the step reached
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=processes > 1,  # a batch without gists uses no gist embeddings
        accelerator_config={"dispatch_batches": False},  # batches differ in size
        disable_tqdm=True,
        seed=run.seed,
    )
    groups = _groups(model, optimiser, run.weight_decay)
    adam = torch.optim.AdamW([group for _, group in groups], betas=(0.9, 0.95), fused=True)
    schedule = _schedule(adam, [name for name, _ in groups], optimiser, batches)
    logging, stop = LoggingCallback(curriculum, run.output, run.seal), StopCallback()
    own = [logging, *run.callbacks, stop]  # the last: nothing is scored because of a signal
    trainer = CurriculumTrainer(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=_only,
        callbacks=own,
    )
    trainer.remove_callback(PrinterCallback)  # `LoggingCallback` shows the same
    trainer.batches, trainer.step = batches, step
    trainer.optimizer, trainer.lr_scheduler = adam, schedule  # as arguments, FSDP refuses them
    # Else the Trainer takes the loss for a sum over the accumulated batches.
    trainer.model_accepts_loss_kwargs = False
    checkpoint = last_checkpoint(run.output) if run.resume else None
    if checkpoint is not None:
        check_checkpoint(checkpoint)
        curriculum.resume(Progress(**json.loads((checkpoint / "curriculum.json").read_text())))
        trainer.state.global_step = curriculum.progress.step
        for callback in own[:-1]:
            callback.on_train_begin(arguments, trainer.state, trainer.control)
        if trainer.control.should_training_stop:  # the Trainer would take one more step
            trainer._load_from_checkpoint(str(checkpoint))
            return
    with stop.on_signals():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def last_checkpoint(output: Path) -> Path | None:
    """Return the newest finished checkpoint in a folder; its curriculum is written last."""
    done = [path.parent for path in output.glob("checkpoint-*/curriculum.json")]
    return max(done, key=lambda path: int(path.name.split("-")[1]), default=None)


def _only(items: list[tuple[str, list[Example]]]) -> dict[str, Any]:
    """Return the one batch that the Trainer's loader takes at a time."""
    source, examples = items[0]
    return {"source": source, "examples": examples}


def _schedule(
    optimizer: torch.optim.Optimizer,
    names: Sequence[str],
    options: OptimiserOptions,
    batches: Batches,
) -> LambdaLR:
    """Return warm-up times the stage's factor; the rest waits while gist embeddings learn alone."""

    def factor(name: str, step: int) -> float:
        since = step if name == "gists" else step - options.rows_first_steps
        warm = min(1.0, max(0, since + 1) / options.warmup_steps)
        return warm * batches.curriculum.lr_factor()

    return LambdaLR(optimizer, [partial(factor, name) for name in names])


def _groups(
    model: torch.nn.Module, options: OptimiserOptions, weight_decay: float
) -> list[tuple[str, dict[str, Any]]]:
    """Split what trains: matrices (decayed), gist embeddings, and the rest."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    gists = [p for name, p in trained if "gist_" in name]  # rows and gates
    others = [(name, p) for name, p in trained if "gist_" not in name]
    matrices = [p for name, p in others if p.ndim >= 2 and "embed" not in name]
    rest = [p for name, p in others if p.ndim < 2 or "embed" in name]
    groups = [
        ("matrices", matrices, options.lr, weight_decay),
        ("rest", rest, options.lr, 0.0),
        ("gists", gists, options.gist_lr, 0.0),
    ]
    return [
        (name, {"params": parameters, "lr": lr, "weight_decay": decay})
        for name, parameters, lr, decay in groups
        if parameters
    ]
