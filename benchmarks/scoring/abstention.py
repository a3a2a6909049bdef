"""Whether an answer abstains: the sentinel that the prompt asks for, or a refusal in words.

The sentinel is what counts for models that follow the prompt. Others refuse in their own words:
`REFUSALS` lists the forms that are recognised, in the first sentence only, and an answer that goes
on with "but" or "however" has answered after all. The list is short on purpose. A refusal that it
misses counts as an answer and stands in the records to be read.
"""

import re

from harness.api import ABSTENTION

_TEXT = (
    r"(?:the|this|that|your) (?:given |provided |above )?(?:text|passage|context|document|article|"
    r"paragraph|excerpt|story|narrative|report|information|source|knowledge)"
)
_IN_TEXT = rf"(?:\w+ )?(?:in|by|within|from) {_TEXT}\b"
_STATED = (
    r"(?:explicitly |directly )?(?:mentioned|stated|specified|given|provided|said|found|included|"
    r"known|disclosed|described|discussed|available|contained|indicated|present|covered|listed|"
    r"answered)"
)
_STATES = (
    r"(?:explicitly |directly )?(?:say|state|mention|specify|provide|give|contain|include|indicate|"
    r"tell|reveal|discuss|address|answer|explain|describe|disclose|identify|name|list|have|offer)"
)
_TOLD = (
    r"(?:determined?|answer(?:ed)?|known?|found|find|infer(?:red)?|said|say|told?|tell|"
    r"established?|conclude[d]?|deduced?|derived?|ascertain(?:ed)?|provided?)\b"
)
_CANNOT = r"(?:can ?not|can't|could not|couldn't|am unable to|was unable to|am not able to)"
_IT = r"(?:it|this|that|the (?:answer|question|information))"

REFUSALS = {
    "one word": r"^(?:n/?a|unknown|unanswerable|undetermined|no (?:answer|information))$",
    "not stated": rf"^(?:{_IT} is )?not {_STATED}(?:$| {_IN_TEXT})",
    "the answer is not there": rf"^(?:{_IT} is )?not (?:in|within) {_TEXT}\b",
    "X is not stated in the text": (
        rf"\b(?:is|are|was|were)(?: not|n't|(?: not|n't) been| never) {_STATED} {_IN_TEXT}"
    ),
    "the text does not state X": (
        rf"^(?:(?:based on|according to|in) .*, )?{_TEXT}(?: \w+)? "
        rf"(?:(?:do|does|did)(?: not|n't)|never) {_STATES}s?\b"
    ),
    "there is no information": (
        rf"^(?:there (?:is|are|was|were) |i have |{_TEXT} (?:has|gives|provides|contains) )?"
        r"(?:no|not enough|insufficient|not sufficient) (?:(?:specific|relevant|further) )?"
        r"(?:(?:information|mention|answer)\b|"
        rf"(?:indication|evidence|details?|data) (?:.* )?{_IN_TEXT})"
    ),
    "I do not know": (
        r"^i (?:(?:do|did)(?: not|n't) (?:know|have|see|find)|(?:am|'m) not (?:sure|certain|aware)|"
        rf"have no (?:idea|information|way)|{_CANNOT} {_TOLD})"
    ),
    "it cannot be told": (
        rf"^{_IT}(?: \w+)? (?:(?:can ?not|can't|could not|couldn't) be {_TOLD}|"
        r"is (?:impossible|not possible|unclear|unknown|unanswerable)"
        rf"(?:$| to {_TOLD}| {_IN_TEXT}))"
    ),
    "cannot tell": rf"^(?:can ?not|can't|unable to|(?:impossible|not possible) to) (?:be )?{_TOLD}",
}
"""Forms of refusal in words, each with what it stands for. Matched in lower case."""

_COURTESY = re.compile(
    r"^(?:answer\s*:\s*|(?:(?:i'm|i am) )?(?:very |so )?sorry,? (?:but )?|"
    r"i apologi[sz]e,? (?:but )?|unfortunately,? |well,? |as an ai(?: language)? model,? )+"
)
# Of a refusal: a clause before a semicolon is enough, and "etc." ends no refusal.
_SENTENCE_END = re.compile(r"[.!?](?:\s+|$)|[\n;]\s*")
_SENTINEL = re.sub(r"\W+", " ", ABSTENTION.lower()).strip()
_PATTERN = re.compile("|".join(f"(?:{form})" for form in REFUSALS.values()))
_ANSWERS_AFTER_ALL = re.compile(r"\b(?:but|although|though|however|here (?:is|are)|here's)\b")


def is_sentinel(answer: str) -> bool:
    """Say whether the first sentence of `answer` is the sentinel, or there is no text at all."""
    first, _ = _sentences(answer)
    return not first or re.sub(r"\W+", " ", first).strip() == _SENTINEL


def abstained(answer: str) -> bool:
    """Say whether `answer` claims nothing: the sentinel, a refusal in words, or no text at all.

    Case, punctuation, courtesies and what comes after the first sentence do not count.
    """
    if is_sentinel(answer):
        return True
    first, rest = _sentences(answer)
    goes_on = _ANSWERS_AFTER_ALL.search(first) or _ANSWERS_AFTER_ALL.match(rest)
    return bool(_PATTERN.search(first)) and not goes_on


def _sentences(answer: str) -> tuple[str, str]:
    """Return the first sentence and the rest, in lower case and without courtesies."""
    text = answer.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = _COURTESY.sub("", re.sub(r"^\W+", "", text))
    first, _, rest = _SENTENCE_END.sub("\n", text, count=1).partition("\n")
    return " ".join(re.sub(r"\W+$", "", first).split()), rest
