"""`gist-bench inspect`: what a gist checkpoint says of itself. No weight of it is loaded."""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.printing import Table

UNKNOWN = "-"
ADAPTER = "adapter"  # the folder in which train-gist leaves its result
LOG = "log.csv"


@click.command(name="inspect")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def command(folder: Path | None) -> None:
    """Show what a gist checkpoint was trained on, how, and what came of it.

    DIR is the output folder of train-gist or the adapter in it; by default the reference adapter.

    \b
    Examples:
      gist-bench inspect
      gist-bench inspect my-adapter
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.printing import Page

    found = _find(folder)
    card = _read(found)
    click.echo("\n".join(_lined(_facts(found, card))))
    page = Page(markdown=False, width=shutil.get_terminal_size((110, 24)).columns)
    training = card.get("training")
    for name, value in training.items() if isinstance(training, dict) else ():
        if isinstance(value, dict):
            click.echo(f"\n{name}")
            click.echo("\n".join(_lined((f"  {key}", _said(part)) for key, part in value.items())))
        elif _is_table(value):
            page.add_table(_table(name, value))
    if page.parts:
        click.echo(f"\n{page.text()}", nl=False)


def _find(folder: Path | None) -> Path:
    """Return the folder with the card: the given one, or `adapter` in it."""
    from gist.checkpoint import CARD, REFERENCE_ADAPTER

    if folder is None:
        return REFERENCE_ADAPTER
    for place in (folder, folder / ADAPTER):
        if (place / CARD).is_file():
            return place
    there = f"{CARD} is missing" if folder.is_dir() else "there is no such folder"
    raise UserError(
        f"{folder} is no gist checkpoint: {there}. Give the output folder of a finished "
        "gist-bench train-gist."
    )


def _read(folder: Path) -> Mapping[str, Any]:
    from gist.checkpoint import CARD

    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{folder / CARD} cannot be read: {error}") from None
    if not isinstance(card, dict):
        raise UserError(
            f"{folder / CARD} is no card of a gist checkpoint: it holds no JSON object."
        )
    return card


def _facts(folder: Path, card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is one line each; what is longer comes after it."""
    yield "checkpoint", str(folder)
    yield "hash", _hash(folder)
    yield "base", f"{_said(card.get('base'))}, fingerprint {_said(card.get('base_fingerprint'))}"
    yield "prompt hash", _said(card.get("prompt_hash"))
    yield "plan", _said(card.get("plan"))
    yield "ratios", f"{_said(card.get('ratios'))} context tokens per gist"
    yield "size", _size(folder)
    training = card.get("training")
    if not isinstance(training, dict):
        yield "training", _said(training)
        return
    for name, value in training.items():
        if not isinstance(value, dict) and not _is_table(value):
            yield name.replace("_", " "), _said(value)
    yield "last logged", _last_logged(folder)


def _hash(folder: Path) -> str:
    from gist.checkpoint import file_hash

    try:
        return file_hash(folder)
    except FileNotFoundError as missing:
        return f"{UNKNOWN} ({Path(missing.filename).name} is missing)"


def _size(folder: Path) -> str:
    """Say what the weights hold, from the header of their file."""
    from safetensors import SafetensorError, safe_open

    from gist.checkpoint import WEIGHTS
    from harness.printing import size

    path = folder / WEIGHTS
    shapes: dict[str, list[int]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                shapes[name] = file.get_slice(name).get_shape()
    except FileNotFoundError:
        return f"{UNKNOWN} ({WEIGHTS} is missing)"
    except SafetensorError as error:
        return f"{UNKNOWN} ({WEIGHTS} cannot be read: {error})"
    counts = {"LoRA": 0, "other": 0}
    gists = []
    for name, shape in shapes.items():
        if "gist_rows" in name:
            gists.append(" x ".join(map(str, shape)))
        else:
            counts["LoRA" if "lora_" in name else "other"] += _product(shape)
    parts = [f"{kind} {n:,} parameters" for kind, n in counts.items() if n]
    parts += [f"gist rows {shape}" for shape in gists]
    return ", ".join([*parts, f"{size(path.stat().st_size)} on disk"])


def _product(shape: Sequence[int]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def _last_logged(folder: Path) -> str:
    """Say how the training's log ends, if it lies where a training or the package puts it."""
    for path in (folder / LOG, folder.parent / LOG, folder.parent / f"{folder.name}.{LOG}"):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if rows:
                last = rows[-1]
                return (
                    f"step {_said(last.get('step'))} ({_said(last.get('stage'))}): "
                    f"loss {_number(last.get('loss'))}, right {_said(last.get('right'))}"
                )
    return UNKNOWN


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> "Table":
    """Return a list of objects as a table; one may lack what another has."""
    from harness.printing import Table

    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(_said(row.get(column)) for column in columns) for row in rows)
    return Table(name, tuple(columns), cells)


def _said(value: object) -> str:
    """Return a value of a card in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(part)}" for key, part in value.items()) or UNKNOWN
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or UNKNOWN
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(text: str | None) -> str:
    """Return a cell of a log with four figures, if it is a number."""
    try:
        return f"{float(text or ''):.4g}"
    except ValueError:
        return _said(text)


def _lined(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each fact, what is said of them one below the other."""
    named = list(facts)
    width = max((len(name) for name, _ in named), default=0)
    for name, text in named:
        yield f"{name:<{width}}  {text}"
