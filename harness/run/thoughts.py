"""The thoughts that a reasoning model writes in front of its answer."""

import re

_THOUGHT = re.compile(r"\s*(?:<think>)?((?:(?!<think>).)*?)</think>\s*|\s*<think>(.*)", re.S)


def split_thought(text: str) -> tuple[str, str]:
    """Return the `<think>...</think>` in front of an answer, and the answer.

    A thought that was cut off has no answer behind it. A chat template may have opened the thought
    in the prompt: then the text has its end alone.
    """
    thought = _THOUGHT.match(text)
    return (thought[1] or thought[2] or "", text[thought.end() :]) if thought else ("", text)
