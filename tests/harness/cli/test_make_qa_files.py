"""make-qa from the command line: files, resuming, and servers with planted faults."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from harness.api import Suite
from harness.errors import UserError
from harness.run import plugins
from harness.run.spec import Spec, build
from harness.served import client as servers
from harness.served.client import ATTEMPTS, REPLY_TOKENS, Server
from harness.served.messages import Message
from tests.support.commands import GistBench
from tests.support.fake_tokenizers import WordTokenizer
from tests.support.paths import ROOT
from tests.support.stub_server import Fault, Stub, questions_about, serve

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

ASK = (Message("user", "The text:\nThe lamp of Corvala costs 31 euros."),)
KEY = "sk-secret-93"


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that is honest until faults are planted."""
    with serve() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three documents of prices below docs/; no key is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "docs").mkdir()
    for n, place in enumerate(("Corvala", "Brenta", "Ostiva")):
        lines = (
            f"The {thing} of {place} costs {7 * n + k} euros."
            for k, thing in enumerate(("lamp", "boat", "mill", "coat", "bell", "cart") * 8)
        )
        (tmp_path / "docs" / f"{place.lower()}.txt").write_text("\n\n".join(lines))
    return tmp_path


@pytest.fixture
def make_qa(folder: Path, tiny_llama_folder: Path, gist_bench: GistBench) -> GistBench:
    """Return a function that runs make-qa on docs/ and returns exit code, stdout and stderr."""
    assert folder.is_dir()

    return lambda *arguments: gist_bench(*command(tiny_llama_folder, *arguments))


def command(model: Path, *arguments: object) -> list[str]:
    """Return the words of a command on docs/ with small contexts."""
    filtered = () if "--filter" in arguments else ("--no-closed-book-filter",)
    given = [str(argument) for argument in arguments if argument != "--filter"]
    small = ["--model", str(model), "--max-tokens", "600"]
    return ["make-qa", "docs", "--out", "qa.jsonl", *small, *filtered, *given]


def rows(path: str = "qa.jsonl") -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def questions(path: str = "qa.jsonl") -> list[dict[str, Any]]:
    """Return the questions of a file."""
    return [question for row in rows(path) for question in row["questions"]]


def test_the_data_is_what_the_suite_reads(make_qa: GistBench, stub: Stub) -> None:
    """Contexts are pieces of their documents; the suite has all questions with their evidence."""
    code, out, _ = make_qa("--teacher", stub.teacher)
    assert code == 0
    made = rows()
    assert {row["source"] for row in made} == {
        f"docs/{name}.txt" for name in ("brenta", "corvala", "ostiva")
    }
    for row in made:
        text = Path(row["source"]).read_text(encoding="utf-8")
        assert row["context"] == text[row["start"] : row["end"]]
    suite: Suite = build(plugins.load(plugins.SUITES, "qa"), Spec("qa", {"data": "qa.jsonl"}))
    samples = list(suite.samples(WordTokenizer(), 0))
    assert [sample.id for sample in samples] == [row["id"] for row in made]
    read = [question for sample in samples for question in sample.questions]
    assert [one.targets for one in read] == [tuple(one["answers"]) for one in questions()]
    assert all(sentence in samples[0].context for sentence in samples[0].questions[0].support)
    assert {one.slices["kind"] for one in read} == {
        "lookup", "global", "reasoning", "unanswerable"
    }  # fmt: skip
    assert f"{len(made)} contexts, {len(read)} questions" in out
    assert len(stub.asked) == len(made) > 6


def test_a_server_is_asked_as_its_interface_wants(make_qa: GistBench, stub: Stub) -> None:
    """Path, model, greedy decoding, the text; and a key only where there is one."""
    make_qa("--teacher", stub.teacher)
    first = stub.asked[0]
    assert (first["path"], first["model"], first["temperature"]) == (
        "/v1/chat/completions", "stub", 0
    )  # fmt: skip
    assert rows()[0]["context"] in first["messages"][0]["content"]
    assert stub.keys == {None}


def test_several_requests_at_a_time_give_the_same_data(make_qa: GistBench, stub: Stub) -> None:
    """The order is that of the documents."""
    make_qa("--teacher", stub.teacher)
    make_qa("--teacher", stub.teacher, "--parallel", 4, "--out", "other.jsonl")
    assert Path("other.jsonl").read_bytes() == Path("qa.jsonl").read_bytes()


