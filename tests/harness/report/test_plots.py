"""Pictures show the figures of the tables, in files that any machine can read."""

import re
from importlib import metadata
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.cli.report import command
from harness.errors import UserError
from harness.report.estimates import estimates
from harness.report.format import Table, interval, size
from harness.report.html.svg import picture
from harness.report.plots.answers import abstentions, over_budget, over_costs, pareto_front
from harness.report.plots.draw import draw
from harness.report.plots.expenses import break_even, memory, times
from harness.report.plots.files import file_name, save_plots
from harness.report.plots.labels import Box, around, placed, spread
from harness.report.plots.look import (
    COLOURS,
    HATCHES,
    LOOKS,
    MARKERS,
    TIP,
    in_style,
    look_of,
    short,
)
from harness.report.plots.maps import maps
from harness.report.plots.points import MARK
from harness.report.plots.shapes import Bar, Chart, HeatMap, Point, Points, Stacks
from harness.report.plots.topics import TOPICS
from harness.report.sections import Section
from harness.run.rows import read_rows
from tests.support.made_run import BACKENDS, COSTS_ONLY, made_run
from tests.support.rows import scored, sections, write_run


def section_of(folder: Path, suite: str = "qa") -> Section:
    """Return the section of a suite in a made run of it."""
    return sections(made_run(folder, suites=(suite,)))[0]


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Chart]]:
    """Every chart of a made run, by topic."""
    found = sections(made_run(tmp_path_factory.mktemp("charts") / "run"))
    return {t.name: [chart for section in found for chart in t.charts(section)] for t in TOPICS}


def test_every_topic_has_a_chart_of_the_made_run(charts: dict[str, list[Chart]]) -> None:
    """The made run leaves no topic out, so the tests below see every kind of picture."""
    assert [topic.name for topic in TOPICS if not charts[topic.name]] == []


def test_a_map_has_the_means_of_its_cells(tmp_path: Path) -> None:
    """Each cell is the mean over the rows of one size and depth; the last maps are differences."""
    section = section_of(tmp_path / "run", "passkey")
    found = {chart.title: chart for chart in maps(section)}
    drawing = found["exact_match of gist"].drawing
    assert isinstance(drawing, HeatMap)
    frame = section.rows[section.rows.names]
    for (depth, tokens), cell in drawing.cells.items():
        rows = frame[(frame["depth"] == depth) & (frame["tokens"] == tokens)]
        mean = rows.loc[rows["backend"] == "gist", "exact_match"].mean()
        assert cell.value == pytest.approx(mean)
        assert f"n={len(rows) // len(BACKENDS)}" in cell.tip
        full = rows.loc[rows["backend"] == "full", "exact_match"].mean()
        difference = found["exact_match: gist minus full"].drawing
        assert isinstance(difference, HeatMap)
        assert difference.cells[depth, tokens].value == pytest.approx(mean - full)
    assert len(drawing.cells) == 6
    assert len(found) == 2 * len(BACKENDS) - 1  # a map of each backend, differences of all but full


def test_points_and_tables_have_the_same_figures(tmp_path: Path) -> None:
    """A point lies at the mean of its backend, and its table has the interval of the report."""
    section = section_of(tmp_path / "run")
    means = estimates(section.counted, "f1")
    for chart in (*over_budget(section), *over_costs(section)):
        assert isinstance(chart.drawing, Points)
        for point in chart.drawing.points:
            one = means[point.label]
            assert (point.y, point.low, point.high) == (one.mean, one.low, one.high)
            assert interval(one) in point.tip
        column = chart.table.header.index("f1")
        shown = {row[0]: row[column] for row in chart.table.rows}
        assert shown == {backend: interval(one) for backend, one in means.items()}


