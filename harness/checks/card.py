"""What a gist checkpoint says of itself, as text. No weight of it is loaded."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gist.checkpoint import CARD, WEIGHTS, adapter_folder, file_hash
from harness.errors import UserError
from harness.report.format import Page, Table, size

UNKNOWN = "-"
LOG = "log.csv"


def card_text(folder: Path, *, width: int) -> str:
    """Return what `gist.json` and the files beside it hold, each part that is there.

    Args:
        folder: of the adapter, or the output folder of train-gist.
        width: of the terminal.

    Raises:
        UserError: the folder has no card, or one that cannot be read.
    """
    found = _find(folder)
    card = _read(found)
    lines = list(_aligned(_facts(found, card)))
    page = Page(markdown=False, width=width)
    training = card.get("training")
    for name, value in training.items() if isinstance(training, dict) else ():
        if isinstance(value, dict):
            parts = ((f"  {key}", _as_text(part)) for key, part in value.items())
            lines += ["", name, *_aligned(parts)]
        elif _is_table(value):
            page.add_table(_table(name, value))
    text = "\n".join(lines) + "\n"
    return f"{text}\n{page.text()}" if page.parts else text


def _find(folder: Path) -> Path:
    """Return the folder with the card: the given one, or `adapter` in it."""
    found = adapter_folder(folder)
    if (found / CARD).is_file():
        return found
    there = f"{CARD} is missing" if folder.is_dir() else "there is no such folder"
    raise UserError(
        f"{folder} is no gist checkpoint: {there}. Give the output folder of a finished "
        "gist-bench train-gist."
    )


def _read(folder: Path) -> Mapping[str, Any]:
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
    """Yield the name and the text of everything that fits on one line."""
    yield "checkpoint", str(folder)
    yield "hash", _hash(folder)
    yield (
        "base",
        f"{_as_text(card.get('base'))}, fingerprint {_as_text(card.get('base_fingerprint'))}",
    )
    yield "prompt hash", _as_text(card.get("prompt_hash"))
    yield "shots", _as_text(card.get("shots", 0))
    yield "plan", _as_text(card.get("plan"))
    yield "ratios", f"{_as_text(card.get('ratios'))} context tokens per gist"
    yield "size", _size(folder)
    training = card.get("training")
    if not isinstance(training, dict):
        yield "training", _as_text(training)
        return
    for name, value in training.items():
        if not isinstance(value, dict) and not _is_table(value):
            yield name.replace("_", " "), _as_text(value)
    yield "last logged", _last_logged(folder)


def _hash(folder: Path) -> str:
    try:
        return file_hash(folder)
    except FileNotFoundError as missing:
        return f"{UNKNOWN} ({Path(missing.filename).name} is missing)"


def _size(folder: Path) -> str:
    """Return what the weights hold, from the header of their file."""
    from safetensors import SafetensorError, safe_open

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
    counts = {"LoRA": 0, "gates": 0, "other": 0}
    gists = []
    for name, shape in shapes.items():
        if "gist_rows" in name:
            gists.append(" x ".join(map(str, shape)))
        else:
            gates = "gates" if "gist_gates" in name else "other"
            counts["LoRA" if "lora_" in name else gates] += math.prod(shape)
    parts = [f"{kind} {n:,} parameters" for kind, n in counts.items() if n]
    parts += [f"gist embeddings {shape}" for shape in gists]
    return ", ".join([*parts, f"{size(path.stat().st_size)} on disk"])


def _last_logged(folder: Path) -> str:
    """Return the last line of the training log, if it lies where train-gist writes it."""
    for path in (folder / LOG, folder.parent / LOG, folder.parent / f"{folder.name}.{LOG}"):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if rows:
                last = rows[-1]
                return (
                    f"step {_as_text(last.get('step'))} ({_as_text(last.get('stage'))}): "
                    f"loss {_number(last.get('loss'))}, right {_as_text(last.get('right'))}"
                )
    return UNKNOWN


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a list of objects as a table; one may lack what another has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(_as_text(row.get(column)) for column in columns) for row in rows)
    return Table(name, tuple(columns), cells)


def _as_text(value: object) -> str:
    """Return a value of a card as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_as_text(part)}" for key, part in value.items()) or UNKNOWN
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or UNKNOWN
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
        return _as_text(text)


def _aligned(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each pair of name and text, with the texts in one column."""
    named = list(facts)
    width = max((len(name) for name, _ in named), default=0)
    for name, text in named:
        yield f"{name:<{width}}  {text}"
