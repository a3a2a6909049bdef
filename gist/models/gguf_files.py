"""GGUF files, which llama.cpp and Ollama use: dequantised once into a folder like any other.

    <user cache>/gist-bench/models/<hash of the file>-<VERSION>   config, tokenizer, weights
                                   <the same>-texts               config and tokenizer alone

A folder is built beside its place and renamed once it is whole, under a lock, so that two processes
may start at once. Its `gguf.json` has a hash of what it holds: a damaged folder is built anew.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from gguf import GGUFReader
from platformdirs import user_cache_path
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig
from transformers.models.llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from gist.models import fit
from gist.models.architecture import check_supported
from gist.models.fingerprint import GGUF_SOURCE, sample_weights
from gist.models.memory import GIB, check_fits
from harness.errors import UserError, reading
from harness.files import file_hash

log = logging.getLogger(__name__)

SUFFIX = ".gguf"
VERSION = 1  # of what is made from a file; a new one makes every folder anew
LARGE = 10**9  # parameters; above, weights are stored in half the bytes
# Vocabularies whose every digit is a token (`tokenizer.ggml.pre`), which transformers overlooks:
# "\n\n2" would be cut where the model has never seen it cut.
SINGLE_DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
LLAMA3 = {  # how Llama 3.1 and 3.2 scale their rotary positions, beside their factor
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def dequantised_folder(
    file: Path, name: str, *, weights: bool = True, sha256: str = "", advice: str = ""
) -> Path:
    """Return the folder made from a GGUF file; make it if it is not there or damaged.

    Args:
        file: the GGUF file.
        name: what the person called the model, for messages.
        weights: make the weights too, not config.json and the tokenizer alone.
        sha256: refuse a file with another hash.
        advice: what to do about such a file.

    Raises:
        UserError: a file that transformers cannot read, an unsupported model, or a full disk.
        OutOfMemory: the weights do not fit into memory.
    """
    with reading(file):
        found = file_hash(file)
    if sha256 and found != sha256:
        raise UserError(
            f"{file} is damaged or another version: its SHA-256 is {found[:12]}..., "
            f"expected {sha256[:12]}... To mend it: {advice} --force-reinstall"
        )
    source = f"{found}-{VERSION}"
    folder = user_cache_path("gist-bench") / "models" / f"{found[:16]}-{VERSION}"
    if weights and _is_whole(folder):
        return folder
    texts = _cached(
        folder.with_name(f"{folder.name}-texts"),
        source,
        lambda place: _write_texts(file, name, place),
    )
    config: PretrainedConfig = AutoConfig.from_pretrained(texts)
    check_supported(config, name)
    if not weights:
        return texts

    def write(place: Path) -> None:
        log.warning(f"{name}: dequantising {file.name} once, into {folder}")
        shutil.copytree(texts, place, dirs_exist_ok=True)
        _write_weights(file, name, place, config)

    return _cached(folder, source, write)


def _cached(folder: Path, source: str, write: Callable[[Path], None]) -> Path:
    """Return `folder` if it is whole; else have it written and put it in its place."""
    if _is_whole(folder):
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if _is_whole(folder):  # another process has just made it
                return folder
            for left_over in (partial, folder):
                if left_over.exists():
                    shutil.rmtree(left_over)
            partial.mkdir()
            write(partial)
            seal = {"source": source, "content": _content(partial)}
            (partial / GGUF_SOURCE).write_text(json.dumps(seal) + "\n")
            partial.rename(folder)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}. Free some space, or set "
            "XDG_CACHE_HOME to a folder that can be written to."
        ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Say whether a cached folder holds what was written into it."""
    with suppress(UserError), reading(folder):
        seal = json.loads((folder / GGUF_SOURCE).read_text())
        return bool(seal["content"] == _content(folder))
    return False


