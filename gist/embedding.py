"""Gist embeddings beside the vocabulary, not in it.

Ids beyond the base model's embeddings are served from a table of their own. The vocabulary and
the output head keep their sizes: a gist can never be generated, the base model stays as it is
under 4-bit quantisation, and an adapter stores these few embeddings alone.
"""

import torch
from torch import nn
from transformers import PreTrainedModel


class GistEmbedding(nn.Module):
    """Serve ids below the vocabulary's size from the base, gist k = size + k from `gist_rows`."""

    def __init__(self, base: nn.Embedding, count: int) -> None:
        super().__init__()
        self.base = base
        self.gist_rows = nn.Embedding(
            count, base.embedding_dim, dtype=base.weight.dtype, device=base.weight.device
        )

    @property
    def weight(self) -> torch.Tensor:
        """The base model's table: what other code takes for the embedding's weight."""
        return self.base.weight

    @property
    def num_embeddings(self) -> int:
        """The size of the base model's table."""
        return self.base.num_embeddings

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of ids (batch, tokens) as (batch, tokens, hidden)."""
        size = self.base.num_embeddings
        is_gist = ids >= size
        # They are float32 in training: cast, or all that follows would be float32, too.
        gists = self.gist_rows((ids - size).clamp(min=0)).to(self.base.weight.dtype)
        return torch.where(is_gist[..., None], gists, self.base(ids.masked_fill(is_gist, 0)))


def first_gist_id(model: PreTrainedModel) -> int:
    """Return the id of gist 0: the number of embeddings of the base model."""
    weight = model.get_input_embeddings().weight  # (vocabulary, hidden)
    assert isinstance(weight, torch.Tensor)
    return len(weight)


def add_gist_embeddings(model: PreTrainedModel, count: int, *, seed: int) -> GistEmbedding:
    """Add `count` gist embeddings beside the model's own, drawn around their mean.

    The draw is N(mean, variance) of the vocabulary per dimension, from its own generator.
    """
    base = model.get_input_embeddings()
    assert isinstance(base, nn.Embedding), "the model has gist embeddings already"
    embedding = GistEmbedding(base, count)
    draw_embeddings(embedding.gist_rows.weight, like=base.weight, seed=seed)
    model.set_input_embeddings(embedding)
    return embedding


@torch.no_grad()
def draw_embeddings(gists: torch.Tensor, *, like: torch.Tensor, seed: int) -> None:
    """Fill `gists` (gists, hidden) with draws from N(mean, variance) of `like` per dimension."""
    weight = like.detach().float()  # (vocabulary, hidden)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(gists.shape, generator=generator).to(weight.device)
    gists.copy_(weight.mean(dim=0) + noise * weight.std(dim=0))
