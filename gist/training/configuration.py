"""The configuration of a training, which YAML, the command line and the record share.

The name of a field is its key in YAML and in the record (`gist.json`), and, with dashes, its option
on the command line. Nothing here imports torch: the command line is made of these fields.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gist.layout import GistPlan, Placement, Positions
from gist.lora import ATTENTION, Embeddings, LoraOptions
from gist.training.curriculum_options import SNIPPETS, CurriculumOptions
from gist.training.options import Part, check_bounds, option, read

MAX_GISTS = 256  # gists in a group behind the context: 16x at 4,096 tokens
SHARED_GISTS = 16  # that take turns where gists refine means; their positions tell them apart
SHARED = ("plain", "window_tokens", "twice", "snippets")  # defaults of stages


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model is trained, and where."""

    model: str = option("reference", "As for gist-bench run. Default: reference.")
    device: str | None = option(None, "cpu or cuda. Default: cuda if there is one.")
    dtype: Literal["float32", "bfloat16"] | None = option(
        None,
        "Precision of the frozen weights. Default: bfloat16 on CUDA, in 4 bits and on a CPU "
        "with AMX, else float32. The adapter learns in float32.",
    )
    load_in_4bit: bool = option(False, "Train on NF4 weights.")
    shots: Literal[0, 2, 4] = option(
        0, "Worked examples in the prompt, which the adapter then needs. Default: 0."
    )


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """Where the gist tokens stand."""

    placement: Placement = option(
        "residual",
        "Gists behind the context, a few after each segment of it, means of its KV entries, or "
        "such means with gists added.",
    )
    positions: Positions = option(
        "spread", "Gists at positions of their own, or spread over the context's."
    )
    segment_tokens: int = option(64, "Tokens before each group of gists.", minimum=1)
    rows: int | None = option(
        None,
        "Gist embeddings: the largest group of gists. Default: as many as a group can use.",
        minimum=1,
    )
    keep_prefix: bool = option(
        True,
        "Keep BOS and instruction in the cache. Default: keep.",
        flag="--keep-prefix/--drop-prefix",
    )

    def __post_init__(self) -> None:
        """Refuse groups that their segments cannot hold."""
        check_bounds(self)
        if self.placement == "pool" and self.rows:
            raise ValueError("placement=pool has no gist tokens, and so no rows. Leave them out.")
        if self.plan.pools and not (self.keep_prefix and self.positions == "spread"):
            raise ValueError(
                f"placement={self.placement} spreads means of KV entries over the context behind "
                "the prefix: it takes neither positions nor keep_prefix. Leave them out."
            )
        if self.placement == "interleaved" and (self.rows or 0) > self.segment_tokens:
            raise ValueError(
                f"segments of {self.segment_tokens} tokens are shorter than {self.rows} gists. "
                "Give fewer rows, or longer segments."
            )

    @property
    def plan(self) -> GistPlan:
        """The same, as compression takes it."""
        usable = {"interleaved": self.segment_tokens, "pool": 0, "residual": SHARED_GISTS}
        rows = self.rows or min(usable.get(self.placement, MAX_GISTS), MAX_GISTS)
        return GistPlan(rows, self.placement, self.positions, self.segment_tokens, self.keep_prefix)


