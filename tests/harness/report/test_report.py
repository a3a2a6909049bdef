"""A report says what the rows say: counted once, unknown where unknown, with floors."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.report import command
from harness.errors import UserError
from harness.report.render import render
from harness.report.shares import clopper_pearson
from harness.run.records import Row, columns
from tests.support.rows import row, scored, sections, write_run


def parsed(text: str, title: str, *, suite: str | None = None) -> dict[str, dict[str, str]]:
    """Return a table of a Markdown report: its rows by their first cell, cells by column."""
    if suite is not None:
        text = text.partition(f"### {suite}\n")[2].partition("\n### ")[0]
    lines = text.partition(f"**{title}**\n\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    assert cells, f"no table {title!r}"
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


def table_of(folder: Path, title: str, *, suite: str | None = None) -> dict[str, dict[str, str]]:
    """Return a table of the report on one folder."""
    return parsed(render([folder], markdown=True), title, suite=suite)


def test_answers_have_n_contexts_and_interval(tmp_path: Path) -> None:
    """Each backend has its mean with the exact interval where every context has one question."""
    rows = scored("full", [[1], [1], [1], [0]] * 5) + scored("gist", [[1], [0], [0], [0]] * 5)
    table = table_of(write_run(tmp_path / "run", rows), "Answers")
    low, high = clopper_pearson(15, 20)
    assert table["full"]["f1"] == f"**0.75 [{low:.2f}, {high:.2f}]**"
    assert (table["full"]["n"], table["full"]["contexts"]) == ("20", "20")
    assert table["gist"]["f1"].startswith("0.25 [")


def test_errors_are_counted_and_not_scored(tmp_path: Path) -> None:
    """A question that could not be asked lowers n, not the mean."""
    failed = [row("full", 90 + at, error="context_too_long") for at in range(2)]
    table = table_of(write_run(tmp_path / "run", scored("full", [[1]] * 10) + failed), "Answers")
    assert table["full"]["f1"].startswith("1.00 [")
    assert table["full"]["n"] == "10"
    assert table["full"]["errors"] == "2 context_too_long"


def test_unequal_numbers_of_questions_are_pointed_out(tmp_path: Path) -> None:
    """Means over different questions do not compare, and the report says so."""
    equal = write_run(tmp_path / "equal", scored("full", [[1]] * 6) + scored("rag", [[0]] * 6))
    unequal = write_run(tmp_path / "unequal", scored("full", [[1]] * 6) + scored("rag", [[0]] * 5))
    assert "different numbers of questions" not in render([equal])
    assert "different numbers of questions" in render([unequal])


def test_a_backend_with_nothing_but_errors_keeps_its_row(tmp_path: Path) -> None:
    """A backend that answered nothing is shown as unknown, not left out."""
    failed = [row("full", at, error="out_of_memory") for at in range(3)]
    table = table_of(write_run(tmp_path / "run", scored("gist", [[1]] * 6) + failed), "Answers")
    assert table["full"]["f1"] == "-"
    assert (table["full"]["n"], table["full"]["errors"]) == ("0", "3 out_of_memory")


def test_a_metric_that_does_not_apply_says_its_own_n(tmp_path: Path) -> None:
    """A metric that only some questions have is a mean over those, and n says so."""
    rows = [row("full", at, f1=1.0, abstained=1.0 if at < 5 else None) for at in range(10)]
    cell = table_of(write_run(tmp_path / "run", rows), "Answers")["full"]["abstained"]
    assert cell.startswith("1.00 [")
    assert cell.endswith(" n=5")


def test_unseen_templates_are_held_out(tmp_path: Path) -> None:
    """The headline leaves template=unseen out and says so; a table of its own shows it."""
    rows = scored("full", [[1]] * 10, template="seen")
    rows += [row("full", 50 + at, f1=0.0, template="unseen") for at in range(10)]
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    assert parsed(text, "Answers")["full"]["f1"].startswith("1.00 [")
    assert "10 held-out rows of template=unseen" in text
    by_template = parsed(text, "f1 by template")["full"]
    assert by_template["seen (n=10)"].startswith("1.00 [")
    assert by_template["unseen (n=10)"].startswith("0.00 [")


def test_every_slice_has_a_table_in_its_own_order(tmp_path: Path) -> None:
    """Slice values that are numbers stand by size, others as they came."""
    cells = [("2048", "lookup", 1.0), ("512", "global", 0.0), ("2048", "global", 1.0)]
    rows = [
        row("full", at, f1=f1, tokens=tokens, kind=kind)
        for at, (tokens, kind, f1) in enumerate(cells * 4)
    ]
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    assert list(parsed(text, "f1 by tokens")["full"]) == ["backend", "512 (n=4)", "2048 (n=8)"]
    assert list(parsed(text, "f1 by kind")["full"])[1:] == ["lookup (n=4)", "global (n=8)"]
    assert parsed(text, "f1 by tokens")["full"]["512 (n=4)"].startswith("0.00")


def test_compression_is_a_ratio_of_sums(tmp_path: Path) -> None:
    """Long contexts weigh as they are; a backend that keeps no entries has no compression."""
    rows = [
        row("gist", 0, f1=1.0, context_tokens=100, context_entries=10),
        row("gist", 1, f1=1.0, context_tokens=900, context_entries=10),
        row("gist", 2, f1=1.0, context_tokens=900),
        row("closed_book", 0, f1=0.0, context_tokens=100, context_entries=0),
    ]
    table = table_of(write_run(tmp_path / "run", rows), "Answers")
    assert table["gist"]["compression"] == "50.0x"
    assert table["closed_book"]["compression"] == "none"


def test_prepare_counts_per_sample_and_generate_per_batch(tmp_path: Path) -> None:
    """Rows repeat what they share; the time per question does not add it up again."""
    rows = [
        row("full", sample, question, f1=1.0, prepare_s=taken, generate_s=0.8, batch_id=batch)
        for sample, (taken, batches) in enumerate([(9.0, "00001111"), (2.0, "01"), (1.0, "01")])
        for question, batch in enumerate(batches)
    ]
    costs = table_of(write_run(tmp_path / "run", rows), "Costs")["full"]
    assert costs["prepare"] == "2.00 s"
    assert costs["per question, 1 asked"] == "2.40 s"  # 4.8 s for twelve questions
    assert costs["per question, 10 asked"] == "600 ms"
    assert costs["per question, 100 asked"] == "420 ms"


def test_speed_follows_from_requests_for_one_and_many_tokens(tmp_path: Path) -> None:
    """First token and decode rate come from pairs about contexts of the same size."""
    rows = [
        row(
            "full",
            tokens * 100 + new,
            suite="speed",
            tokens=slice_,
            context_tokens=tokens,
            new_tokens=new,
            max_new_tokens=new,
            prepare_s=tokens / 1000,
            generate_s=0.05 + (new - 1) * tokens / 100_000,
        )
        for slice_, tokens in (("1000", 1000), ("1000", 900), ("4000", 4000))
        for new in (1, 33)
    ]
    lines = render([write_run(tmp_path / "run", rows)], width=200).splitlines()
    small, large = (re.split(r"\s{2,}", line) for line in lines if line.startswith("full"))
    assert small[:5] == ["full", "1000", "950 ms", "50.0 ms", "106"]  # of 100 and 111
    assert large[:6] == ["full", "4000", "4.00 s", "50.0 ms", "25.0", "6.19"]


def test_unknown_costs_are_no_zeros(tmp_path: Path) -> None:
    """What one backend lacks is a dash; a column that nobody filled is not shown."""
    rows = [row("full", 0, f1=1.0, prepare_s=1.0), row("rag", 0, f1=1.0, held_bytes=3 * 2**20)]
    table = table_of(write_run(tmp_path / "run", rows), "Costs")
    assert table["full"] == {"backend": "full", "prepare": "1.00 s", "held": "-"}
    assert table["rag"] == {"backend": "rag", "prepare": "-", "held": "3.00 MiB"}


def test_peak_is_the_highest_of_both_phases(tmp_path: Path) -> None:
    """The peak is that of the hungriest phase of any sample, and what it counts is named."""
    peaks = [(1 * 2**30, 2 * 2**30), (3 * 2**30, None)]
    rows = [
        row("full", at, f1=1.0, prepare_peak_bytes=a, generate_peak_bytes=b, memory_kind="cpu_rss")
        for at, (a, b) in enumerate(peaks)
    ]
    table = table_of(write_run(tmp_path / "run", rows), "Costs (peak: cpu_rss)")
    assert table["full"]["peak"] == "3.00 GiB"


def test_a_sweep_shows_where_memory_ended(tmp_path: Path) -> None:
    """A suite without metrics has a row per size, the error in place of the figures."""
    rows = [
        row("full", 0, suite="sweep", tokens="512", prepare_s=1.0),
        row("full", 1, suite="sweep", tokens="1024", error="out_of_memory"),
        row("full", 2, suite="sweep", tokens="512", contexts_held=4, prepare_s=3.0),
    ]
    lines = render([write_run(tmp_path / "run", rows)]).splitlines()
    assert [line.split() for line in lines if line.startswith("full")] == [
        ["full", "512", "1", "1.00", "s"],
        ["full", "512", "4", "3.00", "s"],
        ["full", "1024", "1", "out_of_memory"],
    ]


def test_notices_are_shown_once(tmp_path: Path) -> None:
    """The notices of rows stand once under their table, with the backend's name."""
    rows = scored("gist", [[1, 0]] * 5, notice="an untrained adapter")
    text = render([write_run(tmp_path / "run", rows)])
    assert text.count("gist: an untrained adapter") == 1


