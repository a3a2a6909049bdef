"""Data sets in their published layouts: what is read from them, and how they score."""

import csv
import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import formats
from benchmarks.data.formats import Entry, babi, hotpotqa
from benchmarks.hallucination import Hallucination
from benchmarks.qa import Qa
from harness.api import ABSTENTION, Question, Sample
from harness.errors import UserError
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.commands import GistBench
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.fakes import FakeModel
from tests.support.paths import DATA
from tests.support.published import (
    ASQA,
    BOOK_CHOICE,
    BOOK_QA,
    BOOK_SUM,
    HELMET,
    HELMET_KV,
    HELMET_NIAH,
    HELMET_RERANK,
    ICL,
    LEVAL,
    LEXSUM,
    LONGBENCH,
    LOOGLE,
    LOOGLE_CLOZE,
    MUSIQUE,
    NARRATIVEQA,
    QAMPARI,
    QASPER,
    QUALITY,
)
from tests.support.squad import EXCERPT, answers, predictions, write_data_file

ROWS: dict[str, list[dict[str, Any]]] = {  # of layouts with several tasks
    "helmet": [
        HELMET,
        HELMET_KV,
        HELMET_NIAH,
        HELMET_RERANK,
        ASQA,
        QAMPARI,
        NARRATIVEQA,
        BOOK_QA,
        BOOK_CHOICE,
        BOOK_SUM,
        LEXSUM,
        ICL,
    ],
    "loogle": [LOOGLE, LOOGLE_CLOZE],
}
LINES = DATA / "longeval" / "lines.jsonl"
OFFICIAL = DATA / "hotpotqa" / "official.json"
FILES = {  # a good file of each layout; those that may not be copied are written by `file_of`
    "babi": DATA / "babi" / "qa2.txt",
    "hotpotqa": OFFICIAL,
    "longeval": LINES,
    "squad": EXCERPT / "dev-v1.1.excerpt.json",
    "squad_v2": EXCERPT / "dev-v2.0.excerpt.json",
}
NQ = {
    "question": "who got the first nobel prize in physics",
    "answers": ["Wilhelm Conrad Röntgen", "Röntgen"],
    "ctxs": [
        {"title": "Nobel Prize", "text": "Röntgen got the first.", "hasanswer": True},
        {"title": "Physics", "text": " Other words. ", "hasanswer": False},
    ],
}
RULER = {
    "index": 7,
    "input": (
        "Some special magic numbers are hidden within the following text. Make sure to memorize "
        "it. I will quiz you about the numbers afterwards.\nOne of the special magic numbers for "
        "blue-cat is: 123.\nOne of the special magic numbers for blue-cat is: 456.\nWhat are all "
        "the special magic numbers for blue-cat mentioned in the provided text? The special magic "
        "numbers for blue-cat mentioned in the provided text are"
    ),
    "outputs": ["123", "456"],
    "length": 90,
}


def file_of(name: str, folder: Path) -> Path:
    """Return a good file of a layout."""
    if name in FILES:
        return FILES[name]
    row = {
        "helmet": HELMET,
        "leval": LEVAL,
        "longbench": LONGBENCH,
        "loogle": LOOGLE,
        "musique": MUSIQUE,
        "nq": NQ,
        "qasper": {"1234.5": QASPER},
        "quality": QUALITY,
        "ruler": RULER,
    }[name]
    return written(folder / f"{name}.jsonl", row)


def written(path: Path, *rows: Any) -> Path:
    """Write rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def samples(data: str, **options: Any) -> list[Sample]:
    """Return the samples of a data set."""
    return list(Qa(data=data, **options).samples(WordTokenizer(), seed=0))


def test_babi_asks_about_the_story_up_to_the_question() -> None:
    """A question's context are the sentences before it in its story, the questions left out."""
    first, second, *_ = found = samples(f"babi:{FILES['babi']}")
    assert [sample.id for sample in found[:6]] == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1"]
    story = (
        "Mary got the milk there. John moved to the bedroom. Sandra went back to the kitchen. "
        "Mary travelled to the hallway."
    )
    assert first.context == story
    assert second.context == f"{story} John got the football there. John went to the hallway."
    (question,) = first.questions
    assert (question.text, question.targets) == ("Where is the milk?", ("hallway",))
    assert question.support == ("Mary got the milk there.", "Mary travelled to the hallway.")
    assert not any("?" in sample.context for sample in found)
    assert "milk" not in found[5].context.partition(".")[0]  # a new story begins from nothing


