"""Controls: which of them run, and that each of them reads what it says."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from backends.full import Full
from backends.gist import Gist
from backends.kv.cached import CachedContext
from backends.mean_pool import MeanPool
from harness.api import Question, Sample, Tokenizer
from harness.errors import UserError
from harness.run.choose import choose_backends, choose_suites
from harness.run.controls import CONTROLS, split_control, wrap
from harness.run.engine import OneProcess
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.rows import read_rows
from harness.run.runner import run
from tests.support.fakes import FakeModel
from tests.support.rows import frame_of
from tests.support.tiny_adapter import save_tiny_adapter

if TYPE_CHECKING:
    import torch

    from gist.models.model import LanguageModel

FAKE = "tests.support.fakes:Fake"
SUPPORTED = "tests.harness.run.test_controls:Supported"

CONTEXT = "The amber harp is in hall 7. The red cup is in hall 4. A boat left. Mira has room 12."
QUESTIONS = ["Which hall holds the harp?", "Room of Mira?"]


@dataclass
class Supported:
    """Contexts of several sizes; of three questions one has no support, two share theirs."""

    contexts: int = 5
    same: bool = False  # all contexts are the same text
    support: bool = True

    metrics: ClassVar[tuple[str, ...]] = ("right",)
    slice_names: ClassVar[tuple[str, ...]] = ("kind",)

    def samples(self, tokenizer: Tokenizer, seed: int) -> Iterator[Sample]:
        """Yield documents of 2, 3, ... words; the fake backend answers with the last one."""
        del tokenizer, seed
        for number in range(self.contexts):
            last = "end" if self.same else f"end{number}"
            words = ["w"] * (1 if self.same else 1 + number) + [last]
            support = ("it is", f"the {last}") if self.support else ()
            questions = (
                Question("a", "Last?", (last,), {"kind": "k"}, support),
                Question("b", "None?", (), {"kind": "k"}),
                Question("c", "Last again?", (last,), {"kind": "k"}, support),
            )
            yield Sample(f"s{number}", " ".join(words), questions, 5)

    def score(self, question: Question, answer: str, context: str) -> Mapping[str, float]:
        """Return whether the answer is a target; the context is that of the question."""
        assert not question.targets or context.endswith(question.targets[0])
        return {"right": float(answer in question.targets)}


def execute(
    out: Path, suites: list[str], backends: list[str], **settings: int
) -> tuple[list[dict[str, str]], dict[str, object]]:
    """Run suites with backends; return the rows and run.json."""
    model = FakeModel()
    plan = make_plan(model, choose_suites(suites), choose_backends(backends), Settings(**settings))
    folder = run(plan, OneProcess(model), out=out, command="test")
    with (folder / "records.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), json.loads((folder / "run.json").read_text())


def test_a_configurations_name_is_taken_apart_as_it_was_put_together() -> None:
    """The control stands around the spec, and nothing else in parentheses is one."""
    for control, spec in (("shuffled", "gist,ratio=8"), ("oracle", "full"), ("", "a:B,c=d(e)")):
        assert split_control(wrap(control, spec)) == (control, spec)


def test_the_former_name_of_a_control_is_accepted() -> None:
    """`swapped(...)`, on a command line or in older rows, is `shuffled(...)`."""
    (choice,) = choose_backends(["swapped(full)"])
    assert choice.name == "shuffled(full)"
    assert split_control("swapped(gist,ratio=8)") == ("shuffled", "gist,ratio=8")


def test_rows_with_the_former_name_of_a_control_are_read_with_the_present_one(
    tmp_path: Path,
) -> None:
    """So are the notes of run.json on them: a failed check marks the same rows."""
    execute(tmp_path, [SUPPORTED], [FAKE, f"shuffled({FAKE})"])
    for path in [*tmp_path.glob("*/records.csv"), *tmp_path.glob("*/run.json")]:
        path.write_text(path.read_text().replace("shuffled(", "swapped("))
    (path,) = tmp_path.glob("*/run.json")
    failed = {"name": "n", "measured": "1", "limit": "0", "passed": False}
    entry = {"backends": [f"swapped({FAKE})"], "proofs": [failed]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"proofs": [entry]}))
    rows = read_rows([tmp_path])
    assert set(frame_of(rows)["backend"]) == {FAKE, f"shuffled({FAKE})"}
    assert rows.metadata[0].invalid == {f"shuffled({FAKE})"}


def test_shuffled_reads_another_context_and_is_scored_by_its_own(tmp_path: Path) -> None:
    """Every question is asked of another sample's context; its targets and tokens are its own."""
    rows, run_json = execute(tmp_path, [SUPPORTED], [FAKE, f"shuffled({FAKE})"])
    own = {row["sample_id"]: row for row in rows if row["backend"] == FAKE}
    shuffled = [row for row in rows if row["backend"] == f"shuffled({FAKE})"]
    assert len(shuffled) == 15
    for row in shuffled:
        assert row["answer"].startswith("end")
        assert row["answer"] != own[row["sample_id"]]["answer"]
        assert row["context_tokens"] == own[row["sample_id"]]["context_tokens"]
        assert row["right"] == "0"
    assert {own[row["sample_id"]]["right"] for row in shuffled} == {"1"}
    assert run_json["notices"] == []