def test_errors_are_explained_by_one_of_their_kind(tmp_path: Path) -> None:
    """Every sample that does not fit says so in its own figures; one of them is enough."""
    rows = [row("full", at, error="context_too_long", notice=f"{at} too many") for at in range(9)]
    text = render([write_run(tmp_path / "run", rows + scored("gist", [[1]] * 5))])
    assert "full: context_too_long: 0 too many" in text
    assert text.count("too many") == 1


def test_missing_controls_are_named(tmp_path: Path) -> None:
    """Beside a gist backend stands what a reader would need to know and was not run."""
    lone = render([write_run(tmp_path / "lone", scored("gist,ratio=4", [[1]] * 5))], width=2000)
    note = "Controls that were not run: full (score with the whole context), closed_book ("
    assert note in lone
    assert "Run with --controls." in lone
    names = ("full,adapter=on", "gist", "closed_book", "oracle(full)", "shuffled(gist,ratio=4)")
    rows = [line for name in names for line in scored(name, [[1]] * 5)]
    (line,) = [
        line
        for line in render([write_run(tmp_path / "some", rows)], width=2000).splitlines()
        if "Controls that" in line
    ]
    missing = re.findall(r"([^ (]+) \(", line.partition(": ")[2])
    assert missing == ["truncate", "mean_pool", "gist,untrained=true", "gist,embeddings=random"]
    names = (*names, "truncate", "mean_pool,ratio=8", *missing[2:])
    rows = [line for name in names for line in scored(name, [[1]] * 5)]
    assert "Controls that" not in render([write_run(tmp_path / "all", rows)])
    assert "Controls that" not in render([write_run(tmp_path / "other", scored("full", [[1]] * 5))])