def test_hotpotqa_is_the_same_in_both_layouts(tmp_path: Path) -> None:
    """Columns of titles and sentences, as on the hub, read as the official pairs do."""
    rows = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    for row in rows:
        titles, sentences = zip(*row["context"], strict=True)
        row["context"] = {"title": titles, "sentences": sentences}
        titles, numbers = zip(*row["supporting_facts"], strict=True)
        row["supporting_facts"] = {"title": titles, "sent_id": numbers}
    assert samples(f"hotpotqa:{written(tmp_path / 'a', *rows)}") == samples(f"hotpotqa:{OFFICIAL}")
    rows[0]["supporting_facts"]["sent_id"] = [99] * len(rows[0]["supporting_facts"]["title"])
    (unsupported, supported) = samples(f"hotpotqa:{written(tmp_path / 'b', *rows)}")
    assert unsupported.questions[0].support == ()
    assert supported.questions[0].support


def test_hotpotqa_of_the_hub_and_of_ircot_are_read() -> None:
    """Ten paragraphs under their titles; supporting sentences where the layout names them."""
    first, _ = samples(f"hotpotqa:{DATA / 'hotpotqa' / 'hub.json'}")
    (question,) = first.questions
    assert (first.id, question.targets) == ("0", ("821",))
    assert question.slices == {"type": "bridge", "level": "hard"}
    assert len(question.support) == 3
    assert all(sentence in first.context for sentence in question.support)
    assert first.context.count("\n\n") == 9
    genus, both = samples(f"hotpotqa:{DATA / 'hotpotqa' / 'ircot.jsonl'}")
    assert genus.id == "5a87954f5542996e4f308856"
    assert genus.questions[0].targets == ("Bactris",)
    assert genus.context.startswith("Epigaea\nEpigaea is a genus")
    assert both.questions[0].targets == ("yes",)


def test_squad_reads_as_the_same_data_in_jsonl_do(tmp_path: Path) -> None:
    """The official file gives what its paragraphs give in a file of one's own, title and all."""
    own = write_data_file(FILES["squad_v2"], tmp_path / "own.jsonl")
    for mine, theirs in zip(
        samples(str(own)), samples(f"squad_v2:{FILES['squad_v2']}"), strict=True
    ):
        assert (mine.id, mine.context) == (theirs.id, theirs.context)
        for asked, question in zip(mine.questions, theirs.questions, strict=True):
            assert (asked.id, asked.text) == (question.id, question.text)
            assert set(asked.targets) == set(question.targets)


@pytest.mark.parametrize("version", ["squad", "squad_v2"])
def test_the_sentence_around_a_squad_answer_supports_it(version: str) -> None:
    """It is a sentence of the paragraph, holds an accepted answer, and is not all of it."""
    asked = [
        (sample.context, question)
        for sample in samples(f"{version}:{FILES[version]}")
        for question in sample.questions
    ]
    assert all(bool(question.support) == bool(question.targets) for _, question in asked)
    for context, question in asked:
        assert all(sentence in context for sentence in question.support)
        joined = " ".join(question.support)
        assert not question.targets or any(target in joined for target in question.targets)
    assert sum(len(" ".join(q.support)) < len(context) / 2 for context, q in asked) > len(asked) / 2


@pytest.mark.parametrize("start", [None, "7", -1, 10**9])
def test_a_squad_answer_without_its_place_has_no_support(tmp_path: Path, start: object) -> None:
    """Nothing is guessed where the file does not say where the answer stands."""
    path = tmp_path / "squad.json"
    content = json.loads(FILES["squad"].read_text())
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] = start
    path.write_text(json.dumps(content))
    first, second, *_ = samples(f"squad:{path}")[0].questions
    assert not first.support
    assert second.support


