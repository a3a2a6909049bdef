"""Backends that write a shorter text for the model to read: selective_context and summary."""

import pytest
import torch

from backends.full import Full
from backends.selective_context import SEGMENT_TOKENS, SelectiveContext, self_information
from backends.summary import Summary
from gist.models import smollm2
from gist.models.model import LanguageModel
from harness.api import Generation, PreparedContext
from harness.errors import NotReady

WORDS = ["harp", "hall", "boat", "left", "mira", "room", "cups", "four", "tomo", "seas", "grey"]
CONTEXT = "a " + " ".join(WORDS)  # every word but the first has five bytes with its space


def asked(context: PreparedContext) -> list[Generation]:
    """Ask two questions."""
    return context.generate(["Which hall?", "Who?"], max_new_tokens=6)


def kept_of(context: PreparedContext) -> str:
    """Return the text that the model was shown."""
    return " ".join(asked(context)[0].evidence)


def test_self_information_is_that_of_the_whole_pass(tiny_model: LanguageModel) -> None:
    """It is -log p of each id, given all in front of it."""
    ids = tiny_model.tokenizer.encode(CONTEXT)
    found = self_information(tiny_model, ids[:3], ids[3:])
    with torch.inference_mode():
        logits = tiny_model.model(tiny_model.ids([ids])).logits[0]
    logs = logits.log_softmax(dim=-1)
    expected = torch.stack([-logs[i - 1, ids[i]] for i in range(3, len(ids))])
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("words", [1, 4, 8])
def test_the_words_with_most_self_information_are_kept_in_their_order(
    tiny_model: LanguageModel, words: int
) -> None:
    """A word has the sum over its tokens."""
    ids = tiny_model.tokenizer.encode(CONTEXT)
    scores = self_information(tiny_model, tiny_model.prompt.before[:1], ids)[1:]
    order = scores.view(-1, 5).sum(dim=1).argsort(descending=True)[:words]
    expected = [WORDS[int(i)] for i in sorted(order)]
    context = SelectiveContext(tiny_model, tokens=5 * words).prepare(CONTEXT)
    assert kept_of(context).split() == expected


def test_each_segment_has_its_share(tiny_llama: LanguageModel) -> None:
    """The budget is spread over a long text, and all but a word's length of it is used."""
    text = " ".join(f"w{number:03}" for number in range(4 * SEGMENT_TOKENS // 5))
    context = SelectiveContext(tiny_llama, ratio=4).prepare(text)
    numbers = [int(word[1:]) for word in kept_of(context).split()]
    assert numbers == sorted(numbers)
    quarter = SEGMENT_TOKENS // 5
    shares = [sum(number // quarter == part for number in numbers) for part in range(4)]
    assert max(shares) - min(shares) <= 2  # a segment ends behind a word
    size = len(tiny_llama.tokenizer.encode(text))
    assert size // 4 - 10 <= asked(context)[0].context_entries <= size // 4 + 1


def test_text_without_spaces_is_cut_into_pieces(tiny_llama: LanguageModel) -> None:
    """Japanese has no words between spaces; parts of it are kept all the same."""
    text = "竪琴は七番の広間にある。赤い杯は四番の広間にある。船は朝に出た。" * 4
    answer = asked(SelectiveContext(tiny_llama, ratio=2).prepare(text))[0]
    assert 0 < answer.context_entries <= len(tiny_llama.tokenizer.encode(text)) / 2 + 1
    assert all(piece in text for piece in answer.evidence)


def test_a_scorer_that_is_not_installed_leaves_the_backend_out(
    tiny_llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line that says what to type."""
    monkeypatch.setattr(smollm2, "_find_file", lambda: None)
    with pytest.raises(NotReady, match="pip install"):
        SelectiveContext(tiny_llama, scorer="smollm2")


@pytest.mark.parametrize("kind", [SelectiveContext, Summary])
def test_a_context_within_the_budget_is_read_as_it_is(
    tiny_model: LanguageModel, kind: type[SelectiveContext | Summary]
) -> None:
    """Then it answers as full context does, and no text was left out."""
    expected = asked(Full(tiny_model).prepare(CONTEXT))
    assert asked(kind(tiny_model, tokens=500).prepare(CONTEXT)) == expected


def test_a_summary_is_what_the_model_writes_behind_the_whole_context(
    tiny_model: LanguageModel,
) -> None:
    """Another context has another summary, the same one always the same, within the budget."""
    backend = Summary(tiny_model, tokens=12)
    found = [asked(backend.prepare(text)) for text in (CONTEXT, CONTEXT, CONTEXT[::-1])]
    assert found[0] == found[1] != found[2]
    assert all(answer.context_entries <= 12 for answers in found for answer in answers)
