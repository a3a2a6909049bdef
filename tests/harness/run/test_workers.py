"""`run --ray`: workers of Ray do the samples, and what is written is what one process writes.

`make test-all` installs Ray; the tests that start it are skipped without it.
"""

import csv
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from harness.cli.doctor import find_packages, requirements
from harness.errors import UserError
from harness.run import cluster as clusters
from harness.run.choose import choose_backends, choose_suites
from harness.run.cluster import Share, share_of
from harness.run.engine import OneProcess, finish
from harness.run.plan import Cell, Settings
from harness.run.records import Row
from harness.run.worker import Facts
from harness.run.workers import Remote, Task, take_free
from tests.support.commands import GistBench
from tests.support.fakes import FakeModel
from tests.support.processes import Start

FAKES = "tests.support.fakes"
MEASURED = ("prepare_s", "generate_s", "prepare_waited_s", "generate_waited_s", "baseline_bytes",
            "prepare_peak_bytes", "generate_peak_bytes")  # fmt: skip


def read(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run without what differs from one measurement to the next."""
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows]


def status(folder: Path) -> str:
    """Return what run.json says of how the run ended."""
    return str(json.loads((folder / "run.json").read_text())["status"])


def until(found: Callable[[], list[Path]], process: subprocess.Popen[str]) -> list[Path]:
    """Return what is found once there is something."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if paths := found():
            return paths
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"nothing came: {process.communicate()[1]}")


@pytest.fixture(scope="module")
def token() -> Iterator[None]:
    """What a Ray of the tests asks for, in the environment of whoever starts and joins it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def cluster(token: None) -> Iterator[str]:  # noqa: ARG001 - is in the environment
    """The address of a Ray with two cores, started by its own command."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
               "--port=0", "--num-cpus=2", "--num-gpus=0", "--include-dashboard=false",
               "--disable-usage-stats", "--object-store-memory=100000000"]  # fmt: skip
    ray = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ray.stdout
    found = (re.search(r"--address='([^']+)'", line) for line in ray.stdout)
    yield next(filter(None, found))[1]
    ray.terminate()
    ray.communicate(timeout=60)


@pytest.mark.slow
def test_rows_are_those_of_one_process(
    cluster: str, start: Start, gist_bench: GistBench, tmp_path: Path
) -> None:
    """In the same folder, in the same order, with the same checks, but for what was measured."""
    words = ["run", "--suite", "qa,documents=3,questions=2", "--backend", "gist,ratio=8",
             "--suite", "vram,tokens=512,contexts=1", "--brief", "--out"]  # fmt: skip
    ray = start("harness.cli", *words, tmp_path / "ray", "--ray", cluster)
    assert gist_bench(*words, tmp_path / "one").code == 0
    err = ray.communicate(timeout=300)[1]
    assert ray.returncode == 0, err
    assert "Ray: 2 workers with 1 CPU core each" in err
    (one,), (many,) = (tmp_path / "one").iterdir(), (tmp_path / "ray").iterdir()
    assert many.name == one.name
    assert read(many) == read(one)
    checks = [json.loads((each / "run.json").read_text())["proofs"] for each in (one, many)]
    for entry in (entry for each in checks for entry in each):
        entry.pop("seconds", None)
    assert checks[0] == checks[1]


@pytest.mark.slow
def test_the_task_of_a_killed_worker_is_done_again(
    cluster: str, start: Start, tmp_path: Path
) -> None:
    """Nothing of it is lost and nothing is doubled."""
    gate = tmp_path / "gate"
    run = start("tests.support.drive_run", tmp_path / "out", gate, cluster)
    (first,) = until(lambda: list(tmp_path.glob("waiting-*")), run)
    os.kill(int(first.name.partition("-")[2]), signal.SIGKILL)
    until(lambda: [one for one in tmp_path.glob("waiting-*") if one != first], run)
    gate.mkdir()
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert "a worker died; another takes over what it had" in err
    alone = start("tests.support.drive_run", tmp_path / "alone", gate).communicate(timeout=120)[0]
    assert read(Path(out.strip())) == read(Path(alone.strip()))
    assert len(read(Path(out.strip()))) == 2 * (5 * 3 + 6 * 2)