def test_one_backend_at_several_budgets_is_joined(tmp_path: Path) -> None:
    """Gist and gist,ratio=4 are one line; what keeps nothing is drawn across."""
    (chart,) = over_budget(section_of(tmp_path / "run"))
    assert isinstance(chart.drawing, Points)
    assert {name: set(backends) for name, backends in chart.drawing.families.items()} == {
        "gist": {"gist", "gist,ratio=4"}
    }
    assert [point.label for point in chart.drawing.floors] == ["closed_book"]


def test_the_front_is_what_nothing_beats_in_both() -> None:
    """Dearer and worse is off the front; equals stay on it together."""
    places = {"cheap": (1, 0.2), "good": (9, 0.9), "beaten": (9, 0.8), "twin": (9, 0.9)}
    assert pareto_front(places) == ("cheap", "good", "twin")


def test_shares_add_up(tmp_path: Path) -> None:
    """Right, wrong and abstained are all there is."""
    for chart in abstentions(section_of(tmp_path / "run", "hallucination")):
        assert isinstance(chart.drawing, Stacks)
        assert len(chart.drawing.bars) == len(BACKENDS)
        for bar in chart.drawing.bars:
            assert sum(bar.parts) == pytest.approx(1)
            assert min(bar.parts) >= 0


def test_bars_of_costs_have_the_measured_parts(tmp_path: Path) -> None:
    """Seconds to read and to answer; bytes held and the growth to the peak, not the process."""
    section = section_of(tmp_path / "run")
    (time,), (peak,) = times(section), memory(section)
    assert isinstance(time.drawing, Stacks)
    assert isinstance(peak.drawing, Stacks)
    for bar in time.drawing.bars:
        assert bar.parts == pytest.approx(BACKENDS[bar.label][2:])
    for bar in peak.drawing.bars:
        held = 2**20 + BACKENDS[bar.label][1] * 2**14
        assert bar.parts == (held, 2**27 - held)
    assert peak.table.header[1].startswith("before")
    assert {row[1] for row in peak.table.rows} == {"1.00 GiB"}
    (chart,) = break_even(section)
    questions = {row[:2]: row[2] for row in chart.table.rows}
    assert questions["gist", "full"] == "3 [3 to 3]"
    assert questions["rag", "full"] == "21 [21 to 21]"


def test_every_part_says_what_it_is(charts: dict[str, list[Chart]]) -> None:
    """Each tip belongs to exactly one part of the picture."""
    for chart in (of_topic[0] for of_topic in charts.values()):
        with in_style():
            figure, tips = draw(chart.drawing)
        gids = [part.get_gid() for part in figure.findobj(lambda a: a.get_gid() is not None)]
        assert sorted(gid for gid in gids if gid and gid.startswith(TIP)) == sorted(tips)
        assert tips, chart.title


def test_no_two_backends_look_alike_without_colour() -> None:
    """As many backends as there are markers differ in shape, and parts in hatching."""
    assert len(set(MARKERS)) == len(MARKERS) > 8
    assert len(set(COLOURS)) == len(COLOURS)
    assert len(set(HATCHES)) == len(HATCHES) >= 3


def test_each_chart_becomes_a_png_and_an_svg(tmp_path: Path) -> None:
    """Names are good on every disk, both kinds can be read, and the same rows give the same SVG."""
    rows = read_rows([made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY)])
    files = save_plots(rows, tmp_path / "plots")
    names = ("qa-time", "qa-peak-memory", "qa-break-even")
    assert {file.name for file in files} == {
        f"{n}.{kind}" for n in names for kind in ("png", "svg")
    }
    for file in files:
        if file.suffix == ".png":
            assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        else:
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
    again = save_plots(rows, tmp_path / "again")
    svgs = [[f.read_bytes() for f in some if f.suffix == ".svg"] for some in (files, again)]
    assert svgs[0] == svgs[1]


