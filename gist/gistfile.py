"""A gist file: the KV entries of one compressed document, and what they belong to.

    document.gist   safetensors: `keys.0`, `values.0`, ... (kv_heads, entries, head_dim), one pair
                    per layer; its metadata (gistheader.py) is the fields of `Manifest` and a
                    checksum over both

The entries are those of the prompt's beginning and of the gists, or of the gists alone: then who
opens the file reads the beginning, which is the same for every document.

KV entries mean nothing to another model, adapter or prompt, so these are checked before the entries
are read, and the checksum after. A file may come from anywhere: sizes and shapes are compared with
the model's before anything of that size is allocated.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from transformers import DynamicCache

from gist.caches import entries_of
from gist.decode import KVState
from gist.gistheader import FORMAT, Manifest, opened, read_header
from gist.models.fit import kv_heads_and_dim
from gist.models.folders import absolute_name
from gist.models.memory import check_fits
from gist.models.model import LanguageModel
from harness.errors import UserError, reading
from harness.files import write_atomically


def identity(lm: LanguageModel, adapter_hash: str) -> dict[str, Any]:
    """Return the fields of `Manifest` that must be the same in a file and where it is loaded."""
    return {
        "base_fingerprint": lm.fingerprint,
        "prompt_hash": lm.prompt_hash,
        "adapter_hash": adapter_hash,
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "load_in_4bit": int(lm.load_in_4bit),
    }


def hints(lm: LanguageModel, checkpoint: Path | None) -> dict[str, str]:
    """Return where model and adapter are found: folders by their whole paths."""
    return {
        "model": absolute_name(lm.name),
        "checkpoint": str(checkpoint.expanduser().resolve()) if checkpoint else "",
    }


def write_gist_file(path: Path, state: KVState, manifest: Manifest, *, force: bool = False) -> None:
    """Write a gist file whole or not at all.

    The state may have the entries of the prompt's beginning or lack them: the manifest is the same.

    Raises:
        UserError: there is something at `path`, and not `force`.
        OSError: the disk is full, or the folder cannot be written.
    """
    check_absent(path, force=force)
    tensors = {}
    for number, layer in enumerate(state.cache.layers):
        keys, values = entries_of(layer)
        tensors[f"keys.{number}"] = keys[0].cpu().contiguous()
        tensors[f"values.{number}"] = values[0].cpu().contiguous()
    header = {"format": FORMAT, **{name: str(value) for name, value in asdict(manifest).items()}}
    header["checksum"] = _checksum(header, tensors)
    content = save_tensors(tensors, header)
    check_absent(path, force=force)  # again: what came before may have taken long
    write_atomically(path, content)


def check_absent(path: Path, *, force: bool) -> None:
    """Refuse to write where something is, or where no folder is.

    Raises:
        UserError: with what to do.
    """
    if not path.parent.is_dir():
        raise UserError(f"no folder {path.parent}. Make it first.")
    if path.is_dir() and not path.is_symlink():
        raise UserError(f"{path} is a folder. Give the name of a file.")
    if os.path.lexists(path) and not force:
        raise UserError(f"{path} exists. Choose another name, or overwrite it with --force.")


def load_gist_file(path: Path, lm: LanguageModel, adapter_hash: str) -> tuple[Manifest, KVState]:
    """Read a gist file for a model; its adapter must be loaded when it is asked.

    Returns:
        What the file says of itself, and the entries that it holds: `manifest.entries`, or
        `manifest.gists` where it was written without the prompt's beginning.

    Raises:
        UserError: it is damaged, or made for another model, adapter, prompt or dtype.
        OutOfMemory: its entries need more memory than there is.
    """
    with opened(path) as file:
        manifest, header = read_header(file, path)
        _check_identity(path, manifest, identity(lm, adapter_hash))
        shapes = _check_sizes(path, manifest, lm)
        need_bytes = os.fstat(file.fileno()).st_size
        check_fits(2 * need_bytes, lm.model.device, what=str(path))
        file.seek(0)
        content = file.read(need_bytes)
    with reading(path, fault="is damaged"):
        tensors = load_tensors(content)
    layers = int(lm.model.config.get_text_config().num_hidden_layers)
    wanted = {f"{kind}.{number}" for number in range(layers) for kind in ("keys", "values")}
    found = {tuple(tensor.shape) for tensor in tensors.values()}
    if (
        set(tensors) != wanted
        or len(found) != 1
        or not found <= shapes
        or any(tensor.dtype != lm.model.dtype for tensor in tensors.values())
    ):
        raise UserError(f"{path} is damaged: its tensors are not those of {manifest.model}")
    if header.pop("checksum") != _checksum(header, tensors):
        raise UserError(f"{path} is damaged: its checksum is wrong. Make it again.")
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise UserError(f"{path} is damaged: it holds numbers that are not finite")
    cache = DynamicCache()
    for number in range(layers):
        keys, values = tensors[f"keys.{number}"], tensors[f"values.{number}"]
        cache.update(keys[None].to(lm.model.device), values[None].to(lm.model.device), number)
    return manifest, KVState(cache, manifest.next_position)


def _check_identity(path: Path, manifest: Manifest, here: Mapping[str, Any]) -> None:
    """Refuse a file of another model, adapter, prompt or kind of weights."""
    what = {
        "base_fingerprint": f"another model, {manifest.model}: give it with --model",
        "prompt_hash": "another prompt or number of --shots: compress the document again",
        "adapter_hash": f"another adapter, {manifest.checkpoint}: give it with --checkpoint"
        if manifest.checkpoint
        else f"another version of the adapter of {manifest.model}: compress the document again",
        "dtype": f"weights in another dtype: give --dtype {manifest.dtype}",
        "load_in_4bit": "4-bit weights: add --load-in-4bit"
        if manifest.load_in_4bit
        else "weights that are not in 4 bits: leave out --load-in-4bit",
    }
    for name, advice in what.items():
        made = getattr(manifest, name)
        if made != here[name]:
            raise UserError(f"{path} was made with {advice} ({made}, here {here[name]})")


def _check_sizes(path: Path, manifest: Manifest, lm: LanguageModel) -> set[tuple[int, ...]]:
    """Return the shapes of which every tensor must have one; refuse numbers that cannot be."""
    prefix = len(lm.prompt.before)
    possible = (
        manifest.gists >= 1
        and manifest.prefix_entries in (0, prefix)
        and prefix < manifest.next_position <= lm.max_positions
    )
    if not possible:
        raise UserError(
            f"{path} is damaged: {manifest.entries} KV entries up to position "
            f"{manifest.next_position} are not what {lm.name} gives"
        )
    kv_heads, head_dim = kv_heads_and_dim(lm.model.config)
    return {(kv_heads, entries, head_dim) for entries in (manifest.entries, manifest.gists)}


def _checksum(header: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a hash of what a file says and holds; against damage, not against forgery."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].view(torch.uint8).numpy().data)
    return digest.hexdigest()
