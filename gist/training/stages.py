"""From data and options to stages: what a training draws from, and whether all of it fits."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gist.checkpoint import paragraph_hashes
from gist.models.model import LanguageModel
from gist.models.prompt import TextTokenizer
from gist.training.configuration import TrainingConfiguration
from gist.training.curriculum_options import SNIPPETS, CurriculumOptions, Stage
from harness.errors import UserError, did_you_mean

Item = tuple[str, Sequence[tuple[str, str]]]
"""A context and its (question, answer) pairs, as text."""
Source = Callable[[int], Iterator[Item]]
"""Gives an endless, or long, stream of items for a seed."""

DEFAULT_RATIOS = (8.0, 16.0)
DEFAULT_STEPS = 1000
MEASURED = 100  # contexts of a file that tell the length of an epoch


class Feed(Protocol):
    """A source for training, and contexts of it that training never sees."""

    @property
    def source(self) -> Source:
        """What training draws from."""

    @property
    def held(self) -> Sequence[Item]:
        """Contexts that are held back."""

    @property
    def contexts(self) -> int | None:
        """Contexts of a file, without those held back; None: there is no end."""

    @property
    def rows(self) -> Mapping[str, Item]:
        """Contexts of a file, by what a message calls them."""


def make_stages(
    configuration: TrainingConfiguration, feeds: Mapping[str, Feed], tokenizer: TextTokenizer
) -> list[Stage]:
    """Return the stages of the configuration, or those that its options make.

    Raises:
        UserError: a stage names a source that is not there, or options contradict each other.
    """
    options = configuration.curriculum
    stages = list(options.stages)
    check_sources(options.shares, feeds, "shares")
    if not stages:
        if not options.ratios and not options.tokens:
            options = replace(options, ratios=DEFAULT_RATIOS)
        if options.snippets is None:
            options = replace(
                options, snippets=SNIPPETS if configuration.losses.reconstruction else 0
            )
        stages = grow(options, list(feeds), _steps(options, feeds, tokenizer))
    for stage in stages:
        check_sources(stage.sources, feeds, f"stage {stage.name!r}")
    return stages


def check_sources(named: Iterable[str], names: Mapping[str, Any], where: str) -> None:
    """Refuse sources that are not there."""
    for name in named:
        if name not in names:
            raise UserError(
                f"{where} names the source {name!r}. "
                f"{did_you_mean(name, names)}Sources: {', '.join(names)}."
            )


def grow(options: CurriculumOptions, sources: Sequence[str], steps: int) -> list[Stage]:
    """Return one stage, or one for each limit of context tokens, the easy ones first."""
    limits: list[int | None] = [*sorted(options.context_tokens)] or [None]
    # Many gists for a context are easier than few: small ratios first, large counts first.
    ratios, tokens = sorted(options.ratios), sorted(options.tokens, reverse=True)

    def stage(number: int, limit: int | None) -> Stage:
        share = number / len(limits)
        return Stage(
            name=f"context-{limit}" if limit else "all",
            sources={name: options.shares.get(name, 1.0) for name in sources},
            max_steps=max(1, steps // len(limits)),
            batch_tokens=options.batch_tokens,
            questions=options.questions,
            ratios=tuple(ratios[: math.ceil(len(ratios) * share)]),
            tokens=tuple(tokens[: math.ceil(len(tokens) * share)]),
            mixed=options.mixed,
            window_tokens=options.window_tokens,
            twice=options.twice,
            plain=options.plain,
            snippets=options.snippets or 0,
            max_context_tokens=limit,
            lr=(1.0, 0.1 if number == len(limits) else 1.0),
        )

    try:
        return [stage(number, limit) for number, limit in enumerate(limits, start=1)]
    except ValueError as error:
        raise UserError(f"a stage is wrong: {error}") from None


def _steps(options: CurriculumOptions, feeds: Mapping[str, Feed], tokenizer: TextTokenizer) -> int:
    """Return how many steps are asked for: a number, or as many as the passes over files need."""
    if options.epochs is None:
        return options.max_steps or DEFAULT_STEPS
    encode, total = tokenizer.encode, 0.0
    for name, feed in feeds.items():
        if feed.contexts is None:
            raise UserError(f"{name} gives contexts without end: give --max-steps, not --epochs.")
        some = list(feed.source(0))[:MEASURED]
        tokens = [
            len(encode(context)) + sum(len(encode(q + a)) for q, a in pairs)
            for context, pairs in some
        ]
        total += feed.contexts * sum(tokens) / len(tokens)
    return max(1, math.ceil(options.epochs * total / options.batch_tokens))


def held_back(feeds: Mapping[str, Feed], stage: Stage, count: int) -> list[Item]:
    """Return held-out contexts of a stage's sources, by their shares."""
    total = sum(stage.sources.values())
    chosen: list[Item] = []
    for name, share in stage.sources.items():
        chosen += feeds[name].held[: math.ceil(count * share / total)]
    return chosen


def trained_contexts(
    feeds: Mapping[str, Feed], tokenizer: TextTokenizer, stages: Sequence[Stage]
) -> frozenset[bytes]:
    """Return the hashes of the paragraphs of files that no stage passes over."""
    files = [feed.source(0) for feed in feeds.values() if feed.contexts is not None]
    texts = {context for file in files for context, _ in file}
    longest = _longest(stages)
    read = [text for text in texts if len(tokenizer.encode(text)) <= longest]
    return frozenset(each for text in read for each in paragraph_hashes(text))


def _longest(stages: Sequence[Stage]) -> float:
    """Return the tokens of the longest context that no stage passes over."""
    limits = [stage.max_context_tokens for stage in stages]
    return math.inf if None in limits else max(filter(None, limits))


def check_contexts(feeds: Mapping[str, Feed], lm: LanguageModel, stages: Sequence[Stage]) -> None:
    """Refuse a file with a row that does not fit: nothing is ever cut off."""
    encode, longest = lm.tokenizer.encode, _longest(stages)
    fixed = sum(map(len, (lm.prompt.before, lm.prompt.between, lm.prompt.after)))
    gists = max((count for stage in stages for count in stage.tokens), default=0)
    rows = {label: item for feed in feeds.values() for label, item in feed.rows.items()}
    for label, (context, pairs) in rows.items():
        size = len(encode(context))
        if size > longest:
            continue  # the stages pass it over
        if size < gists:
            raise UserError(
                f"{label}: {gists} gists for a context of {size} tokens "
                "compress nothing. Give fewer --tokens, or --ratio."
            )
        asked = max(len(encode(question)) + len(encode(answer)) + 1 for question, answer in pairs)
        needed = fixed + size + gists + asked
        if needed > lm.max_positions:
            raise UserError(
                f"{label}: context, gists, question and answer need "
                f"{needed} positions, {lm.name} has {lm.max_positions}. "
                "Shorten it, or pass over long contexts with --context-tokens."
            )
