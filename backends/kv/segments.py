"""Compress a context into gists: in one pass, or in segments of the model's tokens."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from backends.kv.cached import CachedContext
from backends.retrieval.chunking import Span, chunk_context
from harness.errors import SampleError, UserError

if TYPE_CHECKING:
    from gist.layout import GistPlan
    from gist.models.model import LanguageModel
    from gist.windows import Segments

MIN_TOKENS = 32  # of a segment: fewer are not worth a prompt of their own
BATCH_TOKENS = 4096  # of one forward pass over several contexts, padding included
EntriesFor = Callable[[int], int]  # the gists for a context of so many tokens
EMPTY = "an empty context cannot be compressed. Leave it out of the data."


def check_segment_tokens(name: str, tokens: int | None) -> None:
    """Refuse segments that are too short.

    Raises:
        ValueError: with what is allowed.
    """
    if tokens is not None and tokens < MIN_TOKENS:
        raise ValueError(f"{name}={tokens} must be at least {MIN_TOKENS}")


def cut_segments(lm: "LanguageModel", context: str, segment_tokens: int) -> list[Span]:
    """Return segments of whole sentences, of about `segment_tokens` of the model's at most.

    Raises:
        UserError: the context holds no text.
    """
    if not context.strip():
        raise UserError(EMPTY)
    return chunk_context(
        context,
        chunk_tokens=segment_tokens,
        overlap=0,
        count_tokens=lambda texts: [len(lm.tokenizer.encode(text)) for text in texts],
    )


def compress_spans(
    lm: "LanguageModel",
    plan: "GistPlan",
    context: str,
    spans: list[Span],
    *,
    entries_for: EntriesFor,
) -> "Segments":
    """Compress segments apart, into as many gists together as a context of their tokens gets."""
    from gist.windows import allocate_gists, compress_segments

    texts = [lm.tokenizer.encode(context[span.start : span.end]) for span in spans]
    sizes = [len(ids) for ids in texts]
    gists = allocate_gists(sizes, entries_for(sum(sizes)), plan)
    return compress_segments(lm, texts, gists, plan)


def compress_context(
    lm: "LanguageModel",
    plan: "GistPlan",
    context: str,
    *,
    entries_for: EntriesFor,
    window_tokens: int | None,
) -> CachedContext:
    """Compress a context; a longer one than `window_tokens` in windows whose gists are joined.

    Raises:
        UserError: the context is empty, or has more windows than gists.
        ContextTooLong, OutOfMemory: as `gist.decode.read`.
    """
    from gist.compress import compress
    from gist.layout import max_gists
    from gist.windows import join

    ids = lm.tokenizer.encode(context)
    if not ids:
        raise UserError(EMPTY)
    if window_tokens is not None and len(ids) > window_tokens:
        spans = cut_segments(lm, context, window_tokens)
        windows = compress_spans(lm, plan, context, spans, entries_for=entries_for)
        state = join(lm, windows.prefix, windows.parts)
        return CachedContext(lm, state, state.entries - windows.prefix.entries)
    gists = min(entries_for(len(ids)), max_gists(len(ids), plan))
    state = compress(lm, ids, gists=gists, plan=plan)
    return CachedContext(lm, state, context_entries=gists)


def compress_contexts(
    lm: "LanguageModel",
    plan: "GistPlan",
    contexts: Sequence[str],
    *,
    entries_for: EntriesFor,
    window_tokens: int | None,
) -> Iterator[tuple[int, CachedContext | UserError | SampleError]]:
    """Compress several contexts, those of like length in one forward pass.

    Yields:
        the number of each context with its gists, or with why it cannot be compressed; the shortest
        first. A context is as `compress_context` gives it, up to rounding.
    """
    ids = [lm.tokenizer.encode(context) for context in contexts]
    for group in _of_like_length([len(each) for each in ids], window_tokens):
        if together := _compress_rows(lm, plan, [ids[number] for number in group], entries_for):
            yield from zip(group, together, strict=True)
            continue
        for number in group:
            try:
                alone = compress_context(
                    lm,
                    plan,
                    contexts[number],
                    entries_for=entries_for,
                    window_tokens=window_tokens,
                )
            except (UserError, SampleError) as refused:
                yield number, refused
            else:
                yield number, alone


def _compress_rows(
    lm: "LanguageModel",
    plan: "GistPlan",
    rows: Sequence[Sequence[int]],
    entries_for: EntriesFor,
) -> list[CachedContext]:
    """Compress contexts in one pass; nothing if it is one alone, or they are too much together."""
    from gist.compress import compress_rows
    from gist.layout import max_gists

    if len(rows) == 1:
        return []
    gists = [min(entries_for(size), max_gists(size, plan)) for size in map(len, rows)]
    try:
        states = compress_rows(lm, rows, gists=gists, plan=plan)
    except (UserError, SampleError):  # perhaps one of them alone: each will say
        return []
    return [CachedContext(lm, *each) for each in zip(states, gists, strict=True)]


def _of_like_length(sizes: Sequence[int], window_tokens: int | None) -> Iterator[list[int]]:
    """Yield numbers of contexts that are read together; empty ones and long ones by themselves."""
    group: list[int] = []
    for number in sorted(range(len(sizes)), key=lambda number: sizes[number]):
        size = sizes[number]  # the longest so far
        alone = size == 0 or (window_tokens is not None and size > window_tokens)
        if group and (alone or size * (len(group) + 1) > BATCH_TOKENS):
            yield group
            group = []
        group.append(number)
        if alone:
            yield group
            group = []
    if group:
        yield group
