"""The terms of the loss, against torch's own, and what counts as right."""

import pytest
import torch
from torch.nn import functional as F

from gist.collator import IGNORED
from gist.training.configuration import LossWeights
from gist.training.losses import cross_entropy, distillation, share_right


def test_distillation_with_every_token_is_the_divergence_of_the_distributions() -> None:
    """With k the whole vocabulary it is torch's KL divergence; of a model from itself it is 0."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(6, 11, generator=generator) for _ in range(2))
    expected = F.kl_div(
        student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="batchmean"
    )
    assert distillation(student, teacher, top_k=99) == pytest.approx(expected.item(), abs=1e-6)
    assert distillation(teacher, teacher, top_k=11).item() == pytest.approx(0.0, abs=1e-6)


def test_distillation_of_few_tokens_still_charges_for_the_others() -> None:
    """A student that gives mass to tokens the teacher never names pays for it."""
    teacher = torch.tensor([[9.0, 8.0, -9.0, -9.0]])
    near, far = teacher.clone(), torch.tensor([[9.0, 8.0, 9.0, 9.0]])
    assert distillation(near, teacher, top_k=2) < 0.01
    assert distillation(far, teacher, top_k=2) > 0.5


def test_cross_entropy_looks_at_its_columns_alone() -> None:
    """Other columns may hold anything."""
    logits = torch.tensor([[[5.0, 0.0], [0.0, 5.0]]])
    labels = torch.tensor([[0, 0]])
    first = torch.tensor([[True, False]])
    assert cross_entropy(logits, labels, first).item() == pytest.approx(
        F.cross_entropy(logits[0, :1], labels[0, :1]).item()
    )
    assert cross_entropy(logits, labels, ~first) > cross_entropy(logits, labels, first)


def test_an_answer_is_right_when_every_token_is() -> None:
    """One wrong token makes it wrong; padding and snippets of the context count for nothing."""
    labels = torch.tensor([[1, 2, 0, 2, IGNORED]])
    answers = torch.tensor([[0, 0, 1, IGNORED, IGNORED]])
    logits = F.one_hot(torch.tensor([[1, 2, 0, 0, 0]]), 3).float()
    assert share_right(logits, labels, answers) == 1.0
    logits[0, 1] = torch.tensor([1.0, 0.0, 0.0])
    assert share_right(logits, labels, answers) == 0.5


@pytest.mark.parametrize(
    "weights", [{"answers": 0.0}, {"distillation": -1.0}, {"top_k": 0}, {"reconstruction": -0.1}]
)
def test_weights_that_leave_nothing_to_learn_are_refused(weights: dict[str, float]) -> None:
    """A loss needs answers or a teacher."""
    with pytest.raises(ValueError, match=r"a weight above 0|must be at least [01]"):
        LossWeights(**weights)  # type: ignore[arg-type]
