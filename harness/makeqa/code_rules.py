"""Rules for source code: constants and their values."""

import random
import re
from collections import Counter
from collections.abc import Iterator

from harness.makeqa.proposals import Proposal
from harness.mentions import AnnotatedText

_CONSTANT = re.compile(
    r"^[ \t]*(?:(?:export|const|static|final|public|let|var)\s+)*(?P<name>[A-Za-z]\w{2,})"
    r"(?:(?:\s*:\s*[\w.\[\]| ]+)? = |: )(?P<value>-?\d[\d_]*(?:\.\d+)?|\"[\w ./-]{2,40}\")"
    r"[;,]?[ \t]*(?:(?:#|//).*)?$",
    re.M,
)


def values(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for the value of a name that is set once."""
    found = _constants(annotated)
    for name in rng.sample(sorted(found), len(found)):
        value, line = found[name]
        yield Proposal("lookup", f"What is `{name}` set to in the text?", (value,), (line,))


def comparisons(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for the greater of two numbers that names are set to."""
    found = _constants(annotated)
    read = {name: _number(value) for name, (value, _) in found.items()}
    numbers = {name: number for name, number in read.items() if number is not None}
    names = rng.sample(sorted(numbers), len(numbers))
    for one, other in zip(names[::2], names[1::2], strict=False):
        if numbers[one] != numbers[other]:
            answer, _ = found[max(one, other, key=numbers.__getitem__)]
            question = (
                f"What is the greater of the two values that `{one}` and `{other}` are set to?"
            )
            lines = (found[one][1], found[other][1])
            yield Proposal("reasoning", question, (answer,), lines)


def missing_constants(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for names that are put together from two of the text, and not in it."""
    names = [name for name in sorted(_constants(annotated)) if "_" in name]
    for one in rng.sample(names, len(names)):
        other = rng.choice(names)
        if one.isupper() != other.isupper():
            continue
        made = f"{one.rpartition('_')[0]}_{other.rpartition('_')[2]}"
        if not annotated.count(made):
            yield Proposal("unanswerable", f"What is `{made}` set to in the text?", (), ())


def _constants(annotated: AnnotatedText) -> dict[str, tuple[str, str]]:
    """Return the names that are set once to a number or a short text, with value and line."""
    found = [(one["name"], one["value"], one.group()) for one in _CONSTANT.finditer(annotated.text)]
    counts = Counter(
        re.findall(r"(?<![\w.])(\w+)(?:\s*:\s*[\w.\[\]| ]+)?\s*=(?!=)", annotated.text)
    )
    counts.update(re.findall(r"^[ \t]*(\w+): (?!.*=)", annotated.text, re.M))
    return {
        name: (value.strip('"'), " ".join(line.split()))
        for name, value, line in found
        if counts[name] == 1
    }


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
