"""`gist-bench run`: suites with backends, then the tables."""

import shlex
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from harness.cli.completing import complete_spec
from harness.cli.options import (
    has_colours,
    headline_option,
    load,
    suites_model_options,
)
from harness.errors import UserError


def _read_budgets(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    parts = text.split("+") if text else []
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r} are no numbers of KV entries. Write 64+128+256.")
    return tuple(dict.fromkeys(map(int, parts)))


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
    "--seed", metavar="S", type=int, default=0, show_default=True, help="Seed of the samples."
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/runs"),
    show_default=True,
    help="Folder that holds the run folders.",
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
    backends: tuple[str, ...],
    controls: bool,
    budgets: tuple[int, ...],
    model_name: str,
    device: str | None,
    dtype: str | None,
    load_in_4bit: bool,
    shots: int,
    tokenizer: str | None,
    key_env: str | None,
    limit: int | None,
    batch_size: int,
    seed: int,
    out: Path,
    headline: str,
    brief: bool,
    restart: bool,
    no_contexts: bool,
) -> None:
    """Run suites with backends and print the tables.

    The same command resumes a run that was stopped. gist-bench list shows the names.

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
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.checks.overlap import overlap_notices
    from harness.checks.run import run_checks
    from harness.run import plugins
    from harness.run.choose import choose_backends, choose_suites, make_plan
    from harness.run.headline import refuse_unknown
    from harness.run.plan import Settings
    from harness.run.runner import Tested, run
    from harness.served.address import is_address

    served = is_address(model_name)
    _refuse_options(
        served,
        device=device,
        dtype=dtype,
        load_in_4bit=load_in_4bit,
        tokenizer=tokenizer,
        key_env=key_env,
    )
    # Before the model: a typing mistake should not wait for it.
    chosen_suites = choose_suites(suites)
    refuse_unknown(headline, (name for _, suite in chosen_suites for name in suite.metrics))
    group = plugins.SERVED if served else plugins.BACKENDS
    chosen_backends = choose_backends(backends, controls=controls, budgets=budgets, group=group)
    if served:
        from harness.cli.served import open_served

        tested = open_served(model_name, key_env=key_env, tokenizer=tokenizer, shots=shots)
    else:
        lm = load(model_name, device=device, dtype=dtype, load_in_4bit=load_in_4bit, shots=shots)
        tested = Tested(lm, partial(run_checks, lm), partial(overlap_notices, lm))
    model = tested.model
    settings = Settings(seed=seed, limit=limit, batch_size=batch_size)
    plan = make_plan(model, chosen_suites, chosen_backends, settings)
    plan = replace(plan, notices=(*plan.notices, *tested.notices(plan)))
    try:
        typed = shlex.join(["gist-bench", *sys.argv[1:]])
        folder = run(
            plan,
            model,
            out=out,
            command=typed,
            headline=headline,
            restart=restart,
            contexts=not no_contexts,
            run_checks=lambda: tested.run_checks(plan),
            keeper=tested.keeper,
        )
    except KeyboardInterrupt:
        click.echo("\nFinished samples are kept: the same command goes on from there.", err=True)
        raise
    _print_tables(folder, brief=brief)


def _refuse_options(served: bool, **given: object) -> None:
    """Refuse options that mean nothing for this model."""
    others = {"device", "dtype", "load_in_4bit"} if served else {"tokenizer", "key_env"}
    for name in sorted(others):
        if given[name]:
            flag = f"--{name.replace('_', '-')}"
            which = "a served model: leave it out" if served else "a model that is loaded here"
            raise UserError(f"{flag} does not apply to {which}.")


def _print_tables(folder: Path, *, brief: bool) -> None:
    from harness.report.render import render

    width = shutil.get_terminal_size((110, 24)).columns
    colour = has_colours()
    text = render([folder], brief=brief, width=width, colour=colour)
    click.echo(text, nl=False, color=colour)
    click.echo(f"\n{folder}")
    page = shlex.join(["gist-bench", "report", str(folder), "--html", "report.html"])
    click.echo(f"For a page with everything: {page}", err=True)
