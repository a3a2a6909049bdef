"""Whether an answer abstains: the sentinel that the prompt asks for, or a refusal in words.

The sentinel is what counts for models that follow the prompt. Others refuse in their own words:
`refusals.py` lists the forms that are recognised. The first sentence decides, and the second where
the first only says what the text is about; an answer that goes on with "but" or with a guess has
answered after all. A refusal that is missed counts as an answer and stands in the records.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

from benchmarks.scoring.refusal_words import TEXT
from benchmarks.scoring.refusals import ENGLISH
from benchmarks.scoring.refusals_by_language import OTHERS
from harness.api import ABSTENTION
from harness.text import straighten

_ABOUT = (
    rf"(?:{TEXT}|what (?:is|was|has been) (?:given|provided|said|written)|(?:the )?(?:(?:given|"
    rf"provided) )?information(?: given| provided| above)?)"
)
_CONTRACTIONS = tuple(
    (re.compile(short), long)
    for short, long in (
        (r"\bcan'?t\b", "can not"),
        (r"\b(do|does|did|is|are|was|were|could|would|has|have)n'?t\b", r"\1 not"),
        (r"\b(it|that|there|here)'s\b", r"\1 is"),
        (r"\b(?:i ?'m|im(?= not))\b", "i am"),
        (r"\b(i|we) ?'ve\b", r"\1 have"),
        (r"\b(we|they|you)'re\b", r"\1 are"),
        (r"\bi ?'d\b", "i would"),
        # What only seems so is said all the same.
        (r"\b(do|does) not (?:seem|appear) to (?=[a-z]+)", r"\1 not "),
        (r"\bseems? (?:not to|to not) ", "does not "),
    )
)
_LEAD = re.compile(
    rf"^(?:(?:the )?answer(?: is)?\s*: ?|(?:\w+ ){{0,3}}\w+: (?=not |no |un|n/a)|a: |(?:i am|"
    rf"we are) (?:\w+ )?(?:sorry|afraid)\b,? ?(?:but |that |to say (?:that )?)?|sorry,? (?:but )?|"
    rf"apologies,? (?:but )?|(?:i|my) apologi\w+(?: for \w+ \w+)?,? (?:but )?|unfortunately,? |"
    rf"regrettably,? |sadly,? |well,? |h+m+,? |honestly,? |to be honest,? |frankly,? |actually,? |"
    rf"as (?:an? )?(?:ai|large|artificial)\b[^,]*, |as far as [^,]{{2,40}}, |"
    rf"from what [^,]{{2,40}}, |(?:it (?:seems|appears|looks) (?:that |like |as if |as though )?|"
    rf"i (?:think|believe|fear) (?:that )?)(?=(?:the|this|that|it|there|no|nothing|these|your)\b)|"
    rf"(?:based (?:only |solely )?(?:on|upon)|according to|in|from|given|judging (?:by|from)|"
    rf"looking at|(?:after|having) (?:carefully )?read(?:ing)?|per|going by|"
    rf"with) (?:only )?{_ABOUT}(?: alone| only)?,? )+"
)
_FILLER = re.compile(
    rf"^(?:let me|let's|good question|i (?:have )?(?:read|looked|searched|checked|re-?read|went|"
    rf"can (?:only )?see|(?:only )?see)|looking|(?:the|this|your) question (?:asks|is about)|"
    rf"{TEXT} (?:\w+ )?(?:mentions?|says?|states?|talks?|describes?|discusses?|speaks?|is about|"
    rf"refers?|covers?|deals?|focuses|gives (?:only|just)|only gives)\b|(?:sorry|unfortunately|no|"
    rf"nothing|hm+|(?:it is )?(?:possible|possibly|perhaps|maybe))$|(?:the rest of )?{TEXT} (?:is|"
    rf"ends|was) (?:cut off|abruptly)|thank)\b"
)
# A clause before a semicolon is enough, and "etc." ends no refusal.
_SENTENCE_END = re.compile(
    r"[.!?](?:[\"')\]]*\s+|[\"')\]]*$)|[!?](?=[^\x00-\x7f])|[\u3002\u0964\u061f\u06d4]|[\n;]\s*"
)
# Vowel signs of Indic and Thai letters are no \w.
_CLAUSE_END = re.compile(
    r"^(?:as|since|because|while|although|though|given that|no,) |,? (?:but|and|so|because|since|"
    r"as|though|although) (?=(?:i|we|it|there|the|this|that|nothing|found|nowhere|no|its|his|her|"
    r"their)\b)|, "
)
_MARKS_BEFORE = re.compile(r"^[^\w\u0300-\u036f\u0900-\u0eff]+")
_MARKS_AFTER = re.compile(r"[^\w\u0300-\u036f\u0900-\u0eff]+$")
_SENTINEL = re.sub(r"\W+", " ", ABSTENTION.lower()).strip()
_TURNS = re.compile(
    r"\b(?:but|although|though|however|yet)\b(?!.*(?:\b(?:not|no|nothing|cannot|never|unclear|"
    r"unknown)\b|n't))|\bhere (?:is|are)\b|, so (?:the|he|she|they|it)\b(?!.*\b(?:not|no|cannot|"
    r"un\w+)\b)|,? (?:he|she|they|(?:the )?\w+) (?:said|says|wrote|writes|replied|told|asked|"
    r"thought)\b"
)
_GOES_ON = re.compile(
    r"(?:but|although|though|however|nevertheless|nonetheless|that said|still|yet|here (?:is|are)|"
    r"(?:possibly|probably|perhaps|maybe|presumably|most likely|likely)\b|(?:my|a|the|"
    r"an?) (?:\w+ )?guess|if i (?:had|have) to|i (?:would )?(?:think|believe|guess|suspect|say|"
    r"assume|suppose)\b(?!.*\bnot\b)|(?:so )?the answer is (?!not)|answer:)"
)


def is_sentinel(answer: str) -> bool:
    """Say whether the first sentence of `answer` is the sentinel, or there is no text at all."""
    first, _ = _sentences(_plain(answer))
    return not first or re.sub(r"\W+", " ", first).strip() == _SENTINEL


def abstained(answer: str) -> bool:
    """Say whether `answer` claims nothing: the sentinel, a refusal in words, or no text at all.

    Case, punctuation, courtesies and what comes after the first sentence do not count.
    """
    if is_sentinel(answer):
        return True
    first, rest = _sentences(_plain(answer))
    if _refuses(first):
        return not _GOES_ON.match(rest)
    if _FILLER.match(first):
        second, rest = _sentences(rest)
        return _refuses(second) and not _GOES_ON.match(rest)
    return False


@cache  # compiling takes 0.1 s: who lists suites, or reports what they found, does without
def _refusals() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the forms of English, and those of other languages."""

    def any_of(forms: Iterable[str]) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{form})" for form in forms))

    return any_of(ENGLISH.values()), any_of(OTHERS.values())


