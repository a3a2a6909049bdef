"""Which of the proposed questions are kept, and why the others are not.

An answer has to be short, its supporting sentences have to be in the text, and those of a lookup
have to hold the answer. White space, and straight or curly quotes, do not count when texts are
compared; the supporting sentences that are kept have the text's own wording.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import text as texts
from harness.makeqa.proposals import KINDS, ClosedBook, Proposal

ANSWER_WORDS = 12
QUESTION_WORDS = 60

REASONS: Mapping[str, str] = {
    "malformed": "parts of a reply that are not a question with kind, answer and evidence",
    "surplus": "more questions of a kind than asked for",
    "long": f"an answer over {ANSWER_WORDS} words, or a question over {QUESTION_WORDS}",
    "proof_not_in_text": "its supporting sentences cannot be found in the text",
    "answer_not_in_proof": "a lookup whose supporting sentences do not hold the answer",
    "answer_in_question": "a lookup or reasoning question that holds its own answer",
    "duplicate": "the context has this question already",
    "known_without_document": "the model answers it without the document",
}
"""Every reason to drop a question, in the order of the checks."""

_SIGN = re.compile(r"[^\w\s]")


def normalize(text: str) -> str:
    """Return `text` in the form that is compared; here curly quotes are punctuation as well."""
    return texts.normalize(texts.straighten(text))


def holds(text: str, words: str) -> bool:
    """Say whether a text has these words in a row, as whole words.

    Punctuation is either nothing or the end of a word: Ada's holds Ada, and O'Neill holds ONeill.
    """
    forms = ((text, words), (_SIGN.sub(" ", text), _SIGN.sub(" ", words)))
    return any(
        f" {wanted} " in f" {normalize(within)} "
        for within, asked in forms
        if (wanted := normalize(asked))
    )


def find_evidence(text: str, piece: str) -> str | None:
    """Return the text's own wording of a piece, whatever its white space and quotes, or None."""
    straight = texts.straighten(text)
    wanted = " ".join(texts.straighten(piece).split())
    for form in (wanted, wanted.strip("\"'. ")):
        pattern = texts.in_any_spacing(form)
        if pattern and (found := re.search(pattern, straight)):
            return text[found.start() : found.end()]
    return None


@dataclass(frozen=True, slots=True)
class Checked:
    """The questions that are kept, and how many were dropped by reason."""

    kept: tuple[Proposal, ...]
    dropped: Mapping[str, int]


def check(text: str, proposals: Iterable[Proposal], wanted: Mapping[str, int]) -> Checked:
    """Return the proposals that hold, with supporting sentences in the text's own words."""
    seen: set[str] = set()
    kept: list[Proposal] = []
    dropped: Counter[str] = Counter()
    room = Counter(wanted)
    for proposal in proposals:
        found = [find_evidence(text, piece) for piece in proposal.support]
        support = tuple(piece for piece in found if piece)
        reason = _fault(proposal, support)
        if not reason and normalize(proposal.question) in seen:
            reason = "duplicate"
        if not reason and not room[proposal.kind]:
            reason = "surplus"
        if reason:
            dropped[reason] += 1
            continue
        seen.add(normalize(proposal.question))
        room[proposal.kind] -= 1
        kept.append(replace(proposal, support=support))
    return Checked(tuple(kept), dropped)


def _fault(proposal: Proposal, support: Sequence[str]) -> str:
    """Return why a proposal does not hold, or nothing."""
    question, answers = proposal.question, proposal.answers
    if proposal.kind not in KINDS or not normalize(question):
        return "malformed"
    if proposal.kind == "unanswerable":
        return "malformed" if answers else ""
    if not answers or not all(map(normalize, answers)):
        return "malformed"
    if len(question.split()) > QUESTION_WORDS or len(answers[0].split()) > ANSWER_WORDS:
        return "long"
    if not support or len(support) < len(proposal.support):
        return "proof_not_in_text"
    if proposal.kind == "lookup" and not any(holds(piece, answers[0]) for piece in support):
        return "answer_not_in_proof"
    if proposal.kind != "global" and any(holds(question, answer) for answer in answers):
        return "answer_in_question"
    return ""


def drop_known(kept: Sequence[Proposal], closed_book: ClosedBook) -> Checked:
    """Drop the questions that the model answers without the document.

    What the text does not say cannot be known: such questions stay.
    """
    asked = [proposal for proposal in kept if proposal.answers]
    said = closed_book.answer_without_document([proposal.question for proposal in asked])
    known = [
        proposal
        for proposal, given in zip(asked, said, strict=True)
        if any(holds(given, answer) for answer in proposal.answers)
    ]
    left = tuple(proposal for proposal in kept if proposal not in known)
    return Checked(left, {"known_without_document": len(known)} if known else {})