def _content(folder: Path) -> str:
    """Return a hash of a folder's texts and of a sample of its weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name == GGUF_SOURCE:
            continue
        weights = path.suffix == ".safetensors"
        content = str(path.stat().st_size).encode() if weights else path.read_bytes()
        digest.update(path.name.encode() + b"\0" + content + b"\0")
    sample_weights(folder, digest)
    return digest.hexdigest()


def _write_texts(file: Path, name: str, folder: Path) -> None:
    """Write config.json and the tokenizer of a GGUF file."""
    with _readable(file, name):
        config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        metadata = GGUFReader(file)
        pre = metadata.get_field("tokenizer.ggml.pre")
        if pre is not None and pre.contents() in SINGLE_DIGITS:
            tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Digits(individual_digits=True),
                    pre_tokenizers.ByteLevel(add_prefix_space=False),
                ]
            )
    _read_scaled_positions(config, metadata, name)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_weights(file: Path, name: str, folder: Path, config: PretrainedConfig) -> None:
    """Write the dequantised weights of a GGUF file."""
    parameters = fit.skeleton(config).num_parameters()
    # 4 to 8 bits times a 16-bit scale need float32 to stay as they are. At billions of parameters
    # the disk decides, and float16 rounds a thousand times less than the quantisation did.
    dtype = torch.float32 if parameters <= LARGE else torch.float16
    need_bytes = parameters * dtype.itemsize
    check_fits(need_bytes, "cpu", what=f"dequantising {name}")
    free_bytes = shutil.disk_usage(folder).free
    if need_bytes > free_bytes:
        raise UserError(
            f"dequantising {name} needs {need_bytes / GIB:.1f} GiB in {folder.parent}, where "
            f"{free_bytes / GIB:.1f} GiB are free. Free some, or set XDG_CACHE_HOME."
        )
    # Before GgufConfig came, transformers always dequantised.
    as_dense = getattr(transformers, "GgufConfig", None)
    options = {"quantization_config": as_dense(dequantize=True)} if as_dense else {}
    # Its progress bar, for which transformers has no switch, would fill a log.
    with _readable(file, name), redirect_stderr(StringIO()):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=dtype,
            output_loading_info=True,
            trust_remote_code=False,
            **options,
        )
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"{name} lacks {len(missing)} of its model's tensors, such as {missing[0]}: the file "
            "is one part of several, or incomplete"
        )
    if hasattr(model.config, "quantization_config"):  # nothing of it is left in the weights
        del model.config.quantization_config
    model.config.rope_parameters = config.rope_parameters
    model.save_pretrained(folder)


def _read_scaled_positions(config: PretrainedConfig, metadata: GGUFReader, name: str) -> None:
    """Give a configuration the scaling of Llama 3, which transformers leaves out; refuse others.

    A file has the divisor of each frequency. Its largest is the factor, and with the other numbers
    of Llama 3.1 and 3.2 all of them must come out again.
    """
    factors = {t.name: t.data for t in metadata.tensors if t.name.startswith("rope_f")}
    scaled = list(factors)
    for key, field in metadata.fields.items():
        if key.endswith(".rope.scaling.type") and field.contents() != "none":
            scaled.append(f"{key}={field.contents()}")
    if scaled == ["rope_freqs.weight"] and isinstance(config, LlamaConfig):
        divisors = torch.tensor(factors[scaled[0]].tolist())  # (head_dim / 2,)
        plain = LlamaRotaryEmbedding(config).inv_freq
        factor = {"rope_type": "llama3", "factor": float(divisors.max())}
        config.rope_parameters = {**(config.rope_parameters or {}), **LLAMA3, **factor}
        made = LlamaRotaryEmbedding(config).inv_freq
        if divisors.shape == plain.shape and torch.allclose(plain / divisors, made, rtol=1e-4):
            return
    if scaled:
        raise UserError(
            f"{name} scales its rotary positions ({scaled[0]}), which transformers does not read "
            "from a GGUF file. Give the model as a folder of safetensors."
        )


def _readable(file: Path, name: str) -> AbstractContextManager[None]:
    """Turn whatever a library says about an odd file into one line."""
    return reading(
        f"{name}: transformers",
        fault=f"cannot read {file.name}",
        advice="Give the model as a folder of safetensors, or a GGUF file of a Llama, Qwen or "
        "Mistral model.",
    )
