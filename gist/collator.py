"""Pack examples into one training batch: `before | context with gists | q1 a1 | q2 a2 | ...`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from gist.layout import GistPlan, Layout, lay_out
from gist.masks import PADDING, QUESTION, packed_mask
from gist.models.prompt import PromptIds

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """One context and its questions, as token ids."""

    context: tuple[int, ...]
    questions: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # (question, answer + end)
    gists: int = 0  # 0: the questions see the context
    bare: bool = False  # no prompt but its first token: the answers continue the questions
    snippets: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()  # (cue, what follows it)


@dataclass(frozen=True, slots=True)
class PackedCollator:
    """Turn examples into the tensors of one forward pass.

    Positions of every question start where the first one's do. Labels lie on answers alone, and
    logits are computed only at the columns that predict them (`logits_to_keep`). Snippets are
    pieces of the context to be reconstructed from the gists, packed as further questions.
    """

    prompt: PromptIds
    first_gist_id: int
    plan: GistPlan

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return the tensors of one forward pass.

        `input_ids`, `position_ids` (batch, tokens); `attention_mask` bool (batch, 1, tokens,
        tokens); `logits_to_keep` (kept,); `shift_labels`, `answers` (batch, kept).

        All examples must agree in whether they use gists. `answers` numbers the answers of the
        batch; it is IGNORED elsewhere, and on snippets.
        """
        with_gists = {example.gists > 0 for example in examples}
        assert len(with_gists) == 1, "a batch is either compressed or not"
        compressed = with_gists.pop()
        rows = [self._row(example) for example in examples]
        width = max(len(row.ids) for row in rows)
        segments = _padded([row.segments for row in rows], width, PADDING)
        targets = _padded([row.targets for row in rows], width, IGNORED)
        keep = (targets != IGNORED).any(dim=0).nonzero()[:, 0]  # (kept,)
        answers = _padded([row.answers for row in rows], width, IGNORED)
        offsets = torch.arange(len(rows))[:, None] * 1000
        answers = torch.where(answers == IGNORED, IGNORED, answers + offsets)
        mask = packed_mask(
            segments,
            see_context=not compressed,
            see_before=not compressed or self.plan.keep_prefix,
        )
        return {
            "input_ids": _padded([row.ids for row in rows], width, 0),
            "position_ids": _padded([row.positions for row in rows], width, 0),
            "attention_mask": mask,
            "logits_to_keep": keep,
            "shift_labels": targets[:, keep],
            "answers": answers[:, keep],
        }

    def layout(self, example: Example) -> Layout:
        """Lay out what stands before an example's questions."""
        return lay_out(
            self.prompt.before[:1] if example.bare else self.prompt.before,
            example.context,
            gists=example.gists,
            first_gist_id=self.first_gist_id,
            plan=self.plan,
        )

    def _row(self, example: Example) -> "_Row":
        layout = self.layout(example)
        row = _Row(
            ids=list(layout.ids),
            positions=list(layout.positions),
            segments=list(layout.kinds),
            targets=[IGNORED] * len(layout.ids),
            answers=[IGNORED] * len(layout.ids),
        )
        for m, (question, answer) in enumerate(example.questions):
            asked = list(question)
            if not example.bare:
                asked = [*self.prompt.between, *question, *self.prompt.after]
            row.add(asked, answer, segment=QUESTION + m, start=layout.next_position, number=m)
        for m, (cue, piece) in enumerate(example.snippets, start=len(example.questions)):
            row.add(cue, piece, segment=QUESTION + m, start=layout.next_position, number=IGNORED)
        return row


def uncompressed(example: Example) -> Example:
    """Return the example for the full-context model: without gists and snippets."""
    return replace(example, gists=0, snippets=())


@dataclass(slots=True)
class _Row:
    ids: list[int]
    positions: list[int]
    segments: list[int]
    targets: list[int]  # at column j: the token that j should predict
    answers: list[int]  # at column j: which answer that token belongs to

    def add(
        self, asked: Sequence[int], answer: Sequence[int], *, segment: int, start: int, number: int
    ) -> None:
        """Append a question and its answer; nothing follows the answer's last token."""
        tokens = [*asked, *answer[:-1]]
        silent = [IGNORED] * (len(asked) - 1)
        self.ids += tokens
        self.positions += range(start, start + len(tokens))
        self.segments += [segment] * len(tokens)
        self.targets += [*silent, *answer]
        self.answers += [*silent, *([number] * len(answer))]


def _padded(rows: Sequence[Sequence[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([[*row, *([value] * (width - len(row)))] for row in rows])
