"""The prompt as token ids, cut where the context and the question go in.

    before | context | between | question | after

Every backend uses the same pieces. They are tokenised separately, in training and in inference
alike, so that a prefix of a prompt is a prefix of its ids. Worked examples belong to `before`:
compression pays nothing for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from harness.errors import UserError

Turn = tuple[str, str]  # role and content

_CONTEXT, _QUESTION = "[[context-goes-here]]", "[[question-goes-here]]"
_ANSWER = "[[answer-goes-here]]"


class PromptText(Protocol):
    """The texts of the prompt's fixed pieces."""

    @property
    def head(self) -> str:
        """The instruction, before the context."""

    @property
    def between(self) -> str:
        """What stands between context and question."""

    @property
    def tail(self) -> str:
        """What follows the question, for models without a chat template."""

    @property
    def examples(self) -> Sequence[tuple[str, str, str]]:
        """Worked examples: a text, a question and its answer each."""


@dataclass(frozen=True, slots=True)
class PromptIds:
    """Token ids of the fixed pieces of the prompt."""

    before: tuple[int, ...]  # begin-of-sequence, worked examples, template, instruction
    between: tuple[int, ...]
    after: tuple[int, ...]  # ends where the answer begins
    shots: int = 0  # worked examples in `before`


@dataclass(frozen=True, slots=True)
class TextTokenizer:
    """Turn plain text into ids and back; special tokens are never read from text."""

    inner: PreTrainedTokenizerBase

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; what looks like a special token is spelled out."""
        ids = self.inner(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(ids["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, special tokens left out."""
        return str(self.inner.decode(list(ids), skip_special_tokens=True))


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: PromptText) -> PromptIds:
    """Render the worked examples and one user turn, and cut it around context and question.

    Args:
        tokenizer: with a chat template (generation prompt on, thinking off, fixed date): an
            example is a turn of the user's and one of the assistant's. Or without one: then it is
            text that is continued, and an answer ends with the tokenizer's end token.
        prompt: the texts.

    Raises:
        UserError: the chat template has no place for worked examples.
    """
    examples = [
        (f"{prompt.head}{text}{prompt.between}{question}", answer)
        for text, question, answer in prompt.examples
    ]
    asked = f"{prompt.head}{_CONTEXT}{prompt.between}{_QUESTION}"
    if tokenizer.chat_template:
        rendered = _render_chat(tokenizer, examples, asked)
    else:
        end = f"{tokenizer.eos_token or ''}\n\n"
        turns = (f"{user}{prompt.tail} {answer}{end}" for user, answer in examples)
        rendered = f"{''.join(turns)}{asked}{prompt.tail}"
    before, rest = rendered.split(_CONTEXT)
    middle, after = rest.split(_QUESTION)
    first, second, third = (
        tuple(tokenizer(piece, add_special_tokens=False)["input_ids"])
        for piece in (before, middle, after)
    )
    bos = tokenizer.bos_token_id
    if bos is not None and _adds_bos(tokenizer) and first[:1] != (bos,):
        first = (bos, *first)
    return PromptIds(first, second, third, shots=len(examples))


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of the special token that the chat template writes after an answer."""
    if not tokenizer.chat_template:
        return None
    try:
        text = _render(tokenizer, [("user", _QUESTION), ("assistant", _ANSWER)])
    except TemplateError:  # it has no place for an answer
        return None
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(each for each in added if added[each].special)}
    behind = tokenizer(text.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    return next((each for each in behind if each in special), None)


def _render_chat(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[tuple[str, str]], asked: str
) -> str:
    """Return the chat template's text of worked examples and the turn that is asked."""
    turns = [turn for user, answer in examples for turn in (("user", user), ("assistant", answer))]
    try:
        rendered = _render(tokenizer, [*turns, ("user", asked)], add_generation_prompt=True)
    except TemplateError:
        if not examples:
            raise
        rendered = ""
    if all(text in rendered for _, text in turns):  # a template may pass over earlier turns
        return rendered
    raise UserError("the model's chat template has no place for worked examples. Give --shots 0.")


def _render(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[Turn],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Return the chat template's text of turns, thinking off, on a fixed date."""
    options: dict[str, Any] = {"enable_thinking": False, "date_string": "1 January 2026"}
    return str(
        tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **options,
        )
    )


def _adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Say whether the tokenizer itself puts the begin-of-sequence token in front of a text."""
    return bool(tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id])