def test_controls_stand_behind_the_backends(tmp_path: Path) -> None:
    """Full context and the oracle first, then others, then floors and what nobody has trained."""
    names = ["shuffled(gist)", "gist,embeddings=random", "closed_book", "gist", "oracle(full)"]
    names += ["rag", "full", "mean_pool"]
    rows = [line for name in names for line in scored(name, [[1]] * 5)]
    table = table_of(write_run(tmp_path / "run", rows), "Answers")
    assert list(table) == [
        *("oracle(full)", "full", "gist", "rag"),
        *("shuffled(gist)", "gist,embeddings=random", "closed_book", "mean_pool"),
    ]


def test_gists_are_compared_and_controls_of_them_are_not(tmp_path: Path) -> None:
    """Differences start from trained gists; from others where there are none."""
    control = "gist,embeddings=random"
    rows = [line for name in ("gist", control, "full") for line in scored(name, [[1, 0]] * 6)]
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    assert set(parsed(text, "Paired differences in f1")) == {"gist"}
    rows = [line for name in (control, "full") for line in scored(name, [[1, 0]] * 6)]
    text = render([write_run(tmp_path / "lone", rows)], markdown=True)
    assert set(parsed(text, "Paired differences in f1")) == {control}


def test_costs_are_of_contexts_that_were_asked_about(tmp_path: Path) -> None:
    """What a control reads in place of the context says nothing about what the context costs."""
    names = ("full", "oracle(full)", "shuffled(gist)", "gist")
    rows = [line for name in names for line in scored(name, [[1]] * 5, prepare_s=1.0)]
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    assert set(parsed(text, "Costs")) == {"full", "gist"}
    lone = write_run(tmp_path / "lone", scored("shuffled(gist)", [[1]] * 5, prepare_s=1.0))
    assert "Costs" not in render([lone]).partition("Reading the tables")[0]


def checked(*backends: str, passed: bool = True) -> dict[str, object]:
    """Return what a run keeps of the checks of one adapter."""
    checks = [
        {"name": "mask blocks", "measured": "gradient 0", "limit": "0", "passed": True},
        {"name": "entries kept", "measured": "41", "limit": "33 + 8", "passed": passed},
    ]
    return {"adapter": "hash", "backends": list(backends), "proofs": checks}


def gist_rows(own: float = 1.0) -> list[Row]:
    """Return rows of a gist with its shuffled control and full context."""
    rows = scored("gist", [[own, own]] * 8) + scored("shuffled(gist)", [[0, 0]] * 8)
    return rows + scored("full", [[1, 1]] * 8)


