"""Which architectures can be measured: decoders whose KV cache keeps every entry of every token.

A window, a state or a compressed cache would make both the compression and the memory figures
wrong without any sign of it, so such models are refused by name.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

from harness.errors import UserError

MAX_LAYERS = 2048
SWITCHING = ("longrope", "dynamic")  # rotary embeddings with other angles in longer sequences
ALLOWED = (
    "Allowed: decoders with full attention, such as Llama 3, Qwen 2.5, Qwen 3, or Mistral from "
    "version 0.2 on."
)


def check_supported(config: PretrainedConfig, name: str) -> None:
    """Refuse a configuration whose model this project cannot measure.

    Raises:
        UserError: with the model type, the reason and what is allowed.
    """
    reason = _why_not(config)
    if reason:
        raise UserError(f"{name} is of type {config.model_type!r}: {reason}. {ALLOWED}")


def positions_of(config: PretrainedConfig) -> int:
    """Return how many positions a model has at which cached entries stay what they were.

    Two kinds of rotary embeddings take other angles for all positions once a sequence is longer
    than a switch, `longrope` (arXiv 2402.13753) and `dynamic`. Entries that were cached before it
    have the old angles: a cached answer would differ from one pass over the same text. Such models
    end at the switch.
    """
    text = config.get_text_config()
    positions = int(text.max_position_embeddings)
    outer = getattr(text, "original_max_position_embeddings", None)
    for rope in _ropes(getattr(text, "rope_parameters", None)):
        if rope.get("rope_type", rope.get("type")) in SWITCHING:
            given = rope.get("original_max_position_embeddings") or outer
            positions = min(positions, int(given or positions))
    return positions


def without_window(config: PretrainedConfig) -> None:
    """Take a window that no sequence can leave out of a configuration: it hides nothing."""
    text = config.get_text_config()
    if getattr(text, "sliding_window", None) and _covers_all(text):
        text.sliding_window = None
        if getattr(text, "layer_types", None):
            text.layer_types = ["full_attention"] * len(text.layer_types)


def _ropes(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the settings of rotary embeddings: of the model, or of each kind of its layers."""
    if isinstance(parameters, Mapping):
        yield parameters
        for inner in parameters.values():
            yield from _ropes(inner)


def _covers_all(text: PretrainedConfig) -> bool:
    """Say whether a window is at least as long as the longest sequence, and the only speciality."""
    kinds = set(getattr(text, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    known = _is_count(getattr(text, "max_position_embeddings", None))
    return known and not kinds and bool(text.sliding_window >= positions_of(text))


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _why_not(config: PretrainedConfig) -> str | None:
    """Return why a model of this configuration cannot be measured, None if it can."""
    text = config.get_text_config()
    layers = getattr(text, "num_hidden_layers", None)
    if not (_is_count(layers) and layers <= MAX_LAYERS):  # all of them would be built to be counted
        return f"its config.json says num_hidden_layers={layers!r}"
    if config.is_encoder_decoder:
        return "an encoder-decoder, not a decoder alone"
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return "not a causal language model"
    expected: str = getattr(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], "__name__", "")
    if config.architectures and expected not in config.architectures:
        return f"its weights are those of {config.architectures[0]}, not of {expected}"
    if getattr(text, "kv_lora_rank", None):
        return "multi-head latent attention, whose cache holds no plain keys and values"
    kinds = {type(layer) for layer in DynamicCache(config=config).layers} - {DynamicLayer}
    window = getattr(text, "sliding_window", None)
    if kinds and window and not _covers_all(text):
        return f"attention in a sliding window of {window} tokens"
    if kinds and not window:
        return f"its cache is not plain ({', '.join(sorted(kind.__name__ for kind in kinds))})"
    if not _is_count(getattr(text, "max_position_embeddings", None)):
        return "its config.json does not say how many positions it has (max_position_embeddings)"
    return None
