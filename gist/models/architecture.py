"""Which architectures can be measured: decoders whose KV cache keeps every entry of every token.

A window, a state or a compressed cache would make both the compression and the memory figures
wrong without any sign of it, so such models are refused by name.
"""

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

from harness.errors import UserError

ALLOWED = (
    "Allowed: decoders with full attention, such as Llama 3, Qwen 2.5, Qwen 3, or Mistral from "
    "version 0.2 on."
)


def check_supported(config: PretrainedConfig, name: str) -> None:
    """Refuse a configuration whose model this project cannot measure.

    Args:
        config: as read from the model.
        name: what the person called the model, for the message.

    Raises:
        UserError: with the model type, the reason and what is allowed.
    """
    reason = _why_not(config)
    if reason:
        raise UserError(f"{name} is of type {config.model_type!r}: {reason}. {ALLOWED}")


def _why_not(config: PretrainedConfig) -> str | None:
    """Return why a model of this configuration cannot be measured, None if it can."""
    text = config.get_text_config()
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
    if kinds and window:
        return f"attention in a sliding window of {window} tokens"
    if kinds:
        return f"its cache is not plain ({', '.join(sorted(kind.__name__ for kind in kinds))})"
    if not getattr(text, "max_position_embeddings", None):
        return "its config.json does not say how many positions it has (max_position_embeddings)"
    return None
