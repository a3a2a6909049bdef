"""A model behind a server is run like one that is loaded, and nothing is asked for twice."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.served import client
from harness.served.kept import FILE
from tests.support.commands import GistBench
from tests.support.paths import ROOT
from tests.support.stub_server import Fault, Stub, serve

NAMES = ("harp", "cup", "boat", "goose", "lamp", "sail")


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server."""
    with serve() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two contexts, each with three prices that are asked for and one that it does not hold."""
    lines = []
    for number, place in enumerate(("Tarn", "Lindow")):
        prices = [f"The {name} of {place} costs 1{at} euros." for at, name in enumerate(NAMES)]
        questions = [
            {
                "id": name,
                "question": f"What does the {name} of {place} cost?",
                "answers": [f"1{at} euros"],
            }
            for at, name in enumerate(NAMES[:3])
        ]
        questions.append({"id": "none", "question": f"What does {place} cost?", "answers": []})
        line = {"id": f"c{number}", "context": " ".join(prices), "questions": questions}
        lines.append(json.dumps(line))
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines))
    return path


def command(stub: Stub, data: Path, out: Path, *more: str) -> list[str]:
    """Return the words of a run of qa."""
    return [
        "run", "--model", stub.teacher, "--suite", f"qa,data={data}", "--backend", "full",
        "--backend", "closed_book", "--out", str(out), *more,
    ]  # fmt: skip


def rows_of(out: Path) -> list[dict[str, str]]:
    """Return the rows of the one run in a folder."""
    (path,) = out.glob("*/records.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def asked(stub: Stub) -> Counter[str]:
    """Return how often each request was sent, warm-ups left out."""
    bodies = [body for body in stub.asked if body["max_tokens"] > 2]
    return Counter(json.dumps(body, sort_keys=True) for body in bodies)


def test_a_served_model_needs_no_torch(stub: Stub, data: Path, tmp_path: Path) -> None:
    """Who asks a server does not wait for packages that compute, nor needs them."""
    code = (
        "import atexit, sys\nfrom harness.cli import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"main({command(stub, data, tmp_path / 'out')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert len(rows_of(tmp_path / "out")) == 16
    assert not {"torch", "transformers", "peft"} & set(done.stderr.split())


def test_a_served_model_answers_as_the_others_do(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """Scores, the server's token counts, and empty cells for what nobody knows."""
    run = gist_bench(*command(stub, data, tmp_path / "out"))
    assert run.code == 0, run.err
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 16
    right = {
        name: [float(r["exact_match"]) for r in rows if r["backend"] == name]
        for name in ("full", "closed_book")
    }
    assert right["full"] == [1.0] * 8
    assert right["closed_book"] == [0.0, 0.0, 0.0, 1.0] * 2  # it says that the text does not say
    for row in rows:
        assert row["model"] == stub.teacher
        assert int(row["prompt_tokens"]) > 20
        assert row["new_tokens"] == ("2" if row["answer"].endswith("euros") else "4")
        unknown = ("held_bytes", "context_tokens", "context_entries", "prepare_peak_bytes",
                   "generate_peak_bytes", "baseline_bytes", "memory_kind")  # fmt: skip
        assert [row[name] for name in unknown] == [""] * len(unknown)
    assert "full" in run.out
    assert stub.together > 1  # the questions of a batch are asked at once
    assert max(asked(stub).values()) == 1


