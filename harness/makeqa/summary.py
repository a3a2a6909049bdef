"""What `gist-bench make-qa` prints at its end."""

from harness.makeqa.checks import REASONS
from harness.makeqa.job import Made
from harness.makeqa.proposals import KINDS

SHOWN = 10  # documents that were skipped; the notices have all of them


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
    if made.skipped:
        total = made.documents + len(made.skipped)
        lines.append(f"skipped {len(made.skipped)} of {total} documents:")
        lines += [f"  {one.source} {one.reason}" for one in made.skipped[:SHOWN]]
        if len(made.skipped) > SHOWN:
            lines.append(f"  and {len(made.skipped) - SHOWN} more")
    lines += [
        f"{path} is empty. Give longer documents, more --questions, or another --teacher."
        for path in made.empty
    ]
    return "\n".join(lines)