def test_pairs_are_fixed_by_the_seed_and_of_like_size() -> None:
    """The same seed gives the same pairs, and an even number of samples is shuffled in pairs."""
    samples = tuple(Supported(contexts=8).samples(FakeModel().tokenizer, 0))
    controlled = CONTROLS["shuffled"](samples, 3).samples
    assert controlled == CONTROLS["shuffled"](samples, 3).samples
    read = [each.assignments[0].context for each in controlled]
    assert sorted(read) == sorted(sample.context for sample in samples)
    sizes = [
        abs(len(a.split()) - len(s.context.split())) for a, s in zip(read, samples, strict=True)
    ]
    assert max(sizes) == 1


def test_pairs_of_equal_sizes_depend_on_the_seed() -> None:
    """Among contexts of one size chance decides."""
    samples = tuple(Sample(f"s{k}", f"word{k}", (), 1) for k in range(8))
    drawn = {
        tuple(each.assignments[0].context for each in CONTROLS["shuffled"](samples, seed).samples)
        for seed in range(5)
    }
    assert len(drawn) > 1


def test_a_context_is_never_shuffled_with_itself(tmp_path: Path) -> None:
    """The same text under another id is the same document: without another one there is no row."""
    rows, run_json = execute(tmp_path, [f"{SUPPORTED},same=true"], [FAKE, f"shuffled({FAKE})"])
    assert {row["backend"] for row in rows} == {FAKE}
    assert run_json["notices"] == [
        f"shuffled({FAKE}) in {SUPPORTED},same=true left out: there is only one context."
    ]
    samples = [Sample(f"s{k}", text, (), 1) for k, text in enumerate("aaabaa")]
    controlled = CONTROLS["shuffled"](samples, 0).samples
    assert all(each.assignments[0].context != each.sample.context for each in controlled)
    assert len(controlled) == 6


def test_the_oracle_reads_the_supporting_sentences(tmp_path: Path) -> None:
    """Each question with support is asked about it; the others have no row, but a notice."""
    rows, run_json = execute(tmp_path, [SUPPORTED], [f"oracle({FAKE})"])
    assert [(row["sample_id"], row["question_id"]) for row in rows] == [
        (f"s{k}", question) for k in range(5) for question in "ac"
    ]
    assert {row["context_entries"] for row in rows} == {"4"}  # it is the endN
    assert [row["context_tokens"] for row in rows[::2]] == ["2", "3", "4", "5", "6"]
    assert {row["right"] for row in rows} == {"1"}
    assert run_json["notices"] == [
        f"oracle({FAKE}) in {SUPPORTED} in part: 5 of 15 questions have no supporting sentences."
    ]


