"""Fine-tuning on one document: what it learns from, what it keeps, and what it leaves alone."""

from typing import Any

import pytest
import torch

from backends.closed_book import ClosedBook
from backends.finetune import Finetune
from gist.finetune import asked_rows, text_rows
from gist.models.model import LanguageModel
from harness.run.handed import prepare, questions_of

CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. Later Mira left on a boat."
QUESTION = "Which hall holds the harp?"


def fed_to(lm: LanguageModel, backend: Finetune) -> list[str]:
    """Return the texts of all that the model reads while a context is prepared."""
    fed: list[str] = []

    def note(_module: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        ids = arguments[0] if arguments else options["input_ids"]
        fed.extend(lm.tokenizer.decode(row) for row in ids.tolist())

    handle = lm.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        prepare(backend, CONTEXT).close()
    finally:
        handle.remove()
    return fed


def test_it_learns_from_the_document_and_from_what_it_is_handed(tiny_model: LanguageModel) -> None:
    """One of either in each step; nothing of what is asked is read or kept."""
    backend = Finetune(tiny_model, steps=6, rank=2)
    fed = fed_to(tiny_model, backend)
    context = prepare(backend, CONTEXT)
    context.generate([QUESTION], max_new_tokens=4)
    assert fed_to(tiny_model, backend) == fed  # whatever was asked before
    assert not any(QUESTION in text for text in fed)
    assert sum(CONTEXT in text for text in fed) == 6
    handed = [question.text for question in questions_of(CONTEXT)]
    assert sum(any(one in text for one in handed) for text in fed) == 6


def test_the_answer_to_a_question_is_learnt_and_then_the_end(tiny_llama: LanguageModel) -> None:
    """The question stands in the prompt's frame, and is not predicted."""
    (row,) = asked_rows(tiny_llama, [(QUESTION, "hall 7")])
    answer = row.ids[-row.predicted :]
    assert answer == [*tiny_llama.tokenizer.encode("hall 7"), tiny_llama.answer_end_id]
    assert QUESTION in tiny_llama.tokenizer.decode(row.ids[: -row.predicted])


def test_a_long_document_is_read_in_rows_whole(tiny_llama: LanguageModel) -> None:
    """Each token is predicted once."""
    text = "abc " * 200
    rows = text_rows(tiny_llama, text)
    assert len(rows) == 4
    parts = [token for row in rows for token in row.ids[-row.predicted :]]
    assert parts == tiny_llama.tokenizer.encode(text)


def test_what_was_learnt_is_in_the_adapter_alone(tiny_model: LanguageModel) -> None:
    """The document gets likelier with it; the adapter's bytes are held; the model is as it was."""
    from gist.finetune import finetune, finetuned

    (row,) = text_rows(tiny_model, CONTEXT)
    ids = tiny_model.ids([row.ids])

    def loss() -> float:
        with torch.inference_mode():
            return float(tiny_model.model(ids, labels=ids).loss)

    before = loss()
    tensors = finetune(tiny_model, CONTEXT, [], steps=20, rank=2, lr=1e-2)
    assert loss() == before
    with finetuned(tiny_model, tensors, rank=2):
        assert loss() < 0.9 * before
    assert loss() == before
    context = Finetune(tiny_model, steps=1, rank=2).prepare(CONTEXT)
    floor = ClosedBook(tiny_model).prepare("")
    adapter = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    assert context.held_bytes == floor.held_bytes + adapter


def test_nothing_of_the_document_stands_in_front_of_a_question(tiny_model: LanguageModel) -> None:
    """It is asked as closed_book is: as many tokens, none of them the context's."""
    (found,) = Finetune(tiny_model, steps=2).prepare(CONTEXT).generate([QUESTION], max_new_tokens=3)
    (floor,) = ClosedBook(tiny_model).prepare("").generate([QUESTION], max_new_tokens=3)
    assert (found.prompt_tokens, found.context_entries) == (floor.prompt_tokens, 0)


@pytest.mark.parametrize("options", [{"steps": 0}, {"rank": 0}, {"lr": 0.0}])
def test_options_that_train_nothing_are_refused(
    tiny_llama: LanguageModel, options: dict[str, Any]
) -> None:
    """With the option and what it may be."""
    with pytest.raises(ValueError, match=r"must be (at least|above)"):
        Finetune(tiny_llama, **options)
