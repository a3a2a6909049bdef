"""Load a language model by name: a shipped model, a folder, a hub id, a GGUF file, a bare shape.

What can be refused is refused before weights are read: unsupported architectures, pickles, models
that do not fit. The dtype without a choice is bfloat16 on CUDA and in 4 bits, and float32 on the
CPU whatever the checkpoint holds: every backend shares it, and no rounding hides a difference.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from gist.models import fit, folders, nf4, shapes, shipped
from gist.models.architecture import positions_of
from gist.models.fingerprint import fingerprint_folder, fingerprint_shape
from gist.models.memory import check_fits
from gist.models.model import LanguageModel
from gist.models.prompt import PromptIds, PromptText, TextTokenizer, find_end_ids, render_prompt
from gist.models.weights import check_computes, check_storage, read_weights
from harness.errors import UserError, reading

log = logging.getLogger(__name__)

TOKENIZER_OF_SHAPES = "reference"  # the shipped model whose tokenizer a bare shape borrows
DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model and its tokenizer, however they came about."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    details: Mapping[str, Any]  # what run.json should say of it besides
    random_weights: bool = True
    does_not_fit: str = ""


def load_model(
    name: str,
    prompt: PromptText,
    *,
    device: str | None = None,
    dtype: str | None = None,
    load_in_4bit: bool = False,
    without_weights: str = "",
) -> LanguageModel:
    """Load a model with its tokenizer and the prompt's pieces.

    Args:
        name: as `find_folder` takes it, `shape:NAME` or `shape:PATH/config.json`.
        prompt: its texts, worked examples among them.
        device: as torch names it; None: CUDA if there is one, else the CPU.
        dtype: one of `DTYPES`; None: bfloat16 on CUDA and in 4 bits, else float32.
        load_in_4bit: NF4 with double quantisation, computing in `dtype`.
        without_weights: why the weights stay on the meta device, where that is wanted.

    Raises:
        UserError: one line, for everything that a person can mend.
        OutOfMemory: when the weights of a real model are larger than the free memory. A shape that
            does not fit is returned on the meta device, and every `reserve` of it raises.
    """
    disable_progress_bar()  # a line per shard says nothing to the user of a small model
    target = choose_device(device)
    kind = choose_dtype(dtype, target, load_in_4bit)
    if load_in_4bit:
        nf4.check_available(kind)
    if without_weights:
        loaded = _load_skeleton(name, kind, without_weights)
    else:
        load = _load_shape if name.startswith(shapes.PREFIX) else _load_folder
        loaded = load(name, target, kind, load_in_4bit)
    with reading(name, fault="has no usable tokenizer", advice=folders.RESTORE):
        pieces = render_prompt(loaded.tokenizer, prompt)
        tokenizer = TextTokenizer(loaded.tokenizer)
        _check_vocabulary(loaded, pieces, name)
        end_ids = find_end_ids(loaded.model, loaded.tokenizer, name)
    check_computes(loaded.model, pieces, name)
    return LanguageModel(
        name=name,
        model=loaded.model,
        tokenizer=tokenizer,
        prompt=pieces,
        end_ids=end_ids,
        max_positions=_usable_positions(loaded.model.config, name),
        fingerprint=loaded.fingerprint,
        random_weights=loaded.random_weights,
        load_in_4bit=load_in_4bit,
        does_not_fit=loaded.does_not_fit,
        details=loaded.details,
    )


def _usable_positions(config: PretrainedConfig, name: str) -> int:
    """Return how many positions can be used; say so where the model was made for more."""
    usable = positions_of(config)
    published = int(config.get_text_config().max_position_embeddings)
    if usable < published:
        log.warning(
            f"{name}: sequences end at {usable} of {published} positions. There its rotary angles "
            "switch, and entries that were cached before it would be wrong."
        )
    return usable


def read_facts(name: str) -> tuple[PretrainedConfig, PreTrainedTokenizerBase]:
    """Return a model's configuration and tokenizer, for what can be said without its weights."""
    if name.startswith(shapes.PREFIX):
        config = shapes.shape_config(name)
        shapes.raise_positions(config)
        return config, folders.read_tokenizer(_tokenizer_folder(name), name)
    folder = folders.find_folder(name, weights=False)
    return folders.read_config(folder, name), folders.read_tokenizer(folder, name)


