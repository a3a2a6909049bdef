"""Rules for source code: constants and their values."""

import random
import re
from collections import Counter
from collections.abc import Iterator

from harness.makeqa.mentions import Reading
from harness.makeqa.proposals import Proposal

_CONSTANT = re.compile(
    r"^[ \t]*(?:(?:export|const|static|final|public|let|var)\s+)*(?P<name>[A-Za-z]\w{2,})"
    r"(?:(?:\s*:\s*[\w.\[\]| ]+)? = |: )(?P<value>-?\d[\d_]*(?:\.\d+)?|\"[\w ./-]{2,40}\")"
    r"[;,]?[ \t]*(?:(?:#|//).*)?$",
    re.M,
)


def values(reading: Reading, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for the value of a name that is set once."""
    found = _constants(reading)
    for name in rng.sample(sorted(found), len(found)):
        value, line = found[name]
        yield Proposal("lookup", f"What is `{name}` set to in the text?", (value,), (line,))


def comparisons(reading: Reading, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for the greater of two numbers that names are set to."""
    numbers = {name: (_number(value), line) for name, (value, line) in _constants(reading).items()}
    names = sorted(name for name, (number, _) in numbers.items() if number is not None)
    names = rng.sample(names, len(names))
    for one, other in zip(names[::2], names[1::2], strict=False):
        (first, line), (second, other_line) = numbers[one], numbers[other]
        if first is None or second is None or first == second:
            continue
        greater = one if first > second else other
        question = f"What is the greater of the two values that `{one}` and `{other}` are set to?"
        answer = _constants(reading)[greater][0]
        yield Proposal("reasoning", question, (answer,), (line, other_line))


def missing_constants(reading: Reading, rng: random.Random) -> Iterator[Proposal]:
    """Yield questions for names that are put together from two of the text, and not in it."""
    names = [name for name in sorted(_constants(reading)) if "_" in name]
    for one in rng.sample(names, len(names)):
        other = rng.choice(names)
        if one.isupper() != other.isupper():
            continue
        made = f"{one.rpartition('_')[0]}_{other.rpartition('_')[2]}"
        if not reading.count(made):
            yield Proposal("unanswerable", f"What is `{made}` set to in the text?", (), ())


def _constants(reading: Reading) -> dict[str, tuple[str, str]]:
    """Return the names that are set once to a number or a short text, with value and line."""
    found = [(one["name"], one["value"], one.group()) for one in _CONSTANT.finditer(reading.text)]
    counts = Counter(re.findall(r"(?<![\w.])(\w+)(?:\s*:\s*[\w.\[\]| ]+)?\s*=(?!=)", reading.text))
    counts.update(re.findall(r"^[ \t]*(\w+): (?!.*=)", reading.text, re.M))
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
