"""The terms of the loss: answers, distillation from full context, reconstruction.

    answers * CE(answers) + distillation * KL(teacher, student) + reconstruction * CE(snippets)

The teacher is the same model with the adapter off, reading the whole context; of its distribution
the k most likely tokens are kept, as in Cartridges (arXiv 2506.06266). Snippets are the
autoencoding term of ICAE (arXiv 2307.06945), on pieces of the context.
"""

import torch
from torch.nn import functional as F

from gist.collator import IGNORED


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats over the columns of `where`.

    Args:
        logits: (batch, kept, vocabulary).
        labels: (batch, kept).
        where: bool (batch, kept).
    """
    return F.cross_entropy(logits[where].float(), labels[where])


def distillation(student: torch.Tensor, teacher: torch.Tensor, *, top_k: int) -> torch.Tensor:
    """Return the mean KL divergence in nats from the teacher's top k to the student.

    The teacher's k probabilities are renormalised; the student's are of its whole vocabulary, so
    that mass on other tokens costs too.

    Args:
        student: logits of the answers' tokens, (tokens, vocabulary).
        teacher: the same tokens, in the same order.
        top_k: tokens of the teacher's distribution that count.
    """
    best = teacher.float().topk(min(top_k, teacher.shape[-1]), dim=-1)
    wanted = best.values.log_softmax(dim=-1)  # (tokens, k)
    given = student.float().log_softmax(dim=-1).gather(-1, best.indices)  # (tokens, k)
    return (wanted.exp() * (wanted - given)).sum(dim=-1).mean()


def share_right(logits: torch.Tensor, labels: torch.Tensor, answers: torch.Tensor) -> float:
    """Return the share of answers whose every token is the most likely one.

    That is the share which greedy decoding would give word for word.

    Args:
        logits: (batch, kept, vocabulary).
        labels: (batch, kept).
        answers: (batch, kept), the number of the answer that a label belongs to, IGNORED elsewhere.
    """
    wanted = answers != IGNORED
    wrong = (logits.argmax(dim=-1) != labels) & wanted
    asked, failed = (len(answers[which].unique()) for which in (wanted, wrong))
    return 1.0 - failed / max(asked, 1)
