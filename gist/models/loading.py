"""Load a language model by name: a shipped model, a folder, a hub id, a GGUF file, a bare shape.

What can be refused is refused before weights are read: unsupported architectures, pickles, models
that do not fit. The dtype without a choice is bfloat16 on CUDA and in 4 bits, and float32 on the
CPU whatever the checkpoint holds: every backend shares it, and no rounding hides a difference.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from gist.models import fit, folders, nf4, shapes, shipped
from gist.models.architecture import positions_of
from gist.models.fingerprint import fingerprint_folder, fingerprint_shape
from gist.models.memory import check_fits
from gist.models.model import LanguageModel
from gist.models.prompt import PromptIds, PromptText, TextTokenizer, end_of_turn, render_prompt
from harness.errors import OutOfMemory, UserError, one_line, reading

log = logging.getLogger(__name__)

TOKENIZER_OF_SHAPES = "reference"  # the shipped model whose tokenizer a bare shape borrows
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model and its tokenizer, however they came about."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    random_weights: bool
    details: Mapping[str, Any]  # what run.json should say of it besides
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
    _check_computes(loaded.model, pieces, name)
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


def _check_computes(model: PreTrainedModel, prompt: PromptIds, name: str) -> None:
    """Refuse a model that its configuration lets be built, and not be used.

    A token is read, and one more behind its cached entry: what is wrong in the sizes of heads, in
    rotary settings or in what a forward pass returns shows here, and not in the middle of a run.
    """
    if model.device.type == "meta":
        return
    ids = torch.tensor([[*prompt.before, *prompt.between, *prompt.after][:1]], device=model.device)
    wrong = "cannot compute with what its config.json and weights say"
    try:
        with reading(name, fault=wrong, advice=folders.RESTORE), torch.inference_mode():
            first = model(ids, use_cache=True)
            second = model(ids, past_key_values=first.past_key_values, use_cache=True)
            # Attention can hide angles that are no numbers, and answer something.
            numbers = [second.logits.isnan(), *(~each.isfinite() for each in model.buffers())]
            lost = any(bool(each.any()) for each in numbers)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"{name} does not fit on {model.device}: {one_line(error)}") from error
    if lost:
        raise UserError(f"{name} {wrong}: some of it is no number. {folders.RESTORE}")


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
    return DTYPES[dtype]


def find_end_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
) -> frozenset[int]:
    """Return every id that ends an answer.

    Those of the generation configuration, the tokenizer's own, and the one that the chat template
    writes at the end of a turn, which some checkpoints name nowhere else.
    """
    ends: set[int | None] = {tokenizer.eos_token_id}
    given = model.generation_config.eos_token_id if model.generation_config else None
    ends.update(given if isinstance(given, list) else [given])
    stated = frozenset(end for end in ends if end is not None)
    if not all(isinstance(end, int) for end in stated):
        raise UserError(
            f"generation_config.json of {name} names eos_token_id={given!r}, which is no number or "
            "list of numbers. Correct it."
        )
    turn = end_of_turn(tokenizer)
    if turn is None or turn in stated:
        return stated
    named = ", ".join(str(tokenizer.convert_ids_to_tokens(end)) for end in sorted(stated)) or "none"
    log.warning(
        f"{name}: answers end at {tokenizer.convert_ids_to_tokens(turn)}, as its chat template "
        f"ends a turn, and at what its configuration names: {named}"
    )
    return stated | {turn}


def _load_folder(name: str, device: torch.device, dtype: torch.dtype, in_4bit: bool) -> _Loaded:
    """Load trained weights from a folder or the hub, after everything cheaper has been checked."""
    folder = folders.find_folder(name)
    config = folders.read_config(folder, name)
    stored_4bit = _check_stored_quantisation(config, name, in_4bit)
    tokenizer = folders.read_tokenizer(folder, name)
    folders.check_weights(folder, name)
    folders.check_generation(folder)
    with reading(folder / "config.json", advice=folders.RESTORE):  # sizes that no model can have
        need_bytes = fit.weights_bytes(config, dtype, in_4bit)
    check_fits(need_bytes, device, what=f"{name} (weights as {str(dtype).removeprefix('torch.')})")
    quantisation = nf4.quantisation(dtype) if in_4bit and not stored_4bit else None
    model = _read_weights(folder, config, name, device, dtype, quantisation)
    with reading(f"cannot load {name}", fault="", advice=folders.RESTORE):
        fingerprint = fingerprint_folder(folder)
    return _Loaded(
        model,
        tokenizer,
        fingerprint,
        random_weights=False,
        details={"revision": folders.hub_revision(folder), **_described(name, tokenizer)},
    )


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
    model = fit.skeleton(config, dtype)
    return _Loaded(model, tokenizer, fingerprint, True, {}, does_not_fit=reason)


def _load_shape(name: str, device: torch.device, dtype: torch.dtype, in_4bit: bool) -> _Loaded:
    """Build an architecture with random weights and the reference model's tokenizer."""
    config = shapes.shape_config(name)
    fingerprint = fingerprint_shape(config.to_diff_dict())
    published = config.max_position_embeddings
    raised = shapes.raise_positions(config)
    tokenizer = folders.read_tokenizer(_tokenizer_folder(name), name)
    model, does_not_fit = shapes.build_random(
        config, name=name, device=device, dtype=dtype, in_4bit=in_4bit
    )
    return _Loaded(
        model,
        tokenizer,
        fingerprint,
        random_weights=True,
        details={"positions_raised_from": published if raised else None},
        does_not_fit=does_not_fit,
    )


