"""A run keeps what was asked about what, unless it is told not to, and older runs do without."""

import gzip
import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.run.choose import choose_backends, choose_suites
from harness.run.contexts import CONTEXTS, read_contexts
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.runner import run
from harness.run.texts import read_texts
from tests.support.fakes import FakeModel

SUITE = "tests.support.fakes:Scored,contexts=2"
FAKE = "tests.support.fakes:Fake"


def executed(out: Path, *, contexts: bool = True) -> Path:
    """Run two contexts with two backends and return the folder."""
    model = FakeModel()
    backends = choose_backends([FAKE, f"shuffled({FAKE})"])
    plan = make_plan(model, choose_suites([SUITE]), backends, Settings())
    return run(plan, OneProcess(model), out=out, command="test", contexts=contexts)


def test_each_context_is_kept_once_with_what_proves_the_answers(tmp_path: Path) -> None:
    """Whatever the number of backends and questions."""
    folder = executed(tmp_path)
    with gzip.open(folder / CONTEXTS, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert [(line["suite"], line["sample_id"]) for line in lines] == [(SUITE, "s1"), (SUITE, "s2")]
    found = read_contexts(folder, {(SUITE, "s2")})
    assert list(found) == [(SUITE, "s2")]
    (context,) = found.values()
    assert context.text == lines[1]["context"] != ""
    assert context.support["q0"]


def test_a_run_without_contexts_keeps_none(tmp_path: Path) -> None:
    """Nor does it leave those of the same run made before."""
    folder = executed(tmp_path)
    assert (folder / CONTEXTS).is_file()
    assert executed(tmp_path, contexts=False) == folder
    assert not (folder / CONTEXTS).exists()
    assert read_contexts(folder, {(SUITE, "s1")}) == {}


def test_the_same_run_has_the_same_bytes(tmp_path: Path) -> None:
    """A resumed run does not differ from an uninterrupted one."""
    first, second = (executed(tmp_path / name) / CONTEXTS for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\x1f\x8b", b"no gzip", gzip.compress(b"{"), gzip.compress(b"[]\n")],
    ids=["empty", "cut", "no gzip", "no JSON", "no object"],
)
def test_damaged_contexts_are_named(tmp_path: Path, damaged: bytes) -> None:
    """One line says which file it is and what to do; an empty one has no contexts."""
    (tmp_path / CONTEXTS).write_bytes(damaged)
    if not damaged:
        assert read_contexts(tmp_path, {("qa", "s1")}) == {}
        return
    with pytest.raises(UserError, match=r"contexts\.jsonl\.gz is damaged: .* Remove it"):
        read_contexts(tmp_path, {("qa", "s1")})


def test_questions_and_passages_are_read_for_the_wanted_rows_alone(tmp_path: Path) -> None:
    """By suite, sample and question, for every backend; a torn last line is left out."""
    folder = executed(tmp_path)
    wanted = {(SUITE, "s2", "q1")}
    found = list(read_texts(folder, wanted))
    assert [one.backend for one in found] == [FAKE, f"shuffled({FAKE})"]
    assert {one.key for one in found} == wanted
    assert found[0].question
    assert json.loads(found[0].evidence)
    with (folder / "records.csv").open("a", encoding="utf-8") as file:
        file.write(f'"{SUITE}",{FAKE},fake,s2,q1,"torn')
    assert list(read_texts(folder, wanted)) == found
    assert list(read_texts(folder, set())) == []
