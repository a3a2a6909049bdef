"""What a packed training step costs, computed from a configuration: memory by part, and FLOPs.

Only the adapter learns, so a frozen linear layer keeps nothing for the backward pass; what does is
listed in `_kept_of_a_layer`, term by term, for decoders with gated feed-forward layers. Under
gradient checkpointing a layer keeps its input alone, and is computed again when its turn comes.
Tests hold the sum against what PyTorch allocates on a CPU. On CUDA, add what the driver itself
takes (about 0.5 GiB).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from transformers import PretrainedConfig, PreTrainedModel

from gist.models import fit
from gist.models.model import LanguageModel
from gist.training.configuration import AdapterOptions, TrainingConfiguration

FLOAT32_BYTES = 4
MEASURED_S = 0.3  # for which products are counted
ADAM_COPIES = 4  # a trained number is kept as weight, gradient and two moments


@dataclass(frozen=True, slots=True)
class Base:
    """The frozen model."""

    config: PretrainedConfig
    dtype: torch.dtype
    in_4bit: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One packed batch."""

    tokens: int  # of a row: prompt, context, gists, all questions and answers
    answer_tokens: int  # of a row: columns that logits are computed for
    batch: int = 1
    gradient_checkpointing: bool = False
    autocast: bool = True  # to bfloat16


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """Bytes at the largest moment of a step, by part, and the work in it."""

    weights_bytes: int  # of the base model
    adapter_bytes: int  # LoRA: float32 weights, gradients, Adam's two moments
    embeddings_bytes: int  # the gist embeddings, or copies of embeddings and head; as above
    saved_bytes: int  # what the layers keep until the backward pass
    recompute_bytes: int  # one layer's gradients; under checkpointing, what it keeps, too
    dequantised_bytes: int  # the largest weight as it is multiplied
    logits_bytes: int  # at answers alone, with their float32 copies and gradients
    mask_bytes: int  # the boolean 4D mask
    flops: int  # floating-point operations of forward, backward and recomputation

    @property
    def total_bytes(self) -> int:
        """All parts together."""
        names = [field.name for field in fields(self) if field.name.endswith("_bytes")]
        return sum(getattr(self, name) for name in names)

    @property
    def trained_bytes(self) -> int:
        """What learns, with gradients and moments."""
        return self.adapter_bytes + self.embeddings_bytes

    @property
    def activation_bytes(self) -> int:
        """What a step holds besides, and gives back."""
        return self.total_bytes - self.weights_bytes - self.trained_bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a decoder's layers are made of, read from its skeleton."""

    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int
    query: int  # query heads x head_dim
    keys: int  # key heads x head_dim
    heads: int
    head_norms: bool  # queries and keys are normalised, as in Qwen3
    linear: int  # weights of all quantised layers
    largest: int  # weights of the largest of them
    targets: tuple[tuple[int, int], ...]  # (in, out) of every layer with LoRA, over all layers


def step_cost(
    lm: LanguageModel,
    configuration: TrainingConfiguration,
    *,
    tokens: int,
    answer_tokens: int,
    batch: int = 1,
) -> TrainingCost:
    """Compute what a step of a configured training takes; see `Step` for its size."""
    options = configuration.optimiser
    step = Step(tokens, answer_tokens, batch, options.gradient_checkpointing, options.bf16)
    base = Base(lm.model.config, lm.model.dtype, lm.load_in_4bit)
    return estimate(base, configuration.adapter, configuration.layout.plan.rows, step)


def estimate(base: Base, adapter: AdapterOptions, rows: int, step: Step) -> TrainingCost:
    """Compute what one training step takes, with so many gist embeddings; nothing is allocated."""
    shape = _read_shape(base.config, adapter.targets)
    lora = adapter.rank * sum(inward + outward for inward, outward in shape.targets)
    kept = _kept_of_a_layer(shape, base, adapter, step)
    tokens = step.tokens * step.batch
    # Gate, up and their product get a gradient at the same time.
    gradients = 3 * shape.feed_forward * _computed_bytes(base, step) * tokens
    inputs = shape.hidden * base.dtype.itemsize * tokens
    final_norm = shape.hidden * FLOAT32_BYTES * tokens
    checkpointing = step.gradient_checkpointing
    answers = step.answer_tokens * step.batch
    # In the model's dtype with a gradient; in float32 once more, as logarithms and as gradients.
    of_a_logit = 2 * base.dtype.itemsize + 3 * FLOAT32_BYTES
    return TrainingCost(
        weights_bytes=fit.weights_bytes(base.config, base.dtype, base.in_4bit),
        adapter_bytes=lora * FLOAT32_BYTES * ADAM_COPIES,
        embeddings_bytes=_embeddings_bytes(shape, base, adapter, rows),
        saved_bytes=shape.layers * (inputs if checkpointing else kept) + final_norm,
        recompute_bytes=gradients + (kept if checkpointing else 0),
        dequantised_bytes=shape.largest * _computed_bytes(base, step) if base.in_4bit else 0,
        logits_bytes=answers * shape.vocabulary * of_a_logit,
        mask_bytes=step.batch * step.tokens**2,
        flops=_flops(shape, lora, adapter, step),
    )