def test_without_any_support_the_oracle_is_left_out(tmp_path: Path) -> None:
    """It is never given an empty context."""
    rows, run_json = execute(tmp_path, [f"{SUPPORTED},support=false"], [FAKE, f"oracle({FAKE})"])
    assert {row["backend"] for row in rows} == {FAKE}
    (notice,) = run_json["notices"]
    assert "left out: all 15 questions have no supporting sentences" in notice


def test_questions_with_different_support_are_different_batches() -> None:
    """A batch has one time: questions that were asked apart have batches of their own."""
    questions = tuple(Question(str(k), "?", ("x",), {}, (f"support {k}",)) for k in range(3))
    (controlled,) = CONTROLS["oracle"]([Sample("s", "text", questions, 1)], 0).samples
    assert [assignment.context for assignment in controlled.assignments] == [
        "support 0",
        "support 1",
        "support 2",
    ]
    assert len({assignment.label for assignment in controlled.assignments}) == 3


def test_a_run_with_controls_is_resumed(tmp_path: Path) -> None:
    """Rows of a control that were lost are made again, and only they."""
    configurations = [FAKE, f"oracle({FAKE})", f"shuffled({FAKE})"]
    whole, _ = execute(tmp_path, [SUPPORTED], configurations)
    (path,) = tmp_path.glob("*/records.csv")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:21]))  # within the oracle's third sample
    again, _ = execute(tmp_path, [SUPPORTED], configurations)
    facts = ("backend", "sample_id", "question_id", "answer", "batch_id")
    assert [[row[name] for name in facts] for row in again] == [
        [row[name] for name in facts] for row in whole
    ]
    assert path.read_bytes().splitlines(keepends=True)[:20] == lines[:20]


def test_controls_of_reading_run_where_answers_are_scored(tmp_path: Path) -> None:
    """Another document's context costs what its own does: in cost suites there is no such row."""
    rows, _ = execute(tmp_path, ["tests.support.fakes:Costs"], [FAKE, f"shuffled({FAKE})"])
    assert {row["backend"] for row in rows} == {FAKE}


def test_an_unknown_control_is_a_mistake() -> None:
    """Only the controls can be written around a spec."""
    with pytest.raises(UserError, match=r"unknown control 'best' .*oracle\(...\), shuffled"):
        choose_backends(["best(full)"])


def test_controls_go_with_the_gist_configurations_that_are_chosen() -> None:
    """Each gist configuration gets controls with the options that both have; others come once."""
    chosen = choose_backends(["gist,ratio=8,checkpoint=here", "gist,ratio=32"], controls=True)
    names = [choice.name for choice in chosen]
    assert names == [
        "gist,checkpoint=here,ratio=8",
        "gist,ratio=32",
        "full",
        "closed_book",
        "oracle(full)",
        "full,adapter=on,checkpoint=here",
        "full,adapter=on",
        "closed_book,adapter=on,checkpoint=here",
        "closed_book,adapter=on",
        "truncate,ratio=8",
        "truncate,ratio=32",
        "mean_pool,ratio=8",
        "mean_pool,ratio=32",
        "gist,checkpoint=here,ratio=8,untrained=true",
        "gist,ratio=32,untrained=true",
        "gist,checkpoint=here,embeddings=random,ratio=8",
        "gist,embeddings=random,ratio=32",
        "shuffled(gist,checkpoint=here,ratio=8)",
        "shuffled(gist,ratio=32)",
    ]
    assert all(choice.scored_only for choice in chosen[2:])


def test_a_default_run_has_the_default_controls_and_no_others() -> None:
    """Controls that cost more run with --controls."""
    default = {choice.name for choice in choose_backends([])}
    assert {"full,adapter=on", "closed_book,adapter=on"} <= default
    assert not {"mean_pool", "shuffled(gist)", "oracle(full)"} & default
    assert {"mean_pool", "shuffled(gist)", "oracle(full)"} <= {
        choice.name for choice in choose_backends([], controls=True)
    }


