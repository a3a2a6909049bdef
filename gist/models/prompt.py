"""The prompt as token ids, cut where the context and the question go in.

    before | context | between | question | after

Every backend uses the same pieces. They are tokenised separately, in training and in inference
alike, so that a prefix of a prompt is a prefix of its ids. Worked examples belong to `before`:
compression pays nothing for them.
"""

import json
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gist.models.chat import MEND, render_chat
from harness.errors import UserError

log = logging.getLogger(__name__)

_CONTROL = re.compile(
    r"\s*(?:<\S+>|\u25c1\S+\u25b7|\[[A-Z_/]+\]|[<\[]?[|\uff5c]\S+[|\uff5c][>\]]?)\s*"
)
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
    """Turn plain text into ids and back; control tokens are never read from text."""

    inner: PreTrainedTokenizerBase
    _plain: Tokenizer | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the control tokens that the tokenizer would read from text."""
        object.__setattr__(self, "_plain", _without_control_tokens(self.inner))

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`; what looks like a control token is spelled out."""
        if self._plain is not None:
            return list(self._plain.encode(text, add_special_tokens=False).ids)
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
        UserError: the chat template has no place for worked examples, or none for a document.
    """
    examples = [
        (f"{prompt.head}{text}{prompt.between}{question}", answer)
        for text, question, answer in prompt.examples
    ]
    asked = f"{prompt.head}{_CONTEXT}{prompt.between}{_QUESTION}"
    if tokenizer.chat_template:
        rendered = _render_examples(tokenizer, examples, asked)
    else:
        end = f"{tokenizer.eos_token or ''}\n\n"
        turns = (f"{user}{prompt.tail} {answer}{end}" for user, answer in examples)
        rendered = f"{''.join(turns)}{asked}{prompt.tail}"
    first, second, third = (
        tuple(tokenizer(piece, add_special_tokens=False)["input_ids"]) for piece in _cut(rendered)
    )
    bos = tokenizer.bos_token_id
    adds_bos = tokenizer("a")["input_ids"][:1] == [bos]  # the tokenizer itself, to any text
    if bos is not None and adds_bos and first[:1] != (bos,):
        first = (bos, *first)
    return PromptIds(first, second, third, shots=len(examples))


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id of the special token that the chat template writes after an answer."""
    if not tokenizer.chat_template:
        return None
    try:
        text = render_chat(tokenizer, [("user", _QUESTION), ("assistant", _ANSWER)])
    except UserError:  # it has no place for an answer
        return None
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(each for each in added if added[each].special)}
    behind = tokenizer(text.rpartition(_ANSWER)[2], add_special_tokens=False)["input_ids"]
    return next((each for each in behind if each in special), None)


def find_end_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
) -> frozenset[int]:
    """Return every id that ends an answer.

    Those of the generation configuration, the tokenizer's own, and the one that the chat template
    writes at the end of a turn, which some checkpoints name nowhere else.
    """
    given = model.generation_config.eos_token_id if model.generation_config else None
    ends = (tokenizer.eos_token_id, *(given if isinstance(given, list) else [given]))
    stated = frozenset(end for end in ends if end is not None)
    if not all(isinstance(end, int) for end in stated):
        raise UserError(
            f"generation_config.json of {name} names eos_token_id={given!r}, which is no number or "
            "list of numbers. Correct it."
        )
    turn = end_of_turn(tokenizer)
    if turn is None or turn in stated:
        return stated
    named = ", ".join(str(tokenizer.convert_ids_to_tokens(end)) for end in sorted(stated)) or "none"
    log.warning(
        f"{name}: answers end at {tokenizer.convert_ids_to_tokens(turn)}, as its chat template "
        f"ends a turn, and at what its configuration names: {named}"
    )
    return stated | {turn}


def _render_examples(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[tuple[str, str]], asked: str
) -> str:
    """Return the chat template's text of worked examples and the turn that is asked."""
    turns = [turn for user, answer in examples for turn in (("user", user), ("assistant", answer))]
    without = render_chat(tokenizer, [("user", asked)], add_generation_prompt=True)
    if not examples:
        return without
    with suppress(UserError):
        rendered = render_chat(tokenizer, [*turns, ("user", asked)], add_generation_prompt=True)
        if all(text in rendered for _, text in turns):  # it may pass over earlier turns
            return rendered
    raise UserError("the model's chat template has no place for worked examples. Give --shots 0.")


def _cut(rendered: str) -> tuple[str, str, str]:
    """Return what stands before the context, between context and question, and after it."""
    before, *rest = rendered.split(_CONTEXT)
    middle, *after = rest[0].split(_QUESTION) if rest else ("",)
    if len(rest) != 1 or len(after) != 1 or _QUESTION in before:
        raise UserError(
            "the model's chat template does not print the user's message once, from beginning to "
            f"end, so documents have no place in it. {MEND}"
        )
    return before, middle, after[0]


def _without_control_tokens(tokenizer: PreTrainedTokenizerBase) -> Tokenizer | None:
    """Return a copy of a tokenizer to which no text is a control token; None if it is one already.

    `split_special_tokens` spells out special tokens alone, and some vocabularies have `<think>` or
    `<tool_call>` as an added token that is not special. Other added tokens, such as runs of spaces,
    are text. Tokenizers written in Python spell out all of them.
    """
    added = tokenizer.added_tokens_decoder.values()
    steering = (not each.special and _CONTROL.fullmatch(each.content) for each in added)
    if not (tokenizer.is_fast and any(steering)):
        return None
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for each in state["added_tokens"]:
        each["special"] = each["special"] or _CONTROL.fullmatch(each["content"]) is not None
    plain = Tokenizer.from_str(json.dumps(state))
    plain.encode_special_tokens = True
    plain.no_truncation()
    plain.no_padding()
    return plain
