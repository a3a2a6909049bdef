"""What a model needs in memory, computed from its configuration: weights, KV entries, activations.

Nothing is allocated: parameters are counted on the meta device, the rest is arithmetic. Weights and
KV entries are exact (tests compare them with built models). Activations are an estimate for a
decoder with gated feed-forward layers, which is what Llama, Qwen and Mistral are. On a CPU,
passes over a fresh context came to 1.2 to 1.6 times of what PyTorch allocated in float32, and to
0.95 to 2 times in bfloat16; where several rows get one token each, up to 4 times.
"""

from collections.abc import Mapping

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

NF4_BLOCK = 64  # weights that share one absmax
NF4_ABSMAX_BLOCK = 256  # absmaxes that share one absmax of their own: double quantisation
NF4_CODE_BYTES = 4 * (16 + 256 + 1)  # per layer: both code books and the mean absmax, in float32
FLOAT32_BYTES = 4


def skeleton(config: PretrainedConfig, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Build the model of `config` on the meta device: every shape, no memory."""
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
        )
    model.eval()
    return model


def quantised_layers(model: PreTrainedModel) -> Mapping[str, nn.Linear]:
    """Return the linear layers that 4-bit loading quantises, by name: all but the output layer."""
    output = model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear and module is not output
    }


def weights_bytes(config: PretrainedConfig, dtype: torch.dtype, load_in_4bit: bool) -> int:
    """Return the bytes of the weights; with `load_in_4bit`, NF4 with double quantisation."""
    model = skeleton(config)
    linear = [layer.weight.numel() for layer in quantised_layers(model).values()]
    if not load_in_4bit:
        linear = []
    other = model.num_parameters() - sum(linear)  # a tied output layer counts once
    return sum(map(nf4_bytes, linear)) + other * dtype.itemsize


def nf4_bytes(elements: int) -> int:
    """Return the bytes of one linear layer of `elements` weights in NF4, doubly quantised."""
    blocks = -(-elements // NF4_BLOCK)
    return (
        -(-elements // 2)  # two weights to a byte
        + blocks  # one byte of absmax for each block
        + -(-blocks // NF4_ABSMAX_BLOCK) * FLOAT32_BYTES
        + NF4_CODE_BYTES
    )


def kv_bytes_per_entry(config: PretrainedConfig, dtype: torch.dtype) -> int:
    """Return 2 x layers x kv_heads x head_dim x bytes: one KV entry over all layers."""
    kv_heads, head_dim = kv_heads_and_dim(config)
    layers = int(config.get_text_config().num_hidden_layers)
    return 2 * layers * kv_heads * head_dim * dtype.itemsize


def activation_bytes(
    config: PretrainedConfig,
    dtype: torch.dtype,
    *,
    new_tokens: int,
    past_entries: int = 0,
    batch: int = 1,
    on_cpu: bool = False,
) -> int:
    """Estimate what one forward pass holds beside weights and cache, at its largest moment.

    So many `new_tokens` of each of `batch` rows go through the model, and attend to `past_entries`
    before themselves. PyTorch's kernels in half precision take more on a CPU.
    """
    text = config.get_text_config()
    kv_heads, head_dim = kv_heads_and_dim(config)
    heads: int = text.num_attention_heads
    columns = past_entries + new_tokens
    feed_forward = 3 * text.intermediate_size + 2 * text.hidden_size  # gate, up, product
    rotation = 4 * heads * head_dim + 2 * text.hidden_size  # queries and their rotated parts
    norm = 2 * text.hidden_size * FLOAT32_BYTES  # norms compute in float32
    rows = new_tokens * (max(feed_forward, rotation) * dtype.itemsize + norm)
    # Under a mask keys and values are repeated for every query head, after one layer's cache has
    # been copied to make it longer; and the mask itself becomes a bias in the dtype of the queries.
    one_layer = columns * (2 * heads + 2 * kv_heads) * head_dim * dtype.itemsize
    mask = new_tokens * columns * (1 + dtype.itemsize)
    copied_head = 0
    if on_cpu and dtype.itemsize < FLOAT32_BYTES:
        # The CPU lifts masked attention in half precision to float32, and holds its scores when
        # the queries follow a cache.
        one_layer += columns * 2 * heads * head_dim * FLOAT32_BYTES
        mask += (new_tokens * columns * heads * FLOAT32_BYTES) if past_entries else 0
        # Afterwards it multiplies with a reordered copy of the head, one for each row.
        copied_head = max(text.vocab_size, text.intermediate_size) * text.hidden_size
    logits = text.vocab_size * (dtype.itemsize + FLOAT32_BYTES)  # of the last token only
    layers = rows + one_layer + mask
    return int(batch * (max(layers, copied_head * dtype.itemsize) + logits))


def request_bytes(
    config: PretrainedConfig,
    dtype: torch.dtype,
    *,
    new_entries: int,
    new_tokens: int,
    past_entries: int = 0,
    batch: int = 1,
    on_cpu: bool = False,
) -> int:
    """Return what a request allocates: `new_entries` KV entries over all rows, and activations.

    The other arguments are those of `activation_bytes`.
    """
    return new_entries * kv_bytes_per_entry(config, dtype) + activation_bytes(
        config,
        dtype,
        new_tokens=new_tokens,
        past_entries=past_entries,
        batch=batch,
        on_cpu=on_cpu,
    )


def gradient_bytes(config: PretrainedConfig, dtype: torch.dtype, *, tokens: int) -> int:
    """Return what a pass with gradients to its embeddings holds at most, nothing recomputed.

    Every layer keeps what it computed, and the scores of attention where no fused kernel takes the
    mask: rather too much than too little.
    """
    text = config.get_text_config()
    scores = 2 * text.num_attention_heads * tokens**2 * FLOAT32_BYTES
    one_layer = 2 * activation_bytes(config, dtype, new_tokens=tokens) + scores
    return int(text.num_hidden_layers * one_layer)


def kv_heads_and_dim(config: PretrainedConfig) -> tuple[int, int]:
    """Return (kv_heads, head_dim); older configurations leave out what follows from the rest."""
    text = config.get_text_config()
    kv_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(kv_heads), int(head_dim)
