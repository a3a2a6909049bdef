"""Ways in which files come to harm: cut short, a byte changed, a value of another kind."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ODD = (None, True, -1, 0, 10**12, 2.5, "x", "", [], {}, [[1]], {"a": None}, "\ud800", [None] * 3)
FUZZ = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Damage:
    """One way, at one place of a file."""

    kind: str
    place: float  # of the file's length, or of its values
    number: int

    def apply(self, data: bytes) -> bytes:
        """Return the file's content as it is after it."""
        at = int(self.place * len(data))
        if self.kind == "cut":
            return data[:at]
        if self.kind == "value":
            try:
                return self._with_odd_value(json.loads(data))
            except ValueError:  # no JSON: a byte is changed
                pass
        return data[:at] + bytes([data[at] ^ (1 + self.number % 255)]) + data[at + 1 :]

    def _with_odd_value(self, whole: Any) -> bytes:
        places = list(_places(whole))
        owner, key = places[int(self.place * len(places))]
        owner[key] = ODD[self.number % len(ODD)]
        return json.dumps(whole).encode()


def _places(value: Any) -> Any:
    """Yield every place of a JSON value, as what holds it and its key."""
    pairs = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = enumerate(value[:8])  # vocabularies are long
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


DAMAGES = st.builds(
    Damage,
    st.sampled_from(("cut", "flip", "value", "value")),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 254),
)