def test_a_named_tokenizer_counts_what_the_server_does_not(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """Context tokens and entries are known with it; without `usage`, prompts stay unknown."""
    stub.usage = False
    run = gist_bench(*command(stub, data, tmp_path / "out", "--tokenizer", "reference"))
    assert run.code == 0, run.err
    for row in rows_of(tmp_path / "out"):
        tokens = int(row["context_tokens"])
        assert int(row["context_entries"]) == (tokens if row["backend"] == "full" else 0)
        assert tokens > 40
        assert row["prompt_tokens"] == row["new_tokens"] == ""


def test_the_key_is_sent_and_never_written(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from the environment; records and run.json do not have it."""
    monkeypatch.setenv("MY_KEY", "sesame-opens")
    run = gist_bench(*command(stub, data, tmp_path / "out", "--key-env", "MY_KEY"))
    assert run.code == 0, run.err
    assert stub.keys == {"Bearer sesame-opens"}
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"sesame" not in path.read_bytes()
    assert "sesame" not in run.out + run.err


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=503),
        Fault(hang_up=True),
        Fault(body="no JSON"),
    ],
    ids=["429", "503", "hangs up", "no JSON"],
)
def test_transient_faults_are_asked_again(
    gist_bench: GistBench,
    stub: Stub,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """Rate limits, failing servers and broken connections cost a pause, and no row."""
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.0)
    stub.faults.extend([fault, fault])
    run = gist_bench(*command(stub, data, tmp_path / "out"))
    assert run.code == 0, run.err
    assert [row["error"] for row in rows_of(tmp_path / "out")] == [""] * 16


def test_a_killed_run_pays_for_no_answer_twice(stub: Stub, data: Path, tmp_path: Path) -> None:
    """SIGKILL between two answers about one context: those that came are not asked for again."""
    stub.hold_after = 7  # a warm-up, four answers of the first context, two of the second
    out = tmp_path / "out"
    words = [sys.executable, "-m", "harness.cli", *command(stub, data, out, "--batch-size", "1")]
    words[1:3] = ["-c", "import sys; from harness.cli import main; main(sys.argv[1:])"]
    killed = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)
    assert stub.holding.wait(60), killed.communicate(timeout=10)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(rows_of(out)) == 4
    (kept,) = out.glob(f"*/{FILE}")
    assert kept.read_bytes().count(b"asked") == 2
    stub.hold_after = None
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    never_answered = json.dumps(stub.asked[7], sort_keys=True)
    assert asked(stub) == {body: 1 + (body == never_answered) for body in asked(stub)}
    rows = rows_of(out)
    assert len(rows) == 16
    assert [row["question_id"] for row in rows if not row["generate_s"]] == list(NAMES[:2])
    assert all(float(row["exact_match"]) == 1.0 for row in rows if row["backend"] == "full")
    assert not kept.exists()


def test_a_prompt_that_is_too_long_is_a_row(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """Whether the server says so, or cuts the prompt and says nothing."""
    stub.positions = 60
    for cuts in (False, True):
        stub.cuts = cuts
        out = tmp_path / str(cuts)
        run = gist_bench(*command(stub, data, out, "--tokenizer", "reference"))
        assert run.code == 0, run.err
        errors = {row["backend"]: row["error"] for row in rows_of(out)}
        assert errors == {"full": "context_too_long", "closed_book": ""}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--backend", "gist"), "gist needs the KV entries of a model that is loaded here"),
        (("--backend", "mean_pool"), "Backends of a served model: closed_book, full"),
        (("--backend", "full,adapter=on"), "unknown option 'adapter' for 'full'"),
        (("--load-in-4bit",), "--load-in-4bit does not apply to a served model"),
        (("--suite", "passkey"), "with --tokenizer"),
        (("--key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY of --key-env is not set"),
    ],
)
def test_what_a_served_model_cannot_do_is_refused_before_anything_is_asked(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    """One line, exit code 2, and no request."""
    run = gist_bench(*command(stub, data, tmp_path / "out", *more))
    assert run.code == 2
    assert said in run.err
    assert len(run.err.splitlines()) == 1
    assert stub.asked == []


def test_a_model_that_the_server_lacks_is_refused(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path
) -> None:
    """The message names those that it has."""
    stub.models = ("stab", "other")
    run = gist_bench(*command(stub, data, tmp_path / "out"))
    assert (run.code, stub.asked) == (2, [])
    assert "no model 'stub'. Did you mean 'stab'? Models: stab, other" in run.err


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_that_cannot_list_its_models_is_asked_all_the_same(
    gist_bench: GistBench, stub: Stub, data: Path, tmp_path: Path, status: int
) -> None:
    """Some have no list, and some fail in making it: whether they answer shows in the answers."""
    stub.list_status = status
    run = gist_bench(*command(stub, data, tmp_path / "out"))
    assert run.code == 0, run.err
    assert stub.asked
