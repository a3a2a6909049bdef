"""`gist-bench run`: suites with backends, then the tables."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.completing import complete_spec
from harness.cli.options import (
    has_colours,
    headline_option,
    suites_model_options,
    terminal_width,
)


def _read_budgets(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    parts = text.split("+") if text else []
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r} are no numbers of KV entries. Write 64+128+256.")
    return tuple(dict.fromkeys(map(int, parts)))


def _read_seeds(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(map(int, text.split("+"))))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no integer. Write 0, or several: 0+1+2.") from None


@click.command(name="run")
@click.option(
    "--suite",
    "suites",
    metavar="SPEC",
    multiple=True,
    shell_complete=complete_spec,
    help="A suite: name,option=value,... Can be given several times. Default: every suite.",
)
@click.option(
    "--backend",
    "backends",
    metavar="SPEC",
    multiple=True,
    shell_complete=complete_spec,
    help="A backend: name,option=value,... Can be given several times. Default: every backend.",
)
@click.option(
    "--controls",
    is_flag=True,
    help="Add the controls that gists have to beat, each with its own rows.",
)
@click.option(
    "--budget",
    "budgets",
    metavar="N+N+...",
    default="",
    callback=_read_budgets,
    help="KV entries per context. Every backend with a budget option runs once at each number.",
)
@suites_model_options
@click.option(
    "--tokenizer",
    metavar="M",
    help="For a served model: a folder or hub id with its tokenizer, which counts tokens.",
)
@click.option(
    "--key-env",
    metavar="NAME",
    help="Environment variable that holds a server's API key. Default: OPENAI_API_KEY.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Max samples per suite.")
@click.option(
    "--batch-size",
    metavar="B",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Questions asked at once; suites that show costs ask one at a time.",
)
@click.option(
    "--seed",
    "seeds",
    metavar="S+S+...",
    default="0",
    show_default=True,
    callback=_read_seeds,
    help="Seed of the samples; each of several draws its own, and the tables pool them.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/runs"),
    show_default=True,
    help="Folder that holds the run folders.",
)
@click.option(
    "--ray",
    metavar="[ADDRESS]",
    is_flag=False,
    flag_value="",
    help="Work on every GPU (or, without one, every core) with Ray: of this machine, or of the "
    "cluster at ADDRESS, auto for the one that this machine is part of.",
)
@headline_option
@click.option("--brief", is_flag=True, help="Print results only, the checks in one line.")
@click.option("--restart", is_flag=True, help="Delete the rows of an earlier run of this command.")
@click.option(
    "--no-contexts",
    is_flag=True,
    help="Keep no copy of the contexts beside the rows. A report then shows answers without them.",
)
def command(
    *,
    suites: tuple[str, ...],
    seeds: tuple[int, ...],
    limit: int | None,
    batch_size: int,
    headline: str,
    brief: bool,
    **given: Any,
) -> None:
    """Run suites with backends and print the tables.

    The same command resumes a run that was stopped. gist-bench list shows the names. Several models
    and seeds make a run each, one after the other, and one report.

    \b
    Examples:
      gist-bench run
      gist-bench run --suite passkey --backend full --backend rag,top_k=4
      gist-bench run --suite qa,data=mine.jsonl --model ./my-model --load-in-4bit
      gist-bench run --suite vram --model shape:llama-3-8b
      gist-bench run --suite qa,data=mine.jsonl --model http://localhost:8000/v1#my-model
      gist-bench run --suite qa --controls
      gist-bench run --suite qa --budget 64+128+256
      gist-bench run --suite qa --backend rag --backend 'shuffled(rag)'
      gist-bench run --suite qa --model smollm2 --model ./my-model --seed 0+1+2
      gist-bench run --suite qa --model ./my-model --ray
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.cli.sweep import Sweep
    from harness.run.choose import choose_suites
    from harness.run.headline import refuse_unknown
    from harness.run.plan import Settings

    chosen = choose_suites(suites)
    refuse_unknown(headline, (name for _, suite in chosen for name in suite.metrics))
    settings = tuple(Settings(seed=seed, limit=limit, batch_size=batch_size) for seed in seeds)
    sweep = Sweep(suites=chosen, settings=settings, headline=headline, **given)
    _print_tables(sweep.run(), brief=brief)


def _print_tables(folders: Sequence[Path], *, brief: bool) -> None:
    from harness.report.render import render

    colour = has_colours()
    text = render(folders, brief=brief, width=terminal_width(), colour=colour)
    click.echo(text, nl=False, color=colour)
    click.echo("\n" + "\n".join(map(str, folders)))
    page = shlex.join(["gist-bench", "report", *map(str, folders), "--html", "report.html"])
    click.echo(f"For a page with everything: {page}", err=True)
