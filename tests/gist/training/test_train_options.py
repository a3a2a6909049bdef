"""Options of training: each changes what it says it does."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from gist.adapter import added, attached
from gist.checkpoint import read_card
from gist.collator import Example, PackedCollator
from gist.compress import compress
from gist.embedding import first_gist_id
from gist.forward import PackedForward
from gist.layout import GistPlan
from gist.lora import LoraOptions
from gist.models.model import LanguageModel
from gist.training.configuration import EvaluationOptions
from gist.training.evaluation import EvaluationCallback
from gist.training.heldout import Scores, held_out
from harness.errors import UserError
from tests.gist.training.conftest import Trained
from tests.gist.training.tiny_training import configured, same, train_tiny, weights


@pytest.mark.parametrize(
    "options",
    [
        {"distillation": 1.0},
        {"reconstruction": 1.0},
        {"accumulation": 2, "rows_first_steps": 2},
    ],
)
def test_an_option_changes_what_is_learnt(tiny_weights: Trained, options: dict[str, Any]) -> None:
    """A loss or a batch that had no effect would leave the same parameters."""
    assert not same(tiny_weights(), tiny_weights(**options))


def test_training_goes_on_from_an_adapter(
    tiny_llama: LanguageModel, uninterrupted: Callable[..., Path], tmp_path: Path
) -> None:
    """Without a step to take it is the adapter it began with; one of another rank is refused."""
    first = uninterrupted() / "adapter"
    second = train_tiny(
        tiny_llama, tmp_path / "second", lr=0.0, gist_lr=0.0, init_adapter=str(first)
    )
    assert same(weights(first), weights(second))
    with pytest.raises(UserError, match="another rank: 4"):
        train_tiny(tiny_llama, tmp_path / "third", rank=2, init_adapter=str(first))
    assert not (tmp_path / "third").exists()


def test_gist_embeddings_learn_alone_at_first(
    tiny_llama: LanguageModel, tiny_weights: Trained
) -> None:
    """While they do, LoRA stays at zero; the gist embeddings do not stay."""
    alone = tiny_weights(rows_first_steps=99)
    assert all(tensor.abs().max() == 0 for name, tensor in alone.items() if "lora_B" in name)
    both = tiny_weights()
    assert all(tensor.abs().max() > 0 for name, tensor in both.items() if "lora_B" in name)
    (learnt,) = (tensor for name, tensor in alone.items() if "gist_rows" in name)
    plan = configured().layout.plan
    with added(tiny_llama.model, plan, LoraOptions(rank=4, alpha=8), seed=5) as fresh:
        (start,) = (p for name, p in fresh.named_parameters() if "gist_rows.modules_to" in name)
        assert not torch.equal(learnt, start.detach())


def test_all_embeddings_can_be_trained_and_come_back(
    tiny_qwen3: LanguageModel, tmp_path: Path
) -> None:
    """With embeddings=full the vocabulary changes too, and loading gives the trained model."""
    lm = tiny_qwen3
    folder = train_tiny(lm, tmp_path / "out", embeddings="full", keep_prefix=False)
    assert any("lm_head" in name for name in weights(folder))
    context = lm.tokenizer.encode("The key is 17.")
    before = lm.model.get_input_embeddings().weight.clone()
    with attached(lm, folder) as card:
        assert not torch.equal(lm.model.get_input_embeddings().weight, before)
        assert first_gist_id(lm.model) == len(before)
        state = compress(lm, context, gists=3, plan=card.plan)
    assert state.entries == 3  # the prefix was dropped
    assert torch.equal(lm.model.get_input_embeddings().weight, before)


def test_a_checkpoint_shows_its_scores(uninterrupted: Callable[..., Path]) -> None:
    """Curve, table and verdict are in the adapter card, and the files beside it."""
    folder = uninterrupted(eval_steps=3) / "adapter"
    card = read_card(folder)
    assert [row["step"] for row in card.training["curve"]] == [3.0, 6.0]
    assert {row["gists"] for row in card.training["table"]} == {
        "ratio=4", "ratio=8", "tokens=2", "tokens=3",
    }  # fmt: skip
    assert card.training["verdict"].startswith("the model ignores its gists")  # after six steps
    with (folder / "heldout.csv").open() as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [3.0, 6.0]
    with (folder / "log.csv").open() as file:
        assert float(next(csv.DictReader(file))["grad_norm"]) > 0


class _Falling:
    """Held-out contexts on which every score is worse than the one before."""

    def __init__(self) -> None:
        self.bits = 1.0

    def ask(self, model: Any, way: str, **amount: Any) -> Scores:  # noqa: ARG002
        """Return a higher loss each time that gists are asked."""
        self.bits += 0.1 if way == "gist" else 0.0
        return Scores(np.ones(3), np.full(3, self.bits), np.ones(3))


def test_training_stops_when_scores_fall(tmp_path: Path) -> None:
    """After `patience` scores without a better one; the best adapter is kept."""

    class Saved:
        steps: list[str] = []  # noqa: RUF012

        def named_parameters(self) -> list[Any]:
            return []

        def save_pretrained(self, folder: str, **_: Any) -> None:
            self.steps.append(folder)

    held: Any = _Falling()
    baselines = {
        name: Scores(np.ones(3), np.zeros(3), np.ones(3)) for name in ("full", "closed_book")
    }
    watch = EvaluationCallback(
        held,
        baselines,
        ratio=4,
        tokens=None,
        output=tmp_path,
        options=EvaluationOptions(eval_steps=10, patience=2),
    )
    arguments = TrainingArguments(output_dir=str(tmp_path), max_steps=100, use_cpu=True)
    state, control = TrainerState(), TrainerControl()
    watch.on_train_begin(arguments, state, control)
    for step in (10, 20, 30):
        assert not control.should_training_stop
        state.global_step = step
        watch.on_step_end(arguments, state, control, model=Saved())
    assert control.should_training_stop
    assert len(Saved.steps) == 1


def test_another_training_cannot_be_gone_on_with(
    tiny_llama: LanguageModel,
    tiny_qwen3: LanguageModel,
    uninterrupted: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Another seed, recipe or base in the folder of a training is refused by name."""
    output = tmp_path / "out"
    shutil.copytree(uninterrupted(), output)
    with pytest.raises(UserError, match="differs in seed"):
        train_tiny(tiny_llama, output, resume=True, seed=6)
    with pytest.raises(UserError, match="differs in recipe"):
        train_tiny(tiny_llama, output, resume=True, distillation=0.5)
    with pytest.raises(UserError, match="base_fingerprint"):
        train_tiny(tiny_qwen3, output, resume=True)
    assert json.loads((output / "training.json").read_text())["seed"] == 5


