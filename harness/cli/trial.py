"""The steps of `gist-bench try`: questions, perhaps a training, samples that fit, their answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import typed_command
from harness.errors import UserError

if TYPE_CHECKING:
    from gist.models.model import LanguageModel
    from harness.api import Sample
    from harness.run.choose import Choice

CONTEXT_TOKENS = 2048  # of a context: several fit into a few minutes on a CPU
QUESTIONS = 12  # about each context
FIRST = 4  # questions that are asked to see how long the others take
SUITE = "hallucination"  # asks what the document answers, and what it does not
HEADLINE = "contains"  # of the questions that it answers
WAYS = ("closed_book", "rag", "full")
WITH_ADAPTER = ("gist,ratio={ratio:g}", "full,adapter=on")  # if the model has an adapter
RATIO = 4  # context tokens per gist, or the next more that the adapter was trained for
TEST_SHARE = 0.34  # of the documents, with --train


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The options of the command, as `gist-bench try --help` describes them."""

    data: str | None
    teacher: str
    minutes: float
    train: int
    backends: tuple[str, ...]
    out: Path
    model_name: str
    device: str | None
    dtype: str | None
    load_in_4bit: bool
    shots: int
    seed: int
    restart: bool

    @property
    def adapter(self) -> Path:
        """Where --train puts its adapter."""
        return self.out / "training" / "adapter"


def say(text: str) -> None:
    """Print progress to stderr."""
    click.echo(text, err=True)


def make_questions(paths: Sequence[Path], trial: Trial) -> str:
    """Make questions, and return the file of those that are asked."""
    from harness.cli.make_qa import progress
    from harness.makeqa.job import Options, make_qa

    out, test = trial.out / "questions.jsonl", trial.out / "questions.test.jsonl"
    say(f"Questions are made by {trial.teacher}: {out}")
    options = Options(
        teacher=trial.teacher,
        out=out,
        test_out=test if trial.train else None,
        test_share=TEST_SHARE,
        model_name=trial.model_name,
        min_tokens=None,
        max_tokens=None,
        at_most=CONTEXT_TOKENS,
        questions=QUESTIONS,
        no_closed_book_filter=True,  # closed_book answers all of them below
        key_env=None,
        parallel=1,
        device=trial.device,
        load_in_4bit=trial.load_in_4bit,
        shots=trial.shots,
        seed=trial.seed,
        restart=False,
    )
    made = make_qa(paths, options, notify=say, progress=progress)
    if made.empty:
        raise UserError(
            f"no question could be made for {made.empty[0]}. Give longer documents, a --teacher "
            "that is a model, or your own questions with --data."
        )
    return str(test if trial.train else out)


def train(trial: Trial) -> None:
    """Train an adapter, from the model's own if it has one, unless that is done."""
    from harness.cli.train import train_on

    if (trial.adapter / "gist.json").is_file():
        return
    settings = {
        "model": trial.model_name,
        "max_steps": trial.train,
        "load_in_4bit": trial.load_in_4bit,
        "seed": trial.seed,
        "shots": trial.shots,
        **_from_own_adapter(trial.model_name),
        "sources": {"documents": f"qa,data={trial.out / 'questions.jsonl'}"},
    }
    say(f"A gist adapter is trained for {trial.train} steps: {trial.adapter}")
    output = trial.adapter.parent
    train_on(settings, output=output, resume=output.is_dir())


def _own_adapter(model_name: str) -> Path | None:
    """Return the folder of the adapter that comes with a model, if one does."""
    from gist.models import shipped

    known = shipped.find(model_name)
    return known.adapter if known and (known.adapter / "gist.json").is_file() else None


