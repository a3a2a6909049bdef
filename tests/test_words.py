"""The answer in words says what the figures say, and no more than that."""

import re
from pathlib import Path

from harness.contrasts import pairs
from harness.printing import interval
from harness.records import Cell
from harness.report import sections
from harness.rows import read_rows
from harness.tables import Section
from harness.words import NO_SCORES, NOTHING, Opening, is_told_apart, opening
from tests.made_run import COSTS_ONLY, RUN, made_run


def opened(folder: Path) -> Opening:
    """Return the opening of the report on a run."""
    rows = read_rows([folder])
    return opening(rows, list(sections(rows)))


def section_of(folder: Path) -> Section:
    """Return the first section of a run."""
    return next(iter(sections(read_rows([folder]))))[2]


def test_the_lead_tells_the_difference_of_the_table(tmp_path: Path) -> None:
    """What gist loses against full, with its interval, is the paired difference."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=60)
    (pair,) = [p for p in pairs(section_of(folder)) if (p.arm, p.other) == ("gist", "full")]
    assert is_told_apart(pair)
    shown = interval(pair.contrast.difference)  # -0.28 [-0.40, -0.17]
    mean, high, low = re.findall(r"\d\.\d\d", shown)
    lead = opened(folder).answers[0].lead
    assert f"gist keeps 32 of 512 entries (medians) and, against full, loses {mean}" in lead
    assert f"({low} to {high})" in lead


def test_a_seconds_answer_names_the_questions_from_which_it_pays(tmp_path: Path) -> None:
    """The made run pays from three questions on, without any spread."""
    told = str(opened(made_run(tmp_path / "run", suites=("qa",))).answers[0])
    assert "In time it pays from 3 questions on (3 to 3) against full" in told
    assert "It holds 1.50 MiB per context, full 9.00 MiB" in told


def test_every_other_arm_is_named_once_with_its_figures(tmp_path: Path) -> None:
    """What a paragraph says of rag is the paired difference of the table."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=60)
    (pair,) = [p for p in pairs(section_of(folder)) if (p.arm, p.other) == ("gist", "rag")]
    d = pair.contrast.difference
    rest = opened(folder).answers[0].rest
    assert f"rag ({d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f})" in rest
    assert ("It loses to rag" in rest) == is_told_apart(pair)


def test_nothing_is_told_apart_where_all_arms_score_alike(tmp_path: Path) -> None:
    """Then the report opens with just that, and no arm loses or gains."""
    alike: dict[str, Cell] = {"f1": 1.0, "exact_match": 1.0}
    found = opened(made_run(tmp_path / "run", suites=("qa",), changes=alike))
    assert found.answers[0].lead == NOTHING
    text = " ".join(map(str, found.answers))
    assert "cannot be told apart" in text
    assert not re.search(r"\b(loses|gains)\b", text)
    assert "may not come from the context" in text


def test_too_few_contexts_are_no_ground_for_a_claim(tmp_path: Path) -> None:
    """Three contexts have no interval, so nothing is lost, gained, or paid back."""
    text = " ".join(map(str, opened(made_run(tmp_path / "run", contexts=3)).answers))
    assert "3 contexts are too few" in text
    assert not re.search(r"\b(loses|gains|pays against|does not pay)\b", text)


def test_missing_proofs_and_controls_stand_beside_the_answer(tmp_path: Path) -> None:
    """A run without proofs and controls says so."""
    doubts = " ".join(opened(made_run(tmp_path / "run", suites=("qa",))).doubts)
    assert "masks and caches: not run" in doubts
    assert "own beats swapped: not run" in doubts
    assert "truncate" in doubts


def test_an_arm_whose_proof_failed_is_said_nothing_of(tmp_path: Path) -> None:
    """No loss and no gain of an arm that is marked INVALID; the failed proof is named."""
    failed = {"name": "poison", "measured": "1 answer changed", "limit": "0", "passed": False}
    run = {**RUN, "proofs": [{"backends": ["gist", "gist,ratio=4"], "proofs": [failed]}]}
    found = opened(made_run(tmp_path / "run", suites=("qa",), contexts=60, run=run))
    text = " ".join(map(str, found.answers))
    assert "nothing is said of gist (INVALID)" in text
    assert not re.search(r"\b(loses|gains)\b", text)
    assert any("poison" in doubt and "FAIL" in doubt for doubt in found.doubts)


def test_a_report_of_costs_says_that_it_is_one(tmp_path: Path) -> None:
    """Without scores there is no answer to open with."""
    found = opened(made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY))
    assert [answer.lead for answer in found.answers] == [NO_SCORES]
