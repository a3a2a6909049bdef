"""Training: what it optimises, how it goes on, and what it leaves behind."""

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from gist.adapter import attached
from gist.checkpoint import paragraph_hashes, read_card, read_contexts, write_contexts
from gist.models.model import LanguageModel
from gist.training import recipe
from gist.training.curriculum import Curriculum
from gist.training.curriculum_options import Stage
from gist.training.stages import trained_contexts
from harness.errors import UserError
from harness.run.training_data import Feed
from tests.gist.training.conftest import Trained
from tests.gist.training.tiny_training import SETTINGS, STAGES, items, same, train_tiny, weights


class Killed(Exception):
    """Stands for a process that is killed."""


def during(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], None]) -> None:
    """Do something at the end of a step, before its checkpoint is written."""

    class Act(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, *given: Any, **named: Any) -> None:  # noqa: ARG002
            if state.global_step == step:
                act()

    original = recipe.Run

    def run(*given: Any, callbacks: Any, **named: Any) -> Any:
        return original(*given, callbacks=[*callbacks, Act()], **named)

    monkeypatch.setattr(recipe, "Run", run)


def kill() -> None:
    """End a training as a kill does."""
    raise Killed


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def steps(path: Path) -> list[float]:
    """Return the steps that a CSV has rows of."""
    with path.open(newline="") as file:
        return [float(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("killed_at", "options"),
    [
        (3, {"distillation": 0.5, "reconstruction": 0.3}),
        (5, {"accumulation": 2, "rows_first_steps": 2}),
        (6, {"eval_steps": 1, "gradient_checkpointing": True}),
    ],
    ids=["losses", "accumulation", "evaluation"],
)
def test_a_resumed_training_equals_an_uninterrupted_one(
    tiny_llama: LanguageModel,
    tiny_weights: Trained,
    uninterrupted: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_at: int,
    options: dict[str, Any],
) -> None:
    """Killed after a checkpoint: the same parameters, and no row of log or curve comes twice."""
    with monkeypatch.context() as patched:
        during(patched, killed_at, kill)
        with pytest.raises(Killed):
            train_tiny(tiny_llama, tmp_path, **options)
    resumed = weights(train_tiny(tiny_llama, tmp_path, resume=True, **options))
    assert same(resumed, tiny_weights(**options))
    whole = uninterrupted(**options)
    for name in ("log.csv", "heldout.csv"):
        assert steps(tmp_path / name) == steps(whole / name)


def test_a_training_killed_before_its_adapter_was_saved_takes_no_more_step(
    tiny_llama: LanguageModel,
    uninterrupted: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The last checkpoint is finished, whether or not it ended early."""
    for name, options in (("whole", {}), ("early", {"patience": 1, "eval_steps": 1})):
        done, output = uninterrupted(**options), tmp_path / name
        shutil.copytree(done, output)
        shutil.rmtree(output / "adapter")
        folder = train_tiny(tiny_llama, output, resume=True, **options)
        assert same(weights(folder), weights(done / "adapter"))
        assert read_card(folder) == read_card(done / "adapter")


def test_resuming_a_training_that_has_ended_changes_nothing(
    tiny_llama: LanguageModel, uninterrupted: Callable[..., Path], tmp_path: Path
) -> None:
    """Every file is as it was."""
    output = tmp_path / "out"
    shutil.copytree(uninterrupted(), output)
    before = files(output)
    assert train_tiny(tiny_llama, output, resume=True) == output / "adapter"
    assert files(output) == before


def test_a_resumed_training_takes_more_steps_or_fewer(
    tiny_llama: LanguageModel,
    tiny_weights: Trained,
    uninterrupted: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """As many as one that had been given them from the start; and no step is taken back."""
    short = {"stages": (STAGES[0], replace(STAGES[1], max_steps=1))}
    long = {"stages": (STAGES[0], replace(STAGES[1], max_steps=2))}
    shutil.copytree(uninterrupted(**short), tmp_path / "longer")
    longer = train_tiny(tiny_llama, tmp_path / "longer", resume=True, **long)
    assert same(weights(longer), tiny_weights(**long))
    assert read_card(longer).training["steps"] == 5
    shutil.copytree(uninterrupted(**long), tmp_path / "shorter")
    shutil.rmtree(tmp_path / "shorter/checkpoint-5")
    shorter = train_tiny(tiny_llama, tmp_path / "shorter", resume=True, **short)
    assert same(weights(shorter), tiny_weights(**short))
    kept = train_tiny(tiny_llama, tmp_path / "longer", resume=True, **short)
    assert same(weights(kept), tiny_weights(**long))
    assert read_card(kept).training["steps"] == 5


def test_an_adapter_knows_the_paragraphs_that_it_was_trained_on(
    tiny_llama: LanguageModel, uninterrupted: Callable[..., Path], tmp_path: Path
) -> None:
    """Those of files that are short enough, and those of the adapter that it began from."""
    texts = ("The key is 17.", "The key is 18.", "The key is 19." * 40)
    pairs = [("Which key?", "1")]
    one = {"keys": Feed(lambda _: iter([(text, pairs) for text in texts]), contexts=3)}
    stages = [replace(STAGES[0], max_context_tokens=100)]
    found = trained_contexts(one, tiny_llama.tokenizer, stages)
    assert found == paragraph_hashes(texts[0]) | paragraph_hashes(texts[1])
    first = uninterrupted() / "adapter"
    assert read_contexts(first) == frozenset()  # made up without end
    start = tmp_path / "start"
    shutil.copytree(first, start)
    write_contexts(start, found)
    again = train_tiny(tiny_llama, tmp_path / "again", init_adapter=str(start))
    assert read_contexts(again) == found


def test_an_interrupted_training_saves_an_adapter(
    tiny_llama: LanguageModel,
    tiny_weights: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGINT and SIGTERM leave a checkpoint that loads, and that training goes on from."""
    for number, step in ((signal.SIGTERM, 1), (signal.SIGINT, 3)):
        seen: list[int] = []
        before = signal.signal(number, lambda *given, seen=seen: seen.append(given[0]))
        with monkeypatch.context() as patched:
            during(patched, step, lambda number=number: os.kill(os.getpid(), number))
            if step == 1:
                train_tiny(tiny_llama, tmp_path)
            else:
                train_tiny(tiny_llama, tmp_path, resume=True)
        signal.signal(number, before)
        assert seen == [number]  # passed on once the checkpoint is there
        checkpoint = tmp_path / f"checkpoint-{step}"
        with attached(tiny_llama, checkpoint) as card:
            assert card.training["steps"] == step
        (tmp_path / "adapter").rename(tmp_path / f"adapter-{step}")
    assert same(weights(train_tiny(tiny_llama, tmp_path, resume=True)), tiny_weights())


def test_training_changes_lora_and_gist_embeddings_alone(
    tiny_qwen3: LanguageModel, tiny_llama: LanguageModel, tmp_path: Path
) -> None:
    """The base model is bit for bit what it was; the adapter loads on its own base alone."""
    before = {name: tensor.clone() for name, tensor in tiny_qwen3.model.state_dict().items()}
    folder = train_tiny(tiny_qwen3, tmp_path / "out")
    after = tiny_qwen3.model.state_dict()
    assert same(before, after)
    trained = weights(folder)
    assert any("gist_rows" in name for name in trained)
    assert all(trained[name].abs().max() > 0 for name in trained if "lora_B" in name)
    with attached(tiny_qwen3, folder) as card:
        assert card.plan.rows == SETTINGS["rows"]
    with pytest.raises(UserError, match="was trained on") as refused, attached(tiny_llama, folder):
        pass
    assert tiny_llama.fingerprint in str(refused.value)
    assert tiny_qwen3.fingerprint in str(refused.value)


def test_a_checkpoint_says_how_it_was_made(uninterrupted: Callable[..., Path]) -> None:
    """Ratios, stages, sources and versions stand in its adapter card."""
    card = read_card(uninterrupted() / "adapter")
    assert card.ratios == (4.0, 8.0)
    assert card.training["sources"] == {"keys": "made up"}
    assert card.training["steps"] == 6
    assert "torch" in card.training["versions"]
    json.dumps(dict(card.training))


def test_a_stage_ends_when_it_is_passed() -> None:
    """Enough right answers from every source, or the last step, lead to the next stage."""
    quick = Stage("quick", {"a": 1.0, "b": 1.0}, max_steps=100, pass_at=0.9)
    slow = Stage("slow", {"a": 1.0}, max_steps=3)
    curriculum = Curriculum([quick, slow], {"a": items, "b": items}, seed=0)

    def step(source: str, right: float) -> None:
        curriculum.note(source, right)
        curriculum.advance()

    step("a", 1.0)
    assert curriculum.stage is quick  # nothing is known of b yet
    step("b", 0.5)
    assert curriculum.stage is quick
    while curriculum.stage is quick:
        step("b", 1.0)
    assert curriculum.progress.stage_step == 0
    for _ in range(3):
        step("a", 0.0)
    assert curriculum.done


def test_windows_are_drawn_and_trained(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """A stage in windows reads some batches in one, some in windows, and some twice."""
    stage = Stage(
        "joined",
        {"keys": 1.0},
        max_steps=6,
        batch_tokens=600,
        ratios=(4.0,),
        window_tokens=(0, 32),
        twice=0.5,
    )
    curriculum = Curriculum([stage], {"keys": items}, seed=0)
    draws = [curriculum.draw(number, stage) for number in range(40)]
    assert {(draw.window_tokens, draw.twice) for draw in draws} == {
        (0, False),
        (32, False),
        (32, True),
    }
    folder = train_tiny(tiny_llama, tmp_path / "out", stages=[stage])
    plain = replace(stage, window_tokens=(), twice=0.0)
    other = train_tiny(tiny_llama, tmp_path / "plain", stages=[plain])
    assert not same(weights(folder), weights(other))


def test_a_new_training_takes_over_nothing_of_an_older_one(
    tiny_llama: LanguageModel, tmp_path: Path
) -> None:
    """In a folder with another training's best adapter, it gives what it gives anywhere else."""
    other = train_tiny(tiny_llama, tmp_path / "out", patience=9, eval_steps=1, seed=6)
    assert (tmp_path / "out/best").is_dir()
    folder = train_tiny(tiny_llama, tmp_path / "out")
    elsewhere = train_tiny(tiny_llama, tmp_path / "elsewhere")
    assert other == folder
    assert same(weights(folder), weights(elsewhere))


def test_gists_do_not_read_means(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """Two levels are refused where the first has no gist tokens, before anything is trained."""
    stage = Stage(
        "joined", {"keys": 1.0}, max_steps=2, ratios=(4.0,), window_tokens=(32,), twice=0.5
    )
    with pytest.raises(UserError, match="placement pool keeps means"):
        train_tiny(tiny_llama, tmp_path / "out", stages=[stage], placement="pool", rows=None)
    assert not (tmp_path / "out").exists()


def test_training_without_gists_is_refused(tiny_llama: LanguageModel, tmp_path: Path) -> None:
    """Stages without ratios would train an adapter that compresses nothing."""
    uncompressed = Stage("uncompressed", {"keys": 1.0}, max_steps=2, batch_tokens=1200)
    with pytest.raises(UserError, match="ratios"):
        train_tiny(tiny_llama, tmp_path / "out", stages=[uncompressed])