def test_squad_is_split_by_article(tmp_path: Path) -> None:
    """Some articles are read or left out by their titles; one that is not there is named."""
    path = tmp_path / "squad.json"
    (article,) = json.loads(FILES["squad"].read_text())["data"]
    titles = ("Oxygen", "Kenya", "Force")
    path.write_text(json.dumps({"data": [article | {"title": title} for title in titles]}))

    def read(**chosen: tuple[str, ...]) -> set[str]:
        made = Qa(data=f"squad:{path}", **chosen).samples(WordTokenizer(), 0)
        return {sample.id.rpartition(".")[0] for sample in made}

    assert read() == set(titles)
    assert read(articles=("Kenya", "Force")) == {"Kenya", "Force"}
    assert read(without=("Kenya", "Force")) == {"Oxygen"}
    with pytest.raises(UserError, match="no document with the title 'Oxigen'"):
        read(without=("Oxigen",))
    with pytest.raises(UserError, match="leave no document"):
        read(articles=("Kenya",), without=("Kenya",))
    with pytest.raises(ValueError, match="give data="):
        Qa(without=("Kenya",))


def test_shuffled_contexts_are_the_same_ones_in_an_order_of_the_seed(tmp_path: Path) -> None:
    """So that the first N of them are a random part, and the same part in every run of a seed."""
    path = tmp_path / "squad.json"
    (article,) = json.loads(FILES["squad"].read_text())["data"]
    titles = [f"Title{number}" for number in range(12)]
    path.write_text(json.dumps({"data": [article | {"title": title} for title in titles]}))

    def read(seed: int, *, shuffle: bool) -> list[str]:
        made = Qa(data=f"squad:{path}", shuffle=shuffle).samples(WordTokenizer(), seed)
        return [sample.id for sample in made]

    assert read(1, shuffle=True) == read(1, shuffle=True) != read(2, shuffle=True)
    assert read(1, shuffle=True) != read(1, shuffle=False)
    assert sorted(read(1, shuffle=True)) == sorted(read(1, shuffle=False))
    with pytest.raises(ValueError, match="give data="):
        Qa(shuffle=True)


@pytest.mark.parametrize(
    ("version", "exact", "f1"), [("v1.1", 60.71, 84.84), ("v2.0", 57.14, 68.54)]
)
def test_published_answers_score_as_officially(version: str, exact: float, f1: float) -> None:
    """Read from the official file, published answers get what the official scripts give them."""
    squad = EXCERPT / f"dev-{version}.excerpt.json"
    said = predictions(EXCERPT / f"predictions-{version}.excerpt.json")
    suite = Qa(data=f"{'squad' if version == 'v1.1' else 'squad_v2'}:{squad}")
    questions = [q for s in suite.samples(WordTokenizer(), 0) for q in s.questions]
    scores = [suite.score(question, said[question.id], "") for question in questions]
    assert len(scores) == len(answers(squad))
    assert round(100 * sum(s["exact_match"] for s in scores) / len(scores), 2) == exact
    assert round(100 * sum(s["f1"] for s in scores) / len(scores), 2) == f1


def test_unanswerable_questions_are_no_part_of_squad_1() -> None:
    """A file of SQuAD 2.0 given as 1.1 is named as what it is."""
    with pytest.raises(UserError, match="Then give squad_v2:FILE"):
        Qa(data=f"squad:{FILES['squad_v2']}")


def test_squad_2_shows_hallucinations() -> None:
    """The suite hallucination reads data sets too, and marks what cannot be answered."""
    suite = Hallucination(data=f"squad_v2:{FILES['squad_v2']}")
    asked = [q for s in suite.samples(WordTokenizer(), 0) for q in s.questions]
    assert suite.slice_names == ("answerable",)
    assert [q.slices["answerable"] for q in asked].count("no") == 15
    absent = next(q for q in asked if not q.targets)
    assert suite.score(absent, ABSTENTION, "")["abstained"] == 1


def test_nq_shows_its_documents_under_their_titles(tmp_path: Path) -> None:
    """Documents keep their order; a gzipped file reads as the plain one."""
    plain = file_of("nq", tmp_path)
    packed = tmp_path / "nq.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    (sample,) = found = samples(f"nq:{plain}")
    assert sample.context == "Nobel Prize\nRöntgen got the first.\n\nPhysics\nOther words."
    assert found == samples(f"nq:{packed}")


