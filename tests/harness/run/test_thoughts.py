"""A thought in front of an answer is no part of it."""

import pytest

from harness.run.thoughts import split_thought


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("Rome", "", "Rome"),
        ("<think>Ada\nlives.</think>\n\nRome", "Ada\nlives.", "Rome"),
        ("\n<think>\n\n</think> Rome", "\n\n", "Rome"),
        ("Ada lives.</think>Rome", "Ada lives.", "Rome"),  # opened in the prompt
        ("<think>Ada lives", "Ada lives", ""),  # cut off
        ("Rome <think>or not</think>", "", "Rome <think>or not</think>"),
        ("", "", ""),
    ],
)
def test_a_thought_in_front_is_told_from_the_answer(text: str, thought: str, answer: str) -> None:
    """Only in front of an answer, closed or cut off."""
    assert split_thought(text) == (thought, answer)
