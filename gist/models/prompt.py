"""The prompt as token ids, cut where the context and the question go in.

    before | context | between | question | after

Every backend uses the same pieces. They are tokenised separately, in training and in inference
alike, so that a prefix of a prompt is a prefix of its ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

_CONTEXT, _QUESTION = "[[context-goes-here]]", "[[question-goes-here]]"
_ANSWER = "[[answer-goes-here]]"


@dataclass(frozen=True, slots=True)
class PromptIds:
    """Token ids of the fixed pieces of the prompt."""

    before: tuple[int, ...]  # begin-of-sequence, template, instruction
    between: tuple[int, ...]
    after: tuple[int, ...]  # ends where the answer begins


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


def render_prompt(
    tokenizer: PreTrainedTokenizerBase, *, head: str, between: str, tail: str
) -> PromptIds:
    """Render one user turn and cut it around the context and the question.

    Args:
        tokenizer: with a chat template (generation prompt on, thinking off, fixed date), or
            without one: then `tail` follows the question.
        head: text before the context.
        between: text between context and question.
        tail: text after the question, for models without a chat template.
    """
    content = f"{head}{_CONTEXT}{between}{_QUESTION}"
    if tokenizer.chat_template:
        text = _render(tokenizer, {"user": content}, add_generation_prompt=True)
    else:
        text = content + tail
    before, rest = text.split(_CONTEXT)
    middle, after = rest.split(_QUESTION)
    ids = [
        tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in (before, middle, after)
    ]
    bos = tokenizer.bos_token_id
    if bos is not None and _adds_bos(tokenizer) and ids[0][:1] != [bos]:
        ids[0] = [bos, *ids[0]]
    return PromptIds(*(tuple(piece) for piece in ids))


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of the special token that the chat template writes after an answer."""
    if not tokenizer.chat_template:
        return None
    try:
        text = _render(tokenizer, {"user": _QUESTION, "assistant": _ANSWER})
    except TemplateError:  # it has no place for an answer
        return None
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(each for each in added if added[each].special)}
    behind = tokenizer(text.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    return next((each for each in behind if each in special), None)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    turns: Mapping[str, str],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Return the chat template's text of turns by role, thinking off, on a fixed date."""
    options: dict[str, Any] = {"enable_thinking": False, "date_string": "1 January 2026"}
    return str(
        tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns.items()],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **options,
        )
    )


def _adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Say whether the tokenizer itself puts the begin-of-sequence token in front of a text."""
    return bool(tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id])