def _refuses(sentence: str) -> bool:
    """Say whether a sentence refuses, as a whole or in a clause with fillers beside it.

    `I looked through it, but it does not name her` says no more than its second half.
    """
    english, others = _refusals()
    if found := english.search(sentence):
        return not _TURNS.search(sentence, found.end())
    if others.search(sentence):
        return True
    clauses = [_LEAD.sub("", clause) for clause in _CLAUSE_END.split(sentence) if clause.strip()]
    refusing = [bool(english.search(clause)) for clause in clauses]
    return any(refusing) and all(
        refuses or _FILLER.match(clause) for clause, refuses in zip(clauses, refusing, strict=True)
    )


def _plain(answer: str) -> str:
    """Return an answer in lower case, one form for each character, no contractions."""
    text = straighten(unicodedata.normalize("NFKC", answer)).lower().strip()
    text = text.replace("\u200c", "")  # inside of Persian words
    for short, long in _CONTRACTIONS:
        text = short.sub(long, text)
    return text


def _sentences(text: str) -> tuple[str, str]:
    """Return the first sentence, without courtesies and marks around it, and the rest."""
    text = _LEAD.sub("", _MARKS_BEFORE.sub("", text))
    first, _, rest = _SENTENCE_END.sub("\n", text, count=1).partition("\n")
    return " ".join(_MARKS_AFTER.sub("", first).split()), rest