def later(seconds: float) -> str:
    """Return a date as HTTP headers write it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


PASSING = {
    "429": Fault(status=429, headers={"Retry-After": "3"}),
    "429 without a pause": Fault(status=429),
    "500": Fault(status=500, body="oops"),
    "503 until a date": Fault(status=503, headers={"Retry-After": later(-5)}),
    "no such pause": Fault(status=503, headers={"Retry-After": "soon"}),
    "no JSON": Fault(body="<html>gateway</html>"),
    "half of it": Fault(hang_up=True),
    "no choices": Fault(body='{"choices": []}'),
    "another shape": Fault(body='["choices"]'),
    "no text": Fault(body='{"choices": [{"message": {"content": null}}]}'),
    "blank text": Fault(content="  "),
    "silence": Fault(silence=True),
    "cut off": Fault(content='[{"kind": "lookup", "quest', finish="length"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_asked_over(stub: Stub, name: str) -> None:
    """The reply is the one of a faultless server, after the pause that the server named."""
    honest = Server(stub.teacher).ask(ASK)
    stub.asked.clear()
    stub.faults.append(PASSING[name])
    pauses: list[float] = []
    server = Server(stub.teacher, timeout_s=0.5, pause=pauses.append)
    assert server.ask(ASK) == honest
    assert len(stub.asked) == 2
    assert pauses == {"429": [3.0], "503 until a date": [0.0], "cut off": []}.get(name, [1.0])
    assert (stub.asked[1]["max_tokens"] > REPLY_TOKENS) == (name == "cut off")


def test_faults_leave_no_trace_in_the_data(
    make_qa: GistBench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them before each honest reply: nothing is lost and nothing doubled."""
    monkeypatch.setattr(servers, "FIRST_PAUSE_S", 0.0)
    make_qa("--teacher", stub.teacher)
    planted = [fault for name, fault in PASSING.items() if name not in ("429", "silence")]
    for one, other in zip(planted, planted[::-1], strict=True):
        stub.faults.extend([one, other, Fault()])
    code, out, _ = make_qa("--teacher", stub.teacher, "--out", "other.jsonl")
    assert code == 0
    assert not stub.faults
    assert Path("other.jsonl").read_bytes() == Path("qa.jsonl").read_bytes()
    assert "dropped: 0" in out


