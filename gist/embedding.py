"""Gist embeddings beside the vocabulary, not in it.

Ids beyond the base model's embeddings are served from a table of their own. The vocabulary and
the output head keep their sizes: a gist can never be generated, the base model stays as it is
under 4-bit quantisation, and an adapter stores these few embeddings alone.

Where gist tokens refine means (`placement: residual`), the gates that scale their keys and values
stand here too: they are learned with the embeddings.
"""

import torch
from torch import nn
from transformers import PreTrainedModel

from gist.models.fit import kv_heads_and_dim


class GistEmbedding(nn.Module):
    """Serve ids below the vocabulary's size from the base, gist k = size + k from `gist_rows`."""

    def __init__(self, base: nn.Embedding, count: int, gates: tuple[int, int] | None) -> None:
        super().__init__()
        self.base = base
        self.gates_shape = gates  # (layers, kv_heads)
        if gates:
            self.gist_gates = nn.Embedding(2 * gates[0], gates[1], device=base.weight.device)
            nn.init.zeros_(self.gist_gates.weight)  # the gists start as means
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

    @property
    def gates(self) -> torch.Tensor:
        """What scales keys and values of gist tokens: (layers, 2, kv_heads), float32 or as saved.

        Read through the module, not its weight: PEFT puts the trained copy in its place.
        """
        assert self.gates_shape, "an adapter of another placement"
        layers, heads = self.gates_shape
        every = torch.arange(2 * layers, device=self.base.weight.device)
        gates: torch.Tensor = self.gist_gates(every).view(layers, 2, heads)
        return gates

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


def add_gist_embeddings(
    model: PreTrainedModel, count: int, *, seed: int, gated: bool = False
) -> GistEmbedding:
    """Add `count` gist embeddings beside the model's own, drawn around their mean.

    The draw is N(mean, variance) of the vocabulary per dimension, from its own generator. `gated`
    adds a gate for keys and values of each layer and KV head, all closed.
    """
    base = model.get_input_embeddings()
    assert isinstance(base, nn.Embedding), "the model has gist embeddings already"
    layers = int(model.config.get_text_config().num_hidden_layers)
    kv_heads, _ = kv_heads_and_dim(model.config)
    embedding = GistEmbedding(base, count, (layers, kv_heads) if gated else None)
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
