"""The verdict says whether a comparison shows anything, what each way is worth, which to choose."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli.options import has_colours
from harness.report.cost_tables import cost_tables
from harness.report.html.page import make_page
from harness.report.render import render
from harness.report.sections import sections_of
from harness.report.standing import Standing
from harness.report.verdict import Verdict, verdicts
from harness.report.verdict_page import best_ways, choose, in_short, verdict_table
from harness.run.records import Cell
from harness.run.rows import read_rows
from tests.support.made_run import COSTS_ONLY, RUN, made_run
from tests.support.rows import row, scored, write_run

COSTS: Mapping[str, Cell] = {"prepare_s": 1.0, "generate_s": 0.2, "held_bytes": 1000}


def of_run(folder: Path) -> list[Verdict]:
    """Return the verdicts on a run."""
    rows = read_rows([folder])
    return verdicts(rows, sections_of(rows))


def shares(right: float, contexts: int = 40, questions: int = 5) -> list[list[float]]:
    """Return scores of 0 and 1: so many are right of each context's questions, give or take one."""
    wanted = [right * questions * (n + 1) for n in range(contexts)]
    ones = [round(b) - round(a) for a, b in zip([0.0, *wanted], wanted, strict=False)]
    return [[1.0] * n + [0.0] * (questions - n) for n in ones]


def compare(
    folder: Path,
    scores: Mapping[str, Iterable[Iterable[float]]],
    costs: Mapping[str, Mapping[str, Cell]] | None = None,
    run: Mapping[str, object] | None = None,
) -> Verdict:
    """Return the verdict on backends with these scores, and costs of their own."""
    rows = [
        made
        for backend, of_backend in scores.items()
        for made in scored(backend, of_backend, **{**COSTS, **(costs or {}).get(backend, {})})
    ]
    (verdict,) = of_run(write_run(folder / "run", rows, run))
    return verdict


def standing(verdict: Verdict, backend: str) -> Standing:
    """Return how a way stands to full context."""
    way = verdict.way(backend)
    assert way is not None
    return way.against.standing


def chosen(verdict: Verdict) -> dict[str, str]:
    """Return the way chosen for each goal."""
    return {choice.goal: choice.way.backend for choice in verdict.choices}


def test_each_way_gets_a_plain_word(tmp_path: Path) -> None:
    """Lost, gained and alike are told apart by their intervals; few contexts say nothing."""
    half = shares(0.5, contexts=100)
    verdict = compare(
        tmp_path, {"full": half, "rag": half, "gist": shares(0.3, 100), "hybrid": shares(0.9, 100)}
    )
    words = {way.backend: str(way.against) for way in verdict.ways}
    assert words == {
        "full": "baseline", "rag": "as good", "gist": "loses 0.20", "hybrid": "gains 0.40",
    }  # fmt: skip
    assert verdict.obstacles == ()


def test_a_model_that_cannot_read_the_documents_is_named_first(tmp_path: Path) -> None:
    """No way is recommended where full context answers nothing, whatever others score."""
    verdict = compare(tmp_path, {"full": shares(0, 4, 2), "rag": shares(0.5, 4, 2)})
    assert verdict.obstacles[0].startswith("full context answered 0 of 8: this model cannot read")
    assert not verdict.choices
    assert not list(choose(verdict))


def test_questions_that_need_no_document_show_nothing(tmp_path: Path) -> None:
    """Where closed book answers as well as full context, no way is recommended."""
    alike = shares(0.6)
    verdict = compare(tmp_path, {"full": alike, "rag": alike, "closed_book": alike})
    assert "not shown to answer better than closed_book" in verdict.obstacles[0]
    assert not verdict.choices


