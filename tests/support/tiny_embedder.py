"""Embedders without trained weights: one that counts letters, and a random BERT as a folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = ["the", "amber", "harp", "is", "in", "hall", "red", "cup", "which", "holds", "##s", "7"]
POSITIONS = 16  # of the random BERT, special tokens included


class LetterEmbedder:
    """Counts letters, and how many passages it was given."""

    name = "letters"
    fingerprint = "letters-1"
    languages = ""
    max_tokens: int | None = 40

    def __init__(self) -> None:
        self.passages_read = 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Count words."""
        return [len(text.split()) for text in texts]

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Count the letters of each text."""
        self.passages_read += len(texts)
        return self.embed_questions(texts)

    def embed_questions(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Count the letters of each text."""
        rows = [[text.lower().count(letter) for letter in LETTERS] for text in texts]
        return np.array(rows, dtype=np.float32)

    def close(self) -> None:
        """Nothing is held."""


def save_tiny_embedder(folder: Path) -> Path:
    """Write a random BERT that reads 14 tokens of text, in the Hugging Face layout."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=POSITIONS)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=POSITIONS,
    )
    torch.manual_seed(3)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