@pytest.mark.parametrize(
    ("opening", "asked", "expected", "task"),
    [
        ("A special magic uuid is hidden within the following text. x.\nneedle", "\nWhat is the special magic uuid for k mentioned in the provided text? The special magic uuid for k mentioned in the provided text is", "What is the special magic uuid for k mentioned in the provided text?", "niah"),  # noqa: E501
        ("Memorize and track the chain(s) of variable assignment hidden in the following text.\n\nVAR A = 1\nQuestion: Find all variables that are assigned the value 1 in the text above. Answer: A\nVAR B = 2", "\nQuestion: Find all variables that are assigned the value 2 in the text above. Answer: According to the chain(s) of variable assignment in the text above, 1 variables are assgined the value 2, they are: ", "Find all variables that are assigned the value 2 in the text above.", "vt"),  # noqa: E501
        ("Below is a numbered list of words. Memorize.\n1. a 2. b", "\nQuestion: What are the 10 most common words in the above list? Answer: The top 10 words that appear most often in the list are:", "What are the 10 most common words in the above list?", "cwe"),  # noqa: E501
        ("Read the following coded text and track. ... abc ...", "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared words in the above coded text? Answer: According to the coded text above, the three most frequently appeared words are:", "Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared words in the above coded text?", "fwe"),  # noqa: E501
        ("Answer the question based on the given documents. Only give me the answer and do not output any other words.\n\nThe following are given documents.\n\nDocument 1:\nX", "\n\nAnswer the question based on the given documents. Only give me the answer and do not output any other words.\n\nQuestion: who is x? Answer:", "who is x?", "qa"),  # noqa: E501
    ],
)  # fmt: skip
def test_ruler_prompt_is_cut_before_its_last_question(
    tmp_path: Path, opening: str, asked: str, expected: str, task: str
) -> None:
    """Each of RULER's templates gives context and question, without what leads to the answer."""
    row = {"index": 0, "input": opening + asked, "outputs": ["x"]}
    (sample,) = samples(f"ruler:{written(tmp_path / 'ruler', row)}")
    (question,) = sample.questions
    assert sample.context == opening
    assert (question.text, question.slices["task"]) == (expected, task)


def test_longeval_asks_for_the_number_of_a_line() -> None:
    """The record is the context, and the line that holds the answer stands in it."""
    (sample,) = samples(f"longeval:{LINES}")
    (question,) = sample.questions
    assert sample.context.count("REGISTER_CONTENT is <") == 200
    assert sample.context.endswith(">")
    assert question.text.startswith("Tell me what is the <REGISTER_CONTENT> in line torpid-kid?")
    assert question.targets == ("2416",)
    assert question.support == ("line torpid-kid: REGISTER_CONTENT is <2416>",)


ALL = Question("q", "?", ("Alpha", "beta", "gamma", "delta"), {"task": "vt"})
PART = Question("q", "?", ("Alpha", "beta"), {"task": "qa"})
NUMBER = Question("q", "?", ("2416",))
CLOSED = Question("q", "?", ("yes",))
OPEN = Question("q", "?", ("Chief of Protocol",))
WORDS = Question("q", "?", ("New York City", "NYC"))


@pytest.mark.parametrize(
    ("name", "question", "answer", "expected"),
    [
        ("babi", Question("q", "?", ("hallway",)), "The hallway.", {"exact_match": 1}),
        ("babi", Question("q", "?", ("hallway",)), "in the hallway", {"exact_match": 0}),
        ("ruler", ALL, "ALPHA, Beta; no others", {"string_match_all": 0.5}),
        ("ruler", ALL, "alphabet gamma delta", {"string_match_all": 0.75}),
        ("ruler", ALL, "", {"string_match_all": 0}),
        ("ruler", PART, "It is Beta.", {"string_match_part": 1}),
        ("ruler", PART, "none", {"string_match_part": 0}),
        ("longeval", NUMBER, "The <REGISTER_CONTENT> in line 7 is <2416>.", {"accuracy": 1}),
        ("longeval", NUMBER, "It is 2416, not 2417", {"accuracy": 0}),
        ("longeval", NUMBER, "24161", {"accuracy": 0}),
        ("longeval", NUMBER, "02416", {"accuracy": 1}),
        ("longeval", NUMBER, "I do not know", {"accuracy": 0}),
        ("hotpotqa", CLOSED, "Yes.", {"f1": 1, "exact_match": 1}),
        ("hotpotqa", CLOSED, "yes, both are", {"f1": 0, "exact_match": 0}),
        ("hotpotqa", OPEN, "no", {"f1": 0, "exact_match": 0}),
        ("hotpotqa", OPEN, "the US Chief of Protocol", {"f1": 6 / 7, "exact_match": 0}),
        ("nq", WORDS, "NYC", {"exact_match": 1, "subspan_match": 1}),
        ("nq", WORDS, "It was in New York City!", {"exact_match": 0, "subspan_match": 1}),
        ("nq", WORDS, "New York", {"exact_match": 0, "subspan_match": 0}),
    ],
)
def test_answer_scores_by_the_metric_of_its_data_set(
    name: str, question: Question, answer: str, expected: dict[str, float]
) -> None:
    """Worked by hand from the definition of each metric; SQuAD's are in test_scoring."""
    assert formats.load(name).score(question, answer) == pytest.approx(expected)


