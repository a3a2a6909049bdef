"""gist_store: retrieve gists, not text. The context in segments, each compressed apart.

    before | gists of the top-k segments | between + question + after

A question is compared with the passages of the segments; the segments with the nearest ones are
joined in the order of the context, as `gist.windows` joins windows, and asked. What stands in the
other segments is not seen at all.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends import adapter as adapters
from backends.cached import CachedContext, translated
from backends.chunking import Span, chunk_context
from backends.index import Index, Retriever
from backends.rag import SMALLEST_CHUNK, open_retriever
from backends.segments import check_segment_tokens, compressed, cut
from backends.size import check_size
from harness.api import BUDGET, Generation
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.model import LanguageModel
    from gist.windows import Segments

_SEARCHED = 64  # passages looked at for the segments of one question


@dataclass
class GistStore:
    """Gists of the segments that are nearest to the question.

    Args:
        model: handed in by the harness.
        checkpoint: a folder made by train-gist; by default the one that belongs to the model.
        tokens: gist tokens for every context, all segments together.
        ratio: context tokens per gist token, instead of `tokens`; 16 if neither is given.
        untrained: use an adapter that nobody has trained: its costs are right, its answers are not.
        segment_tokens: the model's tokens of a segment, at most.
        top_k: segments that are joined for a question.
        chunk_tokens: of the passages that are searched, as in rag.
        embedder: as in rag.
    """

    model: "LanguageModel"
    checkpoint: Path | None = None
    tokens: int | None = field(default=None, metadata=BUDGET)
    ratio: float | None = None
    untrained: bool = False
    segment_tokens: int = 256
    top_k: int = 2
    chunk_tokens: int = 40
    embedder: str = "auto"
    _open: ExitStack = field(default_factory=ExitStack, init=False, repr=False)
    _retriever: Retriever = field(init=False, repr=False)
    _notice: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the adapter on and load the embedder."""
        check_size(tokens=self.tokens, ratio=self.ratio)
        check_segment_tokens("segment_tokens", self.segment_tokens)
        for name, least in (("chunk_tokens", SMALLEST_CHUNK), ("top_k", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, it is {getattr(self, name)}.")
        self._plan, self._about = adapters.put_on(
            self._open, self.model, self.checkpoint, untrained=self.untrained
        )
        device = "cuda" if self.model.device == "cuda" else "cpu"
        try:
            self._retriever, self._notice = open_retriever(self.embedder, None, device)
        except BaseException:
            self._open.close()
            raise

    def prepare(self, context: str) -> "SegmentedContext":
        """Compress each segment, and make their passages searchable."""
        if not context.strip():
            raise UserError("an empty context cannot be compressed. Leave it out of the data.")
        spans = cut(self.model, context, self.segment_tokens)
        segments = compressed(
            self.model, self._plan, context, spans, tokens=self.tokens, ratio=self.ratio
        )
        passages: list[str] = []
        of_segment: list[int] = []
        for number, span in enumerate(spans):
            text = context[span.start : span.end]
            chunks = chunk_context(
                text,
                chunk_tokens=self.chunk_tokens,
                overlap=0,
                count_tokens=self._retriever.count_tokens,
            )
            passages += [text[chunk.start : chunk.end].strip() for chunk in chunks]
            of_segment += [number] * len(chunks)
        index = self._retriever.index(passages)
        return SegmentedContext(
            self.model, segments, context, spans, index, of_segment, top_k=self.top_k
        )

    def describe(self) -> Mapping[str, Any]:
        """Return adapter and embedder."""
        notice = {"notice": self._notice} if self._notice else {}
        return {**self._about, **self._retriever.describe(), **notice}

    def close(self) -> None:
        """Take the adapter off; give back the embedder."""
        self._open.close()
        self._retriever.close()


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
        """Bytes of all entries and of what search needs; the text is kept as evidence alone."""
        return self.segments.held_bytes + self.index.held_bytes

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
        """Drop the entries and the index."""
        self.index.close()
        self.segments = self.segments.none()

    def _join(self, chosen: Sequence[int]) -> CachedContext:
        """Return the gists of some segments as one context."""
        from gist.windows import join

        parts = [self.segments.parts[number] for number in chosen]
        with translated():
            state = join(self.lm, self.segments.prefix, parts)
        spans = [self.spans[number] for number in chosen]
        shown = tuple(self.context[span.start : span.end].strip() for span in spans)
        return CachedContext(self.lm, state, sum(part.gists.count for part in parts), shown)