@dataclass(frozen=True, slots=True)
class AdapterOptions(Part):
    """What is trained: LoRA, and gist embeddings or all embeddings."""

    embeddings: Embeddings = option(
        "rows",
        "Train the gist embeddings, or all embeddings and the head (12 to 24 GB more on 8B).",
    )
    rank: int = option(64, "Rank of LoRA.", minimum=1)
    alpha: int = option(128, "Scale of LoRA, over its rank.", minimum=1)
    targets: tuple[str, ...] = option(
        ATTENTION, "Layers with LoRA, such as q_proj.", flag="--target"
    )

    @property
    def lora(self) -> LoraOptions:
        """LoRA's part, as PEFT takes it."""
        return LoraOptions(self.rank, self.alpha, self.targets)


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the terms of the loss; a term of weight 0 is not computed."""

    answers: float = option(1.0, "Weight of the answers' cross-entropy.", minimum=0)
    distillation: float = option(
        0.0, "Weight of distillation from the model with full context.", minimum=0
    )
    top_k: int = option(20, "Most likely tokens that distillation keeps.", minimum=1)
    reconstruction: float = option(
        0.0, "Weight of the loss for reconstructing pieces of the context.", minimum=0
    )

    def __post_init__(self) -> None:
        """Refuse weights that leave nothing to learn."""
        check_bounds(self)
        if self.answers + self.distillation <= 0:
            raise ValueError("answers or distillation needs a weight above 0")


@dataclass(frozen=True, slots=True)
class OptimiserOptions(Part):
    """Learning rates, the size of a step and its precision."""

    lr: float = option(2e-4, "Learning rate of LoRA.")
    gist_lr: float = option(1e-3, "Learning rate of the gist embeddings.")
    warmup_steps: int = option(50, "Steps in which learning rates rise.", minimum=1)
    rows_first_steps: int = option(0, "Steps in which the gist embeddings learn alone.", minimum=0)
    accumulation: int = option(1, "Batches of a step.", minimum=1)
    bf16: bool = True
    gradient_checkpointing: bool = option(False, "Use less memory and more time.")


@dataclass(frozen=True, slots=True)
class SavingOptions(Part):
    """Checkpoints, and trackers that follow the training."""

    save_steps: int = option(200, "Steps between checkpoints.", minimum=1)
    adapter_dtype: Literal["float32", "float16", "bfloat16"] = option(
        "float32", "Precision in which the result is stored."
    )
    report_to: tuple[str, ...] = option((), "A tracker, such as tensorboard or wandb.")


@dataclass(frozen=True, slots=True)
class EvaluationOptions(Part):
    """When and on what the adapter is scored."""

    eval_steps: int = option(200, "Steps between held-out scores.", minimum=1)
    eval_contexts: int = option(48, "Number of held-out contexts.", minimum=0)
    patience: int | None = option(
        None, "Stop after this many held-out scores without improvement.", minimum=1
    )


@dataclass(frozen=True, slots=True)
class TrainingConfiguration:
    """Everything that decides how an adapter is trained."""

    sources: Mapping[str, str] = field(default_factory=dict)  # specs of suites, by name
    base: ModelChoice = field(default_factory=ModelChoice)
    init_adapter: str | None = option(
        None, "Adapter folder to start from; it needs the same settings."
    )
    layout: LayoutOptions = field(default_factory=LayoutOptions)
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    losses: LossWeights = field(default_factory=LossWeights)
    curriculum: CurriculumOptions = field(default_factory=CurriculumOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    saving: SavingOptions = field(default_factory=SavingOptions)
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)
    seed: int = option(0, "Random seed. Default: 0.")

    def record(self) -> dict[str, Any]:
        """Return the options that `gist.json` keeps beside stages, sources and seed."""
        parts = (self.layout, self.adapter, self.losses, self.optimiser, self.saving)
        values = {"init_adapter": self.init_adapter}
        for part in (*parts, self.evaluation):
            values |= asdict(part)
        return values


def read_configuration(settings: Mapping[str, Any]) -> TrainingConfiguration:
    """Return the configuration of a training.

    Args:
        settings: by name, of a YAML file and the command line; `plain`, `window_tokens`, `twice`
            and `snippets` are the defaults of its stages.

    Raises:
        UserError: one line that says which setting is wrong.
    """
    rows = settings.get("stages")
    if isinstance(rows, list):
        shared = {name: settings[name] for name in SHARED if name in settings}
        if settings.get("reconstruction"):
            shared = {"snippets": SNIPPETS} | shared
        rows = [{**shared, **row} if isinstance(row, Mapping) else row for row in rows]
        settings = {**settings, "stages": rows}
    return read(TrainingConfiguration, settings)