def test_without_full_context_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    """The reason that full context failed is said, if it ran."""
    assert "was not run" in compare(tmp_path / "a", {"rag": shares(0.5)}).obstacles[0]
    failed = [row("full", sample, 0, f1=None, error="context_too_long") for sample in range(6)]
    rows = [*failed, *scored("rag", shares(0.5, 6, 2), **COSTS)]
    (verdict,) = of_run(write_run(tmp_path / "b", rows))
    assert "answered nothing (full: 6 context_too_long)" in verdict.obstacles[0]
    assert standing(verdict, "rag") is Standing.ALONE


@pytest.mark.parametrize("contexts", [3, 8])
def test_too_few_contexts_say_how_many_would_settle_it(tmp_path: Path, contexts: int) -> None:
    """The number comes from the detectable difference, and more contexts need no more."""
    verdict = compare(
        tmp_path,
        {"full": shares(0.5, contexts, 2), "gist": reversed(shares(0.4, contexts, 2))},
    )
    assert standing(verdict, "gist") is Standing.TOO_FEW
    way = verdict.way("gist")
    assert way is not None
    assert way.against.needed is not None
    assert way.against.needed > contexts
    (obstacle,) = verdict.obstacles
    assert f"about {way.against.needed:,} would settle it" in obstacle


def test_settling_takes_fewer_contexts_where_they_agree_more(tmp_path: Path) -> None:
    """A difference that is the same everywhere needs fewer contexts than one that jumps."""
    needed = {}
    for name, gist in (
        ("calm", [[0.4, 0.5]] * 5 + [[0.5, 0.5]]),
        ("wild", [[1, 0]] * 3 + [[0, 0.6]] * 3),
    ):
        verdict = compare(tmp_path / name, {"full": [[0.5, 0.5]] * 6, "gist": gist})
        way = verdict.way("gist")
        assert way is not None
        needed[name] = way.against.needed or 0
    assert needed["calm"] < needed["wild"]


def test_floors_and_controls_are_no_ways(tmp_path: Path) -> None:
    """Closed book, truncation, shuffled and untrained gists are never a choice."""
    names = ("full", "gist", "rag", "closed_book", "truncate,ratio=4", "mean_pool",
             "shuffled(gist)", "oracle(full)", "gist,untrained=true")  # fmt: skip
    none = {"held_bytes": 1, "prepare_s": 0.0, "generate_s": 1e-6}
    verdict = compare(
        tmp_path,
        {name: shares(0.1 if name == "closed_book" else 0.5) for name in names},
        dict.fromkeys(names[3:], none),
    )
    assert [way.backend for way in verdict.ways] == ["full", "gist", "rag"]
    assert set(chosen(verdict).values()) <= {"full", "gist", "rag"}


def test_gists_are_compared_with_the_adapted_model_too(tmp_path: Path) -> None:
    """What the adapter teaches the model by itself is not credited to compression."""
    verdict = compare(
        tmp_path,
        {
            "full": shares(0.3),
            "full,adapter=on": shares(0.8),
            "gist": shares(0.5),
            "rag": shares(0.3),
        },
    )
    gist, rag = verdict.way("gist"), verdict.way("rag")
    assert gist is not None
    assert rag is not None
    assert (str(gist.against), str(gist.against_adapted)) == ("gains 0.20", "loses 0.30")
    assert rag.against_adapted is None
    notes = " ".join(verdict_table(verdict).notes)
    assert "Against full,adapter=on, which has the same weights: gist loses 0.30." in notes
    assert chosen(verdict)["quality"] == "full,adapter=on"


def test_each_goal_has_its_choice_and_its_price(tmp_path: Path) -> None:
    """The least memory and time among ways that answer, with what they lose."""
    verdict = compare(
        tmp_path,
        {"full": shares(0.8), "gist": shares(0.5), "rag": shares(0.8)},
        {
            "full": {"prepare_s": 1.0, "generate_s": 1.0, "held_bytes": 1000},
            "gist": {"prepare_s": 2.0, "generate_s": 0.1, "held_bytes": 100},
            "rag": {"prepare_s": 0.1, "generate_s": 1.5, "held_bytes": 500},
        },
    )
    assert chosen(verdict) == {
        "quality": "full",
        "memory": "gist",
        "time, 1 question": "rag",
        "time, 10 questions": "gist",
    }
    (sentence,) = choose(verdict)
    assert "for quality full; for memory gist (0.10 of full; loses 0.30)" in sentence


