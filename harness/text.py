"""Texts as they are compared and cut: the form in which answers are equal, and sentences.

Standard library only, so that every package may import it.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_STRAIGHT = str.maketrans("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u2013\u2014", "''''\"\"\"--")

_MINUS = str.maketrans("\u2212\u2044", "-/")  # and the slash inside of one half
# Vowels of Arabic and Hebrew, which may be written or not, and the stroke that draws a word out.
_OPTIONAL = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670]"
)
# Scripts that set no spaces between words, and Hangul, whose words carry their particles: there a
# letter with its marks is a word. Blocks of Han, kana, Hangul, Thai, Lao, Tibetan, Burmese, Khmer.
_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff"
    "\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])\w)+")
UNITS = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
"""What a text may be cut between: words, and letters where no spaces are set."""
WORDS_AND_MARKS = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+|[^\w\s]")
ENGLISH = "English"
"""As `languages` in what a backend describes: a run says where its contexts are of another."""
_ENGLISH_WORDS = frozenset(
    "the of and to is was that with for by he she it are from his her as".split()
)
_SCRIPTS = {"HIRAGANA": "Japanese", "KATAKANA": "Japanese", "CJK": "Han"}

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_STOP = re.compile(
    r"[.!?\u2026]+[\"')\]\u2019\u201d]*(?=\s)|[\u3002\uff01\uff1f\uff0e\u0964\u0965\u061f\u06d4\u17d4]+"
)
_ITEM = re.compile(r"\n(?=[ \t]*(?:[-*+>|#]|\d+[.)])\s)")
_OPENING = re.compile(r"[\s(\[\"'\u2018\u201c\u00ab]")
_NEXT = re.compile(r"\s*(\S?)")
_ABBREVIATIONS = frozenset(
    "al approx cf co dr e.g ed eq etc fig gen i.e inc jr lt ltd mr mrs ms mt no p pp prof rev sr st"
    " vol vs".split()
)
_CODE = re.compile(r"[{}\[\]<>=_\\`#*|@~^]|://|\w\(|[a-z]\.[a-z_]|\s--\w")
_SENTENCE = re.compile(r"[\"'(\u2018\u201c]?[A-Z].*[.!?\u2026][\"')\u2019\u201d]*", re.S)


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: half a character becomes a question mark."""
    return text.encode(errors="replace").decode()


def normalize(text: str, *, articles: bool = False, official: bool = False) -> str:
    """Return `text` in the form that SQuAD compares; with `articles`, these stay in it.

    The order is the official one and matters: lower case, punctuation, articles, white space.
    `the-cat` becomes `thecat`, not `cat`. Beyond ASCII it is that of MLQA (arXiv 1910.07475): all
    punctuation of Unicode goes, and scripts without spaces are compared letter by letter, as are
    the syllables of Korean (KorQuAD, arXiv 1909.07005). Forms of one character are equal (NFKC),
    and so are the digits of all scripts.

    Args:
        text: an answer or a target.
        articles: whether a, an and the are words.
        official: as SQuAD's own script: in Latin letters, only ASCII punctuation goes. Its scores
            are published; curly quotes and long dashes count there.
    """
    if text.isascii():
        bare = text.lower().translate(_PUNCTUATION)
    elif official and script_of(text) in ("Latin", ""):
        bare = unicodedata.normalize("NFC", text).lower().translate(_PUNCTUATION)
    else:
        kept = "".join(char for char in _folded(text) if not _is_punctuation(char))
        bare = _RUN.sub(lambda run: f" {' '.join(_letters(run[0]))} ", kept)
    return " ".join((bare if articles else _ARTICLES.sub(" ", bare)).split())


def normalize_pair(answer: str, target: str, *, official: bool = False) -> tuple[str, str]:
    """Return both texts in the form that is compared, the second empty only if it is blank.

    A target such as `A` or `?` would be normalised to nothing: there the step that takes its last
    character is left out for both texts.
    """
    for articles in (False, True):
        if wanted := normalize(target, articles=articles, official=official):
            return normalize(answer, articles=articles, official=official), wanted
    return " ".join(_folded(answer).split()), " ".join(_folded(target).split())


def words(text: str) -> list[str]:
    """Return the words of a text to search by, in lower case.

    Where a script sets no spaces, every letter and every pair of neighbours is a word, as in
    Lucene's CJKAnalyzer.
    """
    found: list[str] = []
    for word in _WORD.findall(text.lower() if text.isascii() else _folded(text)):
        if _RUN.match(word):
            letters = _letters(word)
            found += letters
            found += [a + b for a, b in pairwise(letters)]
        else:
            found.append(word)
    return found


