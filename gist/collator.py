"""Pack examples into one training batch: `before | context with gists | q1 a1 | q2 a2 | ...`.

Or only their questions, `q1 a1 | q2 a2 | ...`, to be asked behind what was kept of the contexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from gist.layout import GistPlan, Layout, lay_out
from gist.masks import PADDING, QUESTION, packed_mask
from gist.models.prompt import PromptIds

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Windows:
    """A context in windows that are read apart, as `gist.windows` compresses it."""

    tokens: tuple[int, ...]  # of each window
    gists: tuple[int, ...]  # of each window
    condensed: tuple[int, ...] = ()  # gists that read those of FAN_IN windows; none: one level


@dataclass(frozen=True, slots=True)
class Example:
    """One context and its questions, as token ids."""

    context: tuple[int, ...]
    questions: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # (question, answer + end)
    gists: int = 0  # 0: the questions see the context
    bare: bool = False  # no prompt but its first token: the answers continue the questions
    snippets: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()  # (cue, what follows it)
    windows: Windows | None = None  # None: read in one


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
        compressed = are_compressed(examples)
        assert not (compressed and self.plan.pools), "means of KV entries take two passes"
        rows = [self._row(example) for example in examples]
        segments = _padded([row.segments for row in rows], PADDING)
        mask = packed_mask(
            segments,
            see_context=not compressed,
            see_before=not compressed or self.plan.keep_prefix,
        )
        return {"attention_mask": mask, **_tensors(rows)}

    def behind(
        self, examples: Sequence[Example], starts: Sequence[int], counts: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """Return the tensors of the questions alone, behind KV entries kept of the contexts.

        Args:
            examples: one for each row of the entries.
            starts: the position that follows each context.
            counts: entries of each row; the others, up to the largest count, are padding.

        Returns:
            As for one pass; `attention_mask` is (batch, 1, tokens, entries + tokens).
        """
        rows = [_Row([], [], [], [], []) for _ in examples]
        for row, example, start in zip(rows, examples, starts, strict=True):
            self._ask(row, example, start)
        own = packed_mask(_padded([row.segments for row in rows], PADDING), see_context=False)
        there = torch.arange(max(counts)) < torch.tensor(counts)[:, None]  # (batch, entries)
        kept = there[:, None, None].expand(-1, -1, own.shape[2], -1)
        return {"attention_mask": torch.cat([kept, own], dim=3), **_tensors(rows)}

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
        self._ask(row, example, layout.next_position)
        return row

    def _ask(self, row: "_Row", example: Example, start: int) -> None:
        """Append the questions and snippets of an example, each at the position `start`."""
        for m, (question, answer) in enumerate(example.questions):
            asked = list(question)
            if not example.bare:
                asked = [*self.prompt.between, *question, *self.prompt.after]
            row.add(asked, answer, segment=QUESTION + m, start=start, number=m)
        for m, (cue, piece) in enumerate(example.snippets, start=len(example.questions)):
            row.add(cue, piece, segment=QUESTION + m, start=start, number=IGNORED)


def uncompressed(example: Example) -> Example:
    """Return the example for the full-context model: without gists, windows and snippets."""
    return replace(example, gists=0, snippets=(), windows=None)


def are_compressed(examples: Sequence[Example]) -> bool:
    """Whether the examples of a batch have gists: all or none."""
    with_gists = {example.gists > 0 for example in examples}
    assert len(with_gists) == 1, "a batch is either compressed or not"
    return with_gists.pop()


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


def _tensors(rows: Sequence[_Row]) -> dict[str, torch.Tensor]:
    """Return what one pass is given beside its mask, labels and numbers of answers included."""
    targets = _padded([row.targets for row in rows], IGNORED)
    keep = (targets != IGNORED).any(dim=0).nonzero()[:, 0]  # (kept,)
    answers = _padded([row.answers for row in rows], IGNORED)
    offsets = torch.arange(len(rows))[:, None] * 1000
    answers = torch.where(answers == IGNORED, IGNORED, answers + offsets)
    return {
        "input_ids": _padded([row.ids for row in rows], 0),
        "position_ids": _padded([row.positions for row in rows], 0),
        "logits_to_keep": keep,
        "shift_labels": targets[:, keep],
        "answers": answers[:, keep],
    }


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *([value] * (width - len(row)))] for row in rows])