def test_times_beside_other_work_are_no_ground_to_choose(tmp_path: Path) -> None:
    """Whose times are too long is said, and by how much; quality and memory are as they were."""
    half = shares(0.5)
    scores = {"full": half, "rag": half}
    busy = {"prepare_waited_s": 0.6, "generate_waited_s": 0.0}  # of 1.2 s a context
    quiet = {"prepare_waited_s": 0.1, "generate_waited_s": 0.0}
    verdict = compare(tmp_path / "busy", scores, {"full": quiet, "rag": busy})
    assert set(chosen(verdict)) == {"quality", "memory"}
    assert "a part of them: rag 0.50. Measure" in verdict.obstacles[-1]
    for name, costs in (("quiet", quiet), ("unknown", {})):
        verdict = compare(tmp_path / name, scores, {"full": costs, "rag": costs})
        assert "time" in chosen(verdict)
        assert "Times" not in "".join(verdict.obstacles)


def test_no_time_beside_other_work_is_marked_as_best(tmp_path: Path) -> None:
    """Memory is, and times of a quiet machine are; in the verdict, the page and the table."""
    half = shares(0.5)
    rag = {"prepare_s": 0.5, "held_bytes": 10}
    marked = {}
    for name, waited in (("busy", 0.3), ("quiet", 0.0)):
        costs = {"full": {"prepare_waited_s": waited}, "rag": {**rag, "prepare_waited_s": waited}}
        verdict = compare(tmp_path / name, {"full": half, "rag": half}, costs)
        marked[name] = {column for column, ways in best_ways(verdict).items() if "rag" in ways}
        (section,) = sections_of(read_rows([tmp_path / name / "run"]))
        (table,) = cost_tables(section)
        starred = {table.header[at] for (row, at), _ in table.marks.items() if row == 1}
        assert ("prepare" in starred) == (name == "quiet")
        assert "held" in starred
    assert marked == {"busy": {"memory"}, "quiet": {"memory", "1 q", "10 q"}}


def test_a_tie_in_cost_goes_to_the_better_answers(tmp_path: Path) -> None:
    """Two per cent of time are no reason to take worse answers."""
    verdict = compare(
        tmp_path,
        {"full": shares(0.8), "gist": shares(0.5)},
        {"gist": {"prepare_s": 0.98, "held_bytes": 990}},
    )
    assert set(chosen(verdict).values()) == {"full"}


def test_a_way_whose_check_failed_is_no_choice(tmp_path: Path) -> None:
    """A failed check of the cache, or gists that do not beat another document's."""
    failed = {"name": "poisoned cache", "measured": "1 of 9", "limit": "all", "passed": False}
    run = {**RUN, "proofs": [{"backends": ["gist"], "proofs": [failed]}]}
    scores = {"full": shares(0.8), "gist": shares(0.8), "rag": shares(0.8)}
    cheap = {"gist": {"held_bytes": 10}}
    verdict = compare(tmp_path / "a", scores, cheap, run)
    assert standing(verdict, "gist (INVALID)") is Standing.INVALID
    assert any("poisoned cache (1 of 9)" in obstacle for obstacle in verdict.obstacles)
    assert chosen(verdict)["memory"] != "gist (INVALID)"
    verdict = compare(tmp_path / "b", {**scores, "shuffled(gist)": shares(0.8)}, cheap)
    assert any("shuffled-context control" in obstacle for obstacle in verdict.obstacles)
    assert chosen(verdict)["memory"] != "gist"


