"""Gists as files and passages in an index: what they add to what cannot be saved."""

import hashlib
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backends.kv.cached import CachedContext
from backends.retrieval.embedders import SentenceEmbedder
from backends.retrieval.index import VectorRetriever
from backends.stores.gistfiles import GistFiles
from harness.api import Source
from tests.regression.conftest import CheckRatio
from tests.support.tiny_adapter import save_tiny_adapter
from tests.support.tiny_embedder import WORDS

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

GISTS = 64
CONTEXT = ("Ann keeps bees in a valley far away from here. " * 44)[:2048]  # one token per character
QUESTION = "What does Ann keep?"
CHUNKS, CHUNK_WORDS = 64, 38
MINILM = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}


@pytest.fixture
def files(bench_model: "LanguageModel", tmp_path: Path) -> Iterator[GistFiles]:
    """Gist files of 64 gists."""
    adapter = save_tiny_adapter(bench_model, tmp_path / "adapter")
    opened = GistFiles(bench_model, checkpoint=adapter, tokens=GISTS)
    yield opened
    opened.close()


@pytest.fixture
def written(files: GistFiles, tmp_path: Path) -> Path:
    """A gist file of 2,048 tokens of context."""
    source = Source("doc.txt", CONTEXT, hashlib.sha256(CONTEXT.encode()).hexdigest(), len(CONTEXT))
    about = files.write(source, tmp_path / "doc.gist")
    assert (about.context_tokens, about.gists) == (2048, GISTS)
    return tmp_path / "doc.gist"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentenceEmbedder]:
    """A random BERT of the size of MiniLM."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("embedder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    config = BertConfig(
        vocab_size=len(vocabulary), num_attention_heads=12, max_position_embeddings=64, **MINILM
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    opened = SentenceEmbedder("random", folder, device="cpu")
    yield opened
    opened.close()


def test_indexing_is_embedding(check_ratio: CheckRatio, embedder: SentenceEmbedder) -> None:
    """An index takes in nine tenths of the passages that its embedder alone reads in that time."""
    rng = random.Random(0)
    passages = [" ".join(rng.choices(WORDS, k=CHUNK_WORDS)) for _ in range(CHUNKS)]
    retriever = VectorRetriever(embedder)

    def index() -> None:
        retriever.index(passages).close()

    check_ratio("index / embed", index, partial(embedder.embed_passages, passages))


def test_loading_a_gist_file_is_cheap(
    check_ratio: CheckRatio, files: GistFiles, written: Path
) -> None:
    """A file of 64 gists is there in a twentieth of the time of compressing 2,048 tokens."""
    from gist.checkpoint import read_card
    from gist.compress import compress

    assert files.checkpoint
    ids, plan = files.model.tokenizer.encode(CONTEXT), read_card(files.checkpoint).plan
    compressing = partial(compress, files.model, ids, gists=GISTS, plan=plan)
    check_ratio("load 64 gists / compress 2048 tokens", partial(files.open, written), compressing)


def test_asking_a_loaded_file_is_asking_so_many_entries(
    check_ratio: CheckRatio, files: GistFiles, written: Path
) -> None:
    """The first token comes as quickly as behind as many entries of plain text, just read."""
    from gist.decode import read

    lm = files.model
    loaded = files.open(written)
    ids = lm.tokenizer.encode(CONTEXT[:GISTS])
    plain = CachedContext(lm, read(lm, [*lm.prompt.before, *ids]), len(ids))
    assert loaded.state.entries == plain.state.entries

    def ask(context: CachedContext) -> None:
        for _ in range(5):
            context.generate([QUESTION], max_new_tokens=1)

    check_ratio("ask loaded gists / ask text", partial(ask, loaded), partial(ask, plain))