@pytest.mark.parametrize("name", ["$x^$ \\frac{", "\u202eevil", "名前", "a" * 300, "<b>&amp;"])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    """Formulas, directions, other scripts and long names are letters like any other."""
    bars = (Bar(name, (1.0, 2.0), (name, name)),)
    chart = Chart(name, name, name, Stacks(name, (name, "b"), bars, str), Table(name, (), ()))
    assert str(picture(chart, 0)).count("<title") == 3
    with in_style():
        figure, _ = draw(chart.drawing)
        figure.savefig(tmp_path / "one.png")
    assert (tmp_path / "one.png").stat().st_size
    assert len(short(name)) <= 34


@pytest.mark.parametrize("text", ["a/b:c\\d", "..", "map-gist,ratio=4", "名前", "x" * 300])
def test_file_names_are_good_on_every_disk(text: str) -> None:
    """Letters, digits and a few signs; never empty, hidden, or one that is taken."""
    for section, chart in ((text, "budget"), ("qa", text), (text, text)):
        name = file_name(section, chart, set())
        assert re.fullmatch(r"[A-Za-z0-9=][A-Za-z0-9.=-]{0,119}", name)
        assert file_name(section, chart, {name}) != name
    assert file_name(text, "budget", set()).endswith("budget")


def test_the_command_writes_pictures(tmp_path: Path) -> None:
    """--plots fills a folder and prints no tables."""
    run = made_run(tmp_path / "run", suites=("qa",), changes=COSTS_ONLY)
    done = CliRunner().invoke(command, [str(run), "--plots", str(tmp_path / "a" / "plots")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert list((tmp_path / "a" / "plots").glob("qa-time.*"))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """One line says what to give, and the file is left alone."""
    run = made_run(tmp_path / "run", suites=("qa",))
    (tmp_path / "plots").write_text("mine")
    with pytest.raises(UserError, match="Give a folder"):
        CliRunner().invoke(
            command, [str(run), "--plots", str(tmp_path / "plots")], catch_exceptions=False
        )
    assert (tmp_path / "plots").read_text() == "mine"


@pytest.mark.parametrize("backends", [3, 30])
def test_a_long_legend_takes_no_room_from_the_picture(backends: int) -> None:
    """However many backends there are, the axes stay large enough to be read."""
    labels = [f"gist,ratio={number},checkpoint=elsewhere" for number in range(backends)]
    points = tuple(Point(label, 1.0 + at, 0.5, None, None, "") for at, label in enumerate(labels))
    with in_style():
        figure, _ = draw(Points("x", "y", points, str))
        figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_position().height * figure.get_figheight() > 1.2


def drawn_points(figure: Figure) -> list[Line2D]:
    """Return the marks of the backends in a picture of points."""
    lines = figure.axes[0].lines
    return [line for line in lines if line.get_marker() != "None" and (line.get_gid() or "")]


def test_every_point_has_its_name_beside_it_and_a_family_has_one_look() -> None:
    """No picture has a legend of backends; budgets of one backend share a colour and a mark."""
    labels = ["gist,tokens=8", "gist,tokens=16", "rag"]
    points = tuple(Point(label, 1.0 + at, 0.5, None, None, "") for at, label in enumerate(labels))
    with in_style():
        figure, _ = draw(Points("x", "y", points, str, {"gist": tuple(labels[:2])}))
    assert not figure.legends
    assert {text.get_text() for text in figure.axes[0].texts} == set(labels)
    looks = [(line.get_color(), line.get_marker()) for line in drawn_points(figure)]
    assert looks[0] == looks[1] != looks[2]


def test_a_backend_looks_the_same_in_every_report() -> None:
    """Its look follows from its name, whatever else is shown; ours all differ, so do plug-ins."""
    assert look_of("full").colour != look_of("truncate").colour
    assert look_of("gist,ratio=4") == look_of("gist,ratio=8") == look_of("gist")
    assert look_of("full,adapter=on").colour == look_of("full").colour
    assert not look_of("full,adapter=on").is_filled
    assert look_of("full,adapter=on").glyph != look_of("full").glyph
    assert set(metadata.entry_points(group="gist_bench.backends").names) <= set(LOOKS)
    assert len(set(LOOKS.values())) == len(LOOKS)
    ours = {look_of(name) for name in LOOKS}
    plug_ins = {f"mine:{letter}" for letter in "abcdefgh"}
    assert not ours & {look_of(name) for name in plug_ins}
    assert look_of("mine:a") == look_of("mine:a")


def test_marks_at_one_place_are_all_seen() -> None:
    """Equal figures stand side by side, and no mark is cut off at the edge of the chart."""
    points = tuple(Point(f"rag,top_k={k}", 4.0, 1.0, 0.9, 1.0, "") for k in range(5))
    with in_style():
        figure, _ = draw(Points("x", "y", points, str))
    axes, marks = figure.axes[0], drawn_points(figure)
    places = axes.transData.transform([mark.get_xydata()[0] for mark in marks])
    lefts = sorted(x * 72 / figure.dpi for x, _ in places)
    assert min(b - a for a, b in pairwise(lefts)) >= MARK - 0.01
    assert {round(float(y), 3) for _, y in (mark.get_xydata()[0] for mark in marks)} == {1.0}
    assert not any(mark.get_clip_on() for mark in marks)
    assert axes.get_ylim()[1] > 1


def test_names_lie_on_no_other_name() -> None:
    """As long as there is room, names lie beside each other, within the chart, off the marks."""
    area = Box(0, 0, 400, 300)
    anchors = [(50.0 + 60 * (k % 5), 40.0 + 20 * k) for k in range(10)]
    marks = [around(x, y, 8) for x, y in anchors]
    boxes = placed(["gist,ratio=8"] * 10, anchors, font=8, gap=7, area=area, taken=marks)
    for first, second in combinations([*boxes, *marks], 2):
        if first in boxes or second in boxes:
            assert first.overlap(second) < 1
    assert all(box.overlap(area) == pytest.approx(box.area) for box in boxes)


def test_names_of_lines_are_a_line_apart_in_their_order() -> None:
    """However close the lines end, the names beside them can be read."""
    heights = [50.0, 10.0, 11.0, 10.5, 90.0]
    found = spread(heights, 10)
    assert sorted(range(5), key=found.__getitem__) == sorted(range(5), key=heights.__getitem__)
    assert min(b - a for a, b in pairwise(sorted(found))) >= 10 - 1e-9
    assert spread([1.0, 50.0], 10) == [1.0, 50.0]


def test_a_logarithmic_axis_says_so_and_has_ticks() -> None:
    """Three ticks at least, however narrow the range."""
    for show, low, high in ((size, 3.4 * 2**20, 9.2 * 2**20), (str, 0.9, 1.1), (str, 1, 10**6)):
        points = tuple(Point(str(x), x, 0.5, None, None, "") for x in (low, high))
        with in_style():
            figure, _ = draw(Points("cost", "f1", points, show))
        axes = figure.axes[0]
        assert axes.get_xlabel() == "cost, logarithmic"
        inside = [x for x in axes.get_xticks() if axes.get_xlim()[0] <= x <= axes.get_xlim()[1]]
        assert len(inside) >= 3, (low, high)


def test_floors_and_controls_are_never_on_the_front(tmp_path: Path) -> None:
    """They are no options, however cheap they are."""
    rows = [
        line
        for at, name in enumerate(("full", "rag", "truncate", "mean_pool,ratio=8"))
        for line in scored(name, [[1, 1]] * 6, held_bytes=1000 - at, prepare_s=1.0, generate_s=0.1)
    ]
    for chart in over_costs(sections(write_run(tmp_path / "run", rows))[0]):
        assert isinstance(chart.drawing, Points)
        assert {p.label for p in chart.drawing.points if p.marked} <= {"full", "rag"}
        assert any(p.marked for p in chart.drawing.points)