def choose_device(device: str | None) -> torch.device:
    """Return the device to load onto; refuse one that is not there."""
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.ones(1, device=chosen).tolist()  # on `meta` there is nothing to read back
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        count = torch.cuda.device_count()
        there = ", ".join(["cpu", *(f"cuda:{number}" for number in range(count))])
        raise UserError(f"no device {device!r} on this machine. Devices: {there}.") from error
    return chosen


def choose_dtype(dtype: str | None, device: torch.device, load_in_4bit: bool) -> torch.dtype:
    """Return the dtype to load in: the given one, or what suits the device."""
    if dtype is None or dtype == "auto":
        return torch.bfloat16 if load_in_4bit or device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}. Dtypes: {', '.join(DTYPES)}.")
    return cast(torch.dtype, getattr(torch, dtype))


def _load_folder(name: str, device: torch.device, dtype: torch.dtype, in_4bit: bool) -> _Loaded:
    """Load trained weights from a folder or the hub, after everything cheaper has been checked."""
    folder = folders.find_folder(name)
    config = folders.read_config(folder, name)
    check_storage(config, name, in_4bit)
    tokenizer = folders.read_tokenizer(folder, name)
    folders.check_weights(folder, name)
    folders.check_generation(folder)
    with reading(folder / "config.json", advice=folders.RESTORE):  # sizes that no model can have
        need_bytes = fit.weights_bytes(config, dtype, in_4bit)
    check_fits(need_bytes, device, what=f"{name} (weights as {str(dtype).removeprefix('torch.')})")
    model = read_weights(folder, config, name=name, device=device, dtype=dtype, in_4bit=in_4bit)
    with reading(f"cannot load {name}", fault="", advice=folders.RESTORE):
        fingerprint = fingerprint_folder(folder)
    revision = folder.name if folder.parent.name == "snapshots" else None  # of the hub's cache
    details = {"revision": revision, **_described(name, tokenizer)}
    return _Loaded(model, tokenizer, fingerprint, details, random_weights=False)


def _described(name: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, str | bool]:
    """Return what a report should know of a model: how it answers, and what it can read."""
    model = shipped.find(name)
    if model is None:
        return {"answers_in_sentences": bool(tokenizer.chat_template), "reads_any_text": True}
    return {
        "title": model.title,
        "licence": model.licence,
        "source": model.source,
        "answers_in_sentences": model.answers_in_sentences,
        "reads_any_text": model.reads_any_text,
    }


def _load_skeleton(name: str, dtype: torch.dtype, reason: str) -> _Loaded:
    """Build a model that has shapes and no weights, for what can be computed from them."""
    config, tokenizer = read_facts(name)
    fingerprint = fingerprint_shape(config.to_diff_dict())
    return _Loaded(fit.skeleton(config, dtype), tokenizer, fingerprint, {}, does_not_fit=reason)


def _load_shape(name: str, device: torch.device, dtype: torch.dtype, in_4bit: bool) -> _Loaded:
    """Build an architecture with random weights and the reference model's tokenizer."""
    published = shapes.shape_config(name)
    config, tokenizer = read_facts(name)  # it may have more positions than were published
    raised = config.max_position_embeddings > published.max_position_embeddings
    details = {"positions_raised_from": published.max_position_embeddings if raised else None}
    fingerprint = fingerprint_shape(published.to_diff_dict())
    model, does_not_fit = shapes.build_random(
        config, name=name, device=device, dtype=dtype, in_4bit=in_4bit
    )
    return _Loaded(model, tokenizer, fingerprint, details, does_not_fit=does_not_fit)


def _tokenizer_folder(shape: str) -> Path:
    """Return where a shape's tokenizer is: beside its config.json, else the reference model's."""
    beside = Path(shape.removeprefix(shapes.PREFIX)).expanduser().parent
    if shape.endswith(".json") and (beside / "tokenizer.json").is_file():
        return beside
    return folders.find_folder(TOKENIZER_OF_SHAPES)


def _check_vocabulary(loaded: _Loaded, prompt: PromptIds, name: str) -> None:
    """Refuse a tokenizer with ids that the model has no embedding for."""
    rows = int(loaded.model.config.get_text_config().vocab_size)
    largest = max(*prompt.before, *prompt.between, *prompt.after, loaded.tokenizer.vocab_size - 1)
    if largest >= rows:
        raise UserError(
            f"the tokenizer of {name} has ids up to {largest}, its model has {rows} embeddings: "
            "they do not belong together"
        )
