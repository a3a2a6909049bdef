"""`gist-bench verify`: the validity checks of a backend, on this machine."""

from pathlib import Path
from typing import Any

import click

from harness.checks.adapter import SAMPLES, SUITE, examples_of, has_adapter, set_options
from harness.cli.completing import complete_spec
from harness.cli.options import load, model_options, terminal_width
from harness.errors import UserError
from harness.files import write_whole
from harness.run import plugins
from harness.run.spec import Spec, check


@click.command(name="verify")
@model_options
@click.option(
    "--backend",
    metavar="SPEC",
    default="gist",
    show_default=True,
    shell_complete=complete_spec,
    help="The backend: gist,checkpoint=DIR,ratio=8, or any that keeps less than the context.",
)
@click.option(
    "--suite",
    metavar="SPEC",
    default=SUITE,
    show_default=True,
    shell_complete=complete_spec,
    help="Contexts and questions to check with, preferably not from the training data.",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=1),
    default=SAMPLES,
    show_default=True,
    help="Largest number of contexts.",
)
@click.option(
    "--seed", metavar="S", type=int, default=0, show_default=True, help="Seed of the samples."
)
@click.option(
    "--json",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the result as JSON.",
)
@click.option(
    "--pictures",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw the mask of training and what the gists attend to, as PNG.",
)
def command(
    *,
    model_name: str,
    backend: str,
    suite: str,
    samples: int,
    seed: int,
    file: Path | None,
    pictures: Path | None,
    **loading: Any,
) -> None:
    """Check what answers attend to, what is kept, and what the gists hold.

    Samples go through the backend as in a run, and what it reports is compared with what was seen
    from outside.

    Exits with 0 when every check holds, with 1 when one fails, with 2 when there is nothing to
    check.

    \b
    Examples:
      gist-bench verify
      gist-bench verify --model ./llama --load-in-4bit --backend gist,checkpoint=my-adapter
      gist-bench verify --backend rag,top_k=4
      gist-bench verify --json checks.json --pictures pictures
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.checks.output import checks_json, checks_text, draw_pictures, verdict
    from harness.checks.verify import verify

    spec, asked = Spec.parse(backend), Spec.parse(suite)
    set_options(spec)  # a mistake is found before the model is loaded
    check(plugins.load(plugins.SUITES, asked.name), asked)
    if file is not None and not file.parent.is_dir():
        raise UserError(f"no folder {file.parent} to write {file.name} into. Make it first.")
    model = load(model_name, **loading)
    if pictures is not None and not has_adapter(model, spec):
        raise UserError(f"--pictures draws gists, and {spec} has none. Leave it out.")
    checks = verify(model, spec, suite=asked, samples=samples, seed=seed)
    click.echo(checks_text(checks, width=terminal_width()))
    if file is not None:
        write_whole(file, checks_json(model, spec, checks))
    if pictures is not None:
        examples = examples_of(model, spec, asked, seed=seed)
        for path in draw_pictures(pictures, model, spec, examples):
            click.echo(path)
    click.echo(verdict(checks))
    raise click.exceptions.Exit(int(not all(check.passed for check in checks)))
