"""Which of the proposed questions are kept, and why the others are not.

An answer has to be short, its proof has to stand in the text, and for a lookup the proof has to
hold the answer. White space, and straight or curly quotes, do not count when texts are compared;
what is kept as proof is the text's own wording.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.makeqa.proposals import KINDS, ClosedBook, Proposal

ANSWER_WORDS = 12
QUESTION_WORDS = 60

REASONS: Mapping[str, str] = {
    "malformed": "parts of a reply that are no question with kind, answer and proof",
    "surplus": "more questions of a kind than asked for",
    "long": f"an answer of more than {ANSWER_WORDS} words, or a question of {QUESTION_WORDS}",
    "proof_not_in_text": "its proof does not stand in the text",
    "answer_not_in_proof": "a lookup whose proof does not hold the answer",
    "answer_in_question": "a lookup or reasoning question that holds its own answer",
    "duplicate": "the context has this question already",
    "known_without_document": "the model answers it without the document",
}
"""Every reason to drop a question, in the order of the checks."""

_FOLD = str.maketrans("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2013\u2014", "''''\"\"\"--")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "\u2018\u2019\u201c\u201d\u2013\u2014")
_SIGN = re.compile(r"[^\w\s]")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize(text: str) -> str:
    """Return `text` without case, punctuation, articles and doubled white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


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


class Folded:
    """A text in which pieces are found whatever their white space and quotes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: list[int] = []  # in the text, of each character of the folded text
        folded: list[str] = []
        for place, char in enumerate(text.translate(_FOLD)):
            if not char.isspace():
                folded.append(char)
            elif folded and folded[-1] != " ":
                folded.append(" ")
            else:
                continue
            self._places.append(place)
        self._folded = "".join(folded)

    def find(self, piece: str) -> str | None:
        """Return the text's own wording of a piece, or None."""
        wanted = " ".join(piece.translate(_FOLD).split())
        for form in (wanted, wanted.strip("\"'. ")):
            at = self._folded.find(form) if form else -1
            if at >= 0:
                return self._text[self._places[at] : self._places[at + len(form) - 1] + 1]
        return None


@dataclass(frozen=True, slots=True)
class Checked:
    """The questions that are kept, and how many were dropped by reason."""

    kept: tuple[Proposal, ...]
    dropped: Mapping[str, int]


def check(text: str, proposals: Iterable[Proposal], wanted: Mapping[str, int]) -> Checked:
    """Return the proposals that hold, their proofs in the text's own words."""
    folded, seen = Folded(text), set[str]()
    kept: list[Proposal] = []
    dropped: Counter[str] = Counter()
    room = Counter(wanted)
    for proposal in proposals:
        found = [folded.find(piece) for piece in proposal.support]
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
    told = closed_book.answer_without_document([proposal.question for proposal in asked])
    known = {
        id(proposal)
        for proposal, given in zip(asked, told, strict=True)
        if any(holds(given, answer) for answer in proposal.answers)
    }
    left = tuple(proposal for proposal in kept if id(proposal) not in known)
    return Checked(left, {"known_without_document": len(known)} if known else {})