@pytest.mark.slow
def test_a_run_that_was_stopped_and_killed_goes_on(
    cluster: str, start: Start, tmp_path: Path
) -> None:
    """After Ctrl-C and after SIGKILL, the same command ends with all rows, none of them twice."""
    gate, written = tmp_path / "gate", list[bytes]()
    for name, left in (("SIGINT", "interrupted"), ("SIGKILL", "running")):
        for waiting in tmp_path.glob("waiting-*"):
            waiting.unlink()
        run = start("tests.support.drive_run", tmp_path / "out", gate, cluster)
        until(lambda: list(tmp_path.glob("waiting-*")), run)
        (records,) = until(lambda: list(tmp_path.glob("out/*/records.csv")), run)
        run.send_signal(signal.Signals[name])
        run.communicate(timeout=60)
        assert status(records.parent) == left
        assert set(written) <= set(records.read_bytes().splitlines())
        written = records.read_bytes().splitlines()
    gate.mkdir()
    last = start("tests.support.drive_run", tmp_path / "out", gate, cluster)
    assert last.communicate(timeout=120)[0].strip() == str(records.parent)
    assert status(records.parent) == "finished"
    assert set(written) <= set(records.read_bytes().splitlines())
    keys = [
        (r["suite"], r["backend"], r["sample_id"], r["question_id"]) for r in read(records.parent)
    ]
    assert len(keys) == len(set(keys)) == 2 * (5 * 3 + 6 * 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "code", "left"),
    [
        ("init", -signal.SIGINT, []),
        ("loading", -signal.SIGINT, []),
        ("destructor", -signal.SIGINT, ["interrupted"]),
        ("shutdown", -signal.SIGINT, ["finished"]),
        ("twice", -signal.SIGINT, ["running"]),
        ("hang", 1, ["finished"]),
    ],
)
def test_ctrl_c_ends_a_run_whenever_it_comes(
    cluster: str, start: Start, tmp_path: Path, moment: str, code: int, left: list[str]
) -> None:
    """Also where Python would drop it; a second one at once; and a Ray that hangs is left."""
    out, gate = tmp_path / "out", tmp_path / "gate"
    run = start("tests.support.interrupted_run", moment, out, gate, cluster)
    err = run.communicate(timeout=60)[1]
    assert run.returncode == code, err
    assert [status(folder) for folder in out.glob("*")] == left


@pytest.mark.slow
def test_a_task_that_kills_its_workers_ends_the_run_in_one_line(
    start: Start, tmp_path: Path
) -> None:
    """It is named, and what was finished before is kept; in a Ray that the run starts itself."""
    pytest.importorskip("ray")
    backend = f"{FAKES}:Deadly"
    run = start("tests.support.drive_run", tmp_path / "out", "", "", backend)
    err = run.communicate(timeout=120)[1]
    assert "UserError: 3 workers died at sample 's3' of" in err
    (folder,) = (tmp_path / "out").iterdir()
    assert status(folder) == "failed"
    assert {row["sample_id"] for row in read(folder)} >= {"s1", "s2"}


@pytest.mark.slow
def test_nothing_runs_beside_a_suite_that_shows_costs(
    cluster: str, start: Start, tmp_path: Path
) -> None:
    """On a machine without GPUs one worker measures, and the other rests."""
    timed = [f"{FAKES}:Timed,folder={tmp_path},words={words}" for words in (9, 10)]
    run = start("tests.support.drive_run", tmp_path / "out", "", cluster, *timed)
    err = run.communicate(timeout=120)[1]
    assert run.returncode == 0, err
    spans: list[tuple[bool, float, float, str]] = []
    for path in (path for path in tmp_path.iterdir() if path.name.isdecimal()):
        for line in path.read_text().splitlines():
            began, ended, context = line.split(maxsplit=2)
            spans.append((context.rstrip().endswith("w"), float(began), float(ended), path.name))
    costs = [span for span in spans if span[0]]
    assert len(costs) == 2 * 3 * (1 + 2)
    assert len({pid for *_, pid in costs}) == 1
    for _, began, ended, _ in costs:
        assert not [s for s in spans if not s[0] and s[1] < ended and began < s[2]]


