"""Data sets through the library `datasets`: a local folder stands for the hub."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.qa import Qa
from harness.api import Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.published import LOOGLE

ROWS = [
    {"context": "Ada lives in Rome.", "question": "Where?", "answers": ["Rome", "in Rome"]},
    {"context": "Ben lives in Oslo.", "question": "Where?", "answers": ["Oslo"]},
    {"context": "Ada lives in Rome.", "question": "Who?", "answers": []},
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the library caches inside of the test, and the hub out of it."""
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def folder(tmp_path: Path, *rows: Any, split: str = "test") -> Path:
    """Return a folder with one split as JSONL."""
    path = tmp_path / "set"
    path.mkdir(exist_ok=True)
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    (path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return path


def samples(data: str, **options: Any) -> list[Sample]:
    """Return the samples of a data set."""
    return list(Qa(data=data, **options).samples(WordTokenizer(), seed=0))


def test_rows_of_one_context_are_one_sample(tmp_path: Path) -> None:
    """A context is read once for all its questions, wherever they stand in the data."""
    ada, ben = samples(f"hub:{folder(tmp_path, *ROWS)}")
    assert (ada.id, ada.context) == ("0", "Ada lives in Rome.")
    assert [(q.id, q.text, q.targets) for q in ada.questions] == [
        ("0", "Where?", ("Rome", "in Rome")),
        ("2", "Who?", ()),
    ]
    assert [(q.id, q.targets) for q in ben.questions] == [("1", ("Oslo",))]


def test_rows_of_a_published_layout_are_read_as_its_file(tmp_path: Path) -> None:
    """The same samples, metrics and errors, from any split."""
    path = folder(tmp_path, LOOGLE, LOOGLE, split="validation")
    suites = [
        Qa(data=f"loogle:hub:{path}", split="validation"),
        Qa(data=f"loogle:{path / 'validation.jsonl'}"),
    ]
    found = [list(suite.samples(WordTokenizer(), seed=0)) for suite in suites]
    assert found[0] == found[1]
    assert len(found[0]) == 2
    assert suites[0].metrics == suites[1].metrics
    wrong = folder(tmp_path, {**LOOGLE, "input": " "}, split="validation")
    with pytest.raises(UserError, match=r"^hub:.*set, validation line 1: 'input' is blank"):
        Qa(data=f"loogle:hub:{wrong}", split="validation")


@pytest.mark.parametrize("answers", ["Rome", ["Rome"], {"text": ["Rome"], "answer_start": [13]}])
def test_answers_are_text_list_or_spans(tmp_path: Path, answers: object) -> None:
    """The layouts that data sets of the hub have for accepted answers are all read."""
    (sample,) = samples(f"hub:{folder(tmp_path, {**ROWS[0], 'answers': answers})}")
    assert sample.questions[0].targets == ("Rome",)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (1815, ("1815",)),
        ([1815, 0.5], ("1815", "0.5")),
        (1815.0, ("1815",)),  # a column of whole numbers with one missing
        (None, ()),
        ("", ()),
        ("NA", ("NA",)),  # in JSON it was written on purpose
        ([], ()),
        ({"text": [7]}, ("7",)),
    ],
)
def test_numbers_are_answers_and_nothing_is_none(
    tmp_path: Path, answers: object, expected: tuple[str, ...]
) -> None:
    """Tables hold answers as numbers, and say nothing where the context does not say."""
    (sample,) = samples(f"hub:{folder(tmp_path, {**ROWS[0], 'answers': answers})}")
    assert sample.questions[0].targets == expected


CELLS = {
    "1815": ("1815",),
    "007": ("007",),
    "1.50": ("1.50",),
    "": (),
    "NA": (),
    "n/a": (),
    "NaN": (),
    "-5": ("-5",),
    "True": ("True",),
    '"[""Rome"", ""in Rome""]"': ("Rome", "in Rome"),
    "\"['Rome', 5]\"": ("Rome", "5"),
    "[sic]": ("[sic]",),
    "1e3": ("1e3",),
}


@pytest.mark.parametrize("form", ["hub:folder", "hub:file", "file", "tsv"])
def test_cells_of_a_csv_are_the_texts_that_they_are(tmp_path: Path, form: str) -> None:
    """Types are not guessed, whatever else stands in the column; nothing is no answer."""
    mark = "\t" if form == "tsv" else ","
    path = tmp_path / "set" / ("test.tsv" if form == "tsv" else "test.csv")
    path.parent.mkdir()
    lines = [f"Ada lives in Rome.{mark}Which {n}?{mark}{cell}" for n, cell in enumerate(CELLS)]
    path.write_text("\n".join([mark.join(("context", "question", "answers")), *lines]) + "\n")
    named = {"hub:folder": f"hub:{path.parent}", "hub:file": f"hub:{path}"}.get(form, str(path))
    (sample,) = samples(named)
    assert [question.targets for question in sample.questions] == list(CELLS.values())


