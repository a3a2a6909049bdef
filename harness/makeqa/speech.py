"""Pieces of speech with a speaker: "The rent is due," said Ada."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.mentions import TITLES, AnnotatedText

WORDS = range(5, 26)  # of speech that is asked about

_SAYS = (
    "said|says|cried|asked|answered|replied|remarked|exclaimed|shouted|whispered|began|continued"
)
_SPEECH = re.compile(
    r"(?<!\w)[\"'\u201c\u2018](?P<words>(?:(?![.,!?]?[\"'\u201d\u2019](?!\w)|[\"\u201c]).)+)"
    r"[.,!?]?[\"'\u201d\u2019] "
    rf"(?:{_SAYS}) (?P<who>(?:the )?(?:(?:{'|'.join(TITLES)})\.? )?[A-Z]\w+(?: [A-Z]\w+)*)"
)


@dataclass(frozen=True, slots=True)
class Speech:
    """What somebody says."""

    words: str
    speaker: str
    support: str

    @property
    def question(self) -> str:
        """The question for the speaker."""
        return f"Who says in the text: \N{LEFT DOUBLE QUOTATION MARK}{self.words}\u201d?"


def find_speech(annotated: AnnotatedText) -> Iterator[Speech]:
    """Yield the pieces of speech whose speaker is named right behind them."""
    for paragraph in re.split(r"\n\s*\n", annotated.text):
        line = " ".join(paragraph.split())
        for found in _SPEECH.finditer(line):
            speaker = found["who"].removeprefix("the ")
            if speaker in annotated.names and len(found["words"].split()) in WORDS:
                yield Speech(found["words"], speaker, found.group())
