"""Two runs compared: certain regressions fail, noise does not, and unlike data is refused."""

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from harness.compare.comparison import Comparison, compare
from harness.compare.gates import Gate
from harness.errors import UserError
from harness.run.records import Cell, Row
from tests.support.commands import GistBench
from tests.support.rows import row, write_run

Rows = list[dict[str, Cell]]

ENVIRONMENT = {"processor": "processor A", "threads": 2, "python": "3.11", "packages": {"x": "1"}}
CONTEXTS, QUESTIONS = 20, 8


def finished(
    *,
    environment: Mapping[str, object] = ENVIRONMENT,
    configuration: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return what run.json says of a finished run."""
    return {
        "status": "finished",
        "environment": environment,
        "configuration": configuration or {},
    }


def run_of(folder: Path, rows: Iterable[Row], **parts: Mapping[str, object]) -> Path:
    """Write a finished run; return its folder."""
    return write_run(folder, rows, finished(**parts))


def scored(scores: np.ndarray, *, backend: str = "gist", **cells: Cell) -> Rows:
    """Return a row for each score, (contexts, questions), of suite qa."""
    return [
        row(
            backend,
            sample,
            number,
            **{
                "context_tokens": 400 + sample,
                "context_entries": 25,
                "max_new_tokens": 32,
                "batch_size": len(of_sample),
                "prepare_s": 0.5,
                "generate_s": 0.25,
                "prepare_peak_bytes": 2**20,
                "generate_peak_bytes": 2**21,
                "held_bytes": 1000 * (sample + 1),
                "memory_kind": "cpu_rss",
                "exact_match": float(score == 1),
                "f1": float(score),
                "answer": "right" if score == 1 else f"wrong {score:.1f}",
                "targets": ("right",),
                **cells,
            },
        )
        for sample, of_sample in enumerate(scores)
        for number, score in enumerate(of_sample)
    ]


def speeds(seconds: np.ndarray, **cells: Cell) -> Rows:
    """Return the rows of suite speed: per size, one new token and 33 at `seconds` per token."""
    return [
        {
            **scored(np.zeros((1, 1)))[0],
            "suite": "speed",
            "sample_id": f"{size}/{new}",
            "context_tokens": size,
            "new_tokens": new,
            "max_new_tokens": new,
            "generate_s": 0.01 + (new - 1) * float(per_token),
            "exact_match": None,
            "f1": None,
            **cells,
        }
        for size, per_token in enumerate(seconds, start=500)
        for new in (1, 33)
    ]


def some_scores(seed: int = 0, *, rate: float = 0.6) -> np.ndarray:
    """Return 0/1 scores whose rate differs between contexts, (contexts, questions)."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(4 * rate, 4 * (1 - rate), size=(CONTEXTS, 1))
    return (rng.random((CONTEXTS, QUESTIONS)) < rates).astype(float)


def compared(base: Path, new: Path, *gates: str, markdown: bool = False) -> Comparison:
    """Compare two runs."""
    return compare(base, new, fail_on=gates, markdown=markdown)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A run of one backend, with answers and costs."""
    return run_of(tmp_path / "base", [*scored(some_scores()), *speeds(np.full(8, 0.01))])


def test_equal_runs_hold(base: Path, tmp_path: Path) -> None:
    """Nothing changed: every gate holds, tight ones too, and the page says so in a few lines."""
    new = run_of(tmp_path / "new", [*scored(some_scores()), *speeds(np.full(8, 0.01))])
    done = compared(
        base, new, "exact_match<-0", "f1<-1%", "held_bytes>+0", "decode_tokens_per_s<-0%"
    )
    assert done.exit_code == 0
    assert "Nothing changed in qa; speed." in done.text
    assert "176 questions compared. Holds: exact_match<-0, f1<-1%" in done.text
    assert "REGRESSED" not in done.text


def test_a_planted_regression_fails(base: Path, tmp_path: Path) -> None:
    """A third of the right answers spoilt is beyond 2 points for certain, and it says where."""
    scores = some_scores()
    spoilt = scores * (np.random.default_rng(1).random(scores.shape) > 0.3)
    new = run_of(tmp_path / "new", scored(spoilt))
    done = compared(base, new, "exact_match<-0.02", "f1<-2%")
    assert done.exit_code == 1
    assert "REGRESSED: exact_match<-0.02: qa, gist: " in done.text
    assert "REGRESSED: f1<-2%: qa, gist: " in done.text
    better = compared(new, base, "exact_match<-0.02", "f1<-2%")
    assert better.exit_code == 0
    assert "better" in better.text


def test_a_regression_within_the_tolerance_holds(base: Path, tmp_path: Path) -> None:
    """What is certainly worse, but not certainly beyond the tolerance, does not fail."""
    scores = some_scores()
    spoilt = scores * (np.random.default_rng(1).random(scores.shape) > 0.15)
    new = run_of(tmp_path / "new", scored(spoilt))
    assert compared(base, new, "exact_match<-0").exit_code == 1
    assert compared(base, new, "exact_match<-0.2").exit_code == 0


def test_noise_does_not_fail(tmp_path: Path) -> None:
    """Runs that differ by chance, as two samplings of one model do, hardly ever fail."""
    failed = 0
    for trial in range(15):
        rng = np.random.default_rng(100 + trial)
        rates = rng.beta(2, 2, size=(CONTEXTS, 1))
        runs = [
            run_of(
                tmp_path / f"{name}{trial}",
                scored((rng.random((CONTEXTS, QUESTIONS)) < rates).astype(float)),
            )
            for name in ("base", "new")
        ]
        failed += compared(*runs, "exact_match<-0.02").exit_code
    assert failed <= 1


def test_noise_in_times_does_not_fail_and_a_slowdown_does(tmp_path: Path) -> None:
    """Times that scatter by a tenth hold; times that are a third longer on top of it fail."""
    rng = np.random.default_rng(2)
    base, noisy = (
        run_of(tmp_path / name, speeds(0.01 * rng.normal(1, 0.1, size=8)))
        for name in ("base", "noisy")
    )
    slow = run_of(tmp_path / "slow", speeds(0.0133 * rng.normal(1, 0.1, size=8)))
    assert compared(base, noisy, "decode_tokens_per_s<-10%").exit_code == 0
    assert compared(base, slow, "decode_tokens_per_s<-10%").exit_code == 1
    assert compared(slow, base, "decode_tokens_per_s<-10%").exit_code == 0


def test_the_first_token_of_a_streamed_request_is_its_own(tmp_path: Path) -> None:
    """Of two servers that answer as soon in all, one begins later, and decodes faster after it."""
    rows = speeds(np.full(8, 0.01))
    runs = []
    for name, share in (("base", 0.1), ("new", 0.5)):
        made = [
            {**cells, "first_token_s": share * float(str(cells["generate_s"]))} for cells in rows
        ]
        runs.append(run_of(tmp_path / name, made))
    late = compared(*runs, "first_token_s>+10%", "decode_tokens_per_s<-10%")
    assert "REGRESSED: first_token_s>+10%" in late.text
    assert "REGRESSED: decode_tokens_per_s" not in late.text
    assert (
        "REGRESSED: decode_tokens_per_s<-10%"
        in compared(*runs[::-1], "decode_tokens_per_s<-10%").text
    )


def test_bytes_held_are_exact(base: Path, tmp_path: Path) -> None:
    """They have no interval: 2 % more fail a gate of 1 %, 0.5 % more do not, with any contexts."""
    for percent, code in ((0.5, 0), (2, 1)):
        rows = scored(some_scores())
        for cells in rows:
            cells["held_bytes"] = int(str(cells["held_bytes"])) * (1 + percent / 100)
        done = compared(base, run_of(tmp_path / str(percent), rows), "held_bytes>+1%")
        assert done.exit_code == code
        assert f"+{percent:.1f} %, 20 samples" in done.text
        two = [row for row in rows if row["sample_id"] in ("s0", "s1")]
        assert (
            compared(base, run_of(tmp_path / f"two{percent}", two), "held_bytes>+1%").exit_code
            == code
        )


def test_flipped_answers_are_shown_with_both_texts(tmp_path: Path) -> None:
    """Counts of both directions, the first ten with targets and answers, and what is reworded."""
    scores = np.array([[1.0, 1.0, 0.0]] * 12)
    base = run_of(tmp_path / "base", scored(scores, kind="lookup"))
    flipped = scores.copy()
    flipped[:, 0] = 0
    flipped[3, 2] = 1
    rows = scored(flipped)
    rows[1]["answer"] = "Right!"
    done = compared(base, run_of(tmp_path / "new", rows))
    (counts,) = [line.split() for line in done.text.splitlines() if "exact_match   " in line[:30]]
    assert counts == ["gist", "exact_match", "12", "1", "1", "36"]
    assert "Was right, now wrong: 12, the first 10\n" in done.text
    assert 'gist, s0 q0 ("right"): "right" -> "wrong 0.0"' in done.text
    assert "s9 q0" in done.text
    assert "s10 q0" not in done.text
    assert "Was wrong, now right: 1\n" in done.text
    assert 'gist, s3 q2 ("right"): "wrong 0.0" -> "right"' in done.text


@pytest.mark.parametrize(
    ("cells", "words"),
    [({"targets": ("left",)}, 'targets of qa, sample \'s0\', question \'q0\''),
     ({"context_tokens": 7}, "context_tokens of qa")],
)  # fmt: skip
def test_different_data_is_refused(
    gist_bench: GistBench, base: Path, tmp_path: Path, cells: Mapping[str, Cell], words: str
) -> None:
    """The same ids with other targets or contexts do not compare: exit 2 and one line."""
    new = run_of(tmp_path / "new", scored(some_scores(), **cells))
    code, out, err = gist_bench("compare", base, new)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "different data" in err
    assert words in err


def test_another_data_file_is_refused(tmp_path: Path) -> None:
    """The hash of a suite's file decides, where its path does not."""
    sides = {}
    for name, file, digest in (("a", "x", "1"), ("b", "x", "2"), ("c", "y", "1")):
        suites = {"qa": {"options": {"data": file}, "files": {"data": digest}}}
        rows = scored(some_scores())
        sides[name] = run_of(tmp_path / name, rows, configuration={"suites": suites})
    with pytest.raises(UserError, match="different data in qa"):
        compare(sides["a"], sides["b"])
    assert compare(sides["a"], sides["c"]).exit_code == 0


def test_another_machine_leaves_times_out(base: Path, tmp_path: Path) -> None:
    """Times of two machines do not compare; answers and bytes do, and a gate on time is no pass."""
    rows = [*scored(some_scores()), *speeds(np.full(8, 0.05))]
    other = {**ENVIRONMENT, "processor": "processor B"}
    new = run_of(tmp_path / "new", rows, environment=other)
    done = compared(base, new, "exact_match<-0.02", "held_bytes>+1%")
    assert done.exit_code == 0
    assert "Different machines, so times are left out." in done.text
    assert "NEW: processor B, 2 threads" in " ".join(done.text.split())
    assert "_s " not in done.text.partition("change: NEW")[0]
    gated = compared(base, new, "decode_tokens_per_s<-10%", "exact_match<-0.02")
    assert gated.exit_code == 2
    assert "not judged: decode_tokens_per_s<-10%" in gated.text
    unknown = run_of(tmp_path / "unknown", rows, environment={})
    assert "NEW: not known" in " ".join(compared(base, unknown).text.split())


def test_settings_that_differ_are_named(base: Path, tmp_path: Path) -> None:
    """What may explain a change stands above it."""
    environment = {**ENVIRONMENT, "packages": {"x": "2"}}
    new = run_of(tmp_path / "new", scored(some_scores()), environment=environment)
    assert "Different settings: x: 1 -> 2" in compared(base, new).text


def test_missing_rows_are_counted(base: Path, tmp_path: Path) -> None:
    """Rows of one run alone are named by suite and backend; the others are compared."""
    rows = [row for row in scored(some_scores()) if row["sample_id"] not in ("s0", "s1")]
    rows += scored(some_scores(), backend="rag")
    done = compared(base, run_of(tmp_path / "new", rows), "exact_match<-0.02")
    assert done.exit_code == 0
    assert "Only in BASE: 16 rows of qa, gist.\n" in done.text
    assert "Only in BASE: speed (all of the suite): gist (16 rows).\n" in done.text
    assert "Only in NEW: qa: rag (160 rows).\n" in done.text
    assert "144 questions compared" in done.text


def test_part_of_a_batch_has_no_time(base: Path, tmp_path: Path) -> None:
    """The seconds of a batch are not divided by the few of its questions that are left."""
    rows = [row for row in scored(some_scores()) if row["question_id"] != "q0"]
    done = compared(base, run_of(tmp_path / "new", rows), "f1<-0.02")
    assert done.exit_code == 1  # an eighth of the answers is gone
    with pytest.raises(UserError, match="no suite of both runs has 'question_s'"):
        compared(base, run_of(tmp_path / "again", rows), "question_s>+5%")


def test_questions_that_newly_fail_are_counted(base: Path, tmp_path: Path) -> None:
    """An error has no score to fall; the share of errors shows it, and can be a gate."""
    rows = scored(some_scores())
    for cells in rows[: 10 * QUESTIONS]:
        cells |= {"error": "out_of_memory", "f1": None, "exact_match": None, "batch_size": None}
    done = compared(base, run_of(tmp_path / "new", rows), "errors>+0.05", "exact_match<-0.02")
    assert done.exit_code == 1
    assert "REGRESSED: errors>+0.05: qa, gist: 0.000 -> 0.500" in done.text
    assert compared(base, base, "errors>+0").exit_code == 0


def test_lost_answers_are_wrong_answers(base: Path, tmp_path: Path) -> None:
    """Half of the rows gone, or all of them out of memory: a gate on the score fails."""
    whole = scored(some_scores())
    half = [row for row in whole if row["question_id"] in ("q0", "q1", "q2", "q3")]
    lost = compared(base, run_of(tmp_path / "half", half), "exact_match<-0.02")
    assert lost.exit_code == 1
    assert "Same scores" not in lost.text
    nothing: dict[str, Cell] = {
        "error": "out_of_memory",
        "f1": None,
        "exact_match": None,
        "batch_size": None,
    }
    full = [{**row, **nothing} for row in whole]
    gone = compared(base, run_of(tmp_path / "full", full), "exact_match<-0.02")
    assert gone.exit_code == 1
    assert "qa, gist: no answers in NEW (160 out_of_memory)" in gone.text
    assert "counts as wrong" in gone.text


def test_a_missing_backend_fails_every_gate(tmp_path: Path) -> None:
    """Whatever the gate is about; without one, nothing fails."""
    both = [*scored(some_scores()), *scored(some_scores(), backend="rag")]
    old = run_of(tmp_path / "old", both)
    new = run_of(tmp_path / "new", scored(some_scores()))
    done = compared(old, new, "errors>+1")
    assert done.exit_code == 1
    assert "REGRESSED: qa, rag: no answers in NEW (160 missing)" in done.text
    assert compared(old, new).exit_code == 0


def test_a_torn_file_is_read_up_to_the_tear(base: Path, tmp_path: Path) -> None:
    """A run that was killed within a row compares in what it finished."""
    new = run_of(tmp_path / "new", scored(some_scores()))
    file = new / "records.csv"
    file.write_bytes(file.read_bytes()[:-20])
    done = compared(base, new, "exact_match<-0.02")
    assert done.exit_code == 0
    assert "Only in BASE: 1 rows of qa, gist." in done.text


def test_a_gate_without_a_metric_is_about_the_headline(base: Path, tmp_path: Path) -> None:
    """`<-0.02` judges the metric that backends are compared by, whichever that is."""
    new = run_of(tmp_path / "new", scored(some_scores() / 2))
    done = compared(base, new, "<-0.02")
    assert "REGRESSED: headline<-0.02: qa, gist: f1 0." in done.text
    assert done.exit_code == 1
    chosen = compare(base, new, fail_on=["<-0.02"], headline="exact_match")
    assert "Headline: exact_match, as --headline says." in chosen.text
    assert "headline<-0.02: qa, gist: exact_match 0." in chosen.text
    with pytest.raises(UserError, match="--headline 'f2': no suite has such a score"):
        compare(base, new, headline="f2")


def test_a_gate_holds_where_the_metric_is(base: Path, tmp_path: Path) -> None:
    """A suite without the metric is no hindrance; a metric that no suite has is a mistake."""
    new = run_of(tmp_path / "new", [*scored(some_scores()), *speeds(np.full(8, 0.01))])
    assert "Holds: exact_match<-0.02." in compared(base, new, "exact_match<-0.02").text
    with pytest.raises(UserError, match=r"has 'exact_mach'\. Did you mean 'exact_match'"):
        compared(base, new, "exact_mach<-0.02")
    with pytest.raises(UserError, match="no suite of both runs has 'accuracy'"):
        compared(base, new, "accuracy<-0.02")


def test_a_metric_of_one_run_alone_is_named(base: Path, tmp_path: Path) -> None:
    """A score that only one of the runs knows is not compared, and that is said."""
    rows = [{**row, "points": 1.0} for row in scored(some_scores())]
    new = run_of(tmp_path / "new", rows)
    file = new / "records.csv"
    file.write_text(file.read_text().replace(",points,", ",marks,", 1))
    assert "Only NEW has the metrics marks.\n" in compared(base, new).text


def test_too_few_contexts_are_no_pass(tmp_path: Path) -> None:
    """Where no interval can be given, a gate is not judged: exit 2."""
    scores = np.array([[1.0, 0.0, 1.0]] * 3)
    runs = [
        run_of(tmp_path / name, scored(values))
        for name, values in (("a", scores), ("b", scores * [[1], [0], [1]]))
    ]
    done = compared(*runs, "exact_match<-0.02")
    assert done.exit_code == 2
    assert "too few contexts for an interval in qa, gist" in done.text


def test_unseen_templates_are_held_out(base: Path, tmp_path: Path) -> None:
    """The figures of the headline are those of the report; what it leaves out has its own part."""
    seen, unseen = scored(some_scores()), scored(np.zeros((CONTEXTS, 2)), template="unseen")
    for cells in unseen:
        cells |= {"question_id": f"u{cells['question_id']}", "answer": "no"}
    before = run_of(tmp_path / "before", [*seen, *unseen])
    lost = scored(1 - some_scores())
    after = run_of(tmp_path / "after", [*lost, *unseen])
    text = compared(before, after).text
    headline, _, held_out = text.partition("Nothing changed in ")
    mean = some_scores().mean()
    assert f"{mean:.3f}  {1 - mean:.3f}" in headline
    assert held_out.startswith("qa, template=unseen.")
    assert compared(base, base).text.count("template=unseen") == 0


def test_a_metric_of_a_plugin_has_no_limits(tmp_path: Path) -> None:
    """Scores above 1 and of unknown direction are compared, and may be gated either way."""
    scores = some_scores()
    runs = [
        run_of(
            tmp_path / name,
            [{**row, "points": 10 * float(row["f1"] or 0) * times} for row in scored(scores)],
        )
        for name, times in (("a", 1), ("b", 2))
    ]
    done = compared(*runs, "points<-1")
    assert done.exit_code == 0
    assert "changed" in done.text
    assert compared(*runs, "points>+1").exit_code == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exact_match-0.02", "METRIC<-TOLERANCE or METRIC>+TOLERANCE, for example"),
        ("", "is not a gate"),
        ("f1<-nan", "is not a gate"),
        ("f1<=-0.02", "is not a gate"),
        ("exact_match<0.02", "Write 'exact_match<-0.02'"),
        ("held_bytes>-1%", "Write 'held_bytes>+1%'"),
        ("exact_match>+0.02", "higher is better in exact_match"),
        ("held_bytes<-1%", "lower is better in held_bytes"),
    ],
)
def test_a_gate_that_is_none_is_one_line(
    gist_bench: GistBench, base: Path, text: str, words: str
) -> None:
    """A mistake in a gate says what was given and how to write it."""
    code, out, err = gist_bench("compare", base, base, "--fail-on", text)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("text", "tolerance", "relative", "falls"),
    [
        ("exact_match<-0.02", -0.02, False, True),
        (" f1 < -5 % ", -0.05, True, True),
        ("held_bytes>+1%", 0.01, True, False),
        ("prepare_s>.5", 0.5, False, False),
        ("f1<-1e-3", -0.001, False, True),
        ("f1<0", 0.0, False, True),
    ],
)
def test_gates_are_absolute_or_relative(
    text: str, tolerance: float, relative: bool, falls: bool
) -> None:
    """A percent sign makes a tolerance a share of the base; blanks do not count."""
    gate = Gate.parse(text)
    assert (gate.relative, gate.falls) == (relative, falls)
    assert gate.tolerance == pytest.approx(tolerance)
    assert " " not in gate.text


