"""A short name for a base model, by which an adapter knows the model it was trained for.

It covers the configuration and a fixed sample of every stored tensor, read from the files: neither
the dtype nor the quantisation it is loaded with changes it, so an adapter trained in 4 bits can be
measured in full precision. The hub's revision is recorded beside it and not part of it, or a local
copy would be another model. A folder made from a GGUF file is known by that file's hash: what
transformers writes into config.json for it changes between versions.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

GGUF_SOURCE = "gguf.json"  # in a folder made from a GGUF file: the file's hash
SAMPLED = 256  # values of each tensor; smaller tensors are read whole
VOLATILE = {"_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache"}


def fingerprint_folder(folder: Path) -> str:
    """Return the fingerprint of a model folder: 16 hex digits.

    Touches `SAMPLED` values of each tensor through the memory map, so it is quick on large models.
    A change that misses the sampled values of every tensor is not seen; training changes them all.
    """
    source = folder / GGUF_SOURCE
    if source.is_file():
        return hashlib.sha256(json.loads(source.read_text())["source"].encode()).hexdigest()[:16]
    digest = _hash_config(json.loads((folder / "config.json").read_text()))
    sample_weights(folder, digest)
    return digest.hexdigest()[:16]


def sample_weights(folder: Path, digest: "hashlib._Hash") -> None:
    """Add a sample of every tensor in `folder` to a hash."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for name in sorted(tensors.keys()):
                values = tensors.get_tensor(name)
                digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
                digest.update(_sample(values))


def fingerprint_shape(config: Mapping[str, Any]) -> str:
    """Return the fingerprint of an architecture with random weights: of its configuration alone."""
    return _hash_config(config).hexdigest()[:16]


def _hash_config(config: Mapping[str, Any]) -> "hashlib._Hash":
    """Begin a hash with what of a config.json decides the answers."""
    kept = {key: value for key, value in config.items() if key not in VOLATILE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode())


def _sample(values: torch.Tensor) -> bytes:
    """Return the bytes of evenly spaced values."""
    flat = values.flatten()
    spaced = flat[:: max(1, -(-flat.numel() // SAMPLED))].contiguous()
    return spaced.view(torch.uint8).numpy().tobytes()
