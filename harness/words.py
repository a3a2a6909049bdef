"""The answer of a report in sentences, made from the figures of its tables.

A difference is told only where it has an interval, and called a loss or a gain only where the
interval leaves 0 out and Holm's p is below 5 %. What cannot be told apart is said to be so, and
what is missing to believe a figure stands beside the answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness import breakeven, costs, printing
from harness.breakeven import BreakEven
from harness.contrasts import Pair, pairs
from harness.controls import split_control
from harness.proof_table import proof_tables
from harness.rows import Rows
from harness.stats import LEVEL, Estimate
from harness.tables import CEILING, FLOOR, INVALID, Section, headline_table, name_of, rank_of

Found = Sequence[tuple[str, str, Section]]  # setup, suite and section, as the report has them
NOTHING = "Nothing can be told apart: no difference is larger than chance could make it."
NO_SCORES = "No suite with scores: this report shows costs."
PASS = "pass"
ADAPTED = "adapter=on"  # the model itself, with the weights that gists were trained with


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of an arm in a suite."""

    lead: str
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.lead} {self.rest}".strip()


@dataclass(frozen=True, slots=True)
class Opening:
    """What a report begins with."""

    answers: tuple[Answer, ...]
    doubts: tuple[str, ...]  # what is missing, failed, or to be kept in mind


def opening(rows: Rows, found: Found) -> Opening:
    """Return the answer of a report and what stands in its way."""
    scored = [each for each in found if each[2].metrics]
    several = len({setup for setup, _, _ in scored}) > 1
    names = [f"{suite} ({setup})" if several else suite for setup, suite, _ in scored]
    answers: list[Answer] = []
    compared: list[Pair] = []
    notes: dict[str, list[str]] = {}
    for name, (_, _, section) in zip(names, scored, strict=True):
        of_section = pairs(section)
        compared += of_section
        answers += _answers(name, section, of_section)
        for note in headline_table(section).notes:
            notes.setdefault(note, []).append(name)
    if not scored:
        answers = [Answer(NO_SCORES)]
    elif compared and not any(is_told_apart(pair) for pair in compared):
        answers = [Answer(NOTHING), *answers]
    told = [f"{', '.join(suites)}: {note}" for note, suites in notes.items()]
    return Opening(tuple(answers), (*_proofs(rows, found), *told))


def is_told_apart(pair: Pair) -> bool:
    """Say whether a difference has an interval without 0, and holds among all comparisons."""
    return pair.contrast.difference.excludes_zero and pair.holm < 1 - LEVEL


def _answers(suite: str, section: Section, compared: Sequence[Pair]) -> Iterator[Answer]:
    """Yield a paragraph for each arm that gives the model less than the whole context."""
    of_subject: dict[str, list[Pair]] = {}
    for pair in compared:
        for one in (pair, _turned(pair)):
            # Two backends of one rank are told of once, as they were compared.
            if rank_of(one.arm) == 1 and (one is pair or rank_of(one.other) != 1):
                of_subject.setdefault(one.arm, []).append(one)
    points = list(breakeven.break_evens(section))
    for arm, of_arm in of_subject.items():
        if arm.endswith(INVALID):
            yield Answer(f"{suite}: nothing is said of {arm}, as a proof failed.")
            continue
        rivals = [one for one in of_arm if _is_rival(one.other, arm)]
        rivals.sort(key=lambda one: rank_of(one.other))
        if not rivals:
            continue
        floor = next((one for one in of_arm if name_of(one.other) == FLOOR), None)
        first, *others = rivals
        sentences = [
            *_beside(others, len(compared)),
            *([_beyond(floor)] if floor else []),
            *_memory(section, arm),
            *_time([one for one in points if one.arm == arm and one.other in _names(rivals)]),
        ]
        told = _against(first, section.metrics[0], len(compared))
        lead = f"{suite}{_sizes(section, arm)} and, against {first.other}, {told}."
        yield Answer(lead, " ".join(f"{sentence}." for sentence in sentences))


def _names(rivals: Sequence[Pair]) -> set[str]:
    """Return the names of the arms that one is compared with."""
    return {rival.other for rival in rivals}


def _is_rival(other: str, arm: str) -> bool:
    """Say whether an arm is an alternative to another: no control, floor or other budget of it."""
    control, _ = split_control(other.removesuffix(INVALID))
    usable = rank_of(other) < 2 and not control and ADAPTED not in other
    return usable and name_of(other) != name_of(arm)


def _turned(pair: Pair) -> Pair:
    """Return the same comparison seen from the other arm."""
    d = pair.contrast.difference
    low, high = (None if bound is None else -bound for bound in (d.high, d.low))
    turned = Estimate(-d.mean, low, high, d.n, d.contexts)
    return replace(
        pair,
        arm=pair.other,
        other=pair.arm,
        contrast=replace(pair.contrast, difference=turned),
    )


def _sizes(section: Section, arm: str) -> str:
    """Return `, contexts of 371 tokens: gist keeps 24 of 371 entries`, all of them medians."""
    rows = section.counted[section.counted["backend"] == arm]
    tokens, entries = rows["context_tokens"].median(), rows["context_entries"].median()
    if not (tokens > 0 and entries >= 0):
        return f": {arm} reads the context"
    spread = rows["context_tokens"].min(), rows["context_tokens"].max()
    sizes = printing.count(spread[0])
    if spread[0] != spread[1]:
        sizes += f" to {printing.count(spread[1])}"
    return (
        f", contexts of {sizes} tokens: {arm} keeps "
        f"{printing.count(entries)} of {printing.count(tokens)} entries (medians)"
    )


