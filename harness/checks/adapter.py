"""The validity checks of a backend on a user's own model: its adapter, and what it does.

For `verify`; `run` takes those of adapters from here.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api import ABSTENTION, Sample, Suite
from harness.errors import OutOfMemory, UserError
from harness.run import plugins
from harness.run.spec import Spec, build, check

if TYPE_CHECKING:
    from gist.collator import Example
    from gist.forward import Forward
    from gist.gradients import MaskCheck
    from gist.models.model import LanguageModel
    from harness.checks.shuffled import Check

SUITE = "qa,people=3,filler=4"  # short contexts, with names that training has not seen
SAMPLES = 20
EXAMPLES = 2  # for the checks of masks and caches
QUESTION_TOKENS = 256  # room for the questions and pieces of answers that the mask is checked with


def check_adapter(
    model: "LanguageModel",
    backend: Spec,
    *,
    suite: Spec | None = None,
    longest: Sample | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    shuffled: bool = True,
) -> "list[Check]":
    """Return the validity checks of a backend that puts a trained gist adapter on the model.

    Args:
        model: without an adapter; is left as it was found.
        backend: as given to `run`: `gist,checkpoint=DIR,ratio=8`.
        suite: contexts and questions; by default short documents of the suite qa.
        longest: the mask is checked on it too, or on as much of it as fits.
        samples: how many contexts at most.
        seed: decides the samples.
        shuffled: run the shuffled-context control too. It takes most of the time.

    Raises:
        UserError: the adapter does not fit the model, its attention cannot be recorded, or the
            suite has too few contexts.
    """
    from harness.checks.shuffled import answerable, check_shuffled

    suite = suite or Spec.parse(SUITE)
    examples = examples_of(model, backend, suite, seed=seed)
    asked = suite_of(suite)
    drawn = list(islice(asked.samples(model.tokenizer, seed), samples))
    longest = longest or max(drawn, key=lambda sample: len(sample.context))
    checks = list(_check_structure(model, backend, examples, _example(model, backend, longest)))
    if shuffled:
        drawn = answerable(drawn)
        given = {name: text for name, text in backend.options.items() if name == "checkpoint"}
        floor = Spec("closed_book", {"adapter": "on", **given})
        checks += check_shuffled(
            lambda: open_backend(model, backend),
            lambda: open_backend(model, floor),
            asked,
            drawn,
            in_sentences=bool(model.describe().get("answers_in_sentences")),
        )
    return checks


def has_adapter(model: "LanguageModel", spec: Spec) -> bool:
    """Build the backend, which raises where it lacks something, and look for a trained adapter."""
    with closing(open_backend(model, spec)):
        names = [name for name, _ in model.model.named_parameters()]
    if set_options(spec).get("untrained"):
        raise UserError(f"{spec} has no trained adapter, so there is nothing to check.")
    return any("lora_" in name for name in names)


def open_backend(model: "LanguageModel", spec: Spec) -> Any:
    """Return the backend of a spec."""
    return build(plugins.load(plugins.BACKENDS, spec.name), spec, model)


def set_options(spec: Spec) -> dict[str, Any]:
    """Return the values of a backend's options that the spec sets."""
    return check(plugins.load(plugins.BACKENDS, spec.name), spec, given=1)


def suite_of(spec: Spec) -> Suite:
    """Return the suite of a spec; UserError if it scores nothing."""
    suite: Suite = build(plugins.load(plugins.SUITES, spec.name), spec)
    if not suite.metrics:
        raise UserError(f"{spec} shows costs and scores no answers. Give a suite with metrics.")
    return suite


def examples_of(model: "LanguageModel", spec: Spec, suite: Spec, *, seed: int) -> "list[Example]":
    """Return the first samples as token ids, compressed as the backend would."""
    first = islice(suite_of(suite).samples(model.tokenizer, seed), EXAMPLES)
    examples = [_example(model, spec, sample) for sample in first]
    if not examples or not all(example.context and example.questions for example in examples):
        raise UserError(f"{suite} has no context with questions at its beginning. Give another.")
    return examples