def test_the_command_exits_by_what_it_found(
    gist_bench: GistBench, base: Path, tmp_path: Path
) -> None:
    """0 without gates whatever changed, 1 on a regression, 2 on a path without a run."""
    new = run_of(tmp_path / "new", scored(some_scores() * 0))
    code, out, err = gist_bench("compare", base, new / "records.csv")
    assert (code, err) == (0, "")
    assert "nothing could fail" in out
    assert gist_bench("compare", base, new, "--fail-on", "f1<-0.02")[0] == 1
    assert gist_bench("compare", base, tmp_path / "nowhere")[0] == 2
    assert gist_bench("compare", base)[0] == 2


def test_several_runs_on_one_side_are_refused(base: Path, tmp_path: Path) -> None:
    """A folder of runs with the same questions has no one answer to pair."""
    for name in ("x", "y"):
        suites = {"qa": {"options": {"seed": name}, "files": {}}}
        run_of(tmp_path / "runs" / name, scored(some_scores()), configuration={"suites": suites})
    with pytest.raises(UserError, match="Give one run folder"):
        compare(base, tmp_path / "runs")


def test_runs_without_a_common_question_are_refused(base: Path, tmp_path: Path) -> None:
    """Nothing to pair is no success."""
    new = run_of(tmp_path / "new", scored(some_scores(), suite="other"))
    with pytest.raises(UserError, match="no question in common"):
        compare(base, new)


