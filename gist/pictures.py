"""Pictures, as PNG: which tokens see which in training, and what gists attend to.

Made from what is computed, not drawn by hand: the mask comes from the collator, the attention from
the queries and keys of a compression.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gist.collator import Example, PackedCollator
from gist.compress import compress, layout_for
from gist.layout import BEFORE, CONTEXT, GIST, GistPlan, Layout
from gist.models.model import LanguageModel
from gist.sdpa import EachAttention, Inputs
from gist.validity import shortened
from harness.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which differ for every kind of colour blindness.
COLOURS = {"before": "#999999", "context": "#56b4e9", "gist": "#e69f00", "question": "#009e73"}
HIDDEN = "#e8e8e8"
PANELS = 6  # layers shown of a model that has more
LABELS = 70  # names that fit along one side of a mask
DPI = 150
Block = tuple[str, int, int]  # name, first column, one beyond the last


def training_mask(path: Path, collator: PackedCollator, example: Example) -> Path:
    """Draw the mask of a piece of a packed example: rows attend to columns; return `path`."""
    from matplotlib.colors import ListedColormap

    example = shortened(example, collator.plan)
    mask = collator([example])["attention_mask"][0, 0].bool()  # (tokens, tokens)
    blocks = list(_blocks(collator.layout(example), example, collator, len(mask)))
    kinds = torch.zeros(len(mask), dtype=torch.long)  # (tokens,)
    names = list(COLOURS)
    for name, start, end in blocks:
        kinds[start:end] = names.index(name if name in names else "question")
    shown = torch.where(mask, kinds + 1, 0)  # (tokens, tokens): 0 hidden, else of the column
    figure = _figure(8.0, 9.0)
    axes = figure.add_subplot()
    axes.imshow(
        shown.numpy(),
        cmap=ListedColormap([HIDDEN, *COLOURS.values()]),
        vmin=0,
        vmax=len(COLOURS),
        interpolation="nearest",
    )
    _mark_blocks(axes, blocks, tokens=len(mask))
    axes.set_title("What a token sees in training", pad=12)
    axes.set_xlabel("seen token")
    axes.set_ylabel("token that looks")
    _add_legend(figure)
    return _save(figure, path)


def gist_attention(
    path: Path, lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan
) -> Path:
    """Draw what each gist attends to in the context, mean over heads; return `path`.

    The adapter must be loaded.
    """
    from matplotlib import colormaps

    layout = layout_for(lm, context, gists=gists, plan=plan)
    layers = attention_of_gists(lm, context, gists=gists, plan=plan)
    columns = _where(layout, CONTEXT)  # (context tokens,)
    unread = columns[None, :] > _where(layout, GIST)[:, None]  # (gists, context tokens)
    shown = sorted({round(i * (len(layers) - 1) / (PANELS - 1)) for i in range(PANELS)})
    highest = max(float(layers[number][:, columns].max()) for number in shown)
    figure = _figure(10.0, 1.0 + len(shown) * 1.45)
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, number in zip(panels, shown, strict=True):
        weights = layers[number][:, columns]  # (gists, context tokens)
        image = axes.imshow(
            weights.sqrt().masked_fill(unread, torch.nan).numpy(),
            cmap=colormaps["cividis"].with_extremes(bad=HIDDEN),
            vmin=0.0,
            vmax=highest**0.5,
            aspect="auto",
            interpolation="nearest",
        )
        share = float(weights.sum(dim=-1).mean())
        axes.set_title(
            f"layer {number + 1} of {len(layers)}: {share:.0%} of the attention is on the context",
            loc="left",
            fontsize=9,
        )
        axes.set_ylabel("gist")
        axes.yaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlabel("token of the context (grey: not read yet)")
    figure.suptitle("What gists attend to, mean over heads")
    bar = figure.colorbar(image, ax=list(panels), pad=0.02)
    bar.set_label("attention weight (square-root scale)")
    ticks = [highest * share for share in (0.0, 0.04, 0.25, 1.0)]
    bar.set_ticks([tick**0.5 for tick in ticks], labels=[f"{tick:.2f}" for tick in ticks])
    return _save(figure, path)


def attention_of_gists(
    lm: LanguageModel, context: Sequence[int], *, gists: int, plan: GistPlan
) -> list[torch.Tensor]:
    """Return for each layer the attention of gists to everything read, mean over heads.

    Computed from the queries and keys that a compression hands to sdpa, since eager attention
    would take another path.

    Returns:
        float32 (gists, tokens) per layer; each row sums to 1.
    """
    layout = layout_for(lm, context, gists=gists, plan=plan)
    rows = _where(layout, GIST)  # (gists,)
    columns = torch.arange(len(layout.kinds))
    hidden = columns[None, :] > rows[:, None]  # (gists, tokens)
    found: list[torch.Tensor] = []

    def look(inputs: Inputs, scale: float) -> Inputs:
        query, keys, _ = inputs
        repeats = query.shape[1] // keys.shape[1]
        asking = query[0, :, rows.to(query.device)].float()  # (heads, gists, head_dim)
        asked = keys[0].repeat_interleave(repeats, dim=0).float()  # (heads, tokens, head_dim)
        scores = asking @ asked.transpose(-1, -2) * scale
        scores = scores.masked_fill(hidden.to(query.device), -torch.inf)
        found.append(scores.softmax(dim=-1).mean(dim=0).cpu())  # (gists, tokens)
        return inputs

    attention = EachAttention(look)
    with attention:
        compress(lm, context, gists=gists, plan=plan)
    attention.check_seen(lm.model.config.get_text_config().num_hidden_layers)
    return found


def _where(layout: Layout, kind: int) -> torch.Tensor:
    """Return the places of the tokens of a kind, (tokens of it,)."""
    return (torch.tensor(layout.kinds) == kind).nonzero()[:, 0]


def _blocks(
    layout: Layout, example: Example, collator: PackedCollator, tokens: int
) -> Iterator[Block]:
    """Yield what stands where: runs of one kind, then each question with its answer."""
    names = {BEFORE: "before", CONTEXT: "context", GIST: "gist"}
    start = 0
    for end in range(1, len(layout.kinds) + 1):
        if end == len(layout.kinds) or layout.kinds[end] != layout.kinds[start]:
            yield names[layout.kinds[start]], start, end
            start = end
    around = 0 if example.bare else len(collator.prompt.between) + len(collator.prompt.after)
    asked = [(len(question) + around, answer) for question, answer in example.questions]
    asked += [(len(cue), piece) for cue, piece in example.snippets]
    for number, (size, answer) in enumerate(asked, start=1):
        end = start + size + len(answer) - 1
        yield f"q{number}" if number <= len(example.questions) else "snippet", start, end
        start = end
    assert start == tokens, "packed in another way"


def _mark_blocks(axes: "Axes", blocks: Sequence[Block], *, tokens: int) -> None:
    """Draw lines between blocks, and their names where there is room."""
    for _, _, end in blocks[:-1]:
        axes.axhline(end - 0.5, color="black", linewidth=0.4)
        axes.axvline(end - 0.5, color="black", linewidth=0.4)
    room = [block for block in blocks if block[2] - block[1] >= tokens / LABELS] or blocks
    middles = [(start + end - 1) / 2 for _, start, end in room]
    names = [name for name, _, _ in room]
    axes.set_xticks(middles, names, rotation=90, fontsize=9)
    axes.set_yticks(middles, names, fontsize=9)
    axes.tick_params(length=0)


def _add_legend(figure: "Figure") -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=f"sees {name}") for name, colour in COLOURS.items()]
    handles.append(Patch(facecolor=HIDDEN, edgecolor="#bbbbbb", label="hidden"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9
    )


def _figure(width: float, height: float) -> "Figure":
    """Return a figure that no window shows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> Path:
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=DPI)
    write_whole(path, drawn.getvalue())
    return path
