"""The table of validity checks: what must hold before the figures of a backend count.

Checks of masks, caches and backends ran beside the rows and are kept in run.json. The
shuffled-context control, a document's own gists against another document's, follows from the rows
of shuffled(gist).
"""

from collections.abc import Iterator, Sequence

from harness.report import format as printing
from harness.report.contrasts import contrast_of
from harness.report.format import Table
from harness.report.sections import COMPARED, INVALID, Section, scored
from harness.run.controls import wrap
from harness.run.metadata import Checked, RunMetadata
from harness.run.metrics import Metric
from harness.run.rows import Rows

MECHANICAL = "masks and caches"
AS_RUN = "backend as run"
SHUFFLED = "shuffled-context control"
NOT_RUN = "not run"
PASS, FAIL, NOT_SHOWN = "pass", "FAIL", "not shown"
FAILED = frozenset({FAIL, NOT_SHOWN})
LEGEND = (
    "Validity checks of masks and caches fail where answers see the context past its gists, or "
    f"where more is kept than reported; all figures of that adapter are then marked{INVALID}. "
    "Shuffled-context control: the score with a document's own gists minus the score with another "
    "document's, on the same questions."
)
LEGEND_AS_RUN = (
    "Backend as run: before the rows were measured, samples of the run went through the backend, "
    "and what it reports was compared with what was seen from outside; run.json has every check. A "
    f"backend that fails one is marked{INVALID}."
)
METRICS = (
    Metric(
        "check",
        "What was measured, its limit, and whether it holds: a property without which the figures "
        "of compressed contexts could not be believed.",
        "as named",
        "neither",
        kind="comparison",
        headings=("measured", "limit", "verdict"),
        is_column=False,
    ),
)


def check_tables(rows: Rows, sections: Sequence[Section]) -> Iterator[Table]:
    """Yield the table of checks if any were made, or there are gist backends with scores."""
    lines = dict.fromkeys(
        (
            *(line for section in scored(sections) for line in _mechanical(rows, section)),
            *(line for section in scored(sections) for line in _shuffled(section)),
        )
    )
    if lines:
        header = ("backend", "check", "measured", "limit", "verdict")
        as_run = (LEGEND_AS_RUN,) if any(line[1] == AS_RUN for line in lines) else ()
        yield Table("Validity checks", header, tuple(lines), legend=(LEGEND, *as_run), keys=2)


def checks_line(tables: Sequence[Table]) -> str:
    """Return `Validity checks: 4 of 5 pass; FAIL: ... for ...; not run: ... for ...`."""
    outcomes: dict[str, dict[str, list[str]]] = {}
    for backend, check, measured, _, verdict in (row for table in tables for row in table.rows):
        outcome = NOT_RUN if measured == NOT_RUN else verdict
        named = outcomes.setdefault(outcome, {}).setdefault(check.partition(": ")[0], [])
        named.append(backend)
    passed = sum(map(len, outcomes.pop(PASS, {}).values()))
    made = passed + sum(len(names) for o in FAILED for names in outcomes.get(o, {}).values())
    others = [
        f"{outcome}: {check} for {', '.join(dict.fromkeys(backends))}"
        for outcome, of_checks in sorted(outcomes.items(), key=lambda item: item[0] == NOT_RUN)
        for check, backends in of_checks.items()
    ]
    passing = [f"{passed} of {made} pass"] if made else []
    return f"Validity checks: {'; '.join([*passing, *others])}."


def _mechanical(rows: Rows, section: Section) -> Iterator[tuple[str, ...]]:
    """Yield the checks that the runs made, of adapters and of backends."""
    compared = section.backends_named(COMPARED)
    for backend in section.backends:
        for run in dict.fromkeys(section.rows.of(backend).constant("run")):
            if backend in compared:
                yield from _of_adapter(backend, rows.metadata[run])
            yield from _as_run(backend, rows.metadata[run])


def _of_adapter(backend: str, run: RunMetadata) -> Iterator[tuple[str, ...]]:
    name = backend.removesuffix(INVALID)
    own = (one for one in run.checked if one.of_adapter and name in one.backends)
    adapter = next(own, Checked(()))
    shown = adapter.backends[0] if adapter.backends else name  # one adapter, one check
    for check, measured, limit, passed in adapter.checks:
        yield shown, check, measured, limit, PASS if passed else FAIL
    if not adapter.checks:
        why = adapter.not_run or "gist-bench verify"
        yield shown, MECHANICAL, NOT_RUN, printing.UNKNOWN, why


def _as_run(backend: str, run: RunMetadata) -> Iterator[tuple[str, ...]]:
    """Yield how many checks of a backend hold, and each that does not."""
    name = backend.removesuffix(INVALID)
    for one in run.checked:
        if one.of_adapter or name not in one.backends:
            continue
        if one.not_run:
            yield name, AS_RUN, NOT_RUN, printing.UNKNOWN, one.not_run
            continue
        failed = [check for check in one.checks if not check[3]]
        holding = f"{len(one.checks) - len(failed)} of {len(one.checks)} checks hold"
        yield name, AS_RUN, holding, "all", FAIL if failed else PASS
        for check, measured, limit, _ in failed:
            yield name, check, measured, limit, FAIL


def _shuffled(section: Section) -> Iterator[tuple[str, ...]]:
    """Yield the shuffled-context control of each gist backend."""
    for backend in section.backends_named(COMPARED):
        yield backend, f"{SHUFFLED}: {section.name}", *_difference(section, backend)


def _difference(section: Section, backend: str) -> tuple[str, str, str]:
    mark = INVALID if backend.endswith(INVALID) else ""
    other = wrap("shuffled", backend.removesuffix(INVALID)) + mark
    found = contrast_of(section, backend, other)
    if found is None:
        return NOT_RUN, "above 0", "run with --controls"
    difference = printing.interval(found.difference, signed=True)
    shown = f"{found.first:.2f} - {found.second:.2f} = {difference}, p = {found.p:.3f}"
    shows = found.difference.low is not None and found.is_above_zero
    return shown, "above 0", PASS if shows else NOT_SHOWN