def _example(model: "LanguageModel", spec: Spec, sample: Sample) -> "Example":
    from gist.collator import Example
    from gist.compress import gists_for

    options = set_options(spec)
    encode, end = model.tokenizer.encode, model.answer_end_id
    context = tuple(encode(sample.context))
    asked = [(q.text, q.targets[0] if q.targets else ABSTENTION) for q in sample.questions]
    questions = tuple((tuple(encode(q)), (*encode(a), end)) for q, a in asked)
    wanted = gists_for(len(context), tokens=options.get("tokens"), ratio=options.get("ratio"))
    return Example(context, questions, min(wanted, len(context)))


def adapter_of(model: "LanguageModel", spec: Spec) -> Path:
    """Return the folder of the adapter that a backend would use on a model that has one."""
    from gist.checkpoint import shipped_adapter

    folder: Path | None = set_options(spec).get("checkpoint") or shipped_adapter(model.fingerprint)
    assert folder, f"{spec} was built, so it has an adapter"
    return folder


def _mask_at_length(
    lm: "LanguageModel", forward: "Forward", example: "Example", *, at_most: int
) -> "MaskCheck | None":
    """Check the mask on as much of a context as fits; None if that is no more than a piece."""
    import torch

    from gist.gradients import mask_blocks
    from gist.models.fit import gradient_bytes
    from gist.models.memory import check_fits
    from gist.validity import CONTEXT_TOKENS

    beside = len(lm.prompt.before) + example.gists + QUESTION_TOKENS
    tokens = min(len(example.context), at_most, lm.max_positions - beside)
    while tokens > CONTEXT_TOKENS:
        need = gradient_bytes(lm.model.config, lm.model.dtype, tokens=tokens + beside)
        try:
            check_fits(need, lm.model.device, what="the gradient")
            return mask_blocks(lm.model, forward, [example], tokens=tokens)
        except (OutOfMemory, torch.OutOfMemoryError):
            tokens //= 2
    return None


def _check_structure(
    lm: "LanguageModel", spec: Spec, examples: "Sequence[Example]", longest: "Example"
) -> "Iterator[Check]":
    """Yield the checks of masks and caches, on short pieces of the examples; masks on the longest.

    What compresses a long context in parts has no mask over all of it: a part is looked at.
    """
    from gist import validity as checks
    from gist.adapter import attached
    from gist.forward import forward_for
    from gist.gradients import mask_blocks
    from harness.checks.shuffled import Check
    from harness.report.format import count, size

    with attached(lm, adapter_of(lm, spec)) as card:
        plan = card.plan
        forward = forward_for(lm, plan)
        mask = mask_blocks(lm.model, forward, examples)
        if mask.passed:
            window = set_options(spec).get("window_tokens") or lm.max_positions
            mask = _mask_at_length(lm, forward, longest, at_most=window) or mask
        alike = checks.single_pass(lm, plan, examples[0])
        clean = checks.poison(lm, plan, examples[0])
        counted = checks.entries(lm, plan, examples[0])
    yield Check(
        "mask blocks",
        f"gradient {mask.cut:.3g} past the gists, {mask.whole:.3g} through them",
        "0, and above 0",
        mask.passed,
        f"Largest gradient from answers to the embeddings of {mask.context_tokens} context "
        "tokens, with the gists' keys and values detached in every layer, and without.",
    )
    yield Check(
        "one pass = two passes",
        f"logits differ by {alike.difference:.2g}",
        f"at most {alike.limit:.2g}",
        alike.passed,
        f"The masked pass of training beside compress, slice, ask, in "
        f"{str(alike.dtype).removeprefix('torch.')}; the largest logit is {alike.scale:.3g}, and "
        f"{alike.agreeing} of {alike.tokens} tokens have the same most likely successor.",
    )
    yield Check(
        "poisoned cache",
        f"{clean.identical} of {clean.tokens} bit-identical, {size(clean.held_bytes)} held",
        f"all, {size(clean.expected_bytes)}",
        clean.passed,
        "Logits of answers before and after NaN is written into the full cache, and "
        "the bytes of storage that the cache keeps.",
    )
    yield Check(
        "cached tokens",
        " or ".join(map(count, sorted(set(counted.entries)))),
        f"{counted.before} + {counted.gists}",
        counted.passed,
        f"KV entries in each of {len(counted.entries)} layers: before the context, and gists.",
    )
