"""The table of `train-gist --dry-run`: what a step takes at each context length."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from gist.models.memory import GIB
from gist.models.model import LanguageModel
from gist.training.configuration import TrainingConfiguration
from gist.training.dry_run import CONTEXTS, DryRow, dry_run

ROOM = 600  # positions for gists, question and answer behind the context
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


def dry_run_table(
    lm: LanguageModel,
    configuration: TrainingConfiguration,
    *,
    processor: str,
    memory_limit_gib: float | None = None,
) -> str:
    """Try the training at its `context_tokens`; return the table, with the processor above it.

    `memory_limit_gib` is the GPU memory to simulate; None: all there is.
    """
    fitting = [c for c in CONTEXTS if c + ROOM <= lm.max_positions] or [lm.max_positions // 2]
    contexts = sorted(configuration.curriculum.context_tokens) or fitting
    rows = list(dry_run(lm, configuration, contexts=contexts, memory_limit_gib=memory_limit_gib))
    absent = lm.device == "meta"
    place = ", where its weights do not fit" if absent else f" ({lm.model.device})"
    limit = "" if memory_limit_gib is None else f", limited to {memory_limit_gib:g} GiB"
    lines = [f"{lm.name} on {processor}{place}{limit}", _training(configuration), "", render(rows)]
    return "\n".join([*lines, "", *_notes(rows, memory_limit_gib)])


def render(rows: Sequence[DryRow]) -> str:
    """Return the rows as a table for the terminal."""
    cells = [_cells(row) for row in rows]
    return tabulate(cells, COLUMNS, tablefmt="simple", disable_numparse=True, stralign="right")


def _cells(row: DryRow) -> list[str]:
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


def _training(configuration: TrainingConfiguration) -> str:
    plan, adapter = configuration.layout.plan, configuration.adapter
    checkpointing = configuration.optimiser.gradient_checkpointing
    return (
        f"LoRA rank {adapter.rank} on {', '.join(adapter.targets)}; {plan.rows} gist embeddings "
        f"({adapter.embeddings}), {plan.placement}, {plan.positions}; "
        f"{configuration.curriculum.questions} questions; "
        f"{'gradient checkpointing' if checkpointing else 'no checkpointing'}"
    )


def _notes(rows: Sequence[DryRow], limit_gib: float | None) -> Iterable[str]:
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


def _names(rows: Iterable[DryRow]) -> str:
    return ", ".join(f"{row.phase} {row.context_tokens:,}" for row in rows)
