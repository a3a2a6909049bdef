"""A person's own data file: what is read from it, and the one line that each mistake gets."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data.dataset import Dataset
from benchmarks.hallucination import Hallucination
from benchmarks.qa import Qa
from harness.api import Sample
from harness.errors import UserError
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.squad import EXCERPT, answers, predictions, write_data_file

GOOD = {
    "id": "a",
    "context": "Ada lives in Rome.",
    "questions": [
        {"id": "1", "question": "Where does Ada live?", "answers": ["Rome"], "kind": "lookup"},
        {"id": "2", "question": "How old is Ada?", "answers": []},
    ],
}


def written(folder: Path, *lines: dict[str, Any] | str | bytes) -> Path:
    """Write lines into a file: objects as JSON, text and bytes as they are."""
    path = folder / "data.jsonl"
    raw = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in raw))
    return path


def samples_of(path: Path) -> list[Sample]:
    """Return the samples of a file."""
    return list(Dataset.open(str(path)).samples(WordTokenizer(), 0, max_new_tokens=9))


def question(**changes: Any) -> dict[str, Any]:
    """Return a good line whose first question has other fields; None removes one."""
    fields = {**GOOD["questions"][0], **changes}  # type: ignore[dict-item]  # it is a dict
    return {**GOOD, "questions": [{k: v for k, v in fields.items() if v is not None}]}


def test_line_becomes_a_sample(tmp_path: Path) -> None:
    """Context, questions, answers and kinds arrive as they were written."""
    (sample,) = samples_of(written(tmp_path, GOOD))
    assert (sample.id, sample.context, sample.max_new_tokens) == ("a", "Ada lives in Rome.", 9)
    first, second = sample.questions
    assert (first.id, first.text, first.targets) == ("1", "Where does Ada live?", ("Rome",))
    assert (first.slices, second.slices) == ({"kind": "lookup"}, {})
    assert second.targets == ()


def test_blank_lines_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """What editors and other systems add to a file is no mistake."""
    line = json.dumps(GOOD, ensure_ascii=False).replace("Ada", "Zoë").encode()
    path = written(tmp_path, b"\xef\xbb\xbf" + line + b"\r", "", "  \r")
    (sample,) = samples_of(path)
    assert sample.context == "Zoë lives in Rome."


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    """U+2028 may stand unescaped in JSON; only a line feed ends a line."""
    line = json.dumps({**GOOD, "context": "one\u2028two"}, ensure_ascii=False)
    (sample,) = samples_of(written(tmp_path, line))
    assert sample.context == "one\u2028two"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ('{"id": "b" "context": "x"}', "line 2: not JSON: Expecting ',' delimiter at character 12"),
        ("[" * 100_000, "line 2: not JSON that can be read"),
        ("[]", "line 2: is a list, not an object"),
        ("null", "line 2: is null, not an object"),
        (b'{"id": "\xff"}', "line 2: byte 9 is not UTF-8. Save the file as UTF-8 text"),
        ({"id": "b", "context": "x"}, "line 2: 'questions' is missing. Given: id, context"),
        ({**GOOD, "id": 7}, "line 2: 'id' is a number; give text"),
        ({**GOOD, "id": "b", "context": None}, "line 2: 'context' is null; give text"),
        ({**GOOD, "id": "b", "context": " "}, "line 2: 'context' is blank"),
        ({**GOOD, "id": "b", "context": "\ud83d"}, "line 2: 'context' holds half a character"),
        ({**GOOD, "id": "b", "questions": {}}, "line 2: 'questions' is an object; give a list"),
        ({**GOOD, "id": "b", "questions": []}, "line 2: 'questions' is empty"),
        ({**GOOD, "id": "b", "questions": ["x"]}, "line 2, question 1: is text, not an object"),
        ({**question(answers=None), "id": "b"}, "question 1: 'answers' is missing"),
        ({**question(answers="Rome"), "id": "b"}, "question 1: 'answers' is text; give a list"),
        ({**question(answers=[3]), "id": "b"}, "question 1: 'answers' holds a number; give texts"),
        ({**question(answers=[""]), "id": "b"}, "question 1: 'answers' hold no letter or digit"),
        ({**question(question=True), "id": "b"}, "question 1: 'question' is true or false"),
        ({**question(kind=1.5), "id": "b"}, "question 1: 'kind' is a number; give text"),
        (GOOD, "line 2: id 'a' was given in line 1 already"),
        (
            {**GOOD, "id": "b", "questions": [GOOD["questions"][0]] * 2},
            "line 2, question 2: id '1' is given twice in this line",
        ),
    ],
)
def test_mistake_is_named_in_one_line_with_its_place(
    tmp_path: Path, line: dict[str, Any] | str | bytes, message: str
) -> None:
    """A wrong line stops the reading and is named with its number."""
    path = written(tmp_path, GOOD, line)
    with pytest.raises(UserError) as caught:
        samples_of(path)
    error = str(caught.value)
    assert message in error
    assert str(path) in error
    assert "\n" not in error


def test_letter_of_a_choice_is_an_answer(tmp_path: Path) -> None:
    """`A` is an article, and right all the same where it is the accepted answer."""
    path = written(tmp_path, {**question(answers=["A"]), "id": "b"})
    (sample,) = samples_of(path)
    scores = [Qa(data=str(path)).score(sample.questions[0], said, "") for said in ("A", "", "B")]
    assert [score["exact_match"] for score in scores] == [1, 0, 0]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_empty_file_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    """A file without a sample is refused: a run of nothing is no result."""
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is empty"):
        samples_of(path)


def test_missing_file_and_folder_are_mistakes(tmp_path: Path) -> None:
    """A path that cannot be read is named with the system's reason."""
    with pytest.raises(UserError, match="No such file"):
        samples_of(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="directory"):
        samples_of(tmp_path)


