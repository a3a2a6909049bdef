"""How OpenMP's threads wait, on idle cores and beside other processes: seconds of one pass.

    python -m tests.regression.threads [--model M] [--tokens N] [--passes N]

Each setting is a process of its own, since libgomp reads its variables when it is loaded. The ways
take turns, first on cores that nothing else of ours uses, then beside a busy process per core. What
the command sets by itself (see `harness.cli.threads`) is the row `GOMP_SPINCOUNT=10000`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

from tabulate import tabulate

from harness.api import PROMPT
from harness.run.environment import OPENMP

WAYS: dict[str, dict[str, str]] = {
    "libgomp's default": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
BUSY = [sys.executable, "-c", "while True: pass"]


def time_passes(model: str, tokens: int, passes: int) -> None:
    """Print the median seconds of a pass over so many tokens."""
    import torch

    from gist.models.loading import load_model

    lm = load_model(model, PROMPT, device="cpu")
    ids = lm.ids([[(7 * i) % 500 + 3 for i in range(tokens)]])  # (1, tokens)
    taken = []
    with torch.inference_mode():
        lm.model(ids)
        for _ in range(passes):
            start = time.perf_counter()
            lm.model(ids)
            taken.append(time.perf_counter() - start)
    print(statistics.median(taken))


def measure(way: str, model: str, tokens: int, passes: int) -> float:
    """Return the seconds of a pass in a process with the variables of a way."""
    environment = {name: value for name, value in os.environ.items() if name not in OPENMP}
    command = [sys.executable, "-m", "tests.regression.threads", "--pass", "--model", model]
    command += ["--tokens", str(tokens), "--passes", str(passes)]
    done = subprocess.run(
        command, env=environment | WAYS[way], check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a table of the ways; with `--pass`, be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--pass", action="store_true", dest="one")
    given = parser.parse_args()
    sizes = (given.model, given.tokens, given.passes)
    if given.one:
        time_passes(*sizes)
        return
    idle = {way: measure(way, *sizes) for way in WAYS}
    with ExitStack() as running:
        for _ in range(os.cpu_count() or 1):
            running.callback(running.enter_context(subprocess.Popen(BUSY)).kill)
        busy = {way: measure(way, *sizes) for way in WAYS}
    best = min(idle.values())
    rows = [
        [way, f"{idle[way]:.4f}", f"{idle[way] / best:.1f}", f"{busy[way]:.4f}",
         f"{busy[way] / best:.1f}"]
        for way in WAYS
    ]  # fmt: skip
    heads = ["", "idle, s", "ratio", "beside busy processes, s", "ratio"]
    print(
        f"{given.tokens} tokens in one pass of {given.model}; ratios to the fastest on idle cores"
    )
    print(tabulate(rows, heads, disable_numparse=True, stralign="right"))


if __name__ == "__main__":
    main()