def _from_own_adapter(model_name: str) -> dict[str, Any]:
    """Return the settings to go on from the adapter that comes with a model; none: from nothing."""
    from gist.checkpoint import read_card

    folder = _own_adapter(model_name)
    if folder is None:
        return {}
    card = read_card(folder)
    recipe = dict(card.training.get("recipe", {}))
    names = ("placement", "positions", "segment_tokens", "keep_prefix", "embeddings", "rank")
    kept = {name: recipe[name] for name in (*names, "alpha", "targets", "rows") if name in recipe}
    return {**kept, "init_adapter": str(folder), "ratios": list(card.ratios)}


def _with_adapter(folder: Path | None) -> list[str]:
    """Return the backends that need an adapter, gists at a ratio that it was trained for."""
    from gist.checkpoint import read_card

    ratios = read_card(folder).ratios if folder else ()
    ratio = min((each for each in ratios if each >= RATIO), default=RATIO)
    return [spec.format(ratio=ratio) for spec in WITH_ADAPTER]


def ways_of(trial: Trial) -> "list[Choice]":
    """Return the backends; those with the adapter are left out where the model has none."""
    from harness.run.choose import choose_backends

    if trial.train:
        adapter = f",checkpoint={trial.adapter}"
        trained = (f"{spec}{adapter}" for spec in _with_adapter(trial.adapter))
        return choose_backends([*WAYS, *trained])
    own = _with_adapter(_own_adapter(trial.model_name))
    optional = [replace(choice, named=False) for choice in choose_backends(own)]
    return [*choose_backends(WAYS), *optional]


def read_samples(model: "LanguageModel", data: str, trial: Trial) -> "list[Sample]":
    """Return all contexts of the data with their questions."""
    from harness.run.choose import choose_suites

    ((_, suite),) = choose_suites([spec_of(data)])
    return list(suite.samples(model.tokenizer, trial.seed))


def spec_of(data: str | Path) -> str:
    """Return the spec of the suite that asks about a file."""
    from harness.run.spec import Spec

    return str(Spec(SUITE, {"data": str(data)}))


def choose_samples(
    model: "LanguageModel", samples: "list[Sample]", ways: "list[Choice]", trial: Trial
) -> "tuple[list[Sample], float]":
    """Return the samples that fit into the time, and how many seconds all would take.

    One context of middle length is asked about first, which says how long the others take.
    """
    from harness.report.costs import measured
    from harness.run.rows import read_rows
    from harness.run.spread import Rate, fewer, fit

    middle = sorted(samples, key=lambda sample: len(sample.context))[len(samples) // 2]
    say("One context is asked about first, to see how long the others take.")
    folder = run_ways(
        model, trial.out / "first.jsonl", [fewer(middle, FIRST)], ways, trial, checks=False
    )
    rows = read_rows([folder]).suites.values()
    of_backends = [own for part in rows for own in map(part.of, part.backends)]
    costs = [measured(own) for own in of_backends if own.has("prepare_s")]
    if not costs:
        return samples, 0.0  # nothing can be read: every backend will say why
    rate = Rate(
        read_s=sum(cost.prepare_s for cost in costs) / len(middle.context),
        question_s=sum(cost.question_s for cost in costs),
    )
    return fit(samples, rate, trial.minutes * 60), rate.seconds(samples)


def run_ways(
    model: "LanguageModel",
    file: Path,
    samples: "Sequence[Sample]",
    ways: "list[Choice]",
    trial: Trial,
    *,
    checks: bool = True,
) -> Path:
    """Write the samples to a file, run them, and return the run's folder."""
    from harness.checks.run import run_checks
    from harness.run.choose import choose_suites
    from harness.run.engine import OneProcess
    from harness.run.plan import Settings
    from harness.run.planning import make_plan
    from harness.run.runner import run
    from harness.run.spread import write_samples

    write_samples(file, samples)
    plan = make_plan(model, choose_suites([spec_of(file)]), ways, Settings(seed=trial.seed))
    tested = OneProcess(model, partial(run_checks, model)) if checks else OneProcess(model)
    return run(
        plan,
        tested,
        out=trial.out / "runs",
        command=typed_command(),
        headline=HEADLINE,
    )
