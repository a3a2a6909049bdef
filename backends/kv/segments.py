"""Compress a context into gists: in one pass, or in segments of the model's tokens."""

from typing import TYPE_CHECKING

from backends.kv.cached import CachedContext
from backends.kv.size import entries_for
from backends.retrieval.chunking import Span, chunk_context
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.layout import GistPlan
    from gist.models.model import LanguageModel
    from gist.windows import Segments

MIN_TOKENS = 32  # of a segment: fewer are not worth a prompt of their own
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
    tokens: int | None,
    ratio: float | None,
) -> "Segments":
    """Compress segments apart, into `tokens` gists together or one for `ratio` tokens."""
    from gist.windows import allocate_gists, compress_segments

    texts = [lm.tokenizer.encode(context[span.start : span.end]) for span in spans]
    sizes = [len(ids) for ids in texts]
    gists = allocate_gists(sizes, entries_for(sum(sizes), tokens=tokens, ratio=ratio), plan)
    return compress_segments(lm, texts, gists, plan)


def compress_context(
    lm: "LanguageModel",
    plan: "GistPlan",
    context: str,
    *,
    tokens: int | None,
    ratio: float | None,
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
        windows = compress_spans(lm, plan, context, spans, tokens=tokens, ratio=ratio)
        state = join(lm, windows.prefix, windows.parts)
        return CachedContext(lm, state, state.entries - windows.prefix.entries)
    gists = min(entries_for(len(ids), tokens=tokens, ratio=ratio), max_gists(len(ids), plan))
    state = compress(lm, ids, gists=gists, plan=plan)
    return CachedContext(lm, state, context_entries=gists)
