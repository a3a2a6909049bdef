"""Tiny random models with tiny tokenizers; the fixtures in `conftest.py` hand them out.

Llama and Qwen3 are unlike in all that has gone wrong elsewhere: Llama without a chat template, with
a begin token, untied; Qwen3 with a chat template, without a begin token, tied. Mistral, without its
window, is a third for what must hold in every architecture. All have more rows of embeddings than
tokens, grouped key heads, and two end tokens. Weights are drawn wide, so that answers depend on
the context.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gist.models.loading import load_model
from gist.models.model import LanguageModel
from harness.api import PROMPT

BEGIN, END, TURN = "<|begin|>", "<|end|>", "<|turn|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|turn|>{{ message['role'] }}\n{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
MAX_POSITIONS = 2048
SHAPE = {
    "vocab_size": 320,  # more rows than the tokenizer has tokens, as in padded vocabularies
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": MAX_POSITIONS,
    "initializer_range": 0.3,
}


def tiny_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per byte and three special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([BEGIN, END, TURN, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens([BEGIN, END, TURN])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if chat:
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=CHAT_TEMPLATE
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, vocabulary[BEGIN])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END)


def tiny_config(kind: str) -> PretrainedConfig:
    """Return the configuration of the tiny `llama`, `qwen3` or `mistral`."""
    begin = {"tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1}
    if kind == "llama":
        return LlamaConfig(**SHAPE, **begin)
    if kind == "mistral":
        return MistralConfig(**SHAPE, **begin, sliding_window=None)
    return Qwen3Config(**SHAPE, tie_word_embeddings=True, bos_token_id=None, eos_token_id=1)


def save_tiny_model(folder: Path, kind: str) -> Path:
    """Write a tiny random model with its tokenizer in the Hugging Face layout."""
    torch.manual_seed(7)
    kinds: dict[str, type[PreTrainedModel]] = {
        "llama": LlamaForCausalLM,
        "qwen3": Qwen3ForCausalLM,
        "mistral": MistralForCausalLM,
    }
    model = kinds[kind](tiny_config(kind))
    model.generation_config = GenerationConfig(eos_token_id=[1, 2])
    model.save_pretrained(folder)
    tiny_tokenizer(chat=kind == "qwen3").save_pretrained(folder)
    return folder


def load_tiny(folder: Path) -> LanguageModel:
    """Load a tiny model as the command line does, on the CPU."""
    return load_model(str(folder), PROMPT, device="cpu")


def stored_bytes(model: torch.nn.Module) -> int:
    """Bytes of all parameters, with what 4-bit ones keep beside them; a tied one counts once."""
    total = 0
    for parameter in model.parameters():
        tensors = [parameter.data]
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            tensors += [state.absmax, state.code, state.offset, state.state2.absmax]
            tensors += [state.state2.code]
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return total