@pytest.mark.parametrize("mark", [";", "\t", "|"])
@pytest.mark.parametrize("form", ["folder", "file"])
def test_a_csv_of_a_spreadsheet_has_other_separators(tmp_path: Path, mark: str, form: str) -> None:
    """Its header says which; a byte order mark, quotes and commas in the cells are no hindrance."""
    path = tmp_path / "set" / "test.csv"
    path.parent.mkdir()
    lines = (
        ("context", "question", "answers"),
        ("Ada has 1,5 bees, in Rome.", f'"How many{mark} in all?"', "1,5"),
        ("Ada has 1,5 bees, in Rome.", "How many ants?", ""),
    )
    text = "".join(f"{mark.join(line)}\n" for line in lines)
    path.write_text(text, encoding="utf-8-sig")
    (sample,) = samples(f"hub:{path.parent if form == 'folder' else path}")
    assert sample.context == "Ada has 1,5 bees, in Rome."
    assert [question.targets for question in sample.questions] == [("1,5",), ()]
    assert sample.questions[0].text == f"How many{mark} in all?"


def test_advice_on_a_csv_is_about_its_cells(tmp_path: Path) -> None:
    """Nobody writes [] into a table."""
    path = tmp_path / "mine.csv"
    path.write_text("context,question,answers\nAda lives in Rome.,Where?,?\n")
    with pytest.raises(UserError, match="Leave the cell empty if the context"):
        samples(str(path))
    path.write_text("text,question,answers\nAda lives in Rome.,Where?,Rome\n")
    assert samples(str(path), context="text")[0].context == "Ada lives in Rome."


def test_columns_and_split_are_named(tmp_path: Path) -> None:
    """A data set with other names is read by naming them; a point leads into an object."""
    row = {"page": {"text": "Ada lives in Rome."}, "input": "Where?", "gold": {"value": "Rome"}}
    path = folder(tmp_path, row, split="validation")
    options = {"context": "page.text", "question": "input", "answers": "gold.value"}
    (sample,) = samples(f"hub:{path}", split="validation", **options)
    assert sample.context == "Ada lives in Rome."
    assert sample.questions[0].targets == ("Rome",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "text"}, "has no column 'text'. Columns: context, question, answers"),
        ({"context": "question.text"}, "test row 0: 'question.text' leads into text"),
        ({"split": "dev"}, 'split=dev: Unknown split "dev". Should be one of'),
    ],
)
def test_wrong_name_says_which_there_are(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    """Columns and splits that are not there are named with those that are."""
    with pytest.raises(UserError) as caught:
        Qa(data=f"hub:{folder(tmp_path, *ROWS)}", **options)  # type: ignore[arg-type]  # texts
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROWS[0], "answers": {"value": "x"}}, "Name a part of it: answers=answers.value"),
        ({**ROWS[0], "answers": True}, "test row 0: 'answers' is true or false; give a text"),
        ({**ROWS[0], "answers": "?"}, "Write [] if the context does not hold the answer"),
        ({**ROWS[0], "context": None}, "test row 0: 'context' is null; give text"),
        ({**ROWS[0], "question": " "}, "test row 0: 'question' is blank"),
        ('{"context": ', "cannot load hub:"),
    ],
)
def test_bad_row_is_named_with_its_number(tmp_path: Path, row: object, message: str) -> None:
    """What is no context, question or answer is named with its row; a bad file with its name."""
    with pytest.raises(UserError) as caught:
        Qa(data=f"hub:{folder(tmp_path, row)}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_data_set_split_or_column_is_named(tmp_path: Path) -> None:
    """An empty folder and a name that the hub cannot be asked for are one line each."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"cannot load hub:.*empty with split=test"):
        Qa(data=f"hub:{tmp_path / 'empty'}")
    with pytest.raises(UserError, match="cannot load hub:nobody/nothing"):
        Qa(data="hub:nobody/nothing")


def test_columns_are_for_the_hub_alone() -> None:
    """Naming a column of a file in a known layout would be without effect, and is refused."""
    with pytest.raises(UserError, match="name columns of a data set of the hub"):
        Qa(data="babi:tests/data/babi/qa1.txt", context="story")
    with pytest.raises(ValueError, match="split=validation must be test or train"):
        Qa(split="validation")
