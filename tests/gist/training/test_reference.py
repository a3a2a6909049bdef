"""The reference model and adapter as they are committed."""

import random
from pathlib import Path

import pytest
import yaml

from benchmarks.generate import lexicon
from gist.checkpoint import read_card
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from gist.models.reference import MODEL as REFERENCE
from gist.training.model_recipe import CURRICULUM
from harness.api import PROMPT

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def reference() -> LanguageModel:
    """The reference model on the CPU."""
    return load_model("reference", PROMPT, device="cpu")


def test_model_and_adapter_are_small() -> None:
    """Together at most 30 MB, in safetensors alone."""
    files = [
        path
        for folder in (REFERENCE.weights, REFERENCE.adapter)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert sum(path.stat().st_size for path in files) <= 30 * MEGABYTE
    weights = {path.suffix for path in files} & {".safetensors", ".bin", ".pt", ".pth", ".ckpt"}
    assert weights == {".safetensors"}


def test_the_adapter_belongs_to_the_model(reference: LanguageModel) -> None:
    """Fingerprint and prompt hash of its adapter card are the model's."""
    card = read_card(REFERENCE.adapter)
    assert card.base_fingerprint == reference.fingerprint
    assert card.prompt_hash == reference.prompt_hash


def test_each_digit_is_a_token_of_its_own(reference: LanguageModel) -> None:
    """A number is spelled digit by digit, wherever it stands."""
    decode = reference.tokenizer.inner.decode
    spelled = [decode([token]).strip() for token in reference.tokenizer.encode("room 90417.")]
    assert [piece for piece in spelled if piece.isdigit()] == list("90417")
    assert len(reference.tokenizer.inner) <= 2000


def test_held_out_names_are_spelled_from_known_parts(reference: LanguageModel) -> None:
    """A name or town of split=test is nearly always two tokens, as in training."""
    for draw in (lexicon.person, lexicon.place):
        names = [draw(random.Random(f"name {i}"), "test") for i in range(100)]
        whole = sum(len(reference.tokenizer.encode(name)) == 2 for name in names)
        assert whole >= 85, draw.__name__


def test_special_tokens_in_a_document_are_plain_text(reference: LanguageModel) -> None:
    """A document cannot end the user's turn."""
    ids = reference.tokenizer.encode("He wrote <|end|> and <|assistant|> on the wall.")
    assert not reference.end_ids & set(ids)
    assert reference.tokenizer.decode(ids) == "He wrote <|end|> and <|assistant|> on the wall."


@pytest.mark.parametrize("name", ["model.yaml", "adapter.yaml"])
def test_training_never_saw_the_test_split(name: str) -> None:
    """Every source of both curricula is of split=train."""
    curriculum = yaml.safe_load((Path(CURRICULUM).parent / name).read_text())
    assert curriculum["sources"]
    for spec in curriculum["sources"].values():
        assert "split=train" in spec.split(",")


def test_syllables_in_the_curriculum_are_those_of_the_lexicon() -> None:
    """The tokenizer's pieces are the parts that names and towns are made of."""
    pieces = yaml.safe_load(CURRICULUM.read_text())["pieces"]
    parts = {
        *lexicon.NAME_HEADS,
        *lexicon.NAME_TAILS,
        *lexicon.PLACE_HEADS,
        *lexicon.PLACE_TAILS,
    }
    assert set(pieces) == parts