def test_what_was_invented_stands_beside_the_quality(tmp_path: Path) -> None:
    """From the same suite, or another one about the same documents; else it is not known."""
    rows = [
        *scored("full", shares(0.8, 6, 2)),
        *scored("full", [[1, 0]] * 6, f1=None, suite="other"),
    ]
    for made in rows[12:]:
        made["hallucinated"] = float(str(made["question_id"]) == "q0")
    same, _ = of_run(write_run(tmp_path / "same", rows))
    assert same.ways[0].invented is not None
    assert same.ways[0].invented.mean == 0.5
    for made in rows[12:]:
        made["sample_id"] = f"another {made['sample_id']}"
    apart, _ = of_run(write_run(tmp_path / "apart", rows))
    assert apart.ways[0].invented is None


def test_every_scored_suite_has_a_verdict_and_costs_have_none(tmp_path: Path) -> None:
    """One for each, by name."""
    assert [v.suite for v in of_run(made_run(tmp_path / "a"))] == [
        "qa", "passkey", "hallucination",
    ]  # fmt: skip
    assert not of_run(made_run(tmp_path / "b", suites=("qa",), changes=COSTS_ONLY))


def test_the_verdict_is_the_last_of_a_terminal_and_the_first_of_markdown(tmp_path: Path) -> None:
    """A terminal shows its last lines, a page its first ones."""
    folder = made_run(tmp_path / "run", suites=("qa",), contexts=60)
    (verdict,) = of_run(folder)
    (sentence,) = choose(verdict)
    terminal = render([folder], width=1000)
    assert terminal.rstrip().splitlines()[-1].strip() == sentence
    page = render([folder], markdown=True)
    assert page.index("**Verdict**") < page.index("**Validity checks**")


def test_a_verdict_fits_80_columns(tmp_path: Path) -> None:
    """With the widest figures of common ways, each way stays on one line."""
    rows = {"full": shares(1), "full,adapter=on": shares(0.4), "rag": shares(0.5),
            "gist,ratio=4": shares(0.7)}  # fmt: skip
    costs = {"held_bytes": 9_876_543, "prepare_s": 0.05, "hallucinated": 0.5}
    compare(tmp_path, rows, dict.fromkeys(rows, costs))
    text = render([tmp_path / "run"], width=80)
    verdict = text[text.index("\nVerdict\n") :].splitlines()
    assert max(map(len, verdict)) <= 80
    assert sum(line.startswith("gist,ratio=4 ") for line in verdict) == 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_verdict_in_short_has_twelve_lines(tmp_path: Path, width: int) -> None:
    """What is left out is never a way or the choice."""
    scores = {"full": shares(0.6, 6, 2), "full,adapter=on": shares(0.7, 6, 2),
              "rag": shares(0.6, 6, 2), "gist": shares(0.5, 6, 2)}  # fmt: skip
    verdict = compare(tmp_path, scores)
    text = in_short(verdict, width=width)
    if width >= 80:
        assert len(text.splitlines()) <= 12
        assert all(f"\n{name} " in text for name in scores)
    assert max(map(len, text.splitlines())) <= width
    assert "Choose for quality" in text


def test_the_best_of_each_column_has_a_star(tmp_path: Path) -> None:
    """In a terminal a star, in Markdown bold; equal figures share it, and one way has none."""
    costs = {"full": {"held_bytes": 4000}, "gist": {"held_bytes": 1000}}
    scores = {"full": shares(0.5, 100), "rag": shares(0.5, 100), "gist": shares(0.2, 100)}
    folder = tmp_path / "run"
    compare(tmp_path, scores, costs)
    lines = [line.split() for line in render([folder]).split("Verdict\n")[-1].splitlines()]
    quality = {line[0]: line[1] for line in lines if line[:1] and line[0] in scores}
    memory = {line[0]: line[3] for line in lines if line[:1] and line[0] in scores}
    assert {name for name, cell in quality.items() if cell.startswith("*")} == {"full", "rag"}
    assert {name for name, cell in memory.items() if cell.startswith("*")} <= {"gist", "rag"}
    assert "| **0.50 " in render([folder], markdown=True)
    lone = write_run(tmp_path / "lone", scored("full", shares(0.5), **COSTS))
    assert "*0" not in render([lone])