def script_of(text: str) -> str:
    """Return the script that most letters of a text are written in, such as Latin; or nothing."""
    counts = Counter(_script(char) for char in text if char.isalpha())
    if counts["Japanese"]:  # Japanese is written in Han and kana
        counts["Japanese"] += counts.pop("Han", 0)
    return max(counts, key=lambda script: counts[script], default="")


def is_english(text: str) -> bool:
    """Guess whether a text of some length is English, by its script and its commonest words."""
    if script_of(text) not in ("Latin", ""):
        return False
    found = _WORD.findall(text.lower())
    return len(found) < 50 or sum(word in _ENGLISH_WORDS for word in found) > 0.04 * len(found)


def _folded(text: str) -> str:
    """Return a text in one form for each character: NFKC, case folded, ASCII digits and minus."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    folded = folded.replace("i\u0307", "i").translate(_MINUS)  # a Turkish capital with its dot
    folded = _OPTIONAL.sub("", folded)
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char
        for char in folded
        if unicodedata.category(char) != "Cf"  # soft hyphens, joiners, marks of direction
    )


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char)[0] == "P"


def _letters(text: str) -> list[str]:
    """Return the letters of a text, each with the marks that are written on it."""
    letters: list[str] = []
    for char in text:
        if letters and unicodedata.category(char)[0] == "M":
            letters[-1] += char
        else:
            letters.append(char)
    return letters


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    name = unicodedata.name(char, "").partition(" ")[0]
    return _SCRIPTS.get(name, name.capitalize())


def in_any_spacing(words: str) -> str:
    """Return the pattern of words in a row, whatever stands between them of white space."""
    return r"\s+".join(map(re.escape, words.split()))


def straighten(text: str) -> str:
    """Return `text` with straight quotes and hyphens, each character at its place."""
    return text.translate(_STRAIGHT)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text: `text[start:end]`."""

    start: int
    end: int
    first: bool = False  # of its paragraph


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text, without the white space around them.

    Found by punctuation and blank lines, without a model. Lines of code, tables and lists are
    units of their own: they are no sentences, but a text can be cut between them.
    """
    return [span for paragraph in _paragraphs(text) for span in _units(text, paragraph)]


def is_prose(sentence: str) -> bool:
    """Say whether a piece of text is a whole sentence of plain words."""
    if not _SENTENCE.fullmatch(sentence) or _CODE.search(sentence):
        return False
    return "\n\n" not in sentence and sum(map(str.isalpha, sentence)) > 0.7 * len(sentence)


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """Say whether a sentence ends at the punctuation `text[start:end]`."""
    following = _NEXT.match(text, end)
    if following and following[1].islower():
        return False  # "approx. five"; "Stop!" he cried
    if text[start] != ".":
        return True
    word = _OPENING.split(text[max(0, start - 16) : start])[-1]
    initial = len(word) == 1 and word.isupper() and word != "I"
    return not initial and word.lower() not in _ABBREVIATIONS


def _paragraphs(text: str) -> Iterator[Span]:
    begin = 0
    for gap in (*_BLANK_LINE.finditer(text), None):
        end = gap.start() if gap else len(text)
        if trimmed := _trim(text, begin, end, first=True):
            yield trimmed
        begin = gap.end() if gap else end


def _units(text: str, paragraph: Span) -> Iterator[Span]:
    inside = text[paragraph.start : paragraph.end]
    if _is_code(inside):
        ends = [found.end() for found in re.finditer(r"\n", inside)]
    else:
        stops = [m.end() for m in _STOP.finditer(inside) if _ends_sentence(inside, *m.span())]
        ends = sorted({*stops, *(found.end() for found in _ITEM.finditer(inside))})
    begin = 0
    for end in (*ends, len(inside)):
        start = paragraph.start + begin
        if unit := _trim(text, start, paragraph.start + end, first=begin == 0):
            yield unit
        begin = end


def _is_code(paragraph: str) -> bool:
    """Say whether line breaks mean something here: indents and signs, not wrapped words."""
    lines = paragraph.split("\n")
    signs = sum(
        line[:1].isspace() or line.rstrip()[-1:] in "({[:;=}])|\\" or line[:1] in "@}|"
        for line in lines[1:]
    )
    return len(lines) > 1 and 2 * signs > len(lines) - 1 and bool(_CODE.search(paragraph))


def _trim(text: str, start: int, end: int, *, first: bool) -> Span | None:
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    return Span(start, start + len(inside.strip()), first) if inside.strip() else None
