"""The tiny Llama as a GGUF file, written with the package of llama.cpp."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.constants import MODEL_ARCH
from gguf.quants import quantize
from gguf.tensor_mapping import get_tensor_name_map
from safetensors.torch import load_file

from tests.support.tiny_models import CHAT_TEMPLATE, SHAPE, tiny_tokenizer

LAYERS = 2


def write_tiny_gguf(
    file: Path,
    folder: Path,
    *,
    architecture: str = "llama",
    quantised: bool = False,
    pre: str = "default",
    without: str = "",
    scaling: str = "",
    rope_base: float = 10_000.0,
    divisors: Sequence[float] = (),
) -> Path:
    """Write the tiny Llama in `folder` as a GGUF file.

    Args:
        file: where to.
        folder: the model in the Hugging Face layout.
        architecture: what the file says that it is.
        quantised: matrices of attention in 8 bits, the rest stays float32.
        pre: how text is cut before the merges.
        without: the tensor that is left out.
        scaling: how the file says that its rotary positions are scaled.
        rope_base: of the rotary positions.
        divisors: of their frequencies.
    """
    writer = GGUFWriter(file, architecture)
    writer.add_name("tiny")
    writer.add_context_length(int(SHAPE["max_position_embeddings"]))
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(int(SHAPE["hidden_size"]))
    writer.add_feed_forward_length(int(SHAPE["intermediate_size"]))
    writer.add_head_count(int(SHAPE["num_attention_heads"]))
    writer.add_head_count_kv(int(SHAPE["num_key_value_heads"]))
    writer.add_rope_dimension_count(int(SHAPE["head_dim"]))
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(rope_base)
    writer.add_vocab_size(int(SHAPE["vocab_size"]))
    if scaling:
        writer.add_string(f"{architecture}.rope.scaling.type", scaling)
    _add_tokenizer(writer, pre)
    if divisors:
        writer.add_tensor("rope_freqs.weight", np.array(divisors, dtype=np.float32))
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, LAYERS)
    for name, tensor in load_file(folder / "model.safetensors").items():
        stem, _, suffix = name.rpartition(".")
        new = f"{names.get_name(stem)}.{suffix}"
        if name == without:
            continue
        values = _in_pairs(name, tensor).numpy()
        if quantised and "attn_" in new and values.ndim == 2:
            eight = GGMLQuantizationType.Q8_0
            writer.add_tensor(new, quantize(values, eight), raw_dtype=eight)
        else:
            writer.add_tensor(new, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _in_pairs(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return queries and keys of a Llama in the order of llama.cpp: rotated pairs side by side."""
    kinds = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    heads = next((int(SHAPE[kind]) for part, kind in kinds.items() if part in name), 0)
    if not heads:
        return tensor
    halves = tensor.view(heads, 2, -1, tensor.shape[-1])  # (heads, 2, head_dim / 2, hidden)
    return halves.transpose(1, 2).reshape(tensor.shape).contiguous()


def _add_tokenizer(writer: GGUFWriter, pre: str) -> None:
    tokenizer = tiny_tokenizer(chat=True)
    tokens = [str(tokenizer.convert_ids_to_tokens(each)) for each in range(len(tokenizer))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(
        [TokenType.CONTROL if t.startswith("<|") else TokenType.NORMAL for t in tokens]
    )
    writer.add_token_scores([0.0] * len(tokens))  # no merges: every token is one byte
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    writer.add_unk_token_id(1)
    writer.add_chat_template(CHAT_TEMPLATE)
