"""`gist-bench verify`: whether the figures of a gist adapter can be believed, on this machine."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness import plugins
from harness.cli.checking import (
    SAMPLES,
    SUITE,
    adapter_of,
    check_adapter,
    examples_of,
    set_options,
)
from harness.cli.model_options import load, model_options
from harness.errors import UserError
from harness.spec import Spec, check

if TYPE_CHECKING:
    from gist.collator import Example
    from gist.model import LanguageModel
    from harness.proofs import Proof


@click.command(name="verify")
@model_options
@click.option(
    "--backend",
    metavar="SPEC",
    default="gist",
    show_default=True,
    help="The gist backend: gist,checkpoint=DIR,ratio=8",
)
@click.option(
    "--suite",
    metavar="SPEC",
    default=SUITE,
    show_default=True,
    help="Contexts and questions. Those that training has met prove less.",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=1),
    default=SAMPLES,
    show_default=True,
    help="The most contexts.",
)
@click.option(
    "--seed", metavar="S", type=int, default=0, show_default=True, help="Decides the samples."
)
@click.option(
    "--json",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result as JSON too.",
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
    device: str | None,
    dtype: str | None,
    load_in_4bit: bool,
    backend: str,
    suite: str,
    samples: int,
    seed: int,
    file: Path | None,
    pictures: Path | None,
) -> None:
    """Check a gist adapter: what its answers see, what is kept, and whether it knows its document.

    Exits with 0 when every proof holds, with 1 when one fails, with 2 when there is nothing to
    check.

    \b
    Examples:
      gist-bench verify
      gist-bench verify --model ./llama --load-in-4bit --backend gist,checkpoint=my-adapter
      gist-bench verify --json proofs.json --pictures pictures
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    spec, asked = Spec.parse(backend), Spec.parse(suite)
    set_options(spec)  # mistakes are told before the model is loaded
    check(plugins.load(plugins.SUITES, asked.name), asked)
    if file is not None and not file.parent.is_dir():
        raise UserError(f"no folder {file.parent} to write {file.name} into. Make it first.")
    model = load(model_name, device=device, dtype=dtype, load_in_4bit=load_in_4bit)
    proofs = check_adapter(model, spec, suite=asked, samples=samples, seed=seed)
    _print(proofs)
    if file is not None:
        file.write_text(json.dumps(_as_json(model, spec, proofs), indent=1) + "\n")
    if pictures is not None:
        for path in _draw(pictures, model, spec, examples_of(model, spec, asked, seed=seed)):
            click.echo(path)
    _finish(proofs)


def _print(proofs: "Sequence[Proof]") -> None:
    from harness.printing import Page, Table

    rows = [(p.name, p.measured, p.limit, "pass" if p.passed else "FAIL") for p in proofs]
    notes = tuple(f"{proof.name}: {proof.detail}" for proof in proofs)
    page = Page(markdown=False, width=shutil.get_terminal_size((110, 24)).columns)
    page.add_table(Table("Proofs", ("proof", "measured", "limit", "verdict"), tuple(rows), notes))
    click.echo(page.text())


def _as_json(model: "LanguageModel", spec: Spec, proofs: "Sequence[Proof]") -> dict[str, Any]:
    from gist.checkpoint import file_hash

    return {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "backend": str(spec),
        "adapter": file_hash(adapter_of(spec)),
        "proofs": [asdict(proof) for proof in proofs],
    }


def _draw(
    folder: Path, model: "LanguageModel", spec: Spec, examples: "Sequence[Example]"
) -> "Iterator[Path]":
    from gist.adapter import attached
    from gist.collator import PackedCollator
    from gist.embedding import first_gist_id
    from gist.pictures import gist_attention, training_mask
    from gist.proofs import shortened

    folder.mkdir(parents=True, exist_ok=True)
    with attached(model, adapter_of(spec)) as card:
        example = shortened(examples[0], card.plan)
        collator = PackedCollator(model.prompt, first_gist_id(model.model), card.plan)
        yield training_mask(folder / "training_mask.png", collator, example)
        yield gist_attention(
            folder / "gist_attention.png",
            model,
            example.context,
            gists=example.gists,
            plan=card.plan,
        )


def _finish(proofs: "Sequence[Proof]") -> NoReturn:
    failed = [proof.name for proof in proofs if not proof.passed]
    if failed:
        click.echo(f"{len(failed)} of {len(proofs)} proofs failed: {', '.join(failed)}.")
        raise click.exceptions.Exit(1)
    click.echo(f"All {len(proofs)} proofs hold.")
    raise click.exceptions.Exit(0)