@pytest.mark.parametrize("name", formats.names())
def test_suite_takes_metrics_and_answer_length_of_the_data_set(name: str, tmp_path: Path) -> None:
    """What is scored, and how long an answer may get, is the data set's, not the suite's."""
    kind, data = formats.load(name), f"{name}:{file_of(name, tmp_path)}"
    suite = Qa(data=data)
    scored: set[str] = set()
    of_tasks = {"longbench": 32, "helmet": 20}  # their tasks have their own
    longest = of_tasks.get(name, kind.max_new_tokens)
    assert {sample.max_new_tokens for sample in samples(data)} == {longest}
    assert {sample.max_new_tokens for sample in samples(data, max_new_tokens=3)} == {3}
    for sample in samples(data):
        for question in sample.questions:
            scores = suite.score(question, " ".join(question.targets[:1]) or ABSTENTION, "")
            assert 0 < len(scores) <= len(suite.metrics)
            assert set(scores) <= set(suite.metrics)
            assert set(question.slices) <= set(suite.slice_names)
            assert all(sentence in sample.context for sentence in question.support)
            scored |= {*scores}
    assert suite.metrics == (*(each for each in kind.metrics if each in scored), "contains")


@pytest.mark.parametrize("name", formats.names())
def test_answers_are_scored_against_whatever_targets_there_are(name: str, tmp_path: Path) -> None:
    """Validity checks put other targets in place, of no layout: all tasks have a score for them."""
    path = file_of(name, tmp_path)
    if name in ROWS:
        path = written(tmp_path / "all.jsonl", *ROWS[name])
    suite = Qa(data=f"{name}:{path}")
    for sample in suite.samples(WordTokenizer(), seed=0):
        for question in sample.questions:
            for target in ("altered answer 0", "7", "[1]", '"Ada"'):
                scores = suite.score(replace(question, targets=(target,)), target, "")
                assert all(0 <= score <= 1 for score in scores.values())


@pytest.mark.parametrize("name", formats.names())
def test_data_set_says_where_it_is_from(name: str) -> None:
    """Every data set is listed with its licence, source and title."""
    kind = formats.load(name)
    assert kind.title
    assert kind.licence
    assert kind.source.startswith("https://")


def test_list_names_every_data_set(gist_bench: GistBench) -> None:
    """gist-bench list --data says of each prefix its licence, source and metrics."""
    code, out, _ = gist_bench("list", "--data")
    assert code == 0
    for name in formats.names():
        kind = formats.load(name)
        assert f"  {name} " in out
        assert f"licence: {kind.licence}; source: {kind.source}" in out
        assert f"metrics: {', '.join(kind.metrics)}" in out
    assert "hub:NAME" in out


def test_bad_data_set_ends_the_command_before_anything_is_written(
    tmp_path: Path, gist_bench: GistBench
) -> None:
    """Exit code 2 and one line, as for every mistake of a person."""
    for data in ("squad:none.json", "sqad:x", "babi:README.md"):
        done = gist_bench("run", "--suite", f"qa,data={data}", "--out", tmp_path / "runs")
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert not (tmp_path / "runs").exists()