def test_checks_stand_in_front_of_gist_tables(tmp_path: Path) -> None:
    """Each check is shown with what was measured, once for an adapter; brief: in one line."""
    run = {"proofs": [checked("gist", "gist,ratio=8", "shuffled(gist)")]}
    rows = gist_rows() + scored("gist,ratio=8", [[1, 1]] * 8)
    folder = write_run(tmp_path / "run", rows, run)
    text = render([folder], markdown=True)
    assert text.index("**Validity checks**") < text.index("**Answers**")
    table = text.partition("**Validity checks**\n\n")[2].partition("\n\n")[0].splitlines()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    assert lines == [
        ["gist", "mask blocks", "gradient 0", "0", "pass"],
        ["gist", "entries kept", "41", "33 + 8", "pass"],
        ["gist", "shuffled-context control: qa", lines[2][2], "above 0", "pass"],
        [
            "gist,ratio=8",
            "shuffled-context control: qa",
            "not run",
            "above 0",
            "run with --controls",
        ],
    ]
    assert lines[2][2].startswith("1.00 - 0.00 = +1.00 [")
    brief = render([folder], markdown=True, brief=True)
    line = "Validity checks: 3 of 3 pass; not run: shuffled-context control for gist,ratio=8."
    assert brief.index(line) < brief.index("**Answers**")
    assert "Validity checks" not in render(
        [write_run(tmp_path / "full", scored("full", [[1]] * 5))]
    )


def test_own_gists_that_answer_like_anothers_are_not_shown_to_be_read(tmp_path: Path) -> None:
    """Without a difference there is no check, and it is not called a pass."""
    table = table_of(write_run(tmp_path / "run", gist_rows(own=0.0)), "Validity checks")
    assert table["gist"]["check"] == "shuffled-context control: qa"
    assert table["gist"]["verdict"] == "not shown"


def test_checks_that_were_not_run_are_said_to_be(tmp_path: Path) -> None:
    """Rows of an older run, and an adapter that could not be checked, have no pass."""
    rows = scored("gist", [[1]] * 5)
    old = render([write_run(tmp_path / "old", rows)], markdown=True)
    assert "| gist | masks and caches | not run |" in re.sub(" +", " ", old)
    run = {"proofs": [{"backends": ["gist"], "not_run": "no room for the weights"}]}
    assert "no room for the weights" in render([write_run(tmp_path / "new", rows, run)])
    assert "gist (INVALID)" not in old


def test_a_failed_check_marks_every_table(tmp_path: Path) -> None:
    """Rows that use the adapter are invalid in every table; others are not."""
    run = {"proofs": [checked("gist", "shuffled(gist)", passed=False)]}
    rows = [{**line, "prepare_s": 1.0, "kind": f"k{at % 2}"} for at, line in enumerate(gist_rows())]
    text = render([write_run(tmp_path / "run", rows, run)], markdown=True)
    assert "FAIL" in text
    tables = ("Answers", "f1 by kind", "Paired differences in f1", "Costs")
    for title in tables:
        table = parsed(text, title)
        assert "gist (INVALID)" in table, title
        assert "gist" not in table, title
    assert set(parsed(text, "Answers")) == {"full", "gist (INVALID)", "shuffled(gist) (INVALID)"}
    assert "| gist (INVALID) | shuffled-context control: qa |" in re.sub(" +", " ", text)


def test_only_the_run_whose_check_failed_is_invalid(tmp_path: Path) -> None:
    """A repaired adapter counts, beside the one that was not."""
    for name, seed, passed in (("a", 0, False), ("b", 1, True)):
        run = {"configuration": {"seed": seed}, "proofs": [checked("gist", passed=passed)]}
        write_run(tmp_path / name, scored("gist", [[1]] * 5), run)
    assert set(table_of(tmp_path, "Answers")) == {"gist", "gist (INVALID)"}


def test_differences_are_paired(tmp_path: Path) -> None:
    """Only questions that both answered count, and only real differences have a small p."""
    rows = scored("gist", [[1, 1, 0]] * 12) + scored("closed_book", [[0, 0, 0]] * 12)
    rows += scored("rag", [[1, 1, 0]] * 8)
    text = render([write_run(tmp_path / "run", rows)], width=200)
    lines = {line.split()[1]: line.split() for line in text.splitlines() if "gist  " in line[:6]}
    assert lines["closed_book"][2] == "+0.67"
    assert lines["closed_book"][-7:-5] == ["sign", "flip"]
    assert lines["closed_book"][-5:] == ["<0.001", "<0.001", "-", "36", "12"]
    assert lines["rag"][2] == "+0.00"
    assert lines["rag"][-5:] == ["1.000", "1.000", "-", "24", "8"]


def test_the_gap_is_measured_from_closed_book_to_full(tmp_path: Path) -> None:
    """A backend half way between them recovers half."""
    scores = {"full": [1, 1], "rag": [1, 0], "closed_book": [0, 0]}
    rows = [line for name, of in scores.items() for line in scored(name, [of] * 10)]
    table = table_of(write_run(tmp_path / "run", rows), "Gap recovered in f1")
    assert list(table) == ["rag"]
    assert table["rag"]["recovered"].startswith("0.50 [")


