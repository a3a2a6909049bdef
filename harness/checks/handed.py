"""The validity check of what a backend learns from: made of the context, and never asked."""

from collections.abc import Sequence

from harness.checks.shuffled import Check
from harness.checks.trial import Trial
from harness.run.handed import questions_of
from harness.text import normalize

_DETAIL = (
    "Questions that the backend was handed to learn from, compared with those that the harness "
    "makes of the sample's context alone, and with all questions of the suite."
)


def handed(trials: Sequence[Trial]) -> Check:
    """Check questions to learn from, over all samples that were run."""
    made = sum(trial.seen.handed == questions_of(trial.sample.context) for trial in trials)
    learnt = [normalize(question.text) for trial in trials for question in trial.seen.handed or ()]
    asked = {
        normalize(question.text)
        for trial in trials
        for sample in (trial.sample, *trial.job.samples)
        for question in sample.questions
    }
    known = sum(text in asked for text in learnt)
    measured = (
        f"made of the context alone in {made} of {len(trials)} samples; "
        f"{known} of {len(learnt)} are asked"
    )
    passed = made == len(trials) and not known
    return Check("handed questions", measured, "all; none", passed, _DETAIL)
