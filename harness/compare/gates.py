"""Gates of `gist-bench compare`: `exact_match<-0.02` fails where that much is certainly lost.

A gate names a figure, the direction of a regression, and its tolerance: absolute, or with % as a
fraction of the base. Without a figure, `<-0.02`, it is about the headline metric. It is judged by
a paired test of the change against the tolerance, so a change that chance could explain does not
fail. A gate that could not be judged anywhere is not passed.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from harness.compare.changes import Change, Figure, definition
from harness.errors import UserError
from harness.report.significance import MIN_TESTED
from harness.report.stats import LEVEL, Estimate

State = Literal["holds", "REGRESSED", "not judged"]
HOLDS: State = "holds"
REGRESSED: State = "REGRESSED"
UNKNOWN: State = "not judged"
HEADLINE = "headline"
EXAMPLES = "'exact_match<-0.02', 'decode_tokens_per_s<-10%' or 'held_bytes>+1%'"
_GATE = re.compile(
    r"\s*(?P<metric>[A-Za-z_]\w*|)\s*(?P<side>[<>])\s*"
    r"(?P<tolerance>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)\s*"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """What must not happen to a figure between two runs."""

    text: str  # as it was given, without spaces
    metric: str
    falls: bool  # a fall is the regression; else a rise
    tolerance: float  # of new - base, or of new / base - 1; its sign is that of a regression
    relative: bool

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """Read a gate.

        Raises:
            UserError: it is not one, or guards against an improvement.
        """
        found = _GATE.fullmatch(text)
        if found is None:
            raise UserError(
                f"--fail-on {text!r} is not a gate. Write METRIC<-TOLERANCE or METRIC>+TOLERANCE, "
                f"for example {EXAMPLES}."
            )
        metric, falls = found["metric"] or HEADLINE, found["side"] == "<"
        tolerance = float(found["tolerance"])
        if tolerance > 0 if falls else tolerance < 0:
            amount = found["tolerance"].lstrip("+-") + found["percent"]
            right = f"{metric}{'<-' if falls else '>+'}{amount}"
            raise UserError(
                f"--fail-on {text!r} would fail on small changes, not on large ones. "
                f"Write {right!r}."
            )
        better = definition(metric).better
        if better == ("lower" if falls else "higher"):
            raise UserError(
                f"--fail-on {text!r} guards against an improvement: {better} is better in {metric}."
                f" Turn {found['side']} around, as in {EXAMPLES}."
            )
        relative = bool(found["percent"])
        shown = ("" if found["metric"] else HEADLINE) + "".join(text.split())
        return cls(shown, metric, falls, tolerance / 100 if relative else tolerance, relative)

    def is_about(self, change: Change) -> bool:
        """Return whether a change is one of its figure."""
        return change.is_headline if self.metric == HEADLINE else change.metric == self.metric


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says about one backend of one suite."""

    gate: Gate
    change: Change
    estimate: Estimate  # of the change, in the gate's terms
    in_percent: bool  # of the base; there is no fraction of 0
    state: State
    room: float  # from the estimate to the tolerance; negative: beyond it


def judged(gate: Gate, figure: Figure) -> Verdict:
    """Return what the gate says about a change of its metric."""
    estimate = figure.relative if gate.relative else figure.absolute
    relative = gate.relative and estimate is not None
    tolerance = gate.tolerance
    if estimate is None:  # the base is 0: it cannot fall, and any certain rise is beyond it
        estimate, tolerance = figure.absolute, 0.0
    state: State = HOLDS
    room = estimate.mean - tolerance if gate.falls else tolerance - estimate.mean
    if not figure.is_exact and (estimate.low is None or estimate.contexts < MIN_TESTED):
        state = UNKNOWN
    elif room < 0 and figure.p_against(tolerance, relative=relative) < 1 - LEVEL:
        state = REGRESSED
    return Verdict(gate, figure.change, estimate, relative, state, room)


def state_of(verdicts: Collection[Verdict]) -> State:
    """Return a gate's state over all backends: one regression, or one judgement, is enough."""
    states = {verdict.state for verdict in verdicts}
    return next((state for state in (REGRESSED, HOLDS) if state in states), UNKNOWN)