@pytest.mark.parametrize(
    ("full", "closed_book", "why"),
    [
        ([1, 0], [1, 0], "full and closed_book cannot be told apart"),
        ([0, 0], [1, 1], "closed_book beats full"),
    ],
)
def test_no_gap_is_no_number(
    full: list[float], closed_book: list[float], why: str, tmp_path: Path
) -> None:
    """A note stands instead of a ratio, and says which of two reasons there is."""
    scores = {"full": full, "gist": [1, 0], "closed_book": closed_book}
    rows = [line for name, of in scores.items() for line in scored(name, [of] * 10)]
    text = render([write_run(tmp_path / "run", rows)])
    section = text.partition("Gap recovered in f1\n")[2].partition("\n\n")[0]
    assert section.strip() == f"gist: left out, as {why}."


def test_retrieval_is_split_by_hit_and_miss(tmp_path: Path) -> None:
    """Answers are split by whether all the evidence was shown."""
    rows = [row("rag", at, f1=1.0, evidence_recall=1.0) for at in range(6)]
    rows += [row("rag", 10 + at, f1=0.0, evidence_recall=at % 2 / 2) for at in range(4)]
    rows += scored("full", [[1]] * 5)
    table = table_of(write_run(tmp_path / "run", rows), "Retrieval")
    assert list(table) == ["rag"]
    assert table["rag"]["evidence recall"].startswith("0.70")
    assert table["rag"]["f1 given a hit"].startswith("1.00")
    assert table["rag"]["f1 given a hit"].endswith("n=6")
    assert table["rag"]["f1 given a miss"].endswith("n=4")


def test_the_metric_that_a_suite_names_first_leads(tmp_path: Path) -> None:
    """The CSV has metrics by the alphabet; the installed suite knows its headline."""
    rows = [row("full", at, suite="hallucination", accuracy=1.0, abstained=0.0) for at in range(5)]
    run = write_run(tmp_path / "run", rows)
    assert list(table_of(run, "Answers")["full"])[1] == "accuracy"


def test_a_suite_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    """Rows of somebody's own suite need no code of it, and none is imported."""
    rows = [row("full", at, suite="nowhere:Suite", accuracy=1.0, f1=0.0) for at in range(5)]
    run = write_run(tmp_path / "run", rows)
    assert list(table_of(run, "Answers", suite="nowhere:Suite")["full"])[1] == "accuracy"


def test_specs_and_models_are_not_mixed(tmp_path: Path) -> None:
    """Two specs of a suite, and two models, each have their own section."""
    rows = scored("full", [[1]] * 5) + scored("full", [[0]] * 5, suite="qa,people=8")
    rows += scored("full", [[0]] * 5, model="large")
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    first = parsed(text, "Answers", suite="qa (small)")
    assert first["full"]["f1"].startswith("1.00")
    assert parsed(text, "Answers", suite="qa,people=8 (small)")["full"]["f1"].startswith("0.00")
    assert parsed(text, "Answers", suite="qa (large)")["full"]["f1"].startswith("0.00")


def test_a_long_list_is_cut_where_names_stay_apart(tmp_path: Path) -> None:
    """A suite of many articles has a name that can be read, unless two would be called the same."""
    many, others = "qa,articles=a+b+c+d+e,shuffle=true", "qa,articles=a+x+y+z+e,shuffle=true"
    (alone,) = sections(write_run(tmp_path / "one", [row(suite=many, f1=1.0)]))
    assert alone.name == "qa,articles=a and 4 more,shuffle=true"
    assert alone.suite == many
    both = [row(suite=many, f1=1.0), row(suite=others, f1=1.0), row(suite="qa,seed=0+1", f1=1.0)]
    assert [one.name for one in sections(write_run(tmp_path / "two", both))] == [
        many, others, "qa,seed=0+1",
    ]  # fmt: skip


def test_settings_tell_runs_apart(tmp_path: Path) -> None:
    """The same model in NF4 is another setup, and two machines are named."""
    for name, nf4 in (("a", False), ("b", True)):
        configuration = {"seed": 0, "device": "cpu", "model_description": {"load_in_4bit": nf4}}
        environment = {"processor": f"processor {name}", "threads": 2}
        run = {"configuration": configuration, "environment": environment, "notices": ["heed me"]}
        write_run(tmp_path / name, scored("full", [[1]] * 5), run)
    text = render([tmp_path])
    assert "qa (small, cpu)\n" in text
    assert "qa (small, cpu, NF4)\n" in text
    assert "processor a, 2 threads; processor b, 2 threads" in text
    assert "times cannot be compared" in text
    assert text.count("heed me") == 1


def test_backends_of_several_runs_are_paired(tmp_path: Path) -> None:
    """A parent folder gives all its runs; backends of separate runs meet in one table."""
    write_run(tmp_path / "one", scored("gist", [[1]] * 8))
    write_run(tmp_path / "two", scored("closed_book", [[0]] * 8))
    text = render([tmp_path], markdown=True)
    assert set(parsed(text, "Answers")) == {"gist", "closed_book"}
    assert parsed(text, "Paired differences in f1")["gist"]["n"] == "8"


