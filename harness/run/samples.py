"""The samples of a suite, drawn by the seed and checked."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from harness.api import Model, Sample, Suite
from harness.errors import UserError
from harness.run.plan import Settings
from harness.run.spec import Spec


def draw(spec: Spec, suite: Suite, *, model: Model, settings: Settings) -> tuple[Sample, ...]:
    """Return the first samples of a suite.

    Raises:
        UserError: there are none, or two have the same id, or one has no questions.
    """
    samples = tuple(islice(suite.samples(model.tokenizer, settings.seed), settings.limit))
    if not samples:
        raise UserError(f"{spec} has no samples. Check its options.")
    _refuse_repeats(f"sample ids of {spec}", [sample.id for sample in samples])
    for sample in samples:
        if not sample.questions:
            raise UserError(f"sample {sample.id!r} of {spec} has no questions. Add one.")
        ids = [question.id for question in sample.questions]
        _refuse_repeats(f"question ids of sample {sample.id!r} of {spec}", ids)
    return samples


def _refuse_repeats(what: str, ids: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise UserError(f"{what} must differ, and {repeated[0]!r} occurs twice. Rename one.")
