"""Give a context of training to its adapter in windows, as a backend compresses a long document."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gist.collator import Example, Windows
from gist.hierarchy import FAN_IN, FIRST_RATIO, allocate_condensed
from gist.layout import GistPlan
from gist.windows import allocate_gists
from harness.text import split_sentences

Encode = Callable[[str], Sequence[int]]


def cut_windows(text: str, window_tokens: int, encode: Encode) -> list[tuple[int, ...]]:
    """Return the ids of windows of whole sentences, of about `window_tokens` at most.

    A sentence that has more is a window by itself.
    """
    starts = [span.start for span in split_sentences(text)]
    pieces = [text[a:b] for a, b in zip([0, *starts[1:]], [*starts[1:], len(text)], strict=True)]
    windows: list[str] = []
    room = 0
    for piece in pieces:
        size = len(encode(piece))
        if not windows or size > room:
            windows.append("")
            room = window_tokens
        windows[-1] += piece
        room -= size
    return [tuple(encode(window)) for window in windows]


def in_windows(
    example: Example, windows: Sequence[Sequence[int]], plan: GistPlan, *, twice: bool
) -> Example:
    """Return an example whose context is read in windows, whose gists are joined.

    `twice`: windows are compressed at FIRST_RATIO, and gists read theirs in groups of FAN_IN.
    """
    tokens = [len(window) for window in windows]
    wanted = max(example.gists, len(windows))
    first = max(round(sum(tokens) / FIRST_RATIO), wanted) if twice else wanted
    gists = tuple(allocate_gists(tokens, first, plan))
    condensed = allocate_condensed(gists, wanted, fan_in=FAN_IN, plan=plan) if twice else ()
    return replace(
        example,
        gists=sum(condensed or gists),
        windows=Windows(tuple(tokens), gists, condensed),
    )