def test_samples_of_other_seeds_are_other_samples(tmp_path: Path) -> None:
    """The same sample id under another seed is another context, and no pair."""
    for seed, backend in ((0, "gist"), (1, "closed_book"), (2, "gist")):
        run = {"configuration": {"seed": seed}}
        write_run(tmp_path / str(seed), scored(backend, [[1]] * 6), run)
    text = render([tmp_path], markdown=True)
    assert parsed(text, "Answers")["gist"]["contexts"] == "12"
    assert "Paired differences" not in text


def test_rows_in_two_runs_count_once(tmp_path: Path) -> None:
    """Of rows that two runs share the last run's count, and the report says so."""
    old = write_run(tmp_path / "old", scored("full", [[0]] * 6))
    new = write_run(tmp_path / "new", scored("full", [[1]] * 6))
    text = render([old, new], markdown=True)
    assert parsed(text, "Answers")["full"]["n"] == "6"
    assert parsed(text, "Answers")["full"]["f1"].startswith("1.00")
    assert "6 rows occur in several of the runs" in text
    assert render([new, new]) == render([new])


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """A run that was killed while writing can be reported up to its last whole row."""
    run = write_run(tmp_path / "run", scored("full", [[1]] * 6), {"status": "running"})
    whole = render([run])
    file = run / "records.csv"
    text = file.read_text()
    file.write_text(text + text.splitlines()[-1].replace(",s5,", ",s6,")[:-1])
    assert render([run]) == whole
    assert "Run run is incomplete: running." in whole


def test_names_stay_as_they_are(tmp_path: Path) -> None:
    """Names that look like numbers or like nothing are neither changed nor lost."""
    rows = scored("0012", [[1]] * 5, kind="NA") + scored("1e3", [[1]] * 5, kind="None")
    text = render([write_run(tmp_path / "run", rows)], markdown=True)
    assert set(parsed(text, "Answers")) == {"0012", "1e3"}
    assert set(parsed(text, "f1 by kind")["0012"]) == {"backend", "NA (n=5)", "None (n=5)"}


def test_texts_cannot_break_out_of_a_table(tmp_path: Path) -> None:
    """Pipes and tags are escaped in Markdown, and no control character reaches a terminal."""
    rows = scored("my|backend", [[1]] * 5, notice="<b>\x1b[31mred")
    run = write_run(tmp_path / "run", rows)
    assert "| my\\|backend " in render([run], markdown=True)
    assert "&lt;b>" in render([run], markdown=True)
    assert "\x1b" not in render([run])


@pytest.mark.parametrize("width", [60, 80, 110])
def test_headings_fit_the_terminal(tmp_path: Path, width: int) -> None:
    """A long spec goes on in a second line of its heading, with its rule as wide."""
    suite = "qa,data=squad:a/long/path/of/folders/to/the/test-articles-v1.1.excerpt.json"
    rows = [{**line, "suite": suite} for line in scored("full", [[1, 0]] * 6)]
    text = render([write_run(tmp_path / "run", rows)], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert suite[:40] in text


@pytest.mark.parametrize("width", [60, 80, 110])
def test_lines_fit_the_terminal(tmp_path: Path, width: int) -> None:
    """Wide tables go on in a further block that repeats the names of the rows."""
    spec = "gist,checkpoint=/a/rather/long/path/to/an/adapter,placement=interleaved,ratio=16"
    rows = [line for name in ("full", spec, "closed_book") for line in scored(name, [[1, 0]] * 6)]
    rows = [{**line, "accuracy": 1.0, "abstained": 0.0, "exact_match": 1.0} for line in rows]
    measured = "gradient 0 past the gists, 8.55 through them"  # wider than what is left of 60
    check = {"name": "mask blocks", "measured": measured, "limit": "0", "passed": True}
    run = {"proofs": [{"adapter": "0a", "backends": [spec], "proofs": [check]}]}
    text = render([write_run(tmp_path / "run", rows, run)], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "placement=interleaved" in text or width == 60  # where a name is broken anywhere
    for word in measured.split():
        assert word in text
    for metric in ("accuracy", "abstained", "exact_match"):
        assert metric in text


def test_brief_keeps_answers_and_costs(tmp_path: Path) -> None:
    """A brief report is the verdict, the headline and the costs, and the checks in one line."""
    rows = scored("gist", [[1, 0]] * 6, prepare_s=1.0) + scored("full", [[1, 1]] * 6, prepare_s=1.0)
    text = render([write_run(tmp_path / "run", rows)], markdown=True, brief=True)
    assert re.findall(r"(?m)^\*\*(.+?)\*\*$", text) == ["Verdict", "Answers", "Costs"]
    assert "Validity checks: not run: masks and caches for gist; not run: shuffled" in text
    failed = {"name": "poison", "measured": "1", "limit": "0", "passed": False}
    passed = {"name": "cached tokens", "measured": "8", "limit": "8", "passed": True}
    run = {"proofs": [{"adapter": "0a", "backends": ["gist"], "proofs": [failed, passed]}]}
    text = render([write_run(tmp_path / "failed", rows, run)], markdown=True, brief=True)
    assert "Validity checks: 1 of 2 pass; FAIL: poison for gist; not run: shuffled-context" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"name,score\nx,1\n", "lacks the columns suite, backend, model, sample_id and more"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (",".join(columns((), ())).encode() + b"\n", "has no rows"),
    ],
)
def test_what_is_no_records_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that this tool did not write is refused in one line that says why."""
    file = tmp_path / "records.csv"
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        render([file])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_cell_that_is_no_number_is_named_by_line(tmp_path: Path) -> None:
    """A damaged number is never read as unknown."""
    run = write_run(tmp_path / "run", scored("full", [[1]] * 3))
    file = run / "records.csv"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace(",16,", ",sixteen,")
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="line 3: 'sixteen' in column 'max_new_tokens'"):
        render([run])


def test_paths_without_runs_are_refused(tmp_path: Path) -> None:
    """A path that is not there, and a folder that holds no run, are named."""
    with pytest.raises(UserError, match=r"no such file or folder: .*nowhere"):
        render([tmp_path / "nowhere"])
    with pytest.raises(UserError, match=r"no records\.csv in"):
        render([tmp_path])


def test_a_damaged_run_json_is_refused(tmp_path: Path) -> None:
    """What cannot be read is not taken for what is not known."""
    run = write_run(tmp_path / "run", scored("full", [[1]] * 3))
    (run / "run.json").write_text('{"configuration": ')
    with pytest.raises(UserError, match=r"run\.json is not JSON"):
        render([run])


def invoke(*arguments: str | Path) -> Result:
    """Run `gist-bench report` with these arguments."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_prints_tables(tmp_path: Path) -> None:
    """The tables go to stdout, as text or as Markdown."""
    run = write_run(tmp_path / "run", scored("full", [[1]] * 6))
    text, markdown = invoke(run), invoke(run, "--markdown")
    assert (text.exit_code, markdown.exit_code) == (0, 0)
    assert "\nAnswers\nbackend" in text.stdout
    assert "**Answers**" in markdown.stdout


