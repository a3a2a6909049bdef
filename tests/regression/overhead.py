"""What the harness costs: a whole `gist-bench run` against a bare loop over the same prompts.

    python -m tests.regression.overhead [--model M] [--suite SPEC] [--rounds N]

Both are processes of their own that load the same model, read the same contexts and ask the same
questions in the same batches through the same decoder. The loop does nothing else; the run also
draws the samples, measures, writes one row per question and makes the tables. The rounds take
turns, and the fastest of each counts. Aim: at most 1.10 times the loop's seconds. On a machine that
does other things too, the processor time says more than the seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.api import PROMPT, Suite
from harness.run import plugins
from harness.run.spec import Spec, build

BATCH = 8


def load(name: str) -> Any:
    """Load the model as `gist-bench run` does."""
    from gist.models.loading import load_model

    return load_model(name, PROMPT)


def write_prompts(model: str, suite_text: str, file: Path) -> int:
    """Write the contexts and questions of a suite; return the number of questions."""
    spec = Spec.parse(suite_text)
    suite: Suite = build(plugins.load(plugins.SUITES, spec.name), spec)
    prompts = [
        {
            "context": sample.context,
            "questions": [question.text for question in sample.questions],
            "max_new_tokens": sample.max_new_tokens,
        }
        for sample in suite.samples(load(model).tokenizer, 0)
    ]
    file.write_text(json.dumps(prompts), encoding="utf-8")
    return sum(len(prompt["questions"]) for prompt in prompts)


def answer_all(model: str, file: Path) -> None:
    """Read every context once, and ask its questions in batches: the bare loop."""
    from gist.decode import ask, read

    lm = load(model)
    encode = lm.tokenizer.encode
    for prompt in json.loads(file.read_text(encoding="utf-8")):
        state = read(lm, [*lm.prompt.before, *encode(prompt["context"])])
        rows = [
            [*lm.prompt.between, *encode(text), *lm.prompt.after] for text in prompt["questions"]
        ]
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            for ids in ask(lm, state, batch, max_new_tokens=prompt["max_new_tokens"]):
                lm.tokenizer.decode(ids)


def seconds(command: list[str]) -> tuple[float, float]:
    """Return the wall time and the processor time of a process."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system
    return time.perf_counter() - start, used - before.children_user - before.children_system


def main() -> None:
    """Print the seconds of both and their ratio; with `--loop`, be the bare loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--suite", default="qa")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", type=Path)
    given = parser.parse_args()
    if given.loop:
        answer_all(given.model, given.loop)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prompts.json"
        questions = write_prompts(given.model, given.suite, file)
        bare = ["-m", "tests.regression.overhead", "--model", given.model, "--loop", str(file)]
        whole = ["-c", "from harness.cli import main; main()", "run", "--model", given.model]
        whole += ["--suite", given.suite, "--backend", "full", "--batch-size", str(BATCH)]
        times = [
            (*seconds([*whole, "--out", f"{folder}/{number}"]), *seconds(bare))
            for number in range(given.rounds)
        ]
    run_s, run_cpu_s, loop_s, loop_cpu_s = (min(column) for column in zip(*times, strict=True))
    print(f"{questions} questions, {given.suite}, full, {given.model}")
    print(f"  seconds         run {run_s:7.2f}   loop {loop_s:7.2f}   ratio {run_s / loop_s:.3f}")
    ratio = run_cpu_s / loop_cpu_s
    print(f"  processor time  run {run_cpu_s:7.2f}   loop {loop_cpu_s:7.2f}   ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
