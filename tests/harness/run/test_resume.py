"""A run can be killed at any moment: the same command goes on and loses or doubles nothing."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.run import plugins
from harness.run.choose import choose_backends, choose_suites
from harness.run.engine import OneProcess
from harness.run.environment import code_hash
from harness.run.plan import Plan, Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from tests.support.fakes import FakeModel
from tests.support.processes import Start

MEASURED = ("prepare_s", "generate_s", "prepare_waited_s", "generate_waited_s", "baseline_bytes",
            "prepare_peak_bytes", "generate_peak_bytes")  # fmt: skip


def wait_for_rows(out: Path, rows: int, process: subprocess.Popen[str]) -> Path:
    """Return the records once they have so many rows."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for path in out.glob("*/records.csv"):
            if path.read_bytes().count(b"\n") > rows:
                return path
        time.sleep(0.01)
    raise AssertionError(f"no rows: {process.communicate()[1]}")


def facts(path: Path) -> list[dict[str, str]]:
    """Return the rows without what differs from one measurement to the next."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name not in MEASURED}
            for row in csv.DictReader(file)
        ]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_ends_as_if_it_had_not_been_killed(tmp_path: Path, start: Start) -> None:
    """After SIGKILL within a sample, the same command makes the same records."""
    gate = tmp_path / "gate"
    first = start("tests.support.drive_run", tmp_path / "out", gate)
    path = wait_for_rows(tmp_path / "out", 6, first)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert json.loads(path.with_name("run.json").read_text())["status"] == "running"
    with path.open("ab") as file:
        file.write(path.read_bytes()[-40:-10])  # what a kill within a write leaves
    before = path.read_bytes().splitlines()[:7]

    gate.mkdir()
    second = start("tests.support.drive_run", tmp_path / "out", gate)
    assert second.communicate(timeout=60)[0].strip() == str(path.parent)
    whole = start("tests.support.drive_run", tmp_path / "whole", gate)
    uninterrupted = Path(whole.communicate(timeout=60)[0].strip()) / "records.csv"
    assert facts(path) == facts(uninterrupted)
    assert len(facts(path)) == 2 * (5 * 3 + 6 * 2)
    assert path.read_bytes().splitlines()[:7] == before
    assert json.loads(path.with_name("run.json").read_text())["status"] == "finished"


def test_a_second_process_is_refused(tmp_path: Path, start: Start) -> None:
    """While one process writes to a folder, another cannot."""
    gate = tmp_path / "gate"
    first = start("tests.support.drive_run", tmp_path / "out", gate)
    path = wait_for_rows(tmp_path / "out", 6, first)
    second = start("tests.support.drive_run", tmp_path / "out", gate)
    assert f"process {first.pid} is writing to {path.parent}" in second.communicate(timeout=60)[1]
    gate.mkdir()
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert len(facts(path)) == 2 * (5 * 3 + 6 * 2)


def plan(model: FakeModel, suite: str = "tests.support.fakes:Scored", **settings: int) -> Plan:
    """Return a plan of one suite and one backend."""
    suites, backends = choose_suites([suite]), choose_backends(["tests.support.fakes:Fake,full=2"])
    return make_plan(model, suites, backends, Settings(**settings))


def test_a_finished_run_asks_nothing_again(tmp_path: Path) -> None:
    """The same command after the end changes no byte and asks no question, in sweeps too."""
    for suite in ("tests.support.fakes:Scored", "tests.support.fakes:Costs,sizes=1+2+3+4"):
        model = FakeModel()
        folder = run(plan(model, suite), OneProcess(model), out=tmp_path, command="first")
        before = {path: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}
        again = FakeModel()
        assert run(plan(again, suite), OneProcess(again), out=tmp_path, command="second") == folder
        assert {path: path.read_bytes() for path in before} == before
        assert "prepare" not in again.log


def test_a_part_of_a_sample_is_done_again(tmp_path: Path) -> None:
    """Rows of a sample that has fewer rows than questions are dropped, others kept."""
    model = FakeModel()
    folder = run(plan(model), OneProcess(model), out=tmp_path, command="first")
    path = folder / "records.csv"
    whole, lines = facts(path), path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-5]))
    run(plan(model), OneProcess(model), out=tmp_path, command="second")
    assert facts(path) == whole
    assert path.read_bytes().splitlines(keepends=True)[:4] == lines[:4]


def test_restart_starts_over(tmp_path: Path) -> None:
    """With restart every sample is run again."""
    model = FakeModel()
    folder = run(plan(model), OneProcess(model), out=tmp_path, command="first")
    (folder / "records.csv").write_text("edited\nby hand\n")
    with pytest.raises(UserError, match="--restart"):
        run(plan(model), OneProcess(model), out=tmp_path, command="second")
    again = FakeModel()
    assert (
        run(plan(again), OneProcess(again), out=tmp_path, command="third", restart=True) == folder
    )
    assert "prepare" in again.log
    assert len(facts(folder / "records.csv")) == 9


@pytest.mark.parametrize("change", ["python", "processor", "torch"])
def test_a_changed_environment_is_refused_by_name(tmp_path: Path, change: str) -> None:
    """Rows of two environments never share a file; the message says what has changed."""
    model = FakeModel()
    folder = run(plan(model), OneProcess(model), out=tmp_path, command="first")
    path = folder / "run.json"
    text = json.loads(path.read_text())
    place = text["environment"] if change != "torch" else text["environment"]["packages"]
    place[change] = "another"
    path.write_text(json.dumps(text))
    before = (folder / "records.csv").read_bytes()
    with pytest.raises(UserError, match=rf"{change} another -> .*--restart"):
        run(plan(model), OneProcess(model), out=tmp_path, command="second")
    assert (folder / "records.csv").read_bytes() == before
    assert (
        run(plan(model), OneProcess(model), out=tmp_path, command="third", restart=True) == folder
    )
    assert json.loads(path.read_text())["environment"] != text["environment"]


def test_what_could_change_a_row_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Model, prompt, options, seed, limit, batch size and the content of files name the folder."""
    data = tmp_path / "data.jsonl"
    data.write_text("one")
    suite = f"tests.support.fakes:Scored,data={data}"

    def folder(model: FakeModel, suite: str = suite, **settings: int) -> str:
        return run(
            plan(model, suite, **settings), OneProcess(model), out=tmp_path / "out", command="c"
        ).name

    first = folder(FakeModel())
    assert folder(FakeModel()) == first
    others = [
        folder(FakeModel(name="other")),
        folder(FakeModel(fingerprint="f2")),
        folder(FakeModel(prompt_hash="p2")),
        folder(FakeModel(), suite=suite + ",questions=2"),
        folder(FakeModel(), seed=1),
        folder(FakeModel(), limit=2),
        folder(FakeModel(), batch_size=4),
    ]
    data.write_text("two")
    others.append(folder(FakeModel()))
    assert len({first, *others}) == 1 + len(others)


def test_other_code_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in that was edited does not add its rows to those of the one before."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "edited_plug_in.py"
    module.write_text("from tests.support.fakes import Scored as Base\nclass Mine(Base): pass\n")
    kind = plugins.load(plugins.SUITES, "edited_plug_in:Mine")
    before = code_hash([kind])
    assert code_hash([kind, kind]) == before
    module.write_text(module.read_text() + "# edited\n")
    assert code_hash([kind]) != before


def test_run_json_says_how_the_rows_were_made(tmp_path: Path) -> None:
    """Configuration, command, versions, machine and times stand beside the records."""
    model = FakeModel()
    folder = run(
        plan(model, seed=3), OneProcess(model), out=tmp_path, command="gist-bench run --seed 3"
    )
    run_json = json.loads((folder / "run.json").read_text())
    assert run_json["command"] == "gist-bench run --seed 3"
    assert run_json["configuration"]["seed"] == 3
    assert (
        run_json["configuration"]["backends"]["tests.support.fakes:Fake,full=2"]["options"]["mib"]
        == "0"
    )
    assert run_json["environment"]["packages"]["torch"]
    assert run_json["environment"]["processor"]
    assert run_json["started"] <= run_json["finished"]