def reading_flops(config: PretrainedConfig, *, tokens: int) -> int:
    """Count the operations of one forward pass over a sequence, its last token's logits included.

    LoRA's few are left out.
    """
    shape = _read_shape(config, ())
    attention = 4 * shape.layers * tokens**2 * shape.query
    return 2 * tokens * shape.linear + attention + 2 * shape.vocabulary * shape.hidden


def measure_flop_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations per second of a matrix product here.

    A step reaches half to nine tenths of it: seconds made from this rate are a lower bound.
    """
    size = 512 if device.type == "cpu" else 4096
    square = torch.ones(size, size, device=device, dtype=dtype)
    (square @ square).sum().item()  # the first call sets things up
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < MEASURED_S:
        (square @ square)[0, 0].item()  # waits for the device
        count += 1
    return count * 2 * size**3 / (time.perf_counter() - start)


def _read_shape(config: PretrainedConfig, targets: Sequence[str]) -> _Shape:
    model = fit.skeleton(config)
    text = config.get_text_config()
    linear = fit.quantised_layers(model)
    sizes = [layer.weight.numel() for layer in linear.values()]
    kv_heads, head_dim = fit.kv_heads_and_dim(config)
    return _Shape(
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        feed_forward=text.intermediate_size,
        vocabulary=text.vocab_size,
        query=text.num_attention_heads * head_dim,
        keys=kv_heads * head_dim,
        heads=text.num_attention_heads,
        head_norms=_has_head_norms(model, head_dim, hidden=text.hidden_size),
        linear=sum(sizes),
        largest=max(sizes),
        targets=tuple(
            (layer.in_features, layer.out_features)
            for name, layer in linear.items()
            if name.rpartition(".")[2] in targets
        ),
    )


def _has_head_norms(model: PreTrainedModel, head_dim: int, *, hidden: int) -> bool:
    """Say whether some norm spans a head instead of the whole hidden state."""
    norms = [p for name, p in model.named_parameters() if p.ndim == 1 and name.endswith("weight")]
    return head_dim != hidden and any(len(norm) == head_dim for norm in norms)


def _computed_bytes(base: Base, step: Step) -> int:
    """Return the bytes of a number in linear layers and attention."""
    return torch.bfloat16.itemsize if step.autocast else base.dtype.itemsize


def _kept_of_a_layer(shape: _Shape, base: Base, adapter: AdapterOptions, step: Step) -> int:
    """Return the bytes that one layer keeps for its backward pass."""
    number = _computed_bytes(base, step)
    norms = 2 * shape.hidden * FLOAT32_BYTES  # what two norms have read, in float32
    if shape.head_norms:
        norms += (shape.query + shape.keys) * FLOAT32_BYTES
    # LoRA's matrices learn, so their inputs stay: a copy for each, where they are cast.
    own = shape.targets[: len(shape.targets) // shape.layers]
    lora_number = number if step.autocast else FLOAT32_BYTES
    lora = sum(inward + adapter.rank for inward, _ in own) * lora_number
    attention = 4 * shape.query * number + shape.heads * FLOAT32_BYTES  # keys, values repeated
    mask = step.tokens * number  # of each row: sdpa makes a bias of the mask, in every layer
    feed_forward = 3 * shape.feed_forward * number  # gate, its activation, up
    kept = step.batch * step.tokens * (norms + lora + attention + mask + feed_forward)
    if step.autocast and base.dtype.itemsize > number and not base.in_4bit:
        kept += shape.linear // shape.layers * number  # weights cast for the product
    return kept


def _embeddings_bytes(shape: _Shape, base: Base, adapter: AdapterOptions, rows: int) -> int:
    numbers = rows * shape.hidden
    if adapter.embeddings == "rows":
        return numbers * FLOAT32_BYTES * ADAM_COPIES
    tables = 2 * shape.vocabulary * shape.hidden + numbers  # copies: a tied head gets its own
    return tables * base.dtype.itemsize * ADAM_COPIES


def _flops(shape: _Shape, lora: int, adapter: AdapterOptions, step: Step) -> int:
    """Count multiplications and additions as two operations, over the whole batch.

    Frozen weights get no gradient, so a layer's backward pass costs as much as its forward pass;
    LoRA's costs twice as much. Attention is computed over all pairs, masked or not.
    """
    forwards = 2 if step.gradient_checkpointing else 1
    layers = 2 * step.tokens * shape.linear * (forwards + 1)
    adapters = 2 * step.tokens * lora * (forwards + 2)
    pairs = 2 * shape.layers * step.tokens**2 * shape.query
    attention = pairs * (2 * forwards + 5)  # backward makes the scores again
    head = 2 * step.answer_tokens * shape.vocabulary * shape.hidden
    logits = head * (3 if adapter.embeddings == "full" else 2)
    return step.batch * (layers + adapters + attention + logits)
