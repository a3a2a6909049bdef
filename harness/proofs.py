"""What has to hold before a figure of compressed contexts can be believed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """One property that was checked: what was measured, what it may be, whether it holds."""

    name: str
    measured: str
    limit: str
    passed: bool
    detail: str = ""