def test_a_page_fits_a_terminal_and_a_comment(base: Path, tmp_path: Path) -> None:
    """Lines stay within 100 columns; Markdown has pipe tables and no aligned text."""
    answer = "a long | answer " * 20
    new = run_of(tmp_path / "new", scored(0 * some_scores(), answer=answer))
    text = compared(base, new, "f1<-0.02").text
    assert max(map(len, text.splitlines())) <= 100
    markdown = compared(base, new, "f1<-0.02", markdown=True).text
    assert "| backend" in markdown
    assert "### qa" in markdown
    assert "a long \\| answer" in markdown
    assert "- REGRESSED: f1&lt;-0.02" in markdown


def test_the_same_runs_give_the_same_page(base: Path, tmp_path: Path) -> None:
    """Intervals are drawn with a fixed seed."""
    new = run_of(tmp_path / "new", scored(some_scores(3)))
    assert compared(base, new, "f1<-0.02") == compared(base, new, "f1<-0.02")


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    """Two runs of 50,000 rows are compared in less than ten seconds of the processor."""
    rng = np.random.default_rng(5)
    sides = []
    for name in ("base", "new"):
        rows: Rows = []
        for backend in ("full", "gist", "rag", "closed_book", "truncate"):
            scores = (rng.random((1250, QUESTIONS)) < 0.5).astype(float)
            rows += scored(scores, backend=backend)
        sides.append(run_of(tmp_path / name, rows))
    start = time.process_time()
    done = compared(*sides, "f1<-0.02", "held_bytes>+1%")
    assert done.exit_code == 0
    assert time.process_time() - start < 10


def test_comparing_imports_no_model(base: Path) -> None:
    """The command is for CI: no torch, no transformers."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from harness.cli import main\n"
        f"main(['compare', {str(base)!r}, {str(base)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "questions compared" in done.stdout
    assert not {"torch", "transformers", "chromadb"} & set(done.stderr.split())