def damaged(good: bytes) -> dict[str, bytes]:
    """Return what can be wrong with a file of any layout."""
    return {
        "empty": b"",
        "blank": b" \n\n",
        "cut": good[: len(good) * 3 // 5],
        "other layout": b'{"hello": "world"}\n',
        "list": b'["hello"]\n',
        "text": b"Call me Ishmael.\n",
        "utf-16": good.decode().encode("utf-16"),
        "latin-1": good.replace(b" ", b"\xe9", 1),
        "gzip cut": gzip.compress(good)[:-20],
        "huge line": b'{"x": "' + b"a" * 5_000_000 + b'"}\n',
        "deep": b"[" * 100_000,
        "nothing but numbers": b"1\n2\n3\n",
    }


@pytest.mark.parametrize("name", formats.names())
@pytest.mark.parametrize("fault", damaged(b" "))
def test_bad_file_is_named_in_one_short_line(name: str, fault: str, tmp_path: Path) -> None:
    """Whatever is wrong with a file, the error is one line that names it and says what is wrong."""
    path = tmp_path / "data.txt"
    path.write_bytes(damaged(file_of(name, tmp_path).read_bytes())[fault])
    with pytest.raises(UserError) as caught:
        Qa(data=f"{name}:{path}")
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize("name", formats.names())
def test_missing_file_and_folder_are_mistakes(name: str, tmp_path: Path) -> None:
    """The path without the prefix is named, with the system's reason."""
    with pytest.raises(UserError, match=f"cannot read {tmp_path}: Is a directory"):
        Qa(data=f"{name}:{tmp_path}")
    with pytest.raises(UserError, match="cannot read none: No such file"):
        Qa(data=f"{name}:none")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 A sat.", "line 1: number 2 follows 0, where a story counts from 1 on"),
        ("1 A sat.\n3 B sat.", "line 2: number 3 follows 1"),
        ("1 Where?\ta\t1", "line 1: there is no sentence before the question"),
        ("1 A sat.\n2 Where?\ta\t3", "line 2: no sentence '3' stands before"),
        ("1 A sat.\n2 Where?\t\t1", "line 2: is no question, answer and numbers"),
        ("1 A sat.\n2 Where?\ta\t1\tb", "line 2: is no question, answer and numbers"),
        ("1 A sat.", "holds no question"),
        ("1 A sat.\n2 Where?\ta\t1\n3 B w", "line 3: a story ends without a question"),
    ],
)
def test_bad_line_of_babi_is_named(tmp_path: Path, line: str, message: str) -> None:
    """Numbers that do not go on, and questions that are none, are named with their line."""
    path = tmp_path / "babi.txt"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        Qa(data=f"babi:{path}")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("nq", {"answers": []}, "line 2: 'answers' is empty"),
        ("nq", {"ctxs": []}, "line 2: 'ctxs' is empty"),
        ("nq", {"ctxs": [{"title": "x"}]}, "line 2, ctxs 1: 'text' is missing. Given: title"),
        ("nq", {"answers": "x"}, "line 2: 'answers' is text; give a list"),
        ("ruler", {"index": 7}, "line 2: id '7' was given already"),
        ("ruler", {"input": "Hello", "index": 8}, "line 2: 'input' is no prompt of RULER's tasks"),
        ("ruler", {"outputs": [], "index": 8}, "line 2: 'outputs' holds no reference"),
        ("ruler", {"outputs": [1], "index": 8}, "line 2: 'outputs' holds a number; give texts"),
        ("longeval", {"prompt": "Hello"}, "line 2: 'prompt' has no 'Now the record is over.'"),
        ("longeval", {"correct_line": "line x"}, "line 2: 'correct_line' is not a line of"),
        ("longeval", {"expected_number": "1"}, "'expected_number' is text; give a whole number"),
    ],
)
def test_bad_row_is_named_with_its_line(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    """A row that lacks what its layout has is named with its line and field."""
    good = json.loads(file_of(name, tmp_path).read_text(encoding="utf-8").partition("\n")[0])
    path = written(tmp_path / "bad.jsonl", good, {**good, **changes})
    with pytest.raises(UserError) as caught:
        Qa(data=f"{name}:{path}")
    assert message in str(caught.value)


def test_unknown_prefix_says_which_there_are(tmp_path: Path) -> None:
    """A prefix nobody knows is no path; a file whose name has a colon is one."""
    with pytest.raises(UserError, match=r"unknown prefix 'sqad' in data=sqad:x\. Prefixes: babi,"):
        Qa(data="sqad:x")
    row = {"id": "a", "context": "x", "questions": [{"id": "1", "question": "?", "answers": []}]}
    assert samples(str(written(tmp_path / "mine:1.jsonl", row)))[0].id == "a"


def test_run_has_the_columns_of_the_data_set_and_knows_its_file(tmp_path: Path) -> None:
    """Records have the official metrics; another content of the file is another run."""
    path = tmp_path / "story.txt"
    path.write_text("1 Mary sat.\n2 Who?\tsat.\t1\n", encoding="utf-8")

    def folder() -> Path:
        model = FakeModel()
        suites, backends = (
            choose_suites([f"qa,data=babi:{path}"]),
            choose_backends(["tests.support.fakes:Fake"]),
        )
        plan = make_plan(model, suites, backends, Settings())
        return run(plan, OneProcess(model), out=tmp_path / "runs", command="test", restart=False)

    first = folder()
    with (first / "records.csv").open(newline="", encoding="utf-8") as file:
        (cells,) = csv.DictReader(file)
    assert cells["exact_match"] == "1"
    assert "f1" not in cells
    assert folder() == first
    path.write_text("1 Mary stood.\n2 Who?\tstood.\t1\n", encoding="utf-8")
    assert folder() != first


WHOLE = {  # contexts and questions of the published files
    "babi:babi/en-10k/qa1_single-supporting-fact_test.txt": (1000, 1000),
    "babi:babi/en-10k/qa6_yes-no-questions_train.txt": (10_000, 10_000),
    "squad:squad/dev-v1.1.rebuilt.json": (2067, 10_570),
    "squad_v2:squad/dev-v2.0.rebuilt.json": (1204, 11_873),
    "hotpotqa:hotpotqa/dev_subsampled.jsonl": (500, 500),
    "hotpotqa:hotpotqa/hotpot_dev_distractor_100.json": (100, 100),
    "hotpotqa:hotpotqa/hotpotqa_train_100.json": (100, 100),
    "ruler:ruler/niah_multikey_3_4096.jsonl": (500, 500),
    "longeval:longeval/200_lines.jsonl": (50, 50),
    "nq:nq-open-oracle/nq-open-oracle.jsonl.gz": (2655, 2655),
}


@pytest.mark.parametrize("data", WHOLE)
def test_published_file_is_read_whole(data: str) -> None:
    """Every row of the published files is read, and a right answer to each is right."""
    folder = os.environ.get("GIST_BENCH_DATA")
    if not folder:
        pytest.skip(f"GIST_BENCH_DATA is not set: {data} not read")
    name, _, file = data.partition(":")
    kind = formats.load(name)
    entries: list[Entry] = list(kind.read(Path(folder) / file))
    questions = [question for entry in entries for question in entry.questions]
    assert (len(entries), len(questions)) == WHOLE[data]
    for question in questions:
        right = question.targets[0] if question.targets else ABSTENTION
        assert set(kind.score(question, right).values()) == {1.0}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("milk,football", 1),
        ("football, milk", 1),
        ("Football and the milk.", 1),
        ("football milk", 1),
        ("Milk AND football", 1),
        ("football / milk", 1),
        ("milk", 0),
        ("milk, football, apple", 0),
        ("milk, milk", 0),
        ("milk milk", 0),
        ("milk football apple", 0),
    ],
)
def test_a_list_of_babi_may_stand_in_any_order(answer: str, score: float) -> None:
    """All of its items are right, however they are set apart, and nothing less or more."""
    question = Question("q", "What is Daniel carrying?", ("milk,football",))
    assert babi.FORMAT.score(question, answer)["exact_match"] == score


def test_sentences_of_2wikimultihopqa_are_set_apart(tmp_path: Path) -> None:
    """Its layout is that of HotpotQA, without the spaces in front of the sentences."""
    pages = [["Film", ["It is a film.", "Ada made it."]], ["Ada", ["Ada was born in Rome."]]]
    rows = [
        {
            "_id": "1",
            "question": "Where was its maker born?",
            "answer": "Rome",
            "context": pages,
            "supporting_facts": [["Film", 1], ["Ada", 0]],
        }
    ]
    file = tmp_path / "2wiki.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    (entry,) = hotpotqa.FORMAT.read(file)
    assert entry.paragraphs[0].text == "Film\nIt is a film. Ada made it."
    assert entry.questions[0].support == ("Ada made it.", "Ada was born in Rome.")
