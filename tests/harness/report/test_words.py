"""The answer in words says what the figures say, and no more than that."""

import re
from pathlib import Path

from harness.report.checks_table import check_tables
from harness.report.contrasts import pairs
from harness.report.format import interval
from harness.report.sections import Section, sections_of
from harness.report.summary import NO_SCORES, NOTHING, Summary, is_told_apart, summarize
from harness.run.records import Cell
from harness.run.rows import read_rows
from tests.support.made_run import COSTS_ONLY, RUN, made_run
from tests.support.rows import scored, sections, write_run


def summary(folder: Path) -> Summary:
    """Return the summary of the report on a run."""
    rows = read_rows([folder])
    found = sections_of(rows)
    return summarize(found, list(check_tables(rows, found)))


def section_of(folder: Path) -> Section:
    """Return the first section of a run."""
    return sections(folder)[0]


def test_the_lead_states_the_difference_of_the_table(tmp_path: Path) -> None:
    """What gist loses against full, with its interval, is the paired difference."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=60)
    (pair,) = [p for p in pairs(section_of(folder)) if (p.backend, p.other) == ("gist", "full")]
    assert is_told_apart(pair)
    shown = interval(pair.contrast.difference)  # -0.28 [-0.40, -0.17]
    mean, high, low = re.findall(r"\d\.\d\d", shown)
    lead = summary(folder).answers[0].lead
    assert (
        f"gist keeps 32 KV entries for 512 tokens (medians). Compared with full, it loses {mean}"
        in lead
    )
    assert f"({low} to {high})" in lead


def test_the_break_even_questions_are_named(tmp_path: Path) -> None:
    """The made run breaks even at three questions, without any spread."""
    text = str(summary(made_run(tmp_path / "run", suites=("qa",))).answers[0])
    assert "In time, it breaks even at 3 questions (3 to 3) against full" in text
    assert "It holds 1.50 MiB per context, full 9.00 MiB" in text


def test_every_other_backend_is_named_once_with_its_figures(tmp_path: Path) -> None:
    """What a paragraph says of rag is the paired difference of the table."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=60)
    (pair,) = [p for p in pairs(section_of(folder)) if (p.backend, p.other) == ("gist", "rag")]
    d = pair.contrast.difference
    rest = summary(folder).answers[0].rest
    assert f"rag ({d.mean:+.2f}, {d.low:+.2f} to {d.high:+.2f})" in rest
    assert ("It loses to rag" in rest) == is_told_apart(pair)


def test_nothing_is_told_apart_where_all_backends_score_alike(tmp_path: Path) -> None:
    """Then the report opens with just that, and no backend loses or gains."""
    alike: dict[str, Cell] = {"f1": 1.0, "exact_match": 1.0}
    found = summary(made_run(tmp_path / "run", suites=("qa",), changes=alike))
    assert found.answers[0].lead == NOTHING
    text = " ".join(map(str, found.answers))
    assert "cannot be told apart" in text
    assert not re.search(r"\b(loses|gains)\b", text)
    assert "may not come from the context" in text


def test_too_few_contexts_are_no_ground_for_a_claim(tmp_path: Path) -> None:
    """Three contexts have no interval, so nothing is lost, gained, or paid back."""
    text = " ".join(map(str, summary(made_run(tmp_path / "run", contexts=3)).answers))
    assert "3 contexts are too few" in text
    assert not re.search(r"\b(loses|gains|breaks even|no break-even|faster)\b", text)


def test_missing_checks_and_controls_stand_beside_the_answer(tmp_path: Path) -> None:
    """A run without checks and controls says so."""
    caveats = " ".join(summary(made_run(tmp_path / "run", suites=("qa",))).caveats)
    assert "masks and caches: not run" in caveats
    assert "shuffled-context control: not run" in caveats
    assert "truncate" in caveats


def test_nothing_is_stated_about_a_backend_whose_check_failed(tmp_path: Path) -> None:
    """No loss and no gain of a backend that is marked INVALID; the failed check is named."""
    failed = {"name": "poison", "measured": "1 answer changed", "limit": "0", "passed": False}
    run = {**RUN, "proofs": [{"backends": ["gist", "gist,ratio=4"], "proofs": [failed]}]}
    found = summary(made_run(tmp_path / "run", suites=("qa",), contexts=60, run=run))
    text = " ".join(map(str, found.answers))
    assert "no statement about gist (INVALID)" in text
    assert not re.search(r"\b(loses|gains)\b", text)
    assert any("poison" in caveat and "FAIL" in caveat for caveat in found.caveats)


def test_a_report_of_costs_says_that_it_is_one(tmp_path: Path) -> None:
    """Without scores there is no answer to open with."""
    found = summary(made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY))
    assert [answer.lead for answer in found.answers] == [NO_SCORES]


def test_a_suite_is_named_without_its_options_where_no_other_has_its_name(tmp_path: Path) -> None:
    """A file's path and ten articles before each sentence would hide what it says."""
    names = ("qa,data=long/path.jsonl", "passkey,depths=0.5", "qa,data=b.jsonl")
    rows = {
        name: [
            made | {"suite": name}
            for backend, right in (("full", 1.0), ("gist", 0.0))
            for made in scored(backend, [[right, 0.5]] * 20)
        ]
        for name in names
    }
    one = summary(write_run(tmp_path / "a", [*rows[names[0]], *rows[names[1]]]))
    assert [answer.lead.partition(":")[0] for answer in one.answers] == ["qa", "passkey"]
    two = summary(write_run(tmp_path / "b", [*rows[names[0]], *rows[names[2]]]))
    assert [answer.lead.partition(":")[0] for answer in two.answers] == [names[0], names[2]]
