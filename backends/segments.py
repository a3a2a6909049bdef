"""Cut a context into segments of the model's tokens, and compress them apart."""

from typing import TYPE_CHECKING

from backends.cached import translated
from backends.chunking import Span, chunk_context
from backends.size import entries_for

if TYPE_CHECKING:
    from gist.layout import GistPlan
    from gist.model import LanguageModel
    from gist.windows import Segments

LEAST_TOKENS = 32  # of a segment: fewer are not worth a prompt of their own


def check_segment_tokens(name: str, tokens: int) -> None:
    """Refuse segments that are too short.

    Raises:
        ValueError: with what is allowed.
    """
    if tokens < LEAST_TOKENS:
        raise ValueError(f"{name}={tokens} must be at least {LEAST_TOKENS}")


def cut(lm: "LanguageModel", context: str, segment_tokens: int) -> list[Span]:
    """Return segments of whole sentences, of about `segment_tokens` of the model's at most."""
    return chunk_context(
        context,
        chunk_tokens=segment_tokens,
        overlap=0,
        count_tokens=lambda texts: [len(lm.tokenizer.encode(text)) for text in texts],
    )


def compressed(
    lm: "LanguageModel",
    plan: "GistPlan",
    context: str,
    spans: list[Span],
    *,
    tokens: int | None,
    ratio: float | None,
) -> "Segments":
    """Compress the segments apart, into `tokens` gists together or one for `ratio` tokens."""
    from gist.windows import compress_segments, share_gists

    texts = [lm.tokenizer.encode(context[span.start : span.end]) for span in spans]
    sizes = [len(ids) for ids in texts]
    with translated():
        gists = share_gists(sizes, entries_for(sum(sizes), tokens=tokens, ratio=ratio), plan)
        return compress_segments(lm, texts, gists, plan)
