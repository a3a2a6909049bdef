"""What the backends of a served model show: within the budget, of one context, paid for once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.api import SERVER, Generation, Shown, Tokenizer
from harness.errors import NotReady
from harness.run import plugins
from harness.run.choose import budget_option
from harness.run.spec import Spec, build, options_of
from harness.served.model import UnknownTokenizer
from tests.harness.served.test_served_run import NAMES, asked, command, rows_of
from tests.support.commands import GistBench
from tests.support.stub_server import Fault, Stub, serve

BACKENDS = plugins.names(plugins.SERVED)
WITH_BUDGET = [n for n in BACKENDS if budget_option(plugins.load(plugins.SERVED, n))]
CONTEXT = " ".join(f"The {name} of Tarn costs 1{at} euros." for at, name in enumerate(NAMES))
OTHER = CONTEXT.replace("Tarn", "Lindow").replace("euros", "crowns")
QUESTIONS = ["What does the cup of Tarn cost?", "What does the sail of Tarn cost?"]


class Words:
    """A tokenizer of words that can be turned back."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._next = count()

    def encode(self, text: str) -> list[int]:
        """Return an id per word."""
        return [self._ids.setdefault(w, next(self._next)) for w in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the words."""
        words = {number: word for word, number in self._ids.items()}
        return " ".join(words[number] for number in ids)


@dataclass
class Written:
    """A served model that writes down what it is asked."""

    tokenizer: Tokenizer = field(default_factory=Words)
    asked: list[Shown] = field(default_factory=list)
    name: str = "written"
    fingerprint: str = "w1"
    prompt_hash: str = "p1"
    random_weights: bool = False
    max_positions: None = None
    device: str = SERVER

    def count_tokens(self, text: str) -> int | None:
        """Return the words of a text, if the tokenizer is known."""
        known = not isinstance(self.tokenizer, UnknownTokenizer)
        return len(self.tokenizer.encode(text)) if known else None

    def describe(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def answer(
        self, requests: Sequence[Shown], *, max_new_tokens: int, min_new_tokens: int = 0
    ) -> list[Generation]:
        """Answer with what was shown."""
        assert max_new_tokens > min_new_tokens
        self.asked += requests
        return [
            Generation(one.text, None, self.count_tokens(one.text), None, one.evidence)
            for one in requests
        ]

    def write(self, instruction: str, text: str, *, max_new_tokens: int) -> str:
        """Write the last words of the text."""
        assert str(max(1, int(max_new_tokens * 0.7))) in instruction  # words that it is asked for
        return " ".join(text.split()[-max_new_tokens:])


def built(name: str, model: Written, **options: str) -> Any:
    """Build a backend as the command line does, without a model of sentences."""
    kind = plugins.load(plugins.SERVED, name)
    known = {option.name for option in options_of(kind, given=1)}
    wanted = {"embedder": "bm25", "chunk_tokens": "8", **options}
    return build(kind, Spec(name, {o: v for o, v in wanted.items() if o in known}), model)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server."""
    with serve() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two contexts, each with two prices that are asked for."""
    path = tmp_path / "data.jsonl"
    lines = []
    for number, context in enumerate((CONTEXT, CONTEXT.replace("Tarn", "Lindow"))):
        place = ("Tarn", "Lindow")[number]
        questions = [
            {
                "id": name,
                "question": f"What does the {name} of {place} cost?",
                "answers": [f"1{at} euros"],
            }
            for at, name in enumerate(NAMES[:2])
        ]
        lines.append(json.dumps({"id": f"c{number}", "context": context, "questions": questions}))
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("name", BACKENDS)
def test_what_is_shown_is_of_the_own_context_alone(name: str) -> None:
    """Two contexts are held at once; asking leaves both as they were, and describes plainly."""
    model = Written()
    with closing(built(name, model)) as backend:
        first, second = backend.prepare(CONTEXT), backend.prepare(OTHER)
        before = first.generate(QUESTIONS, max_new_tokens=4)
        of_other = second.generate(QUESTIONS, max_new_tokens=4)
        second.close()
        assert first.generate(QUESTIONS, max_new_tokens=4) == before
        assert first.held_bytes is None  # what the server keeps of it is not known
        assert [shown.question for shown in model.asked] == QUESTIONS * 3
        for own, other in zip(before, of_other, strict=True):
            assert own.text in CONTEXT or own.evidence
            assert "Lindow" not in own.text
            assert "Tarn" not in other.text
        first.close()
        json.dumps(dict(backend.describe()))


@pytest.mark.parametrize("name", WITH_BUDGET)
@pytest.mark.parametrize("budget", [1, 9, 20, 500])
def test_a_budget_is_kept_and_a_context_within_it_is_shown_whole(name: str, budget: int) -> None:
    """No more of the model's tokens than it says; all of the context if they are enough."""
    model = Written()
    with closing(built(name, model, tokens=str(budget))) as backend:
        shown = backend.prepare(CONTEXT).generate(QUESTIONS, max_new_tokens=4)
    sizes = [answer.context_entries for answer in shown]
    assert max(sizes) <= budget
    if budget == 500:
        assert [answer.text for answer in shown] == [CONTEXT] * 2
    elif budget > 8:  # room for a sentence
        assert min(sizes) > budget / 2
        assert all(answer.evidence for answer in shown)


@pytest.mark.parametrize(
    ("name", "options", "runs"),
    [
        ("truncate", {"tokens": "9"}, False),
        ("summary", {"ratio": "4"}, False),
        ("summary", {"tokens": "9"}, True),
        ("rag", {"tokens": "9"}, False),
        ("rag", {"top_k": "2"}, True),
    ],
)
def test_only_what_counts_tokens_needs_the_tokenizer(
    name: str, options: dict[str, str], runs: bool
) -> None:
    """It is refused before anything is asked, in a line that says what to give."""
    model = Written(UnknownTokenizer("written"))
    if runs:
        with closing(built(name, model, **options)) as backend:
            assert backend.prepare(CONTEXT).generate(QUESTIONS, max_new_tokens=4)
    else:
        with pytest.raises(NotReady, match="--tokenizer"):
            built(name, model, **options)
    assert len(model.asked) == 2 * runs


def test_rag_truncate_and_summary_of_a_server_are_rows_like_the_others(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """At one budget: passages answer, and the entries are those of the text that was shown."""
    stub.usage = False  # it counts words, and the tokenizer does not
    names = ("rag,chunk_tokens=8,embedder=bm25", "truncate", "summary")
    backends = [word for name in names for word in ("--backend", name)]
    more = ("--budget", "30", "--tokenizer", "reference", "--limit", "1")
    run = gist_bench(*command(stub, data, tmp_path / "out", *backends, *more))
    assert run.code == 0, run.err
    rows = {row["backend"]: row for row in rows_of(tmp_path / "out")}
    rag = "rag,chunk_tokens=8,embedder=bm25,tokens=30"
    assert set(rows) == {"full", "closed_book", rag, "truncate,tokens=30", "summary,tokens=30"}
    assert float(rows[rag]["exact_match"]) == 1.0
    for name, row in rows.items():
        if "tokens" in name:
            assert 0 < int(row["context_entries"]) <= 30
            assert json.loads(row["evidence"])
            assert row["held_bytes"] == ""


def test_a_summary_is_paid_for_once(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """A run that stops behind a summary goes on with it; the time of reading is then not known."""
    words = ["run", "--model", stub.teacher, "--suite", f"qa,data={data}", "--backend",
             "summary,tokens=20", "--out", str(tmp_path / "out")]  # fmt: skip
    # The summary and the question of the warm-up, then the first summary.
    stub.faults.extend([Fault(), Fault(), Fault(), Fault(status=400, body="no")])
    assert gist_bench(*words).code == 2
    assert gist_bench(*words).code == 0
    summaries = [sent for sent in asked(stub) if "Summarise" in sent]
    assert [asked(stub)[sent] for sent in summaries] == [1, 1, 1]
    rows = rows_of(tmp_path / "out")
    assert [bool(row["prepare_s"]) for row in rows] == [False, False, True, True]


def test_the_others_of_a_batch_with_one_that_is_too_long_are_paid_for_once(
    gist_bench: GistBench, stub: Stub, tmp_path: Path
) -> None:
    """The batch is asked again one by one, but not of the server."""
    questions = [{"id": name, "question": f"{name}?", "answers": ["1"]} for name in NAMES]
    questions[2]["question"] = "why " * 100
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"id": "c", "context": CONTEXT, "questions": questions}))
    stub.positions = 120
    words = ["run", "--model", stub.teacher, "--suite", f"qa,data={path}", "--backend", "full"]
    run = gist_bench(*words, "--out", str(tmp_path / "out"))
    assert run.code == 0, run.err
    errors = [row["error"] for row in rows_of(tmp_path / "out")]
    assert errors == ["", "", "context_too_long", "", "", ""]
    times = {("why" in sent): n for sent, n in asked(stub).items()}
    assert times == {False: 1, True: 2}
