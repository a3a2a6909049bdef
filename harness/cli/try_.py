"""`gist-bench try`: from documents to a verdict in one command."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.cli.completing import complete_spec
from harness.cli.options import (
    PATH,
    documents_model_options,
    has_colours,
    load,
    seed_option,
    terminal_width,
)
from harness.cli.trial import (
    Trial,
    choose_samples,
    make_questions,
    read_samples,
    run_ways,
    spec_of,
    train,
    ways_of,
)
from harness.files import write_whole

if TYPE_CHECKING:
    from harness.api import Sample
    from harness.report.verdict import Verdict


@click.command(name="try")
@click.argument("paths", metavar="DOCS...", nargs=-1, type=PATH)
@click.option(
    "--data",
    metavar="FILE",
    help="Ask these questions instead of made ones: JSONL, or PREFIX:FILE.",
)
@documents_model_options
@click.option(
    "--teacher",
    metavar="T",
    default="rules",
    show_default=True,
    help="What writes the questions: rules, hf:NAME, a model's folder, or a server's address.",
)
@click.option(
    "--minutes",
    metavar="N",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time for the answers. As many questions are asked as fit, spread over the documents.",
)
@click.option(
    "--train",
    metavar="STEPS",
    type=click.IntRange(min=0),
    default=0,
    help="First train a gist adapter for so many steps, on two thirds of the documents.",
)
@click.option(
    "--backend",
    "backends",
    metavar="SPEC",
    multiple=True,
    shell_complete=complete_spec,
    help="A further backend: name,option=value,... Can be given several times.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("gist-bench-try"),
    show_default=True,
    help="Folder for the questions, the rows and report.html.",
)
@seed_option
@click.option("--restart", is_flag=True, help="Delete what an earlier try wrote there.")
def command(*, paths: tuple[Path, ...], **given: Any) -> None:
    """Compare full context, RAG and gist tokens on your documents, and say which to choose.

    Questions are made from the documents, or taken from --data. closed_book, rag, full and, where
    the model has an adapter, gist answer them. Give the same command again to resume a try that was
    stopped.

    \b
    Examples:
      gist-bench try notes/ report.pdf
      gist-bench try notes/ --model meta-llama/Llama-3.2-3B-Instruct --load-in-4bit --minutes 30
      gist-bench try --data mine.jsonl
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    trial = Trial(**given)
    if bool(paths) == bool(trial.data):
        raise click.UsageError("Give DOCS... or --data FILE, not both.")
    if trial.train and trial.data:
        raise click.UsageError("--train splits DOCS... into two parts: it does not go with --data.")
    if trial.restart and trial.out.exists():
        shutil.rmtree(trial.out)
    trial.out.mkdir(parents=True, exist_ok=True)
    from harness.run.choose import choose_backends

    further = choose_backends(trial.backends) if trial.backends else []
    data = trial.data or make_questions(paths, trial)
    if trial.train:
        train(trial)
    model = load(
        trial.model_name,
        device=trial.device,
        dtype=trial.dtype,
        load_in_4bit=trial.load_in_4bit,
        shots=trial.shots,
    )
    ways = [*ways_of(trial), *further]
    samples = read_samples(model, data, trial)
    asked, seconds = choose_samples(model, samples, ways, trial)
    folder = run_ways(model, trial.out / "asked.jsonl", asked, ways, trial)
    _show(folder, samples, asked, seconds, trial)


def _show(
    folder: Path,
    samples: "Sequence[Sample]",
    asked: "Sequence[Sample]",
    seconds: float,
    trial: Trial,
) -> None:
    """Write the page, and print the verdict and the next command."""
    from harness.report.html.page import make_page
    from harness.report.sections import sections_of
    from harness.report.verdict import verdicts
    from harness.report.verdict_page import in_short
    from harness.run.rows import read_rows

    rows = read_rows([folder], answers=True)
    page = trial.out / "report.html"
    write_whole(page, make_page(rows))
    (verdict,) = verdicts(rows, sections_of(rows))
    width, colour = terminal_width(80), has_colours()
    click.echo(in_short(verdict, width=width, colour=colour), color=colour)
    click.echo(f"\n{page}: open it in a browser.")
    total, done = (sum(len(one.questions) for one in some) for some in (samples, asked))
    left_out = total - done
    if left_out:
        click.echo(f"{left_out} of {total} questions were left out, to keep to --minutes.")
    following = _next(verdict, seconds if left_out else 0.0, trial)
    click.echo(f"Next: {following}")


def _next(verdict: "Verdict", seconds: float, trial: Trial) -> str:
    """Return the command that would tell the most more: this one, but for what changes."""
    if not verdict.is_read or not (verdict.choices or seconds):
        out = shlex.quote(f"{trial.out}-other")  # questions are cut by one model's tokens
        command = f"{_again('model_name', 'out')} --model MODEL --out {out}"
        return f"{command}   (a model that reads these documents)"
    if seconds:
        minutes = max(1, round(seconds / 60 * 1.1))
        return f"{_again('minutes')} --minutes {minutes}   (asks all questions)"
    if not trial.train and not trial.data:
        return f"{_again('out')} --train 200 --out {shlex.quote(f'{trial.out}-trained')}"
    model = ["--model", trial.model_name]
    run = ["gist-bench", "run", "--suite", spec_of(trial.out / "asked.jsonl"), *model, "--controls"]
    return shlex.join(run)


def _again(*changed: str) -> str:
    """Return this command as it was given, without some options and without --restart."""
    context = click.get_current_context()
    words = ["gist-bench", "try"]
    for parameter in context.command.params:
        name = parameter.name or ""
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not is_given or name in (*changed, "restart"):
            continue
        given = context.params[name]
        for value in given if isinstance(given, tuple) else (given,):
            words += [parameter.opts[0]] if isinstance(parameter, click.Option) else []
            words += (
                [] if value is True else [f"{value:g}" if isinstance(value, float) else str(value)]
            )
    return shlex.join(words)
