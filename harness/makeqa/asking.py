"""Asks a language model for questions about a context, and reads its reply with tolerance.

Models wrap JSON in prose and code fences, think aloud, leave commas behind, and stop in the middle
when their reply is too long. Every whole object is used; what is not one is counted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.makeqa.checks import normalize
from harness.makeqa.cutting import Context
from harness.makeqa.proposals import Proposal, Proposals, Teacher
from harness.served.messages import Message
from harness.text import encodable

INSTRUCTION = """\
Read the text. Then write questions about it, and reply with a JSON list and nothing else:
[{"kind": "lookup", "question": "...", "answer": "...", "proof": ["..."]}]

Kinds:
- lookup: one sentence of the text gives the answer. Take the answer from that sentence.
- reasoning: two sentences of the text, far apart, are needed together.
- global: the text as a whole is needed: what it is about, what comes first or last, how many.
- unanswerable: it sounds as if the text told it, but the text does not. Answer "", proof [].

Rules:
- The answer has at most five words.
- The proof is the sentence that gives the answer, or the sentences, copied from the text letter by
  letter.
- Every question names who or what it is about and can be understood without the text at hand.
- No question holds its answer, and no two are alike.

The text:
"""
AGAIN = "That could not be read. Reply with the JSON list alone."
REPLY_CHARACTERS = 200_000  # of a reply that are read; a dozen questions have 10 thousand
BRACES = 2_000  # that are tried as the start of a question: each may cost as much as the rest
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.S)
_LAST_COMMA = re.compile(r",(?=\s*[}\]])")
_NOTHING = frozenset({"", "none", "null", "na", "unanswerable", "not in text", "unknown"})


@dataclass(frozen=True)
class Asking:
    """A proposer that asks a teacher."""

    teacher: Teacher

    def propose(self, context: Context, wanted: Mapping[str, int]) -> Proposals:
        """Ask for the questions of all kinds at once, and once more if the reply is no JSON."""
        first = Message("user", f"{INSTRUCTION}{context.text}\n\n{_request(wanted)}")
        reply = self.teacher.ask([first])
        found = parse(reply)
        if found.items:
            return found
        again = [first, Message("assistant", reply), Message("user", AGAIN)]
        found = parse(self.teacher.ask(again))
        return found if found.items else Proposals((), max(found.malformed, 1))


def _request(wanted: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in wanted.items() if count)
    return f"Write these questions about the text: {counts}."


def parse(reply: str) -> Proposals:
    """Return the questions in a reply, and how many parts of it look like one but are none."""
    text = _THOUGHT.sub("", reply)[:REPLY_CHARACTERS]
    rows = max(list(_objects(text)), list(_objects(_LAST_COMMA.sub("", text))), key=len)
    read = [_proposal(row) for row in rows]
    items = tuple(proposal for proposal in read if proposal)
    return Proposals(items, max(len(read), len(re.findall(r'"question"\s*:', text))) - len(items))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the innermost JSON objects with a question, in order."""
    decoder, at = json.JSONDecoder(), text.find("{")
    tries = BRACES
    while at >= 0 and (tries := tries - 1):
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = None, at + 1
        if isinstance(value, dict) and "question" in value:
            yield value
        else:  # something around questions, or the start of what was cut off
            end = at + 1
        at = text.find("{", end)


def _proposal(row: Mapping[str, Any]) -> Proposal | None:
    """Return a question, or None if the object has not its fields."""
    kind, question = row.get("kind"), row.get("question")
    answers = _texts(row.get("answer", row.get("answers")))
    support = _texts(row.get("proof", row.get("support")))
    if not isinstance(kind, str) or not isinstance(question, str):
        return None
    if answers is None or support is None:
        return None
    if any(encodable(text) != text for text in (question, *answers, *support)):
        return None  # JSON can write half a character, no file can
    kind = kind.strip().lower()
    if kind == "unanswerable":
        answers = tuple(text for text in answers if normalize(text) not in _NOTHING)
        support = ()
    return Proposal(kind, " ".join(question.split()), answers, support)


def _texts(value: object) -> tuple[str, ...] | None:
    """Return one text or several, without blanks; None for what is neither."""
    several = value if isinstance(value, list) else [] if value is None else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in several):
        return None
    return tuple(text for one in several if (text := str(one).strip()))
