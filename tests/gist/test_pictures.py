"""Pictures show what is computed: pixels are those of the mask and of the attention."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from gist import pictures
from gist.adapter import added
from gist.collator import Example, PackedCollator
from gist.embedding import first_gist_id
from gist.layout import GIST, GistPlan, lay_out
from gist.lora import LoraOptions
from gist.models.model import LanguageModel

PLAN = GistPlan(rows=8, segment_tokens=20)
CONTEXT = tuple(range(10, 50))
QUESTIONS = (((60, 61, 62), (70, 71, 1)), ((63, 64), (72, 1)))
EXAMPLE = Example(CONTEXT, QUESTIONS, gists=6, snippets=(((12, 13), (14, 15)),))


@pytest.fixture
def adapted(tiny_model: LanguageModel) -> Iterator[LanguageModel]:
    """Either tiny model with gist rows."""
    with added(tiny_model.model, PLAN, LoraOptions(rank=2), seed=1) as peft:
        peft.eval()
        yield tiny_model


def share_of(path: Path, colour: str) -> float:
    """Return the share of a picture's pixels that have a colour."""
    pixels = imread(path)[..., :3]  # (height, width, 3)
    return float((np.abs(pixels - to_rgb(colour)) < 0.01).all(axis=-1).mean())


def test_the_mask_is_drawn_as_the_collator_makes_it(adapted: LanguageModel, tmp_path: Path) -> None:
    """Each colour covers as much as its kind of token is seen."""
    collator = PackedCollator(adapted.prompt, first_gist_id(adapted.model), PLAN)
    path = pictures.training_mask(tmp_path / "mask.png", collator, EXAMPLE)
    mask = collator([EXAMPLE])["attention_mask"][0, 0]  # (tokens, tokens)
    layout = lay_out(
        adapted.prompt.before,
        CONTEXT,
        gists=6,
        first_gist_id=collator.first_gist_id,
        plan=PLAN,
    )
    kinds = torch.tensor([*layout.kinds, *[3] * (len(mask) - len(layout.kinds))])
    seen = [int(mask[:, kinds == kind].sum()) for kind in range(4)]
    drawn = [share_of(path, colour) for colour in pictures.COLOURS.values()]
    expected = np.array(seen) / sum(seen)
    assert np.array(drawn) / sum(drawn) == pytest.approx(expected, abs=0.02)


def test_attention_is_the_models_own(adapted: LanguageModel) -> None:
    """It equals what eager attention gives for the same sequence, layer by layer."""
    layers = pictures.attention_of_gists(adapted, CONTEXT, gists=6, plan=PLAN)
    layout = lay_out(
        adapted.prompt.before,
        CONTEXT,
        gists=6,
        first_gist_id=first_gist_id(adapted.model),
        plan=PLAN,
    )
    rows = [row for row, kind in enumerate(layout.kinds) if kind == GIST]
    adapted.model.set_attn_implementation("eager")
    with torch.inference_mode():
        output = adapted.model(
            input_ids=adapted.ids([layout.ids]),
            position_ids=adapted.ids([layout.positions]),
            attention_mask=adapted.ids([[1] * len(layout.ids)]),
            output_attentions=True,
        )
    assert len(layers) == len(output.attentions) == 2
    for mine, theirs in zip(layers, output.attentions, strict=True):
        torch.testing.assert_close(mine, theirs[0, :, rows].mean(dim=0), atol=1e-5, rtol=1e-4)


def test_what_gists_attend_to_is_drawn(adapted: LanguageModel, tmp_path: Path) -> None:
    """A panel for each layer; what stands behind a gist is grey."""
    path = pictures.gist_attention(tmp_path / "a.png", adapted, CONTEXT, gists=6, plan=PLAN)
    assert 0.1 < share_of(path, pictures.HIDDEN) < 0.3  # a quarter of the panels
    late = pictures.gist_attention(
        tmp_path / "b.png",
        adapted,
        CONTEXT,
        gists=6,
        plan=GistPlan(rows=8, placement="end"),
    )
    assert share_of(late, pictures.HIDDEN) < 0.01


def test_importing_pictures_draws_on_nothing() -> None:
    """Matplotlib is imported when something is drawn: nothing of it is at the top."""
    sources = {getattr(value, "__module__", "") or "" for value in vars(pictures).values()}
    assert not [name for name in sources if name.startswith("matplotlib")]
    assert not [name for name in vars(pictures) if "matplotlib" in name]
