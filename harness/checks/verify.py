"""All validity checks of one backend, whether it has an adapter or not."""

from contextlib import closing
from typing import TYPE_CHECKING

from harness.api import Suite
from harness.checks.adapter import check_adapter, has_adapter, open_backend, suite_of
from harness.checks.shuffled import Check
from harness.errors import UserError
from harness.run.choose import choose_backends, choose_suites
from harness.run.plan import Settings
from harness.run.planning import make_plan
from harness.run.spec import Spec

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


def verify(
    model: "LanguageModel", backend: Spec, *, suite: Spec, samples: int, seed: int
) -> list[Check]:
    """Return all validity checks of a backend: of its adapter if it has one, and of what it does.

    Raises:
        UserError: as `check_adapter`; or the backend keeps the whole context, so that it claims
            nothing that could be checked.
    """
    adapted = has_adapter(model, backend)
    if not adapted and _keeps_all(model, backend, suite_of(suite), seed):
        raise UserError(
            f"{backend} keeps the whole context and puts no gist adapter on the model, so there is "
            "nothing to check. Give --backend gist,checkpoint=DIR."
        )
    own = check_adapter(model, backend, suite=suite, samples=samples, seed=seed) if adapted else []
    return [*own, *_check_answers(model, backend, suite, samples=samples, seed=seed)]


def _check_answers(
    model: "LanguageModel", backend: Spec, suite: Spec, *, samples: int, seed: int
) -> list[Check]:
    """Return the checks of what a backend does with samples of a suite, as a run would ask it."""
    from harness.checks.answering import BaseModel, check_backend

    settings = Settings(seed=seed, limit=samples)
    plan = make_plan(model, choose_suites([str(suite)]), choose_backends([str(backend)]), settings)
    cells, base = list(plan.cells()), BaseModel.of(model)
    configuration, size = cells[0].configuration, settings.batch_size
    return check_backend(model, configuration, cells, base=base, batch_size=size)


def _keeps_all(model: "LanguageModel", spec: Spec, suite: Suite, seed: int) -> bool:
    """Ask about one sample, and look how much is reported to stand for its context."""
    sample = next(iter(suite.samples(model.tokenizer, seed)))
    with (
        closing(open_backend(model, spec)) as backend,
        closing(backend.prepare(sample.context)) as state,
    ):
        (said,) = state.generate([sample.questions[0].text], max_new_tokens=1)
    kept: int | None = said.context_entries
    return kept is not None and kept >= len(model.tokenizer.encode(sample.context))
