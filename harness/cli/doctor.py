"""`gist-bench doctor`: what is installed, which device, what fits, and what is missing."""

import importlib.metadata
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from harness.api import PROMPT
from harness.cli.needs import Format, Place, as_size, compute_needs, needs_table, weights_bytes
from harness.cli.options import device_option, dtype_option, model_option
from harness.report.gpu import GPU, GPU_USABLE_BYTES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

PACKAGE = "gist-bench"
NAME = re.compile(r"[\w.-]+")
EXTRA = re.compile(r"extra == ['\"]([\w-]+)['\"]")
FOR_DEVELOPERS = ("dev",)
READING = (
    "KV: cached KV entries, kept between questions. all: weights, KV entries and activations at\n"
    "their peak, for one question at a time. The last columns: the longest context that fits.\n"
    "-: the model has fewer positions."
)


@dataclass(frozen=True, slots=True)
class Package:
    """Something that can be installed with pip."""

    name: str
    version: str | None  # None: it is missing
    extra: str | None  # the extra it belongs to; None: it is required

    @property
    def advice(self) -> str:
        """What to do when it is missing."""
        if self.extra is None:
            return f"missing. Install it: pip install {self.name}"
        return f'not installed (optional): pip install "{PACKAGE}[{self.extra}]"'


@click.command(name="doctor")
@model_option
@device_option
@dtype_option
def command(*, model_name: str, device: str | None, dtype: str | None) -> None:
    """Show what is installed, which device there is, and what fits into its memory.

    What a model needs is computed; its weights are not loaded.
    Exits with 1 when something that is required is missing.

    \b
    Examples:
      gist-bench doctor
      gist-bench doctor --model shape:llama-3-8b
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from gist.models import shipped

    problems = []
    click.echo("Installed")
    packages = find_packages(requirements())
    for package in packages:
        click.echo(f"  {package.name:<24}{package.version or package.advice}")
        if package.version is None and package.extra is None:
            problems.append(f"{package.name} is {package.advice}")
    if {"torch", "transformers", "psutil"} & {p.name for p in packages if p.version is None}:
        _finish(problems)
    click.echo("\nMachine")
    for line in machine_lines():
        click.echo(f"  {line}")
    click.echo("\nShipped models")
    for name, model in shipped.all_models().items():
        click.echo(f"  {name:<24}{model.missing() or model.title}")
    click.echo(f"\nModel {model_name}")
    _finish(problems + _show_model(model_name, device, dtype))


def requirements() -> list[str]:
    """Return what this project's package asks for, as pip writes it; empty if not installed."""
    try:
        return importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def find_packages(wanted: Sequence[str]) -> list[Package]:
    """Look up required packages and those of extras; what only developers need is left out."""
    found = [_look_up(PACKAGE, extra=None)]
    for requirement in wanted:
        name = NAME.match(requirement)
        assert name, requirement
        extra = EXTRA.search(requirement)
        if extra is None or extra[1] not in FOR_DEVELOPERS:
            found.append(_look_up(name[0], extra=extra[1] if extra else None))
    return found


def machine_lines() -> list[str]:
    """Describe the machine: processor, memory and its limits, GPUs."""
    import psutil
    import torch

    from gist.models import memory
    from harness.run.environment import environment

    about = environment("cpu")
    limit = memory.cgroup_limit_bytes()
    limits = "" if limit is None else f", limited to {as_size(limit)} by the cgroup"
    lines = [
        f"python        {about['python']}",
        f"processor     {about['processor']}, {os.cpu_count()} cores",
        f"memory        {as_size(psutil.virtual_memory().total)}, "
        f"{as_size(memory.free_bytes('cpu'))} free{limits}",
    ]
    for number in range(torch.cuda.device_count()):
        name = f"cuda:{number}"
        total = torch.cuda.get_device_properties(number).total_memory
        free = memory.free_bytes(name)
        lines.append(
            f"{name:<14}{torch.cuda.get_device_name(number)}, {as_size(total)}, "
            f"{as_size(free)} free"
        )
    return lines if torch.cuda.is_available() else [*lines, _why_no_gpu()]


def _why_no_gpu() -> str:
    if shutil.which("nvidia-smi") is None:
        return "gpu           none found: models run on the processor"
    return (
        "gpu           a driver is installed, but this torch cannot use it: install torch for "
        "your CUDA version, see https://pytorch.org/get-started/locally"
    )


def _look_up(name: str, *, extra: str | None) -> Package:
    try:
        return Package(name, importlib.metadata.version(name), extra)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, None, extra)


def _show_model(name: str, device: str | None, dtype: str | None) -> list[str]:
    """Print what a model needs and where it fits; return what keeps it from being used."""
    from gist.models.loading import choose_device, choose_dtype, read_facts
    from gist.models.memory import usable_bytes
    from harness.errors import UserError

    try:
        target = choose_device(device)
        config, tokenizer = read_facts(name)
    except UserError as problem:
        click.echo(f"  {problem}")
        return [str(problem)]
    places = [
        Place(f"here ({target})", usable_bytes(target)),
        Place(GPU, GPU_USABLE_BYTES),
    ]
    prompt_tokens = _tokens_in_front(tokenizer)
    positions = int(config.get_text_config().max_position_embeddings)
    click.echo(f"  {config.model_type}, {positions} positions. Computed, not measured:")
    for weights in _formats(choose_dtype(dtype, target, load_in_4bit=False)):
        needs = list(
            compute_needs(config, weights, prompt_tokens=prompt_tokens, max_positions=positions)
        )
        click.echo(f"\n{weights.name}: weights {as_size(weights_bytes(config, weights))}")
        click.echo(needs_table(needs, places))
    usable = ", ".join(f"{place.name} {as_size(place.usable_bytes)}" for place in places)
    click.echo(f"\n{READING}\nUsable memory: {usable}.")
    return []


def _formats(chosen: "torch.dtype") -> list[Format]:
    """Return the chosen type of weights, what a GPU would be given, and 4 bits."""
    import torch

    dtypes = dict.fromkeys([chosen, torch.bfloat16])
    plain = [Format(str(each).removeprefix("torch."), each, in_4bit=False) for each in dtypes]
    return [*plain, Format("NF4 (--load-in-4bit)", torch.bfloat16, in_4bit=True)]


def _tokens_in_front(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Count the tokens of the prompt before the context."""
    from gist.models.prompt import render_prompt

    pieces = render_prompt(tokenizer, head=PROMPT.head, between=PROMPT.between, tail=PROMPT.tail)
    return len(pieces.before)


def _finish(problems: Sequence[str]) -> NoReturn:
    """Print what is to be done and exit: 0 usable, 1 something required is missing."""
    if problems:
        click.echo("\nTo be done")
        for problem in problems:
            click.echo(f"  {problem}")
        raise click.exceptions.Exit(1)
    click.echo("\nAll that is required is there.")
    raise click.exceptions.Exit(0)