def test_a_mask_that_lets_the_context_through_stops_training(
    tiny_llama: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, with the gradients that were measured."""
    import gist.collator
    from gist.masks import packed_mask

    def open_mask(segments: torch.Tensor, **given: bool) -> torch.Tensor:  # noqa: ARG001
        return packed_mask(segments, see_context=True)

    monkeypatch.setattr(gist.collator, "packed_mask", open_mask)
    with pytest.raises(UserError, match="the mask is wrong"):
        train_tiny(tiny_llama, tmp_path / "out")
    assert not list((tmp_path / "out").glob("checkpoint-*"))


def test_a_tokenizer_with_gist_tokens_is_refused(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """It belongs to a model that was changed for gists before."""
    tiny_llama.tokenizer.inner.add_tokens(["<GIST_0>"])
    with pytest.raises(UserError, match="<GIST_0>"):
        train_tiny(tiny_llama, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dropped_prefix_is_hidden_in_training_too(tiny_llama: LanguageModel) -> None:
    """Answers of the packed pass do not depend on the prefix when the plan drops it."""
    lm = tiny_llama
    plan = GistPlan(rows=8, segment_tokens=16, keep_prefix=False)
    collator = PackedCollator(lm.prompt, first_gist_id(lm.model), plan)
    example = Example((5, 6, 7, 8), (((9, 10), (11, 1)),), gists=2)
    mask = collator([example])["attention_mask"][0, 0]
    before, asked = len(lm.prompt.before), len(lm.prompt.before) + 6
    assert not mask[asked:, :before].any()
    kept = replace(collator, plan=replace(plan, keep_prefix=True))([example])["attention_mask"]
    assert kept[0, 0, asked:, :before].all()
    held = held_out([example], PackedForward(collator), batch_tokens=10)
    assert held.examples == (example,)


def test_an_adapter_that_pools_is_trained_and_loaded(
    tiny_llama: LanguageModel, uninterrupted: Callable[..., Path]
) -> None:
    """LoRA alone, in 16 bits if asked for; compressing takes it like any other."""
    folder = uninterrupted(placement="pool", rows=None, adapter_dtype="float16") / "adapter"
    tensors = weights(folder)
    assert all(
        "lora_" in name and tensor.dtype is torch.float16 for name, tensor in tensors.items()
    )
    assert any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)
    context = tiny_llama.tokenizer.encode("The key is 17.")
    with attached(tiny_llama, folder) as card:
        assert card.plan == GistPlan(rows=0, placement="pool", segment_tokens=64)
        state = compress(tiny_llama, context, gists=len(context), plan=card.plan)
    assert state.entries == len(tiny_llama.prompt.before) + len(context)


def test_gists_that_refine_means_start_from_an_adapter_of_means(
    tiny_llama: LanguageModel, uninterrupted: Callable[..., Path], tmp_path: Path
) -> None:
    """Rows and gates are learned beside LoRA; the other way round is refused."""
    means = uninterrupted(placement="pool", rows=None, adapter_dtype="float16") / "adapter"
    options: dict[str, Any] = {"placement": "residual", "rows": 3, "init_adapter": str(means)}
    folder = train_tiny(tiny_llama, tmp_path / "out", **options)
    learned = {name.split(".")[-2]: each for name, each in weights(folder).items()}
    assert learned["gist_rows"].shape[0] == 3
    assert learned["gist_gates"].any()
    context = tiny_llama.tokenizer.encode("The key is 17.")
    with attached(tiny_llama, folder) as card:
        state = compress(tiny_llama, context, gists=len(context), plan=card.plan)
    assert state.entries == len(tiny_llama.prompt.before) + len(context)
    with pytest.raises(UserError, match="another placement: residual"):
        train_tiny(
            tiny_llama, tmp_path / "back", placement="pool", rows=None, init_adapter=str(folder)
        )


@pytest.mark.parametrize(("placement", "rows"), [("pool", None), ("residual", 3)])
def test_a_pooling_training_that_was_stopped_goes_on(
    tiny_llama: LanguageModel,
    uninterrupted: Callable[..., Path],
    tmp_path: Path,
    placement: str,
    rows: int | None,
) -> None:
    """Bit for bit, as if it had not been."""
    options: dict[str, Any] = {"placement": placement, "rows": rows, "adapter_dtype": "float16"}
    whole, output = uninterrupted(**options), tmp_path / "out"
    shutil.copytree(whole, output)
    shutil.rmtree(output / "adapter")
    shutil.rmtree(output / "checkpoint-6")
    folder = train_tiny(tiny_llama, output, resume=True, **options)
    assert same(weights(folder), weights(whole / "adapter"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 8}, "and so no rows. Leave them out"),
        ({"rows": None, "keep_prefix": False}, "takes neither positions nor keep_prefix"),
    ],
)
def test_what_pooling_has_no_use_for_is_refused(options: dict[str, Any], message: str) -> None:
    """In one line, before a model is loaded."""
    with pytest.raises(UserError, match=message):
        configured(placement="pool", **options)