@pytest.mark.parametrize("suite", [Qa, Hallucination])
def test_mistakes_are_found_before_the_run(tmp_path: Path, suite: type[Qa]) -> None:
    """A suite reads its file when it is made, so that nothing is written for a bad one."""
    with pytest.raises(UserError, match="line 1: not JSON"):
        suite(data=str(written(tmp_path, "{")))


def test_squad_paragraphs_run_as_a_data_file(tmp_path: Path) -> None:
    """Real SQuAD paragraphs become samples, and published answers score as officially."""
    squad = EXCERPT / "dev-v2.0.excerpt.json"
    suite = Qa(data=str(write_data_file(squad, tmp_path / "squad.jsonl")))
    samples = list(suite.samples(WordTokenizer(), seed=0))
    said = predictions(EXCERPT / "predictions-v2.0.excerpt.json")
    scores = [
        suite.score(question, said[question.id], sample.context)
        for sample in samples
        for question in sample.questions
    ]
    assert len(samples) == 3
    assert len(scores) == len(answers(squad)) == 49
    assert round(100 * sum(score["exact_match"] for score in scores) / 49, 2) == 57.14
    assert round(100 * sum(score["f1"] for score in scores) / 49, 2) == 68.54
    spans = [(s.context, target) for s in samples for q in s.questions for target in q.targets]
    assert all(target in context for context, target in spans)


def test_squad_paragraphs_show_hallucinations(tmp_path: Path) -> None:
    """On SQuAD 2.0 the published answers invent, abstain and refuse as often as counted by hand."""
    squad = EXCERPT / "dev-v2.0.excerpt.json"
    suite = Hallucination(data=str(write_data_file(squad, tmp_path / "squad.jsonl")))
    said = predictions(EXCERPT / "predictions-v2.0.excerpt.json")
    sums: dict[str, float] = {}
    marks = []
    for sample in suite.samples(WordTokenizer(), seed=0):
        for asked in sample.questions:
            marks.append(asked.slices["answerable"])
            for metric, value in suite.score(asked, said[asked.id], sample.context).items():
                sums[metric] = sums.get(metric, 0) + value
    assert (marks.count("yes"), marks.count("no")) == (34, 15)
    assert (sums["hallucinated"], sums["abstained"], sums["false_refusal"]) == (4, 11, 6)
    assert sums["unsupported"] == 0  # a system that copies spans cannot invent a name


def asked(*targets: str) -> dict[str, Any]:
    """Return a context with a question for each target."""
    questions = [
        {"id": str(number), "question": "Which?", "answers": [target, f"{target} and more"]}
        for number, target in enumerate(targets)
    ]
    return {**GOOD, "questions": questions}


def test_targets_that_are_longer_than_the_limit_raise_it(tmp_path: Path) -> None:
    """A limit that right answers cannot keep is raised, and that is said; a given one stays."""
    dataset = Dataset.open(str(written(tmp_path, asked("word " * 36, "Rome"))))
    (sample,) = dataset.samples(WordTokenizer(), 0)
    assert sample.max_new_tokens == 36 + 24
    assert sample.notice == "accepted answers have up to 36 tokens, so max_new_tokens is 60, not 32"
    (sample,) = dataset.samples(WordTokenizer(), 0, max_new_tokens=8)
    assert (sample.max_new_tokens, sample.notice) == (8, "")


def test_one_long_target_among_many_raises_no_limit(tmp_path: Path) -> None:
    """Less than 1 in 100 is no reason to let a model ramble."""
    data = written(tmp_path, asked("word " * 36, *["Rome"] * 200))
    (sample,) = Dataset.open(str(data)).samples(WordTokenizer(), 0)
    assert (sample.max_new_tokens, sample.notice) == (32, "")


def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    """The memory stays small, and the line says what to do if the file is meant."""
    path = tmp_path / "data.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(b" " * 1024**2)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"unpacks to more than 128 MB, .*Unpack it, and give"):
        samples_of(path)
    assert tracemalloc.get_traced_memory()[1] < 16 * 1024**2
    tracemalloc.stop()


def test_what_compresses_well_is_read(tmp_path: Path) -> None:
    """Filler that repeats itself is packed several hundred times, and is no trap."""
    context = "The grass is green. The sky is blue. " * 200_000
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({**GOOD, "context": context}).encode()))
    assert samples_of(path)[0].context == context