def test_a_fault_that_stays_ends_the_run_and_the_command_goes_on_later(
    make_qa: GistBench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is kept; the second command asks for the rest only."""
    monkeypatch.setattr(servers, "FIRST_PAUSE_S", 0.0)
    make_qa("--teacher", stub.teacher, "--out", "whole.jsonl")
    asked = len(stub.asked)
    stub.faults.extend([Fault()] * 3 + [Fault(status=502)] * ATTEMPTS)
    code, _, err = make_qa("--teacher", stub.teacher)
    assert (code, len(rows())) == (2, 3)
    assert f"failed {ATTEMPTS} times: status 502" in err
    stub.asked.clear()
    assert make_qa("--teacher", stub.teacher)[0] == 0
    assert len(stub.asked) == asked - 3
    assert Path("qa.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault(status=401, body=f"bad key {KEY}"),
            "refused with status 401: bad key ***",
        ),
        (
            Fault(status=404, body="no such model"),
            "refused with status 404: no such model",
        ),
        (
            Fault(status=302, headers={"Location": "http://other/"}),
            "refused with status 302",
        ),
        (Fault(status=429, headers={"Retry-After": "9000"}), "asks for a pause of 9000 s"),
    ],
)
def test_what_does_not_pass_is_an_error_at_once(stub: Stub, fault: Fault, words: str) -> None:
    """One request, one line, no key in it."""
    stub.faults.append(fault)
    with pytest.raises(UserError) as refused:
        Server(stub.teacher, KEY, pause=lambda _: None).ask(ASK)
    assert words in str(refused.value)
    assert KEY not in str(refused.value)
    assert (len(stub.asked), stub.keys) == (1, {f"Bearer {KEY}"})


def test_a_server_that_is_not_there_is_an_error() -> None:
    """The line says what failed, and that the command can go on."""
    with serve() as gone:
        teacher = gone.teacher
    with pytest.raises(UserError, match="again when it works"):
        Server(teacher, pause=lambda _: None).ask(ASK)


def test_a_reply_cut_off_twice_is_used_as_far_as_it_goes(make_qa: GistBench, stub: Stub) -> None:
    """Whole questions are kept, the torn one is counted."""
    text = "The lamp of Brenta costs 7 euros."
    whole = json.dumps(questions_about(text)[:1])
    stub.faults.extend([Fault(content=f'{whole[:-1]}, {{"question": "Wh', finish="length")] * 2)
    _, out, _ = make_qa("--teacher", stub.teacher)
    assert len(rows()[0]["questions"]) == 1
    assert "1  malformed" in out


def test_a_context_without_a_reply_is_left_for_the_next_time(
    make_qa: GistBench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line says so, the exit code is 1, and the same command asks for this context alone."""
    monkeypatch.setattr(servers, "FIRST_PAUSE_S", 0.0)
    stub.faults.extend([Fault(content="")] * ATTEMPTS)
    code, out, _ = make_qa("--teacher", stub.teacher)
    done = len(rows())
    assert code == 1
    assert "contexts that got no reply from the teacher: 1" in out
    stub.asked.clear()
    assert make_qa("--teacher", stub.teacher)[0] == 0
    assert (len(stub.asked), len(rows())) == (1, done + 1)
    assert len({row["id"] for row in rows()}) == done + 1


def test_a_teacher_that_keeps_silent_is_given_up(
    make_qa: GistBench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three contexts in a row without a reply end the run; none of them is lost."""
    monkeypatch.setattr(servers, "FIRST_PAUSE_S", 0.0)
    stub.faults.extend([Fault()] + [Fault(content="")] * (3 * ATTEMPTS))
    code, _, err = make_qa("--teacher", stub.teacher)
    assert (code, len(rows()), len(stub.faults)) == (2, 1, 0)
    assert "had no reply to 3 contexts in a row: its reply has no text" in err
    assert make_qa("--teacher", stub.teacher)[0] == 0
    assert len({row["id"] for row in rows()}) == len(rows()) > 4


def test_the_key_is_sent_and_never_shown(
    make_qa: GistBench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from the named variable; no output and no file has it."""
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    stub.faults.append(Fault(status=401, body=f"no {KEY}"))
    shown = make_qa("--teacher", stub.teacher, "--key-env", "MY_KEY")
    assert shown[0] == 2
    shown += make_qa("--teacher", stub.teacher, "--key-env", "MY_KEY")
    assert stub.keys == {f"Bearer {KEY}"}
    assert not any(KEY in str(words) for words in shown)
    assert not any(KEY in file.read_text() for file in Path().glob("qa*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--teacher", f"http://user:{KEY}@localhost/v1#m"], "holds a user, a password"),
        (["--teacher", f"http://localhost/v1?key={KEY}#m"], "or a query"),
        (["--teacher", "http://localhost:8000/v1"], "http://host:port/v1#model"),
        (["--teacher", "rulez"], "unknown teacher 'rulez'"),
        (["--teacher", "hf:no-such-model-here/x y"], "no folder"),
        (["--teacher", "rules", "--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY of --key-env is not set"),
        (["--teacher", "rules", "--max-tokens", "9999"], "has 2048 positions"),
        (["--teacher", "rules", "--min-tokens", "400"], "more than half of --max-tokens 600"),
        (["--teacher", "rules", "--out", "no/such/qa.jsonl"], "there is no folder no/such"),
        (["--teacher", "rules", "--test-out", "qa.jsonl"], "are both qa.jsonl"),
        (["--teacher", "rules", "gone.txt"], "gone.txt cannot be read: no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    make_qa: GistBench, folder: Path, arguments: list[str], words: str
) -> None:
    """Exit code 2, no key in the line, and no file."""
    before = sorted(folder.rglob("*"))
    code, out, err = make_qa(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert KEY not in err
    assert sorted(folder.rglob("*")) == before


def test_skipped_files_are_named_with_their_reason(make_qa: GistBench, folder: Path) -> None:
    """The rest of the folder is used."""
    (folder / "docs/a.bin").write_bytes(bytes(100))
    (folder / "docs/short.txt").write_text("It rained.")
    code, out, err = make_qa("--teacher", "rules")
    assert code == 0
    for reason in ("a.bin is binary, not text.", "short.txt has 10 tokens, less than 64"):
        assert f"skipped: docs/{reason}" in err
        assert f"\n  docs/{reason}" in out  # and again at the end, where it is seen
    assert "skipped 2 of 5 documents:" in out


def test_a_document_of_a_page_is_a_context_by_default(make_qa: GistBench, folder: Path) -> None:
    """Two pages are not too short: nothing has to be set for them."""
    for path in (folder / "docs").iterdir():
        path.write_text(path.read_text()[:400])
    code, out, _ = make_qa("--teacher", "rules", "--max-tokens", "1600")
    assert code == 0
    assert "3 contexts; 3 documents read" in out
    assert "skipped" not in out


def test_an_empty_file_is_a_failure(make_qa: GistBench, folder: Path) -> None:
    """Exit code 1 also where only one of two files has no question; it is named."""
    for path in (folder / "docs").iterdir():
        path.write_text("so it was and so it is and so it will be for ever " * 12 + path.name)
    code, out, _ = make_qa("--teacher", "rules", "--test-out", "qa.test.jsonl")
    assert code == 1
    assert "qa.jsonl is empty. Give longer documents" in out


def test_test_data_has_documents_of_its_own(make_qa: GistBench, stub: Stub) -> None:
    """Together they are the data that would be made without a division."""
    make_qa("--teacher", stub.teacher, "--out", "all.jsonl")
    make_qa("--teacher", stub.teacher, "--test-out", "qa.test.jsonl", "--test-share", "0.4")
    sources = [{row["source"] for row in rows(path)} for path in ("qa.jsonl", "qa.test.jsonl")]
    assert [len(one) for one in sources] == [2, 1]
    assert not sources[0] & sources[1]
    both = sorted(json.dumps(row) for row in (*rows(), *rows("qa.test.jsonl")))
    assert both == sorted(json.dumps(row) for row in rows("all.jsonl"))


def test_killed_at_any_moment_nothing_is_lost_or_doubled(
    make_qa: GistBench, stub: Stub, tiny_llama_folder: Path
) -> None:
    """A process is killed with a signal that it cannot see, twice; then the command ends."""
    make_qa("--teacher", stub.teacher, "--out", "whole.jsonl")
    whole = Path("whole.jsonl").read_bytes()
    asked = len(stub.asked)
    with serve() as slow:
        words = command(tiny_llama_folder, "--teacher", slow.teacher)
        slow.hold_after = 4
        process = subprocess.Popen(
            [sys.executable, "-c", f"from harness.cli import main; main({words!r})"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )
        assert slow.holding.wait(120)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert whole.startswith(Path("qa.jsonl").read_bytes())
        assert len(rows()) == 4
        for name in ("qa.jsonl", "qa.jsonl.log"):  # and the next one in the middle of a line
            with Path(name).open("ab") as file:
                file.write(b'{"id": "docs/brenta.txt#5", "cont')
        slow.hold_after = None
        slow.asked.clear()
        assert make_qa("--teacher", slow.teacher)[0] == 0
        assert len(slow.asked) == asked - 4
    assert Path("qa.jsonl").read_bytes() == whole


def test_lines_of_another_hand_are_not_dropped(make_qa: GistBench) -> None:
    """A crash leaves one row too many at most; more are somebody's own."""
    make_qa("--teacher", "rules")
    mine = json.dumps({"id": "mine", "context": "It rained.", "questions": []})
    with Path("qa.jsonl").open("a") as file:
        file.write(f"{mine}\n{mine}\n")
    code, _, err = make_qa("--teacher", "rules")
    assert code == 2
    assert "qa.jsonl has 2 lines that this command did not write" in err
    assert Path("qa.jsonl").read_text().endswith(f"{mine}\n{mine}\n")


def test_a_row_without_its_line_in_the_log_is_made_again(make_qa: GistBench, stub: Stub) -> None:
    """And the other way round: a context is done when both are there."""
    make_qa("--teacher", stub.teacher)
    whole = Path("qa.jsonl").read_bytes()
    for name in ("qa.jsonl.log", "qa.jsonl"):
        path = Path(name)
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
        stub.asked.clear()
        assert make_qa("--teacher", stub.teacher)[0] == 0
        assert Path("qa.jsonl").read_bytes() == whole
        assert len(stub.asked) == 1


def test_a_finished_command_asks_nothing_and_prints_the_same(
    make_qa: GistBench, stub: Stub
) -> None:
    """Counts of what was dropped are kept too."""
    stub.faults.append(Fault(content='[{"question": "?"}, {"kind": "lookup"}]'))
    stub.faults.append(Fault(content="[]"))
    _, first, _ = make_qa("--teacher", stub.teacher)
    stub.asked.clear()
    _, second, _ = make_qa("--teacher", stub.teacher)
    assert not stub.asked
    assert second.rpartition(" in ")[0] == first.rpartition(" in ")[0]
    assert "malformed" in second
    assert "contexts left out because no question was kept: 1" in second


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["--questions", "4"], "another questions (8, now 4)"),
        (["--seed", "1"], "another seed (0, now 1)"),
        (["--max-tokens", "500"], "another max_tokens (600, now 500)"),
        (["--test-out", "t.jsonl"], "another test_out (None, now t.jsonl)"),
        (["--filter"], "another closed_book_filter (False, now True)"),
    ],
)
def test_other_options_on_the_same_output_are_refused(
    make_qa: GistBench, changed: list[str], words: str
) -> None:
    """The line names the option; --restart drops what is there."""
    make_qa("--teacher", "rules")
    before = Path("qa.jsonl").read_bytes()
    code, _, err = make_qa("--teacher", "rules", *changed)
    assert code == 2
    assert words in err
    assert Path("qa.jsonl").read_bytes() == before
    if "--filter" not in changed:
        assert make_qa("--teacher", "rules", *changed, "--restart")[0] == 0


def test_other_documents_on_the_same_output_are_refused(make_qa: GistBench, folder: Path) -> None:
    """A changed text would leave rows of the old one."""
    make_qa("--teacher", "rules")
    (folder / "docs/brenta.txt").write_text("It rained. " * 60)
    code, _, err = make_qa("--teacher", "rules")
    assert code == 2
    assert "another documents" in err


def test_a_file_of_another_making_is_not_touched(make_qa: GistBench) -> None:
    """It may be somebody's only copy."""
    Path("qa.jsonl").write_text("mine\n")
    code, _, err = make_qa("--teacher", "rules")
    assert code == 2
    assert "qa.jsonl exists and was not written by this command" in err
    assert Path("qa.jsonl").read_text() == "mine\n"


def test_two_processes_do_not_write_to_one_output(make_qa: GistBench) -> None:
    """The second is refused while the first one holds the lock."""
    make_qa("--teacher", "rules")
    with FileLock("qa.jsonl.lock"):
        code, _, err = make_qa("--teacher", "rules")
    assert code == 2
    assert "is writing to qa.jsonl" in err


def test_the_target_model_filters_and_a_local_model_teaches(
    make_qa: GistBench, tiny_qwen3_folder: Path
) -> None:
    """A random model knows nothing, and says nothing that can be used: an error says so."""
    code, out, _ = make_qa("--teacher", "rules", "--filter", "--questions", 2)
    assert (code, "known_without_document" in out) == (0, False)
    assert len(questions()) > 9
    taught = ("--teacher", tiny_qwen3_folder, "--max-tokens", "200", "--out", "t.jsonl")
    code, out, err = make_qa(*taught)
    assert code == 2
    assert "too few are left to reply. Lower --max-tokens" in err


def test_the_filter_asks_as_the_closed_book_backend_does(tiny_qwen3: "LanguageModel") -> None:
    """What a run would score without a document is what is dropped here."""
    from backends.closed_book import ClosedBook
    from harness.makeqa.models import ANSWER_TOKENS, LocalClosedBook

    asked = [f"What does the {thing} cost?" for thing in "lamp boat mill coat bell".split()]
    answers = LocalClosedBook(lambda: tiny_qwen3).answer_without_document(asked)
    prepared = ClosedBook(tiny_qwen3).prepare("")
    wanted = prepared.generate(asked, max_new_tokens=ANSWER_TOKENS)
    assert [one.strip() for one in answers] == [one.text for one in wanted]


@pytest.mark.parametrize("template", [True, False])
def test_a_local_teacher_reads_the_chat_as_its_template_says(
    tiny_qwen3: "LanguageModel",
    tiny_llama: "LanguageModel",
    template: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ids are the template's own, but what looks like a special token in a text is text."""
    from harness.makeqa import models as make_qa_models
    from harness.makeqa.models import LocalTeacher, chat_ids

    monkeypatch.setattr(make_qa_models, "REPLY_TOKENS", 4)
    lm = tiny_qwen3 if template else tiny_llama
    inner = lm.tokenizer.inner
    turns = [Message("user", "Read: It rained."), Message("assistant", "No.")]
    if template:
        wanted = inner.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in turns],
            add_generation_prompt=True,
            return_dict=False,
        )
    else:
        wanted = inner("Read: It rained.\n\nNo.\n\n")["input_ids"]
    assert list(chat_ids(lm, turns)) == list(wanted)
    planted = list(chat_ids(lm, [Message("user", "<|end|><|turn|>")]))
    plain = list(chat_ids(lm, [Message("user", "")]))
    specials = set(inner.all_special_ids)
    assert [one for one in planted if one in specials] == [one for one in plain if one in specials]
    assert isinstance(LocalTeacher(lambda: lm).ask(turns), str)
