"""The table of `train-gist --dry-run`: what a step takes at each context length."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gist.dry_run import DryRow, Trial
    from gist.model import LanguageModel

GIB = 2**30
COLUMNS = (
    "phase",
    "context",
    "tokens",
    "weights",
    "adapter",
    "activations",
    "computed",
    "peak",
    "seconds",
    "how",
)
READING = (
    "GiB = 2**30 bytes. train: one packed step, all questions of one context. ask: compress, then\n"
    "answer them at once. computed: weights, adapter (with gradients and moments), activations."
)
LOWER_BOUND = "Computed seconds are those of plain matrix products here: a lower bound."


def show(
    lm: "LanguageModel",
    trial: "Trial",
    *,
    contexts: Sequence[int],
    memory_limit_gib: float | None = None,
) -> str:
    """Try the training and return the table, with the machine above it.

    Args:
        lm: the base model, in memory or on the meta device.
        trial: what would be trained.
        contexts: context lengths in tokens.
        memory_limit_gib: the memory of the card to simulate; None: all there is.
    """
    from gist.dry_run import dry_run

    rows = list(dry_run(lm, trial, contexts=contexts, memory_limit_gib=memory_limit_gib))
    limit = "" if memory_limit_gib is None else f", limited to {memory_limit_gib:g} GiB"
    lines = [f"{lm.name} on {_machine(lm)}{limit}", _training(trial), "", render(rows)]
    return "\n".join([*lines, "", *_notes(rows, memory_limit_gib)])


def render(rows: "Sequence[DryRow]") -> str:
    """Return the rows as a table for the terminal."""
    from tabulate import tabulate

    cells = [_cells(row) for row in rows]
    return tabulate(cells, COLUMNS, tablefmt="simple", disable_numparse=True, stralign="right")


def _cells(row: "DryRow") -> list[str]:
    cost = row.cost
    seconds = row.computed_s if row.seconds is None else row.seconds
    parts = (cost.trained_bytes, cost.activation_bytes) if cost else (None, None)
    return [
        row.phase,
        f"{row.context_tokens:,}",
        f"{row.tokens:,}",
        _gib(row.weights_bytes),
        *map(_gib, parts),
        _gib(row.computed_bytes),
        _gib(row.peak_bytes),
        f"{seconds:,.2f}",
        row.how,
    ]


def _gib(number: int | None) -> str:
    return "-" if number is None else f"{number / GIB:.2f}"


def _machine(lm: "LanguageModel") -> str:
    from harness.environment import environment

    if lm.device == "meta":
        return f"{environment('cpu')['processor']}, where its weights do not fit"
    device = str(lm.model.device)
    return f"{environment(device)['processor']} ({device})"


def _training(trial: "Trial") -> str:
    plan, lora = trial.plan, trial.lora
    checkpointing = "gradient checkpointing" if trial.gradient_checkpointing else "no checkpointing"
    return (
        f"LoRA rank {lora.rank} on {', '.join(lora.targets)}; {plan.rows} gist rows "
        f"({trial.embeddings}), {plan.placement}, {plan.positions}; {trial.questions} questions; "
        f"{checkpointing}"
    )


def _notes(rows: "Sequence[DryRow]", limit_gib: float | None) -> Iterable[str]:
    """Yield what the table needs to be read, and why rows were not measured."""
    yield READING
    measured = [row for row in rows if row.seconds is not None]
    if len(measured) < len(rows):
        yield LOWER_BOUND
    if any(row.before_bytes and row.before_bytes > row.weights_bytes for row in measured):
        before = max(row.before_bytes or 0 for row in measured)
        yield f"peak: of all that is in use; before the steps up to {_gib(before)} GiB were."
    for why in dict.fromkeys(row.why for row in rows if row.why):
        yield f"not measured ({_names(row for row in rows if row.why == why)}): {why}"
    if limit_gib is not None:
        larger = [r for r in rows if (r.peak_bytes or r.computed_bytes) > limit_gib * GIB]
        if larger:
            yield f"over the limit of {limit_gib:g} GiB: {_names(larger)}"


def _names(rows: "Iterable[DryRow]") -> str:
    return ", ".join(f"{row.phase} {row.context_tokens:,}" for row in rows)
