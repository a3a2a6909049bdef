"""Answers per second of `full` beside kvpress's own pipeline: one context, many questions.

    python -m tests.regression.pipeline [--model M] [--questions N] [--tokens N] [--batch N]

Each is a process of its own that loads the same model, reads the same context once and answers the
same questions, at most so many tokens each; loading does not count. `full` asks its questions in
batches, of eight if `run --batch-size` is not given; the pipeline asks one after the other, without
a press. It is given `cache_position`, without which it fails with this version of transformers. The
rounds take turns, and the fastest of each counts. On a machine that does other things too, the
processor time says more than the seconds. Aim: at least 3 times its answers.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from tests.regression.overhead import BATCH, load

NEW_TOKENS = 16
THINGS = "amber harp,red cup,old boat,blue door,tin lamp,round mirror,brass bell,wool coat".split(
    ","
)


def context_of(lm: Any, tokens: int) -> str:
    """Return a text of about so many tokens."""
    sentences: list[str] = []
    while len(lm.tokenizer.encode(" ".join(sentences))) < tokens:
        at = len(sentences)
        sentences.append(f"The {THINGS[at % len(THINGS)]} number {at} is in hall {at * 7 % 97}.")
    return " ".join(sentences)


def questions_of(count: int) -> list[str]:
    """Return questions about it."""
    return [f"Where is the {THINGS[at % len(THINGS)]} number {at}?" for at in range(count)]


def by_full(lm: Any, context: str, questions: list[str], batch: int) -> list[str]:
    """Answer with the backend, in the runner's batches."""
    from backends.full import Full

    state = Full(lm).prepare(context)
    return [
        answer.text
        for start in range(0, len(questions), batch)
        for answer in state.generate(questions[start : start + batch], max_new_tokens=NEW_TOKENS)
    ]


def by_pipeline(lm: Any, context: str, questions: list[str], _: int) -> list[str]:
    """Answer with kvpress's pipeline, which keeps every entry without a press."""
    import torch

    from gist import eviction

    def add(_module: Any, given: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        past = options["past_key_values"].get_seq_length()
        place = torch.arange(past, past + options["input_ids"].shape[1])
        return given, {**options, "cache_position": place}

    pipeline = eviction._kvpress().KVPressTextGenerationPipeline(
        lm.model, tokenizer=lm.tokenizer.inner
    )
    handle = lm.model.model.register_forward_pre_hook(add, with_kwargs=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pipeline(context, questions=questions, max_new_tokens=NEW_TOKENS)
    finally:
        handle.remove()
    answers: list[str] = found["answers"]
    return answers


SIDES: dict[str, Callable[[Any, str, list[str], int], list[str]]] = {
    "full": by_full,
    "kvpress": by_pipeline,
}


def answer_all(side: str, model: str, count: int, tokens: int, batch: int) -> dict[str, float]:
    """Return the seconds of one side, and the tokens that it wrote."""
    lm = load(model)
    context, questions = context_of(lm, tokens), questions_of(count)
    SIDES[side](lm, "The cup is red.", questions[:1], 1)  # the first request pays for more
    start, used = time.perf_counter(), time.process_time()
    answers = SIDES[side](lm, context, questions, batch)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - used
    assert len(answers) == count
    tokens = sum(len(lm.tokenizer.encode(one)) for one in answers)
    return {"seconds": seconds, "cpu_s": cpu_s, "tokens": tokens}


def main() -> None:
    """Print answers per second of both and their ratio; with `--side`, be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES)
    given = parser.parse_args()
    if given.side:
        numbers = given.questions, given.tokens, given.batch
        print(json.dumps(answer_all(given.side, given.model, *numbers)))
        return
    words = ["--model", given.model, "--questions", given.questions, "--tokens", given.tokens]
    words += ["--batch", given.batch]
    command = [sys.executable, "-m", "tests.regression.pipeline", *map(str, words), "--side"]
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side, found in rounds.items():
            done = subprocess.run([*command, side], check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{given.questions} questions about {given.tokens} tokens, {given.model}")
    rates = {
        side: [given.questions / min(one[kind] for one in found) for kind in ("seconds", "cpu_s")]
        for side, found in rounds.items()
    }
    for side, (rate, cpu_rate) in rates.items():
        wrote = rounds[side][0]["tokens"]
        print(f"  {side:8} {rate:7.2f} answers/s, {cpu_rate:7.2f} per second of processor time;"
              f" {wrote:.0f} tokens")  # fmt: skip
    ratio, cpu_ratio = (a / b for a, b in zip(*rates.values(), strict=True))
    print(f"  ratio    {ratio:7.2f}            {cpu_ratio:7.2f}")


if __name__ == "__main__":
    main()