def _tokenizer_folder(shape: str) -> Path:
    """Return where a shape's tokenizer is: beside its config.json, else the reference model's."""
    beside = Path(shape.removeprefix(shapes.PREFIX)).expanduser().parent
    if shape.endswith(".json") and (beside / "tokenizer.json").is_file():
        return beside
    return folders.find_folder(TOKENIZER_OF_SHAPES)


def _read_weights(
    folder: Path,
    config: PretrainedConfig,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    quantisation: BitsAndBytesConfig | None,
) -> PreTrainedModel:
    """Read the weights of a folder onto the device; refuse incomplete or damaged ones."""
    # Given as None, it would switch off a quantisation that the checkpoint itself states.
    options = {} if quantisation is None else {"quantization_config": quantisation}
    try:
        with reading(f"cannot load {name}", fault="", advice=folders.RESTORE), _without_report():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                device_map=str(device),
                attn_implementation="sdpa",  # boolean 4D masks are wrong in eager attention
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"{name} does not fit on {device}: {one_line(error)}") from error
    model: PreTrainedModel = loaded[0]
    missing, unused = (sorted(loaded[1][kind]) for kind in ("missing_keys", "unexpected_keys"))
    if unused:
        log.warning(f"{name} has {len(unused)} tensors that are not used, such as {unused[0]}.")
    if missing:  # the library would fill them with random numbers
        raise UserError(
            f"{name} lacks {len(missing)} of its model's tensors, such as {missing[0]}: its files "
            "belong to another architecture or are incomplete"
        )
    nf4.keep_gradients(model)
    return model


@contextmanager
def _without_report() -> Iterator[None]:
    """Keep back a table that Transformers prints of tensors that do not fit: a line says it."""

    def is_other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in str(record.msg)

    source = logging.getLogger("transformers.modeling_utils")
    source.addFilter(is_other)
    try:
        yield
    finally:
        source.removeFilter(is_other)


def _check_stored_quantisation(config: PretrainedConfig, name: str, in_4bit: bool) -> bool:
    """Say whether the weights are stored in 4 bits; refuse storage that cannot be read."""
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return False
    method = stored.get("quant_method", "unknown")
    if method != "bitsandbytes" or not stored.get("load_in_4bit"):
        raise UserError(
            f"{name} is stored quantised ({method}), which cannot be read. Allowed: plain "
            "safetensors, or 4 bits of bitsandbytes."
        )
    if not in_4bit:
        raise UserError(f"{name} is stored in 4 bits. Add --load-in-4bit.")
    return True


def _check_vocabulary(loaded: _Loaded, prompt: PromptIds, name: str) -> None:
    """Refuse a tokenizer with ids that the model has no embedding for."""
    rows = int(loaded.model.config.get_text_config().vocab_size)
    largest = max(*prompt.before, *prompt.between, *prompt.after, loaded.tokenizer.vocab_size - 1)
    if largest >= rows:
        raise UserError(
            f"the tokenizer of {name} has ids up to {largest}, its model has {rows} embeddings: "
            "they do not belong together"
        )