def test_without_gists_there_is_nothing_to_control() -> None:
    """Without a gist configuration there are full, closed_book and the oracle."""
    names = [choice.name for choice in choose_backends(["rag"], controls=True)]
    assert names == ["rag", "full", "closed_book", "oracle(full)"]


def entries(state: CachedContext) -> list[list["torch.Tensor"]]:
    """Return the keys and values of each layer of a prepared context."""
    return [[layer.keys, layer.values] for layer in state.state.cache.layers]


def test_groups_of_one_entry_are_the_full_cache(tiny_model: "LanguageModel") -> None:
    """Pooled to as many entries as there are, keys and values are what the model has read."""
    import torch

    pooled = MeanPool(tiny_model, ratio=1).prepare(CONTEXT)
    full = Full(tiny_model).prepare(CONTEXT)
    for mine, theirs in zip(entries(pooled), entries(full), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    asked = {"max_new_tokens": 8}
    assert pooled.generate(QUESTIONS, **asked) == full.generate(QUESTIONS, **asked)


def test_equal_tokens_are_averaged_without_their_positions(tiny_model: "LanguageModel") -> None:
    """In the first layer a key is a token turned by its position: its mean is that token's key."""
    import torch

    text = "a" * 12  # one token per byte
    ((keys, values), *_) = entries(MeanPool(tiny_model, tokens=3).prepare(text))
    ((read, theirs), *_) = entries(Full(tiny_model).prepare(text))
    start = len(tiny_model.prompt.before)
    assert keys.shape[2] == start + 3
    inside = [start + at for at in (2, 6, 10)]  # the middles of groups of four
    torch.testing.assert_close(keys[:, :, start:], read[:, :, inside], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values[:, :, start:], theirs[:, :, inside], atol=1e-5, rtol=1e-5)
    straw = read[:, :, start:].unflatten(2, (3, 4)).mean(3)
    assert not torch.allclose(keys[:, :, start:], straw, atol=1e-2)


def test_pooling_keeps_before_and_the_positions_that_follow(tiny_model: "LanguageModel") -> None:
    """What stands before the context is kept as it is; questions stand where they would stand."""
    import torch

    pooled = MeanPool(tiny_model, tokens=5).prepare(CONTEXT)
    full = Full(tiny_model).prepare(CONTEXT)
    start = len(tiny_model.prompt.before)
    for mine, theirs in zip(entries(pooled), entries(full), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert torch.equal(one[:, :, :start], other[:, :, :start])
    assert pooled.state.next_position == full.state.next_position
    assert pooled.state.entries == start + 5
    assert pooled.held_bytes == full.held_bytes * (start + 5) // full.state.entries


@pytest.mark.parametrize("embeddings", ["trained", "random"])
def test_random_embeddings_change_the_gists_alone(
    tiny_model: "LanguageModel", tmp_path: Path, embeddings: str
) -> None:
    """With random embeddings the LoRA weights are the trained ones; the gist embeddings are not."""
    import torch
    from safetensors.torch import load_file

    folder = save_tiny_adapter(tiny_model, tmp_path / "adapter")
    trained = load_file(folder / "adapter_model.safetensors")
    backend = Gist(tiny_model, checkpoint=folder, embeddings=embeddings)
    now = dict(tiny_model.model.named_parameters())
    found = {}
    for name, value in trained.items():
        own = name.removeprefix("base_model.model.").replace(".weight", ".default.weight")
        own = own.replace("gist_rows.default", "gist_rows.modules_to_save.default")
        found[name] = torch.equal(now[own], value)
    backend.close()
    rows = [name for name in found if "gist_rows" in name]
    assert len(rows) == 1
    assert found[rows[0]] == (embeddings == "trained")
    assert all(same for name, same in found.items() if name not in rows)
