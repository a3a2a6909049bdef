"""Watch a model from outside while a backend reads and answers.

What its attention sees, counted where every attention of the model goes by; which tokens its logits
favour; and whether it is the base model at that moment. The backend is asked nothing and takes no
part, so that what it reports can be compared with what it did.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache

from gist.models.model import LanguageModel
from gist.sdpa import SdpaMode

PROBE_TOKENS = 16
SAMPLED_WEIGHTS = 64  # of each parameter


@dataclass(slots=True)
class Pass:
    """One forward pass of the model through its layers."""

    tokens: int  # read in each row
    ids: list[list[int]] = field(default_factory=list)  # of these, where they were given as ids
    seen: dict[int, list[float]] = field(default_factory=dict)  # layer -> keys of each row's last
    favoured: list[tuple[int, int]] = field(default_factory=list)  # of each row: the most likely
    # next token, and the most likely that is no end token

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return max(map(len, self.seen.values()), default=0)

    def seen_in(self, row: int) -> tuple[float, float]:
        """Return the keys that a row's last token saw: the mean over layers, and the largest."""
        counts = [seen[row] for seen in self.seen.values() if row < len(seen)]
        return sum(counts) / len(counts), max(counts)


class _Attention(SdpaMode):
    """Counts the keys of every attention while a layer of the model runs."""

    def __init__(self, log: "_Log") -> None:
        super().__init__()
        self._log = log

    def attend(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Attend as it is; look at what sdpa is given."""
        if self._log.is_counting:
            self._log.count(*_attended(*args, **kwargs))
        return super().attend(*args, **kwargs)


class _Log:
    """The passes so far, and where the present one is."""

    def __init__(self, heads: int, end_ids: frozenset[int], at_first: Callable[[], None]) -> None:
        self.passes: list[Pass] = []
        self._ids: list[list[int]] = []
        self._layer: int | None = None
        self._heads = heads
        self._ends = torch.tensor(sorted(end_ids))
        self._at_first = at_first
        self._paused = False

    @property
    def is_counting(self) -> bool:
        return self._layer is not None and not self._paused

    def count(self, tokens: int, heads: int, seen: list[float]) -> None:
        """Add one call of attention: of all heads, of some, or of heads folded into tokens."""
        assert self._layer is not None
        now = self.passes[-1]
        before = now.seen.get(self._layer, [0.0] * len(seen))
        if heads == self._heads and tokens < now.tokens:  # read in pieces: the last sees most
            now.seen[self._layer] = list(map(max, before, seen))
            return
        folded = heads * tokens == self._heads * now.tokens
        share = 1.0 if folded else heads / self._heads
        now.seen[self._layer] = [a + share * b for a, b in zip(before, seen, strict=True)]

    def give(self, ids: torch.Tensor | None) -> None:
        """Note what the next pass reads; ids: (rows, tokens)."""
        if not self._paused:
            self._ids = [] if ids is None else ids.tolist()

    def enter(self, layer: int, tokens: int) -> None:
        if self._paused:
            return
        if layer == 0:
            if not self.passes:
                self._paused = True
                try:
                    self._at_first()
                finally:
                    self._paused = False
            self.passes.append(Pass(tokens, self._ids))
        self._layer = layer if self.passes else None

    def leave(self) -> None:
        if not self._paused:
            self._layer = None

    def favour(self, logits: torch.Tensor) -> None:
        """Note the most likely tokens; logits: (rows, tokens, vocabulary)."""
        if self._paused or not self.passes:
            return
        last = logits[:, -1].detach().float()  # (rows, vocabulary)
        free = last.index_fill(-1, self._ends.to(last.device), -torch.inf)
        pairs = zip(last.argmax(-1).tolist(), free.argmax(-1).tolist(), strict=True)
        self.passes[-1].favoured = list(pairs)


@contextmanager
def watching(
    lm: LanguageModel, *, at_first: Callable[[], None] = lambda: None
) -> Iterator[list[Pass]]:
    """Collect the forward passes of a model, whoever starts them.

    Args:
        lm: the model; what other networks of the process compute is not looked at.
        at_first: called where the first pass begins, with the model as that pass will find it.
    """
    layers = _layers(lm.model)
    log = _Log(int(lm.model.config.get_text_config().num_attention_heads), lm.end_ids, at_first)
    decoder, head = lm.model.get_decoder(), lm.model.get_output_embeddings()
    with ExitStack() as hooks, _Attention(log):
        for number, layer in enumerate(layers):
            enter = layer.register_forward_pre_hook(
                lambda _, given, options, n=number: log.enter(n, _tokens(given, options)),
                with_kwargs=True,
            )
            hooks.enter_context(enter)
            hooks.enter_context(layer.register_forward_hook(lambda *_: log.leave()))
        give = decoder.register_forward_pre_hook(
            lambda _, given, options: log.give(given[0] if given else options.get("input_ids")),
            with_kwargs=True,
        )
        hooks.enter_context(give)
        if head is not None:
            hooks.enter_context(head.register_forward_hook(lambda _m, _i, out: log.favour(out)))
        yield log.passes


def chains(passes: Sequence[Pass]) -> list[list[Pass]]:
    """Return the passes of each batch of answers: reading, then a token in every row at a time."""
    found: list[list[Pass]] = []
    for now in passes:
        last = found[-1][-1] if found else None
        if last is not None and _follows(now, last):
            found[-1].append(now)
        else:
            found.append([now])
    return found


def _follows(now: Pass, last: Pass) -> bool:
    if now.tokens != 1 or now.rows != last.rows or not now.rows:
        return False
    return all(now.seen_in(row)[1] == last.seen_in(row)[1] + 1 for row in range(now.rows))


@torch.inference_mode()
def probe(lm: LanguageModel) -> torch.Tensor:
    """Return the logits after a fixed sequence of tokens, (vocabulary,), on the CPU."""
    size = min(lm.model.config.get_text_config().vocab_size, 2 * PROBE_TOKENS)
    ids = lm.ids([[size - 1 - k % size for k in range(PROBE_TOKENS)]])  # (1, tokens)
    # Hooks that prune a cache want one, and leave it alone in a pass that follows another one.
    follows = torch.arange(PROBE_TOKENS, 2 * PROBE_TOKENS, device=ids.device)  # (tokens,)
    logits: torch.Tensor = lm.model(
        input_ids=ids, past_key_values=DynamicCache(), use_cache=True, cache_position=follows
    ).logits
    return logits[0, -1].float().cpu()


@torch.no_grad()
def weights_hash(model: nn.Module) -> str:
    """Return a hash of the names of all parameters and of some numbers of each."""
    found = hashlib.sha256()
    for name, parameter in model.named_parameters():
        flat = parameter.detach().flatten()
        some = flat[:: max(1, len(flat) // SAMPLED_WEIGHTS)]
        found.update(name.encode() + some.float().cpu().numpy().tobytes())
    return found.hexdigest()


def _layers(model: Any) -> list[nn.Module]:
    """Return the decoder's layers, in order."""
    lists = (each for each in model.get_decoder().children() if isinstance(each, nn.ModuleList))
    return max((list(each) for each in lists), key=len)


def _tokens(given: tuple[Any, ...], options: dict[str, Any]) -> int:
    hidden = given[0] if given else options["hidden_states"]  # (rows, tokens, hidden)
    return int(hidden.shape[1])


def _attended(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,  # noqa: ARG001 - as sdpa is called
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,
    **_: Any,
) -> tuple[int, int, list[float]]:
    """Return tokens, heads, and how many keys the last token of each row may attend to.

    A mask of numbers is added to the scores: only what is far below 0 hides anything.
    """
    rows, heads, tokens, _size = query.shape
    keys = key.shape[-2]
    if attn_mask is None:
        # Causal without a mask aligns the first query with the first key.
        return tokens, heads, [float(min(tokens, keys) if is_causal else keys)] * rows
    last = attn_mask[..., -1, :keys]  # ([rows, [heads,]] keys)
    allowed = last if last.dtype == torch.bool else last > -1e4
    counts = allowed.sum(-1).float()  # ([rows, [heads]])
    counts = counts.mean(-1) if counts.dim() == 2 else counts
    return tokens, heads, counts.expand(rows).tolist()


@contextmanager
def reading(lm: LanguageModel) -> Iterator[list[torch.Tensor]]:
    """Collect the keys and values in the caches that forward passes have filled."""
    read: list[torch.Tensor] = []

    def remember(_module: Any, _inputs: Any, options: dict[str, Any], _output: Any) -> None:
        cache = options.get("past_key_values")
        for layer in getattr(cache, "layers", ()):
            pair = (getattr(layer, name, None) for name in ("keys", "values"))
            read.extend(tensor for tensor in pair if isinstance(tensor, torch.Tensor))

    with lm.model.get_decoder().register_forward_hook(remember, with_kwargs=True):
        yield read