def _against(pair: Pair, metric: str, compared: int) -> str:
    """Return `loses 0.11 f1 (0.03 to 0.20)`, or that it cannot be told.

    Args:
        pair: the comparison.
        metric: what was compared.
        compared: how many such comparisons there are, which Holm's p counts.
    """
    d = pair.contrast.difference
    if d.low is None or d.high is None:
        return f"cannot be compared: {printing.count(d.contexts)} contexts are too few"
    low, high = sorted((abs(d.low), abs(d.high)))
    size = f"{abs(d.mean):.2f} {metric} ({low:.2f} to {high:.2f})"
    if is_told_apart(pair):
        return f"{'gains' if d.mean > 0 else 'loses'} {size}"
    if d.excludes_zero:
        return (
            f"seems to {'gain' if d.mean > 0 else 'lose'} {size}, but of {compared} comparisons "
            f"one may look like that by chance (p = {pair.holm:.2f})"
        )
    seen = pair.contrast.detectable
    besides = "" if seen is None else f"; a difference of {seen:.2f} would have shown"
    interval = f"{d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f}"
    return f"cannot be told apart in {metric} ({interval}{besides})"


def _beside(pairs_of_arm: Sequence[Pair], compared: int) -> Iterator[str]:
    """Yield a sentence for each verdict, with all arms of which it is true."""
    of_verdict: dict[str, list[str]] = {}
    for pair in pairs_of_arm:
        d = pair.contrast.difference
        if d.low is None or d.high is None:
            verdict, figures = "It cannot be compared, for too few contexts, with", ""
        else:
            figures = f" ({d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f})"
            if is_told_apart(pair):
                verdict = "It gains on" if d.mean > 0 else "It loses to"
            elif d.excludes_zero:
                side = "gain on" if d.mean > 0 else "lose to"
                verdict = f"As one of {compared} comparisons may by chance, it seems to {side}"
            else:
                verdict = "It cannot be told apart from"
        of_verdict.setdefault(verdict, []).append(f"{pair.other}{figures}")
    for verdict, others in of_verdict.items():
        yield f"{verdict} {'; '.join(others)}"


def _beyond(pair: Pair) -> str:
    """Say whether an arm knows more than the model does without the context."""
    d = pair.contrast.difference
    if d.excludes_zero and d.mean > 0 and d.low is not None and d.high is not None:
        size = f"{d.mean:.2f} ({d.low:.2f} to {d.high:.2f}) above {pair.other}"
        if is_told_apart(pair):
            return f"It is {size}"
        return f"It seems to be {size}, but not beyond chance among so many comparisons"
    return (
        f"It is not shown to be better than {pair.other}: its answers may not come from the "
        "context at all"
    )


def _memory(section: Section, arm: str) -> Iterator[str]:
    """Yield what is held instead of what full context holds: exact bytes, medians."""
    frame = section.frame
    held = {
        name: costs.measured(frame[frame["backend"] == name]).held_bytes
        for name in (arm, *section.arms_named(CEILING)[:1])
    }
    mine, *others = held.values()
    if others and mine > 0 and others[0] > 0:
        yield (
            f"It holds {printing.size(mine)} per context, {list(held)[1]} "
            f"{printing.size(others[0])}"
        )


def _time(points: Sequence[BreakEven]) -> Iterator[str]:
    """Yield from how many questions on an arm pays, as far as that can be told."""
    of_verdict: dict[str, list[str]] = {}
    for point in points:
        verdict, figures = _pays(point)
        of_verdict.setdefault(verdict, []).append(f"{point.other}{figures}")
    if of_verdict:
        told = (f"{verdict} {', '.join(others)}" for verdict, others in of_verdict.items())
        yield f"In time it pays {'; '.join(told)}"


def _pays(point: BreakEven) -> tuple[str, str]:
    """Return when an arm pays in words that other arms may share, and the figures of this one."""
    if point.high is None:
        return "nobody knows when, for too few contexts, against", ""
    if point.is_ruled_out:
        return "at no number of questions against", ""
    if point.is_known and point.high == 1:
        return "from the first question on against", ""
    if point.is_known:
        number = printing.count(point.questions)
        return f"from {number} questions on ({point.interval}) against", ""
    return "from a number that cannot be told against", f" ({point.interval})"


def _proofs(rows: Rows, found: Found) -> Iterator[str]:
    """Yield the proofs that failed, were not run, or did not show what they should."""
    open_ones: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for table in proof_tables(rows, found):
        for arm, proof, measured, _, verdict in table.rows:
            if verdict == PASS:
                continue
            name, _, suite = proof.partition(": ")
            arms, suites = open_ones.setdefault((name, measured, verdict), ([], []))
            arms += [arm] if arm not in arms else []
            suites += [suite] if suite and suite not in suites else []
    for (name, measured, verdict), (arms, suites) in open_ones.items():
        where = f" in {', '.join(suites)}" if suites else ""
        yield f"Proof that is open, {name}: {measured} ({verdict}) for {', '.join(arms)}{where}."
