"""How many KV entries stand for a context: options that gist, truncate and mean_pool have alike."""


def check_size(*, tokens: int | None, ratio: float | None) -> None:
    """Refuse sizes that keep nothing or say two things.

    Raises:
        ValueError: which option, and what it may be.
    """
    if tokens is not None and ratio is not None:
        raise ValueError("tokens and ratio say the same thing twice; give one of them")
    if tokens is not None and tokens < 1:
        raise ValueError(f"tokens={tokens} must be at least 1")
    if ratio is not None and ratio < 1:
        raise ValueError(f"ratio={ratio:g} must be at least 1")


def entries_for(context_tokens: int, *, tokens: int | None, ratio: float | None) -> int:
    """Return the entries for a context: as many as gist is given, never more than it has tokens."""
    from gist.compress import gists_for

    return min(context_tokens, gists_for(context_tokens, tokens=tokens, ratio=ratio))
