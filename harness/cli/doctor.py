"""`gist-bench doctor`: what is installed, which device, what fits, and what is missing."""

import importlib.metadata
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import click

from harness.api import PROMPT
from harness.cli.importing import importing
from harness.cli.options import device_option, dtype_option, model_option
from harness.errors import UserError
from harness.report.gpu import GPU, GPU_USABLE_BYTES
from harness.run.environment import environment, version

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

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
    """Show what is installed, which devices there are, and what fits into their memory.

    The memory that a model needs is computed; its weights are not loaded.
    The exit code is 1 if something that is required is missing.

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
    with importing():
        from gist import eviction

    click.echo(f"  {'kvpress':<24}{eviction.missing() or version('kvpress')}")
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
    found = [Package(PACKAGE, version(PACKAGE), extra=None)]
    for requirement in wanted:
        name = NAME.match(requirement)
        assert name, requirement
        extra = EXTRA.search(requirement)
        if extra is None or extra[1] not in FOR_DEVELOPERS:
            found.append(Package(name[0], version(name[0]), extra[1] if extra else None))
    return found


def machine_lines() -> list[str]:
    """Describe the machine: processor, memory and its limits, GPUs."""
    import psutil
    import torch

    from gist.models import memory
    from harness.report.format import size

    about = environment("cpu")
    limit = memory.cgroup_limit_bytes()
    limits = "" if limit is None else f", limited to {size(limit)} by the cgroup"
    lines = [
        f"python        {about['python']}",
        f"processor     {about['processor']}, {os.cpu_count()} cores",
        f"memory        {size(psutil.virtual_memory().total)}, "
        f"{size(memory.free_bytes('cpu'))} free{limits}",
    ]
    for number in range(torch.cuda.device_count()):
        name = f"cuda:{number}"
        total = torch.cuda.get_device_properties(number).total_memory
        free = memory.free_bytes(name)
        lines.append(
            f"{name:<14}{torch.cuda.get_device_name(number)}, {size(total)}, {size(free)} free"
        )
    return lines if torch.cuda.is_available() else [*lines, _why_no_gpu()]


def _why_no_gpu() -> str:
    if shutil.which("nvidia-smi") is None:
        return "gpu           none found: models run on the processor"
    return (
        "gpu           a driver is installed, but this torch cannot use it: install torch for "
        "your CUDA version, see https://pytorch.org/get-started/locally"
    )


def _show_model(name: str, device: str | None, dtype: str | None) -> list[str]:
    """Print what a model needs and where it fits; return what keeps it from being used."""
    import torch

    from gist.models import fit
    from gist.models.architecture import positions_of
    from gist.models.loading import choose_device, choose_dtype, read_facts
    from gist.models.memory import usable_bytes
    from harness.report.format import size

    try:
        target = choose_device(device)
        config, tokenizer = read_facts(name)
    except UserError as problem:
        click.echo(f"  {problem}")
        return [str(problem)]
    places = {f"here ({target})": usable_bytes(target), GPU: GPU_USABLE_BYTES}
    prompt_tokens = _tokens_in_front(tokenizer)
    positions = positions_of(config)
    click.echo(f"  {config.model_type}, {positions} positions. Computed, not measured:")
    # The chosen type of weights, what a GPU would be given, and 4 bits.
    chosen = choose_dtype(dtype, target, load_in_4bit=False)
    formats = {str(each).removeprefix("torch."): (each, False) for each in (chosen, torch.bfloat16)}
    formats["NF4 (--load-in-4bit)"] = torch.bfloat16, True
    for title, (weights, in_4bit) in formats.items():
        loaded_bytes = fit.weights_bytes(config, weights, in_4bit)
        click.echo(f"\n{title}: weights {size(loaded_bytes)}")
        click.echo(_needs_table(config, weights, loaded_bytes, prompt_tokens, places))
    usable = ", ".join(f"{place} {size(room)}" for place, room in places.items())
    click.echo(f"\n{READING}\nUsable memory: {usable}.")
    return []


def _needs_table(
    config: "PretrainedConfig",
    dtype: "torch.dtype",
    loaded_bytes: int,
    prompt_tokens: int,
    places: Mapping[str, int],
) -> str:
    """Return a table with one line per backend, and the largest context that fits each place."""
    from tabulate import tabulate

    from gist.models.needs import BACKENDS, CONTEXT_TOKENS, compute_needs, largest_fit
    from harness.report.format import UNKNOWN, size

    sizes = [f"{tokens // 1024}k" for tokens in CONTEXT_TOKENS]
    kinds = [f"{kind} at {tokens}" for kind in ("KV", "all") for tokens in sizes]
    rows = []
    for backend in BACKENDS:
        needs = list(
            compute_needs(
                backend, config, dtype, loaded_bytes=loaded_bytes, prompt_tokens=prompt_tokens
            )
        )
        too_long = [UNKNOWN] * (len(CONTEXT_TOKENS) - len(needs))
        fits = [largest_fit(needs, room) for room in places.values()]
        rows.append(
            [
                backend,
                *(size(need.cached_bytes) for need in needs),
                *too_long,
                *(size(need.total_bytes) for need in needs),
                *too_long,
                *(
                    f"to {tokens // 1024}k" if tokens else "no" if needs else UNKNOWN
                    for tokens in fits
                ),
            ]
        )
    header = ["backend", *kinds, *places]
    return tabulate(rows, header, tablefmt="simple", disable_numparse=True)


def _tokens_in_front(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Count the tokens of the prompt before the context."""
    from gist.models.prompt import render_prompt

    return len(render_prompt(tokenizer, PROMPT).before)


def _finish(problems: Sequence[str]) -> NoReturn:
    """Print what is to be done and exit: 0 usable, 1 something required is missing."""
    if problems:
        click.echo("\nTo do")
        for problem in problems:
            click.echo(f"  {problem}")
        raise click.exceptions.Exit(1)
    click.echo("\nEverything that is required is installed.")
    raise click.exceptions.Exit(0)
