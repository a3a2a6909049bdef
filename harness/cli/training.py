"""What both trainings share: where the result goes, and options from a YAML file."""

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from harness.errors import UserError, reading
from harness.run.spec import Spec

output_option = click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for checkpoints, the log and the result.",
)
config_option = click.option(
    "--config",
    metavar="FILE.yaml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Options, sources and stages. Options on the command line take precedence.",
)
resume_option = click.option(
    "--resume", is_flag=True, help="Resume from the newest checkpoint in DIR."
)


def is_first() -> bool:
    """Whether this process is the one that speaks and writes, of those torchrun has started."""
    return os.environ.get("RANK", "0") == "0"


def claim(output: Path | None, *, resume: bool) -> Path:
    """Refuse a folder that exists, unless training goes on in it."""
    if output is None:
        raise UserError("--output is missing. Give a new folder for the result: --output DIR.")
    if resume and not output.is_dir():
        raise UserError(f"{output} does not exist, so nothing can be resumed. Leave --resume out.")
    if not resume and output.exists() and is_first():
        raise UserError(f"{output} exists. Give another --output, or --resume to go on in it.")
    return output


def read_settings(
    config: Path | None,
    given: Mapping[str, Any],
    data: Sequence[str] = (),
    suites: Sequence[str] = (),
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """Read the YAML file; what the command line gave wins, and its data come besides."""
    import yaml

    settings: dict[str, Any] = {}
    if config is not None:
        with reading(config, fault="is no YAML"):
            found = yaml.safe_load(config.read_text(encoding="utf-8"))
        if not (isinstance(found, dict) and all(isinstance(name, str) for name in found)):
            raise UserError(f"{config} must hold options, as name: value. See gist/reference.")
        settings = found
        if not isinstance(settings.get("sources", {}), dict):
            raise UserError(f"sources in {config} must be options, as name: suite,option=value.")
    settings |= {name: value for name, value in given.items() if value not in (None, ())}
    named = {Path(path).stem: str(Spec("qa", {"data": path})) for path in data}
    named |= {text: text for text in suites}
    if named:
        settings["sources"] = {**settings.get("sources", {}), **named}
    for text in files:
        name, _, file = text.partition("=")
        sources = settings.get("sources", {})
        if name not in sources or not file:
            raise UserError(f"--source {text} must be NAME=FILE. Sources: {', '.join(sources)}.")
        settings["sources"] = {**sources, name: _with_file(sources[name], file)}
    return settings


def _with_file(source: str, file: str) -> str:
    """Return the spec of a source with the path in its option `data` replaced."""
    spec = Spec.parse(source)
    prefix, colon, _ = spec.options.get("data", "").partition(":")
    return str(
        Spec(spec.name, {**spec.options, "data": f"{prefix}{colon}{file}" if colon else file})
    )


def show_progress() -> None:
    """Show the steps, and not what the libraries have to say to each other."""
    logging.getLogger("gist").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
