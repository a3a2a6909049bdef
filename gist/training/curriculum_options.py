"""The stages of a curriculum, and the options that make them where none are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gist.training.options import check_bounds, option

MIN_WINDOW_TOKENS = 32  # fewer are not worth a prompt of their own
SNIPPETS = 2  # of each context, where reconstruction is asked for


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a curriculum."""

    name: str
    sources: Mapping[str, float]  # name of a source: its share of the batches
    max_steps: int
    pass_at: float = 2.0  # share of answers right on fresh batches of every source; 2: never
    batch_tokens: int = 8192
    questions: int = 12  # per context
    ratios: tuple[float, ...] = ()  # context tokens per gist, drawn per batch
    tokens: tuple[int, ...] = ()  # gists of a context, drawn per batch, instead of ratios
    mixed: bool = False  # a ratio, or a count, is drawn for each context, not for a batch
    window_tokens: tuple[int, ...] = ()  # of windows read apart, drawn per batch; 0: none
    twice: float = 0.0  # fraction of the batches in windows whose gists are read by gists again
    plain: float = 0.0  # fraction of the batches that are not compressed
    snippets: int = 0  # pieces of each context to be reconstructed from its gists
    max_context_tokens: int | None = None  # longer contexts are passed over
    bare: tuple[str, ...] = ()  # sources whose answers continue the questions directly
    lr: tuple[float, float] = (1.0, 1.0)  # factor of the learning rate at the start and end

    def __post_init__(self) -> None:
        """Refuse a stage that has nothing to draw from."""
        if not self.sources or self.max_steps < 1:
            raise ValueError(f"stage {self.name!r} needs sources and at least one step")
        if self.ratios and self.tokens:
            raise ValueError(f"stage {self.name!r}: give ratios or tokens, not both")
        if any(ratio < 1 for ratio in self.ratios) or any(count < 1 for count in self.tokens):
            raise ValueError(f"stage {self.name!r}: ratios and tokens must be at least 1")
        for name in ("plain", "twice"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"stage {self.name!r}: {name}={value} must be from 0 to 1")
        check_windows(self.window_tokens, self.twice)

    @property
    def compresses(self) -> bool:
        """Whether any of its batches has gists."""
        return bool(self.ratios or self.tokens) and self.plain < 1


def check_windows(window_tokens: Sequence[int], twice: float) -> None:
    """Refuse windows that are too short, and two levels without any."""
    for count in window_tokens:
        if count and count < MIN_WINDOW_TOKENS:
            raise ValueError(
                f"window_tokens={count} must be at least {MIN_WINDOW_TOKENS}, or 0 for contexts "
                "that are read in one"
            )
    if twice and not any(window_tokens):
        raise ValueError(f"twice={twice} is of batches in windows: give window_tokens, such as 256")


@dataclass(frozen=True, slots=True)
class CurriculumOptions:
    """The stages, or what makes them where none are given."""

    ratios: tuple[float, ...] = option((), "Context tokens per gist.", flag="--ratio", minimum=1)
    tokens: tuple[int, ...] = option(
        (), "Gists per context, instead of --ratio; of several, one is drawn.", minimum=1
    )
    context_tokens: tuple[int, ...] = option(
        (),
        "Longest context; several make a curriculum, short contexts and many gists first.",
        minimum=1,
    )
    max_steps: int | None = option(None, "Number of steps if there are no stages.", minimum=1)
    epochs: float | None = option(None, "Passes over the data, instead of --max-steps.")
    batch_tokens: int = option(8192, "Tokens of a batch.", minimum=1)
    questions: int = option(12, "Largest number of questions of a context.", minimum=1)
    mixed: bool = option(
        False, "Draw a ratio, or a number of gists, for each context, not for a batch."
    )
    plain: float = option(
        0.0, "Fraction of the batches that are not compressed.", minimum=0, maximum=1
    )
    window_tokens: tuple[int, ...] = option(
        (),
        "Read contexts in windows of so many tokens and join their gists, as for documents longer "
        "than the model; of several, one is drawn for each batch, 0 for none.",
    )
    twice: float = option(
        0.0,
        "Fraction of the batches in windows whose gists are read by gists again (hierarchical).",
        minimum=0,
        maximum=1,
    )
    unanswerable: float = option(
        0.0,
        "Fraction of a file's questions that are asked of another of its contexts: to be "
        "answered that it does not say.",
        minimum=0,
        maximum=1,
    )
    # Shares of the batches if there are no stages, by source; 1 for a source that is not named.
    shares: Mapping[str, float] = field(default_factory=dict)
    snippets: int | None = None
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two lengths of a training."""
        check_bounds(self)
        if self.epochs is not None and self.max_steps is not None:
            raise ValueError("epochs and max_steps say the same thing twice; give one of them.")
        check_windows(self.window_tokens, self.twice)