def test_colours_are_for_terminals_that_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Painted, the page has the same letters; a pipe, NO_COLOR and a dumb terminal get no paint."""
    compare(tmp_path, {"full": shares(0.9, 100), "rag": shares(0.2, 100)})
    plain, painted = (render([tmp_path / "run"], colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[31mloses 0.70\x1b[0m" in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert not has_colours()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    assert has_colours()
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours()


def test_beside_what_reads_nothing_no_way_is_as_good_or_short_of_contexts(tmp_path: Path) -> None:
    """Where full context is no baseline, only a difference is shown; more contexts are no help."""
    nothing = shares(0, 60)
    scores = {"full": nothing, "gist": nothing, "rag": shares(0.5, 60), "closed_book": nothing}
    verdict = compare(tmp_path / "a", scores)
    assert standing(verdict, "gist") is Standing.ALONE
    assert standing(verdict, "rag") is Standing.GAINS
    adapted = compare(tmp_path / "c", {**scores, "full,adapter=on": nothing})
    assert "not comparable" not in in_short(adapted, width=80)
    few = compare(tmp_path / "b", {name: of_way[:4] for name, of_way in scores.items()})
    assert {standing(few, name) for name in ("gist", "rag")} == {Standing.ALONE}
    assert len(few.obstacles) == 1
    assert "would settle it" not in in_short(few, width=80)


def test_one_way_alone_is_no_choice(tmp_path: Path) -> None:
    """There is nothing to choose from, and the verdict says so."""
    verdict = compare(tmp_path, {"full": shares(0.6), "closed_book": shares(0.1)})
    assert verdict.obstacles == (
        "full is the only way that answered: there is nothing to choose from.",
    )
    assert not verdict.choices


def test_a_way_that_answers_no_more_than_the_floor_is_no_choice(tmp_path: Path) -> None:
    """However cheap it is; why it was passed over is said."""
    scores = {"full": shares(0.5), "gist": shares(0.2), "rag": shares(0.5)}
    cheap = {"gist": {"held_bytes": 1, "prepare_s": 0.0, "generate_s": 1e-6}}
    verdict = compare(tmp_path, {**scores, "closed_book": shares(0.2)}, cheap)
    assert "gist" not in chosen(verdict).values()
    assert verdict.obstacles[-1] == (
        "Not to be chosen, as closed_book, which reads nothing, answers at least as well (0.20): "
        "gist."
    )


def test_a_way_that_may_answer_without_the_documents_is_named(tmp_path: Path) -> None:
    """Above the floor, but not by more than chance explains; one that is certainly above is not."""
    two, none = [1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5
    scores = {"full": shares(0.9), "gist": [*[none, two] * 19, two, two], "rag": shares(0.6)}
    verdict = compare(tmp_path, {**scores, "closed_book": [two, none] * 20})
    (said,) = [one for one in verdict.obstacles if "may not come" in one]
    assert said == (
        "Answers may not come from the documents: gist. closed_book, which reads nothing, is not "
        "shown to answer worse."
    )


def test_a_way_that_loses_more_than_half_is_no_choice(tmp_path: Path) -> None:
    """Next to nothing at next to no cost is no bargain; fewer right answers alone are no reason."""
    scores = {"full": shares(0.6), "gist": shares(0.2), "rag": shares(0.5)}
    cheap = {"gist": {"held_bytes": 1, "prepare_s": 0.0, "generate_s": 1e-6}}
    verdict = compare(tmp_path, {**scores, "closed_book": shares(0.0)}, cheap)
    assert "gist" not in chosen(verdict).values()
    assert verdict.obstacles[-1] == (
        "Not to be chosen, as full answers more than twice as many questions: gist."
    )


def test_floors_alone_have_no_table_of_ways(tmp_path: Path) -> None:
    """In full, in short and on the page: what is missing is said, and nothing is counted."""
    verdict = compare(tmp_path, {"closed_book": shares(0.1), "truncate,ratio=4": shares(0.2)})
    said = "full context was not run: there is nothing to compare with."
    last = render([tmp_path / "run"], width=80).split("A dash: not known.")[1]
    assert last.split() == f"qa == {said}".split()
    assert in_short(verdict, width=80) == verdict.obstacles[0] == said
    page = make_page(read_rows([tmp_path / "run"], answers=True))
    first, _ = page.split("<nav")
    assert verdict.obstacles[0] in first
    assert "<table" not in first
    assert "0 questions about" not in page


def test_each_legend_explains_the_words_beside_it(tmp_path: Path) -> None:
    """A terminal writes `loses 0.10?`, where the page has room for `may lose 0.10`."""
    compare(tmp_path, {"full": shares(0.5, 10), "rag": shares(0.45, 10), "gist": shares(0.2, 10)})
    legend = render([tmp_path / "run"], width=1000).split("Reading the tables")[1]
    assert "'too few': too few contexts to say; '?': one of so many" in legend
    page = make_page(read_rows([tmp_path / "run"], answers=True)).split("<nav")[0]
    assert "&#39;?&#39;" not in page
    assert "&#39;may lose&#39;, &#39;may gain&#39;: one of so many" in page


def test_checks_that_nobody_ran_are_not_counted(tmp_path: Path) -> None:
    """`0 of 0 pass` would say nothing."""
    compare(tmp_path, {"full": shares(0.5), "gist": shares(0.5)}, run=RUN)
    text = " ".join(render([tmp_path / "run"], brief=True).split())
    assert "Validity checks: not run: masks and caches for gist; not run: shuffled" in text


def test_a_handful_of_questions_says_nothing_of_a_model(tmp_path: Path) -> None:
    """One wrong answer does not show that a model cannot read, nor that a way is good."""
    verdict = compare(tmp_path / "a", {"full": [[0.0, 0.0]], "rag": [[1.0, 1.0]]})
    assert verdict.obstacles == (
        "full context answered 0 of 2: these are too few questions to say that this model reads "
        "the documents.",
    )
    assert verdict.is_read
    scores = {"full": [[1.0]] * 3, "gist": [[0.0]] * 3, "closed_book": [[0.0]] * 3}
    few = compare(tmp_path / "b", scores, {"gist": {"held_bytes": 10}})
    assert chosen(few) == {"memory": "gist", "time": "full"}
    assert compare(tmp_path / "c", {"full": [[0.0]] * 8, "rag": [[0.0]] * 8}).is_read is False


def test_a_model_of_a_long_name_leaves_the_verdict_twelve_lines(tmp_path: Path) -> None:
    """Its name gives way: who reads the verdict has typed it. One is not written as many."""
    names = ("full", "full,adapter=on", "rag", "gist,ratio=4")
    costs = {  # another way is the best of each goal
        "full,adapter=on": {"prepare_s": 0.2},
        "rag": {"held_bytes": 500, "prepare_s": 0.5},
        "gist,ratio=4": {"held_bytes": 200, "prepare_s": 1.0, "generate_s": 0.01},
    }
    rows = [
        made
        for name in names
        for made in scored(
            name, [[float(name == "gist,ratio=4")]], **{**COSTS, **costs.get(name, {})}
        )
    ]
    setup = {"model": "small, " + "Q4_1 weights dequantised, " * 4, "device": "cpu"}
    run = {**RUN, "configuration": {"seed": 3, "suites": {}, **setup}}
    (verdict,) = of_run(write_run(tmp_path / "run", rows, run))
    lines = in_short(verdict, width=80).splitlines()
    assert len(lines) <= 12
    assert lines[0].startswith("1 question about 1 context")