@pytest.mark.parametrize("lost_after", range(8))
def test_a_sweep_goes_on_where_a_worker_was_lost(lost_after: int) -> None:
    """The next worker tries nothing that is larger than what did not fit before."""
    one = OneProcess(FakeModel())
    suites = choose_suites([f"{FAKES}:Costs,sizes=1+2+3+4"])
    (plan,) = one.plans(suites, choose_backends([f"{FAKES}:Fake,full=2"]), [Settings()])
    (cell,) = plan.cells()

    def rows(cell: Cell, stopped: Collection[int]) -> Iterator[tuple[Sequence[Row], float]]:
        for done in finish(one.bench(8), [cell], lambda _: None, stopped):
            yield done.rows, done.seconds

    task = Task(cell, None)
    done = [task.take(*each) for each in islice(rows(cell, ()), lost_after)]
    left = replace(cell, samples=cell.samples[task.done :])
    done += [task.take(*each) for each in rows(left, task.stopped)]
    assert [one.controlled.sample.id for one in done] == [one.sample.id for one in cell.samples]
    assert [one.controlled.sample.id for one in done if not one.rows] == ["4x1", "4x2"]


def test_a_device_that_is_to_be_alone_is_given_to_one_worker() -> None:
    """Workers on other devices work at the same time; elsewhere all of them do."""
    workers = [Remote(None, device) for device in ("node 0", "node 1", "node 1")]
    free, owners = list(workers), dict[str, Remote]()
    assert [take_free(free, owners) for _ in range(3)] == [*workers[:2], None]
    free = list(workers)
    assert [take_free(free, None) for _ in range(4)] == [*workers, None]


@pytest.mark.parametrize(
    ("nodes", "threads", "on_gpus", "share"),
    [
        ([{"CPU": 64, "GPU": 8}], 1, True, Share(8, 1, 8)),
        ([{"CPU": 8}, {"CPU": 64, "GPU": 8}, {"CPU": 8, "GPU": 4}], 1, True, Share(12, 1, 2)),
        ([{"CPU": 64, "GPU": 8}], 16, False, Share(4, 0, 16)),
        ([{"CPU": 8}, {"CPU": 2}, {}], 1, True, Share(10, 0, 1)),
        ([{"CPU": 8}, {"CPU": 2}], 4, True, Share(5, 0, 2)),
    ],
)
def test_there_is_a_worker_for_each_gpu_or_core(
    nodes: list[dict[str, float]], threads: int, on_gpus: bool, share: Share
) -> None:
    """Each takes its part of its machine's cores, so that all of them find a place."""
    assert share_of(nodes, threads, on_gpus=on_gpus) == share


def test_workers_that_could_answer_otherwise_are_refused() -> None:
    """Another GPU, another version or other weights under the same path are named."""
    environment = {"python": "3.12", "processor": "A", "threads": 1, "packages": {"torch": "2"}}
    first = Facts("10.0.0.1", "x 0", environment, "c", "f")
    first.refuse_unlike(Facts("10.0.0.2", "y 0", environment, "c", "f"))
    other = Facts("10.0.0.2", "y 0", {**environment, "processor": "B"}, "c", "g")
    with pytest.raises(UserError, match=r"10.0.0.2 differ \(processor A -> B; weights .* f -> g"):
        first.refuse_unlike(other)


def test_without_ray_one_line_says_what_to_type(
    gist_bench: GistBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is loaded before."""
    monkeypatch.setattr(clusters, "find_spec", lambda _: None)
    code, _, err = gist_bench("run", "--ray")
    assert (code, err.count("\n")) == (2, 1)
    assert 'pip install "gist-bench[ray]"' in err


def test_doctor_knows_ray_as_optional() -> None:
    """Where it is missing, doctor says what to type."""
    (ray,) = [package for package in find_packages(requirements()) if package.name == "ray"]
    assert ray.extra == "ray"
    assert replace(ray, version=None).advice.endswith('(optional): pip install "gist-bench[ray]"')


def test_what_ray_cannot_be_used_for_is_refused(gist_bench: GistBench) -> None:
    """A model behind a server, and an address for another way into a cluster."""
    code, _, err = gist_bench("run", "--model", "http://localhost:1/v1#m", "--ray")
    assert (code, "--ray does not apply to a served model" in err) == (2, True)
    code, _, err = gist_bench("run", "--ray", "ray://head:10001")
    assert (code, "--ray auto or HOST:PORT" in err) == (2, True)


@pytest.mark.slow
def test_an_address_where_nothing_listens_is_refused(gist_bench: GistBench) -> None:
    """At once, in one line; Ray itself would try for minutes."""
    pytest.importorskip("ray")
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        code, _, err = gist_bench("run", "--ray", address)
    assert (code, f"Ray at {address} cannot be reached" in err) == (2, True)
