"""`gist-bench verify`: whether the figures of a gist adapter can be believed, on this machine."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness import plugins
from harness.api import ABSTENTION, Suite
from harness.cli.model_options import load, model_options
from harness.errors import UserError
from harness.spec import Spec, build, check

if TYPE_CHECKING:
    from gist.collator import Example
    from gist.model import LanguageModel
    from harness.proofs import Proof

SUITE = "qa,people=3,filler=4"  # short contexts, of names that training has not met
SAMPLES = 20
EXAMPLES = 2  # looked at token by token


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
    _options(spec)  # mistakes are told before the model is loaded
    check(plugins.load(plugins.SUITES, asked.name), asked)
    if file is not None and not file.parent.is_dir():
        raise UserError(f"no folder {file.parent} to write {file.name} into. Make it first.")
    model = load(model_name, device=device, dtype=dtype, load_in_4bit=load_in_4bit)
    proofs = check_adapter(model, spec, suite=asked, samples=samples, seed=seed)
    _print(proofs)
    if file is not None:
        file.write_text(json.dumps(_as_json(model, spec, proofs), indent=1) + "\n")
    if pictures is not None:
        for path in _draw(pictures, model, spec, _examples(model, spec, asked, seed=seed)):
            click.echo(path)
    _finish(proofs)


def check_adapter(
    model: "LanguageModel",
    backend: Spec,
    *,
    suite: Spec | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    swapped: bool = True,
) -> "list[Proof]":
    """Return the proofs that the figures of a gist backend rest on, each with what was measured.

    Args:
        model: without an adapter; is left as it was found.
        backend: as given to `run`: `gist,checkpoint=DIR,ratio=8`.
        suite: contexts and questions; by default short documents of the suite qa.
        samples: the most contexts.
        seed: decides the samples.
        swapped: ask each document's questions of another's state too. It takes most of the time.

    Raises:
        UserError: the backend has no trained gist adapter, or the suite has too few contexts.
        GistError: the adapter does not fit the model, or its attention cannot be looked at.
    """
    from harness.proofs import answerable, check_swapped

    suite = suite or Spec.parse(SUITE)
    _refuse_without_gists(model, backend)
    proofs = list(_check_structure(model, backend, _examples(model, backend, suite, seed=seed)))
    if swapped:
        asked: Suite = _suite(suite)
        drawn = answerable(list(islice(asked.samples(model.tokenizer, seed), samples)))
        given = {name: text for name, text in backend.options.items() if name == "checkpoint"}
        floor = Spec("closed_book", {"adapter": "on", **given})
        proofs += check_swapped(
            lambda: _open(model, backend), lambda: _open(model, floor), asked, drawn
        )
    return proofs


def _refuse_without_gists(model: "LanguageModel", spec: Spec) -> None:
    """Build the backend, which says what it lacks, and look for gists on the model."""
    opened = _open(model, spec)
    try:
        names = [name for name, _ in model.model.named_parameters()]
    finally:
        opened.close()
    if _options(spec).get("untrained"):
        raise UserError(f"{spec} has no trained adapter, so there is nothing to check.")
    if not any("gist_rows" in name for name in names):
        raise UserError(
            f"{spec} puts no gist tokens on the model, so there is nothing to check. "
            "Give --backend gist,checkpoint=DIR."
        )


def _open(model: "LanguageModel", spec: Spec) -> Any:
    return build(plugins.load(plugins.BACKENDS, spec.name), spec, model)


def _options(spec: Spec) -> dict[str, Any]:
    """Return the values of a backend's options that the spec sets."""
    return check(plugins.load(plugins.BACKENDS, spec.name), spec, given=1)


def _suite(spec: Spec) -> Suite:
    suite: Suite = build(plugins.load(plugins.SUITES, spec.name), spec)
    if not suite.metrics:
        raise UserError(f"{spec} shows costs and scores no answers. Give a suite with metrics.")
    return suite


def _examples(model: "LanguageModel", spec: Spec, suite: Spec, *, seed: int) -> "list[Example]":
    """Return the first samples as token ids, compressed as the backend would."""
    from gist.collator import Example
    from gist.compress import gists_for

    options = _options(spec)
    encode, end = model.tokenizer.encode, min(model.end_ids)
    examples = []
    for sample in islice(_suite(suite).samples(model.tokenizer, seed), EXAMPLES):
        context = tuple(encode(sample.context))
        asked = [(q.text, q.targets[0] if q.targets else ABSTENTION) for q in sample.questions]
        questions = tuple((tuple(encode(q)), (*encode(a), end)) for q, a in asked)
        wanted = gists_for(len(context), tokens=options.get("tokens"), ratio=options.get("ratio"))
        examples.append(Example(context, questions, min(wanted, len(context))))
    if not examples or not all(example.context and example.questions for example in examples):
        raise UserError(f"{suite} has no context with questions to begin with. Give another.")
    return examples


def _adapter_of(spec: Spec) -> Path:
    from gist.checkpoint import REFERENCE_ADAPTER

    return _options(spec).get("checkpoint") or REFERENCE_ADAPTER


def _check_structure(
    lm: "LanguageModel", spec: Spec, examples: "Sequence[Example]"
) -> "Iterator[Proof]":
    """Yield the proofs about masks and caches, on short pieces of the examples."""
    from gist import proofs
    from gist.adapter import attached
    from gist.collator import PackedCollator
    from gist.embedding import first_gist_id
    from harness.printing import count, size
    from harness.proofs import Proof

    with attached(lm, _adapter_of(spec)) as card:
        plan = card.plan
        collator = PackedCollator(lm.prompt, first_gist_id(lm.model), plan)
        mask = proofs.mask_blocks(lm.model, collator, examples)
        alike = proofs.single_pass(lm, plan, examples[0])
        clean = proofs.poison(lm, plan, examples[0])
        counted = proofs.entries(lm, plan, examples[0])
    yield Proof(
        "mask blocks",
        f"gradient {mask.cut:.3g} past the gists, {mask.whole:.3g} through them",
        "0, and above 0",
        mask.passed,
        f"Largest gradient from answers to the embeddings of {mask.context_tokens} context "
        "tokens, with the gists' keys and values detached in every layer, and without.",
    )
    yield Proof(
        "one pass = two passes",
        f"logits differ by {alike.difference:.2g}",
        f"at most {alike.limit:.2g}",
        alike.passed,
        f"The masked pass of training beside compress, slice, ask, in "
        f"{str(alike.dtype).removeprefix('torch.')}; the largest logit is {alike.scale:.3g}, and "
        f"{alike.agreeing} of {alike.tokens} tokens have the same most likely successor.",
    )
    yield Proof(
        "poisoned cache",
        f"{clean.identical} of {clean.tokens} bit-identical, {size(clean.held_bytes)} held",
        f"all, {size(clean.expected_bytes)}",
        clean.passed,
        "Logits of answers before and after NaN is written into everything that was read, and "
        "the bytes of storage behind what is kept.",
    )
    yield Proof(
        "entries kept",
        " or ".join(map(count, sorted(set(counted.entries)))),
        f"{counted.before} + {counted.gists}",
        counted.passed,
        f"KV entries in each of {len(counted.entries)} layers: before the context, and gists.",
    )


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
        "adapter": file_hash(_adapter_of(spec)),
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
    with attached(model, _adapter_of(spec)) as card:
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
