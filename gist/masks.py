"""The attention mask of a packed sequence: one context, several questions apart.

    before b, context c, gist G, two questions p and q; 1 = the row may attend to the column

          b c G p p q q
        b 1 . . . . . .
        c 1 1 . . . . .
        G 1 1 1 . . . .
        p 1 . 1 1 . . .      a question sees `before`, the gists and itself,
        p 1 . 1 1 1 . .      neither the context nor another question
        q 1 . 1 . . 1 .
        q 1 . 1 . . 1 1

The mask is boolean and goes to sdpa as it is. A float mask of 0 and 1 would be *added* to the
scores and mask nothing; eager attention adds a boolean one in the same way.
"""

import torch

from gist.layout import BEFORE, CONTEXT, GIST

PADDING, QUESTION = -1, 3  # beside the kinds of tokens that a layout has


def packed_mask(
    segments: torch.Tensor, *, see_context: bool, see_before: bool = True
) -> torch.Tensor:
    """Build the mask of a batch of packed sequences.

    Args:
        segments: what each token is, (batch, tokens): PADDING, BEFORE, CONTEXT, GIST, or
            QUESTION + m for question and answer m.
        see_context: whether questions see the context too (the full-context model).
        see_before: whether they see what stands before the context.

    Returns:
        bool (batch, 1, tokens, tokens), True = the row may attend to the column. Rows of
        padding attend to themselves, so that no row is empty.
    """
    tokens = segments.shape[1]
    row, column = segments[:, :, None], segments[:, None, :]  # (batch, tokens, 1), (.., 1, tokens)
    causal = torch.ones(tokens, tokens, dtype=torch.bool, device=segments.device).tril()
    shared = column == GIST
    if see_before:
        shared = shared | (column == BEFORE)
    if see_context:
        shared = shared | (column == CONTEXT)
    allowed = shared | (row < QUESTION) | (row == column)  # (batch, tokens, tokens)
    allowed = allowed & causal & (column != PADDING)
    allowed = allowed | torch.eye(tokens, dtype=torch.bool, device=segments.device)
    return allowed[:, None]
