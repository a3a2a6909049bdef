"""Worked examples stand in front of the context, where every backend has them and none pays."""

from dataclasses import replace
from pathlib import Path

import pytest

from gist.checkpoint import check_base, read_card
from gist.models.model import LanguageModel
from gist.models.prompt import render_prompt
from harness.api import ABSTENTION, EXAMPLES, PROMPT, SHOTS, prompt_with
from harness.errors import UserError
from tests.support.tiny_adapter import save_tiny_adapter


def with_shots(lm: LanguageModel, shots: int) -> LanguageModel:
    """Return the model with so many worked examples in its prompt."""
    return replace(lm, prompt=render_prompt(lm.tokenizer.inner, prompt_with(shots)))


def test_an_example_is_answered_with_words_of_its_text_or_the_sentinel() -> None:
    """Among four at least one is unanswerable, and there are as many as can be asked for."""
    assert len(EXAMPLES) == max(SHOTS)
    answers = [example.answer for example in EXAMPLES]
    assert ABSTENTION in answers[:2]  # further behind, a small model repeats it
    for text, _, answer in EXAMPLES:
        assert (answer in text) != (answer == ABSTENTION)


@pytest.mark.parametrize("shots", SHOTS)
def test_examples_are_whole_turns_before_the_context(tiny_model: LanguageModel, shots: int) -> None:
    """Each is asked as the context is, and ends as an answer does; then comes the instruction.

    In turns where there is a chat template, as text that is continued where there is none.
    """
    inner = tiny_model.tokenizer.inner
    pieces = with_shots(tiny_model, shots).prompt
    before, between, after = (
        str(inner.decode(list(ids))) for ids in (pieces.before, pieces.between, pieces.after)
    )
    assert pieces.shots == shots
    assert before.endswith(PROMPT.head)
    assert before.count(PROMPT.head) == shots + 1
    assert pieces.before.count(tiny_model.answer_end_id) >= shots
    *shown, asked = before.split(PROMPT.head)[1:]
    assert asked == ""
    for turn, (text, question, answer) in zip(shown, EXAMPLES[4 - shots :], strict=True):
        following = f"{after} {answer}" if inner.chat_template is None else after + answer
        assert turn.startswith(f"{text}{between}{question}{following}<|end|>")
    zero = tiny_model.prompt
    assert (pieces.between, pieces.after) == (zero.between, zero.after)
    assert zero.before[:1] == pieces.before[:1]


def test_another_number_of_examples_is_another_prompt(tiny_model: LanguageModel) -> None:
    """The hash and the description say so; none is the prompt as it was without the option."""
    models = {shots: with_shots(tiny_model, shots) for shots in SHOTS}
    assert len({lm.prompt_hash for lm in models.values()}) == len(SHOTS)
    assert models[0].prompt == tiny_model.prompt
    assert {shots: lm.describe()["shots"] for shots, lm in models.items()} == {0: 0, 2: 2, 4: 4}


@pytest.mark.parametrize(
    "template",
    [
        "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}"
        "{{ messages[0]['content'] }}",
        "{{ messages[-1]['content'] }}",
    ],
)
def test_a_template_without_earlier_turns_is_refused(
    tiny_qwen3: LanguageModel, template: str
) -> None:
    """Whether it raises or passes over them; without examples it does."""
    tiny_qwen3.tokenizer.inner.chat_template = template
    assert with_shots(tiny_qwen3, 0).prompt.shots == 0
    with pytest.raises(UserError, match=r"no place for worked examples\. Give --shots 0"):
        with_shots(tiny_qwen3, 2)


def test_an_adapter_is_tied_to_its_examples(tiny_model: LanguageModel, tmp_path: Path) -> None:
    """With others it is refused, and the line says which --shots it wants."""
    trained = with_shots(tiny_model, 2)
    card = read_card(save_tiny_adapter(trained, tmp_path / "adapter"))
    check_base(card, trained, tmp_path)
    for shots in (0, 4):
        with pytest.raises(UserError, match=r"trained with --shots 2, .*\. Add --shots 2"):
            check_base(card, with_shots(tiny_model, shots), tmp_path)


def test_training_ends_answers_as_the_chat_template_does(tiny_qwen3: LanguageModel) -> None:
    """Also where the tokenizer names another end; without a template, its own end is taken."""
    inner = tiny_qwen3.tokenizer.inner
    turn, begin = inner.convert_tokens_to_ids(["<|end|>", "<|begin|>"])
    inner.eos_token = "<|begin|>"
    assert tiny_qwen3.answer_end_id == turn
    inner.chat_template = None
    assert tiny_qwen3.answer_end_id == begin
