"""Build the reference model: a small Qwen3 with its own tokenizer, before any training."""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, set_seed

BEGIN, USER, ASSISTANT, END, PAD = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
PIECE_REPEATS = 100_000  # more often than any pair of letters occurs in the texts
CHAT_TEMPLATE = (
    BEGIN + "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '" + END + "' }}"
    "{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"
)


def train_tokenizer(
    texts: Iterable[str], *, pieces: Sequence[str], vocabulary: int, min_frequency: int
) -> PreTrainedTokenizerFast:
    """Fit a byte-level BPE with one token per digit.

    Every text is given a leading space, so that a word has the same ids at the start of a text
    and inside it. Merges rarer in `texts` than `min_frequency` are not made, and `pieces` (a
    capital letter begins a word) are merged before all else: names must stay syllables, or
    held-out names would be spelled in pieces that training never used.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=min_frequency,
        special_tokens=[BEGIN, USER, ASSISTANT, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # A digit in front keeps a piece from being the start of a word.
    alone = (piece if piece[0].isupper() else f"1{piece}" for piece in pieces)
    first = repeat(" ".join(alone), PIECE_REPEATS)
    tokenizer.train_from_iterator(chain(first, texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast,
    *,
    layers: int,
    hidden: int,
    heads: int,
    max_positions: int,
    seed: int,
) -> Qwen3ForCausalLM:
    """Return an untrained model: heads of 64 dimensions, tied embeddings, rotary base 100,000."""
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=64,
        attention_bias=True,  # heads that look at a place, whatever stands there, form sooner
        max_position_embeddings=max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    # What all tokens have in common is what attention by position alone can hold on to.
    with torch.no_grad():
        shared = torch.randn(hidden) * config.initializer_range
        model.model.embed_tokens.weight.add_(shared)
    return model


def save(folder: Path, model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write model and tokenizer in the Hugging Face layout."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
