"""Read the weights of a folder, and refuse those that are incomplete, damaged or of no use."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from gist.models import folders, nf4
from gist.models.prompt import PromptIds
from harness.errors import OutOfMemory, UserError, one_line, reading

log = logging.getLogger(__name__)


def check_storage(config: PretrainedConfig, name: str, in_4bit: bool) -> None:
    """Refuse weights that are stored quantised in a way that cannot be read, or is not wanted."""
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return
    method = stored.get("quant_method", "unknown")
    if method != "bitsandbytes" or not stored.get("load_in_4bit"):
        raise UserError(
            f"{name} is stored quantised ({method}), which cannot be read. Allowed: plain "
            "safetensors, or 4 bits of bitsandbytes."
        )
    if not in_4bit:
        raise UserError(f"{name} is stored in 4 bits. Add --load-in-4bit.")


def read_weights(
    folder: Path,
    config: PretrainedConfig,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    in_4bit: bool,
) -> PreTrainedModel:
    """Read the weights of a folder onto the device; refuse incomplete or damaged ones."""
    # Given, it would take the place of a quantisation that the checkpoint itself states.
    quantises = in_4bit and getattr(config, "quantization_config", None) is None
    options = {"quantization_config": nf4.quantisation(dtype)} if quantises else {}
    with _fitting(name, device, f"cannot load {name}"), _without_report():
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


def check_computes(model: PreTrainedModel, prompt: PromptIds, name: str) -> None:
    """Refuse a model that its configuration lets be built, and not be used.

    A token is read, and one more behind its cached entry: what is wrong in the sizes of heads, in
    rotary settings or in what a forward pass returns shows here, and not in the middle of a run.
    """
    if model.device.type == "meta":
        return
    ids = torch.tensor([[*prompt.before, *prompt.between, *prompt.after][:1]], device=model.device)
    wrong = f"{name} cannot compute with what its config.json and weights say"
    with _fitting(name, model.device, wrong), torch.inference_mode():
        first = model(ids, use_cache=True)
        second = model(ids, past_key_values=first.past_key_values, use_cache=True)
        # Attention can hide angles that are no numbers, and answer something.
        numbers = [second.logits.isnan(), *(~each.isfinite() for each in model.buffers())]
        lost = any(bool(each.any()) for each in numbers)
    if lost:
        raise UserError(f"{wrong}: some of it is no number. {folders.RESTORE}")


@contextmanager
def _fitting(name: str, device: torch.device, wrong: str) -> Iterator[None]:
    """Say in one line that a model is too large for a device, or what is wrong with it."""
    try:
        with reading(wrong, fault="", advice=folders.RESTORE):
            yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"{name} does not fit on {device}: {one_line(error)}") from error


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
