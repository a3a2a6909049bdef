"""gist_store: retrieve gists, not text. The context in segments, each compressed apart.

    before | gists of the top-k segments | between + question + after

A question is compared with the passages of the segments; the segments with the nearest ones are
joined in the order of the context, as `gist.windows` joins windows, and asked. What stands in the
other segments is not seen at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.kv.cached import CachedContext
from backends.kv.searching import SearchingGist
from backends.kv.segments import check_segment_tokens, compress_spans, cut_segments
from backends.retrieval.chunking import Span
from backends.retrieval.index import Index
from backends.retrieval.retriever import cut_passages
from harness.api import Generation

if TYPE_CHECKING:
    from gist.models.model import LanguageModel
    from gist.windows import Segments

_SEARCHED = 64  # passages looked at for the segments of one question


@dataclass
class GistStore(SearchingGist):
    """Gists of the segments that are nearest to the question.

    Args:
        tokens: gist tokens for every context, all segments together.
        chunk_tokens: of the passages that are searched, as in rag.
        top_k: segments that are joined for a question.
        segment_tokens: the model's tokens of a segment, at most.
    """

    top_k: int = 2
    segment_tokens: int = 256

    def __post_init__(self) -> None:
        """Check the options; load the adapter and the embedder."""
        check_segment_tokens("segment_tokens", self.segment_tokens)
        super().__post_init__()

    def prepare(self, context: str) -> "SegmentedContext":
        """Compress each segment, and make their passages searchable."""
        spans = cut_segments(self.model, context, self.segment_tokens)
        segments = compress_spans(
            self.model, self._adapter.plan, context, spans, entries_for=self.entries_for
        )
        passages: list[str] = []
        of_segment: list[int] = []
        for number, span in enumerate(spans):
            text = context[span.start : span.end]
            _, found = cut_passages(text, self._retriever, chunk_tokens=self.chunk_tokens)
            passages += found
            of_segment += [number] * len(found)
        index = self._retriever.index(passages)
        return SegmentedContext(
            self.model, segments, context, spans, index, of_segment, top_k=self.top_k
        )


@dataclass
class SegmentedContext:
    """A context as the gists of its segments, and an index of their passages."""

    lm: "LanguageModel"
    segments: "Segments"
    context: str
    spans: list[Span]  # of the segments
    index: Index
    of_segment: list[int]  # the segment of each passage
    top_k: int

    @property
    def held_bytes(self) -> int:
        """Bytes of all KV entries, of what search needs, and of the context as UTF-8."""
        text_bytes = len(self.context.encode())  # for the evidence
        return self.segments.held_bytes + self.index.held_bytes + text_bytes

    def generate(
        self, questions: Sequence[str], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer the questions one by one: each stands behind gists of its own."""
        answers = []
        for question, ranked in zip(
            questions, self.index.search(questions, _SEARCHED), strict=True
        ):
            chosen = sorted(list(dict.fromkeys(self.of_segment[p] for p in ranked))[: self.top_k])
            joined = self._join(chosen)
            answers += joined.generate(
                [question], max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens
            )
            joined.close()
        return answers

    def close(self) -> None:
        """Drop the KV entries and the index."""
        self.index.close()
        self.segments = self.segments.cleared()

    def _join(self, chosen: Sequence[int]) -> CachedContext:
        """Return the gists of some segments as one context."""
        from gist.windows import join

        parts = [self.segments.parts[number] for number in chosen]
        state = join(self.lm, self.segments.prefix, parts)
        spans = [self.spans[number] for number in chosen]
        shown = tuple(self.context[span.start : span.end].strip() for span in spans)
        return CachedContext(self.lm, state, sum(part.gists.entries for part in parts), shown)
