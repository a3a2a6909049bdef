"""What `gist-bench make-qa` prints at its end."""

from harness.makeqa.checks import REASONS
from harness.makeqa.job import Made
from harness.makeqa.proposals import KINDS


def summary(made: Made) -> str:
    """Return what was made, and how many questions were dropped for which reason."""
    totals, lines = made.totals, []
    for part, path in made.outputs.items():
        kinds = totals.kept[part]
        counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
        lines.append(
            f"{path}: {totals.contexts[part]} contexts, {kinds.total()} questions ({counts})"
        )
    lines.append(f"dropped: {totals.dropped.total()} questions")
    lines += [
        f"  {totals.dropped[reason]:5d}  {reason}: {meaning}"
        for reason, meaning in REASONS.items()
        if totals.dropped[reason]
    ]
    if totals.bare:
        lines.append(f"contexts left out because no question was kept: {totals.bare}")
    if totals.silent:
        lines.append(
            f"contexts that got no reply from the teacher: {totals.silent}. "
            "Give the same command again to ask again"
        )
    lines.append(f"{totals.done} contexts; {made.documents} documents read")
    return "\n".join(lines)