def test_help_shows_an_example_per_line() -> None:
    """The examples of the help text stand each on its own line."""
    assert "\n    gist-bench report --update README.md\n" in invoke("--help").stdout


def test_update_makes_tables_anew_and_check_finds_stale_ones(tmp_path: Path) -> None:
    """Only what is between markers changes; a check writes nothing and fails while it is stale."""
    write_run(tmp_path / "results" / "one", scored("full", [[1]] * 6))
    readme = tmp_path / "README.md"
    old = (
        "# Title\n\n<!-- gist-bench report: results/one --brief -->\nold\n<!-- end -->\n\nAfter.\n"
    )
    readme.write_text(old)
    assert invoke("--update", readme, "--check").exit_code == 1
    assert readme.read_text() == old
    assert invoke("--update", readme).exit_code == 0
    new = readme.read_text()
    assert new.startswith("# Title\n\n<!-- gist-bench report: results/one --brief -->\n")
    assert new.endswith("<!-- end -->\n\nAfter.\n")
    assert "**Answers**" in new
    assert "\nold\n" not in new
    assert invoke("--update", readme, "--check").exit_code == 0


def test_a_marked_place_may_hold_one_table(tmp_path: Path) -> None:
    """With --table NAME, titles, notes and other tables are left out; a wrong name is refused."""
    write_run(tmp_path / "one", scored("full", [[1]] * 6, prepare_s=1.0))
    page = tmp_path / "README.md"
    page.write_text("<!-- gist-bench report: one --table Answers -->\n<!-- end -->\n")
    assert invoke("--update", page).exit_code == 0
    head, *lines, tail = filter(None, page.read_text().splitlines())
    assert (head[:4], tail) == ("<!--", "<!-- end -->")
    assert [line.split()[1] for line in lines if line[1] == " "] == ["backend", "full"]
    page.write_text("<!-- gist-bench report: one --table Answer -->\n<!-- end -->\n")
    refused = invoke("--update", page).exception
    assert "no table is called 'Answer'. There are: Verdict, Answers, Costs." in str(refused)


