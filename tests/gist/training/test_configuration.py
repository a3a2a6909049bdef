"""The configuration of a training: one name for each option, checked where it is declared."""

from pathlib import Path

import pytest
import yaml

from gist.checkpoint import read_card
from gist.models.reference import MODEL as REFERENCE
from gist.training.configuration import LayoutOptions, TrainingConfiguration, read_configuration
from gist.training.curriculum_options import CurriculumOptions, Stage
from gist.training.model_recipe import CURRICULUM, ModelConfiguration
from gist.training.options import read, settings_of
from gist.training.stages import grow
from harness.errors import UserError


@pytest.mark.parametrize(
    "name", ["adapter.yaml", "adapter-more.yaml", "adapter-abstain.yaml", "babi.yaml"]
)
def test_the_committed_configurations_are_read(name: str) -> None:
    """Every key of the file stands in the configuration under its own name."""
    settings = yaml.safe_load((Path(CURRICULUM).parent / name).read_text())
    configuration = read_configuration(settings)
    assert configuration.adapter.rank == settings["rank"]
    assert tuple(configuration.adapter.targets) == tuple(settings["targets"])
    assert dict(configuration.sources) == settings["sources"]
    assert [stage.name for stage in configuration.curriculum.stages] == [
        row["name"] for row in settings["stages"]
    ]


def test_the_reference_model_is_read() -> None:
    """Its file fills the model's own configuration, with the learning rate it names."""
    settings = yaml.safe_load(CURRICULUM.read_text())
    configuration = read(ModelConfiguration, settings)
    assert configuration.optimiser.lr == settings["lr"]
    assert len(configuration.stages) == len(settings["stages"])
    assert read(ModelConfiguration, {}).optimiser.lr == 2e-3


def test_the_record_has_the_keys_of_committed_adapters() -> None:
    """What is written into gist.json keeps its names; new ones may come."""
    recorded = read_card(REFERENCE.adapter).training["recipe"]
    assert TrainingConfiguration().record().keys() >= recorded.keys()


def test_every_setting_has_one_name() -> None:
    """No two parts have a field of the same name, or a setting would fill both."""
    names = [setting.name for setting in settings_of(TrainingConfiguration)]
    assert len(names) == len(set(names))


def test_stages_take_the_shared_settings() -> None:
    """What a stage does not say itself is what stands beside the stages."""
    rows = [
        {"name": "a", "sources": {"x": 1}, "max_steps": 1},
        {"name": "b", "sources": {"x": 1}, "max_steps": 1, "plain": 0.5, "snippets": 0},
    ]
    settings = {"stages": rows, "plain": 0.1, "reconstruction": 0.5, "window_tokens": [0, 64]}
    first, second = read_configuration(settings).curriculum.stages
    assert (first.plain, first.snippets, first.window_tokens) == (0.1, 2, (0, 64))
    assert (second.plain, second.snippets, second.window_tokens) == (0.5, 0, (0, 64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ranks": 4}, "unknown option 'ranks'. Did you mean 'rank'?"),
        ({"rank": "four"}, "rank='four' must be a whole number"),
        ({"rank": True}, "rank=True must be a whole number"),
        ({"rank": 0}, "rank=0 must be at least 1"),
        ({"plain": 1.5}, "plain=1.5 must be at most 1"),
        ({"window_tokens": [0, 16]}, "window_tokens=16 must be at least 32, or 0"),
        ({"twice": 0.5, "window_tokens": [0]}, "twice=0.5 is of batches in windows: give"),
        ({"placement": "front"}, "placement='front' must be end or interleaved"),
        ({"targets": "q_proj"}, "targets='q_proj' must be a list of text"),
        ({"sources": ["a"]}, "sources=['a'] must be options, as name: value"),
        ({"stages": [{"nam": "s"}]}, "a stage is wrong: unknown option 'nam'. Did you mean 'name'"),
        ({"stages": [{"name": "s"}]}, "a stage is wrong: sources is missing"),
        ({"epochs": 1, "max_steps": 2}, "same thing twice"),
        ({"answers": 0}, "answers or distillation needs a weight above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], message: str) -> None:
    """One line says what was given and what is allowed."""
    with pytest.raises(UserError) as refused:
        read_configuration(settings)
    assert message in str(refused.value)


def test_small_numbers_in_yaml_are_numbers() -> None:
    """YAML takes 1e-4 for text."""
    assert read_configuration(yaml.safe_load("lr: 1e-4")).optimiser.lr == 1e-4


def test_more_gists_than_a_segment_has_tokens_are_refused() -> None:
    """Interleaved groups stand behind segments that must be longer."""
    with pytest.raises(ValueError, match="segments of 8 tokens are shorter than 16 gists"):
        LayoutOptions(placement="interleaved", segment_tokens=8, rows=16)
    assert LayoutOptions(placement="interleaved", segment_tokens=8).plan.rows == 8
    assert LayoutOptions(placement="end").plan.rows == 256


def test_a_longer_curriculum_starts_with_the_easy_ones() -> None:
    """Short contexts and many gists first; the last stage has everything."""
    options = CurriculumOptions(ratios=(16, 4, 8), context_tokens=(2048, 512))
    first, last = grow(options, ["a"], 10)
    assert isinstance(first, Stage)
    assert (first.max_context_tokens, first.ratios) == (512, (4, 8))
    assert (last.max_context_tokens, last.ratios) == (2048, (4, 8, 16))
    assert first.max_steps == last.max_steps == 5