@pytest.mark.parametrize(
    "text",
    [
        "no markers\n",
        "<!-- gist-bench report: results -->\nno end\n",
        "<!-- gist-bench report: -->\n<!-- end -->\n",
    ],
)
def test_a_file_without_a_marked_place_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing is written where nothing, or half of it, is marked."""
    readme = tmp_path / "README.md"
    readme.write_text(text)
    refused = invoke("--update", readme)
    assert isinstance(refused.exception, UserError)
    assert readme.read_text() == text


@pytest.mark.parametrize("arguments", [(), ("--check",), ("run", "--update", "README.md")])
def test_contradictory_arguments_are_refused(arguments: tuple[str, ...]) -> None:
    """Paths or a file to update: one of them, and --check only with the latter."""
    assert invoke(*arguments).exit_code == 2


def test_a_report_needs_no_torch_and_help_no_pandas(tmp_path: Path) -> None:
    """The heavy libraries are loaded by those who need them."""
    run = write_run(tmp_path / "run", scored("full", [[1]] * 6))
    code = (
        "import sys\nfrom harness.cli.report import command\n"
        "command(['--help'], standalone_mode=False)\n"
        "assert not {'pandas', 'numpy', 'scipy', 'torch'} & set(sys.modules)\n"
        "command(sys.argv[1:], standalone_mode=False)\n"
        "assert 'pandas' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"f1": float("inf")}, "inf in column 'f1' is no metric from 0 to 1"),
        ({"f1": -5.0}, "-5 in column 'f1' is no metric from 0 to 1"),
        ({"f1": 5.0}, "5 in column 'f1' is no metric from 0 to 1"),
        ({"f1": 1.0, "evidence_recall": 1.5}, "column 'evidence_recall'"),
        ({"f1": 1.0, "prepare_s": -1.0}, "-1 in column 'prepare_s' is impossible"),
        ({"f1": 1.0, "held_bytes": float("inf")}, "inf in column 'held_bytes' is impossible"),
        ({"f1": 1.0, "points": float("-inf")}, "-inf in column 'points' is no finite number"),
        ({"f1": 1.0, "abstained": 1.0, "hallucinated": 1.0}, "is not 1 - abstained"),
        ({"f1": 1.0, "abstained": 1.0, "false_refusal": 0.0}, "stands beside abstained"),
        ({"f1": 1.0, "error": "out_of_memory"}, "1 in column 'f1' stands beside an error"),
        ({"error": "out_of_memory", "evidence_recall": 0.0}, "stands beside an error"),
        ({"error": "out_of_memory", "new_tokens": 3}, "stands beside an error"),
        ({"error": "out_of_memory", "cut": 0.0}, "stands beside an error"),
        ({"f1": 1.0, "context_entries": 9, "prompt_tokens": 8}, "is more than prompt_tokens"),
        ({"f1": 1.0, "new_tokens": 17, "held_bytes": 1}, "is more than max_new_tokens"),
        ({"f1": 1.0, "new_tokens": 3, "held_bytes": 1, "cut": 1.0}, "fewer new_tokens"),
        ({"f1": 1.0, "cut": 0.5}, "is neither 0 nor 1"),
        ({"f1": 1.0, "batch_size": 0}, "0 in column 'batch_size' is impossible"),
        ({"f1": 1.0, "answer_words": -1.0}, "-1 in column 'answer_words' is impossible"),
        ({"f1": 1.0, "sample_id": ""}, "column 'sample_id' is empty"),
    ],
)
def test_figures_that_no_run_writes_are_refused_with_their_line(
    cells: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Metrics beyond their range, costs below 0, and rows that contradict themselves."""
    folder = write_run(tmp_path / "run", [*scored("full", [[1]] * 3), row("full", 9, **cells)])
    with pytest.raises(UserError, match="line 5: ") as refused:
        render([folder])
    assert said in str(refused.value)


def test_the_best_of_a_column_is_marked_in_answers_and_costs(tmp_path: Path) -> None:
    """Less is better of times and bytes; floors, controls and equal figures have no mark."""
    costs: dict[str, tuple[float, float, int]] = {  # f1, prepare_s, held_bytes
        "full": (1.0, 2.0, 2**20),
        "rag": (0.5, 1.0, 2**20),
        "closed_book": (0.0, 0.5, 1),
        "shuffled(rag)": (0.0, 0.1, 1),
    }
    rows = [
        each
        for name, (f1, prepare_s, held) in costs.items()
        for each in scored(
            name,
            [[f1]] * 6,
            prepare_s=prepare_s,
            held_bytes=held,
            generate_s=1.0,
            context_entries=4,
            context_tokens=8,
            prompt_tokens=9,
            new_tokens=2,
        )
    ]
    folder = write_run(tmp_path / "run", rows)
    markdown = render([folder], markdown=True)
    answers, costs_table = (markdown.partition(f"**{name}**")[2] for name in ("Answers", "Costs"))
    assert re.search(r"\| full +\| +\*\*1\.00 \[", answers)
    assert re.search(r"\| rag +\| +\*\*1\.00 s\*\* \|", costs_table)
    assert not re.search(r"\| (closed_book|shuffled\(rag\)) [^\n]*\*\*", markdown)
    assert "**1.00 MiB**" not in markdown
    plain = render([folder])
    assert re.search(r"^full +\*1\.00 \[", plain, re.MULTILINE)
    assert "\x1b" not in plain
    assert re.search(r"^full +\x1b\[1m\*1\.00", render([folder], colour=True), re.MULTILINE)
    assert "With a star, or bold: the best of its column." in " ".join(plain.split())
