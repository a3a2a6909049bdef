"""`make gpu`: what a CUDA machine has to show, in parts that are done once each.

    python -m tests.gpu.parts [--tiny] [--out DIR] [--data squad=dev-v1.1.json] [--only PART]

    results/gpu/<card>/<part>/output.txt   what its commands printed; runs and adapters beside it
    results/gpu/<card>/<part>/done.json    seconds and findings, written last: then it is done

The most valuable parts come first, so that a rented card that is taken away has shown something.
`--tiny` runs every part on a CPU with small shapes: nothing is then met for the first time on a
card, and nothing that comes out says anything about a card.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).parents[2]
BIG = "shape:llama-3-8b"
CARD_GIB = 24.0  # the consumer's card that a larger one is cut down to
DECODE_AIM = 1.03  # time of a decoded token behind gists of a 4k context, over closed book
STEP_AIMS_GIB = {4096: 12.0, 7600: 16.0}


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the parts run, and how large they are."""

    out: Path
    tiny: bool
    data: Sequence[str] = ()  # NAME=FILE of train-gist --source

    @property
    def device(self) -> list[str]:
        """The options of commands that name the device."""
        return ["--device", "cpu"] if self.tiny else ["--device", "cuda"]

    @property
    def shape(self) -> str:
        """The model whose costs are measured."""
        return f"shape:{self.out / 'config.json'}" if self.tiny else BIG


@dataclass(slots=True)
class Log:
    """What a part did: its commands' output, and what it found."""

    folder: Path
    found: dict[str, object] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def command(self, *words: str, seconds: float | None = None) -> str:
        """Run a command and return its output; one that outlasts its time is asked to stop.

        Raises:
            subprocess.CalledProcessError: it failed by itself.
        """
        print("  " + " ".join(words), flush=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stopped = False
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            stopped = True
            process.terminate()  # train-gist saves a checkpoint
            output, _ = process.communicate()
        with (self.folder / "output.txt").open("a", encoding="utf-8") as file:
            file.write(f"$ {' '.join(words)}\n{output}\n")
        if process.returncode and not stopped:
            print(output[-2000:], file=sys.stderr)
            raise subprocess.CalledProcessError(process.returncode, words)
        return output


def tests(setting: Setting, log: Log) -> None:
    """Run the tests marked gpu: contracts, logits, peaks, the order of backends, checks."""
    os.environ["GIST_BENCH_TINY"] = "1" if setting.tiny else "0"
    output = log.command("-m", "pytest", "tests/gpu", "-m", "gpu", "-q", "-p", "no:cacheprovider")
    log.found["tests"] = output.strip().splitlines()[-1]


def costs(setting: Setting, log: Log) -> None:
    """Measure memory and speed of an 8B shape, in bfloat16 and in 4 bits."""
    sizes = "64+128" if setting.tiny else "2048+4096+8192+16384+32768"
    tokens, new_tokens = (64, 4) if setting.tiny else (4096, 64)
    words = [
        "run", "--model", setting.shape, *setting.device, "--out", str(log.folder),
        "--suite", f"throughput,tokens={tokens},new_tokens={new_tokens},repeats=3",
        "--suite", f"vram,tokens={sizes},contexts=1+8",
        "--backend", "closed_book", "--backend", "full", "--backend", "truncate",
        "--backend", "gist,untrained=true", "--backend", "mean_pool",
    ]  # fmt: skip
    for name, options in _precisions(setting, log):
        log.command("-m", "harness.cli", *words, *options)
        rows = _newest_rows(log.folder)
        log.found[name] = {
            "decode of gists over closed book": _decode_ratio(rows, tokens),
            "aim": DECODE_AIM,
            f"most tokens within {CARD_GIB:g} GiB": _fits(rows),
        }


def training(setting: Setting, log: Log) -> None:
    """Measure a training step on a card of 24 GB beside what is computed for it."""
    lengths = (64, 128) if setting.tiny else (2048, *STEP_AIMS_GIB)
    words = [
        "train-gist", "--dry-run", "--model", setting.shape, *setting.device,
        "--memory-limit-gib", f"{CARD_GIB:g}", "--rank", "64",
        *(word for length in lengths for word in ("--context-tokens", str(length))),
    ]  # fmt: skip
    for name, options in list(_precisions(setting, log))[-1:]:
        for placement in ("interleaved", "residual"):
            output = log.command(
                "-m", "harness.cli", *words, *options, "--placement", placement,
                "--gradient-checkpointing",
            )  # fmt: skip
            rows = [line.split() for line in output.splitlines() if line.startswith("train ")]
            log.found[f"{name}, {placement}: context, computed and peak in GiB"] = [
                [row[1], row[6], row[7]] for row in rows
            ]
    log.found["aims in GiB"] = {str(size): aim for size, aim in STEP_AIMS_GIB.items()}


def adapter(setting: Setting, log: Log) -> None:
    """Train the adapter of smollm2 by its own configuration for as long as the part has."""
    if not setting.data and not setting.tiny:
        log.left_out.append("the adapter of smollm2: give its data, --data squad=dev-v1.1.json")
        return
    if setting.tiny:
        log.command(
            "-m", "harness.cli", "train-gist", "--suite", "qa,split=train", "--device", "cpu",
            "--placement", "pool", "--max-steps", "2", "--eval-contexts", "2",
            "--output", _fresh(log.folder / "trained"),
        )  # fmt: skip
        return
    sources = [word for each in setting.data for word in ("--source", each)]
    output = log.command(
        "-m", "harness.cli", "train-gist", "--config", "gist/smollm2/adapter.yaml",
        "--init-adapter", "gist/smollm2/adapter", *sources,
        "--output", _fresh(log.folder / "trained"), seconds=330,
    )  # fmt: skip
    log.found["last line"] = output.strip().splitlines()[-1]


PARTS: dict[str, tuple[Callable[[Setting, Log], None], Sequence[str]]] = {
    "tests": (tests, ("pytest",)),
    "costs": (costs, ()),
    "training": (training, ()),
    "adapter": (adapter, ()),
}
"""By name: what a part does, and the packages without which it is left out."""


def run_parts(setting: Setting, only: Sequence[str] = ()) -> bool:
    """Run the parts that are not done; return whether all that were asked for are."""
    setting.out.mkdir(parents=True, exist_ok=True)
    if setting.tiny:
        _write_tiny_shape(setting.out / "config.json")
    complete = True
    for name in only or PARTS:
        work, packages = PARTS[name]
        folder = setting.out / name
        if (folder / "done.json").is_file():
            print(f"{name}: done before")
            continue
        if lacking := [package for package in packages if find_spec(package) is None]:
            print(f"{name}: left out, not installed: {', '.join(lacking)}")
            continue
        folder.mkdir(exist_ok=True)
        log, start = Log(folder), time.perf_counter()
        try:
            work(setting, log)
        except subprocess.CalledProcessError as failed:
            print(f"{name}: FAILED, see {folder / 'output.txt'} ({failed})")
            complete = False
            continue
        seconds = time.perf_counter() - start
        done = {"seconds": round(seconds, 1), "left_out": log.left_out, **log.found}
        partial = folder / "done.tmp"
        partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
        partial.replace(folder / "done.json")
        print(f"{name}: {seconds:.0f} s", *(f"\n  left out: {each}" for each in log.left_out))
    return complete


def _precisions(setting: Setting, log: Log) -> Iterator[tuple[str, list[str]]]:
    yield ("float32", []) if setting.tiny else ("bfloat16", ["--dtype", "bfloat16"])
    if find_spec("bitsandbytes") is None:
        log.left_out.append("4 bits: bitsandbytes is not installed")
        return
    yield "nf4", ["--load-in-4bit"]


def _newest_rows(folder: Path) -> "pd.DataFrame":
    """Return the rows without error of the newest run in a folder."""
    import pandas as pd

    newest = max(folder.glob("*/records.csv"), key=lambda path: path.stat().st_mtime)
    frame = pd.read_csv(newest)
    return frame[frame["error"].isna()]


def _decode_ratio(rows: "pd.DataFrame", tokens: int) -> float | None:
    """Return the seconds of a decoded token behind gists over those of closed book.

    From medians over the repeats: the long answer less the short one, over the tokens between.
    """
    asked = rows[rows["suite"].str.startswith("throughput") & (rows["tokens"] == tokens)]
    medians = asked.groupby(["backend", "max_new_tokens"])["generate_s"].median().unstack()
    if medians.shape[1] < 2:
        return None
    short, long = sorted(medians.columns)
    each = (medians[long] - medians[short]) / (int(long) - int(short))  # seconds a token
    gists = [name for name in each.index if str(name).startswith("gist")]
    return round(float(each[gists[0]] / each["closed_book"]), 3) if gists else None


def _fits(rows: "pd.DataFrame") -> dict[str, int]:
    """Return, by backend and contexts held, the longest context that fits."""
    held = rows[rows["suite"].str.startswith("vram")]
    within = held[held["generate_peak_bytes"] <= CARD_GIB * 2**30]
    longest = within.groupby(["backend", "contexts_held"])["tokens"].max()
    return {f"{backend}, {held} held": int(tokens) for (backend, held), tokens in longest.items()}


def _fresh(folder: Path) -> str:
    """Return a folder that an earlier try has not begun."""
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder)


def _write_tiny_shape(path: Path) -> None:
    shape = {
        "model_type": "llama", "vocab_size": 4096, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "max_position_embeddings": 4096,
    }  # fmt: skip
    path.write_text(json.dumps(shape), encoding="utf-8")


def card() -> str:
    """Return the name of the GPU as a folder's name."""
    import torch

    if not torch.cuda.is_available():
        sys.exit("there is no CUDA device here. `make gpu TINY=1` tries the parts on a CPU.")
    return re.sub(r"\W+", "-", torch.cuda.get_device_name()).strip("-").lower()


def main() -> None:
    """Read the options and run the parts."""
    parser = argparse.ArgumentParser(description="What a CUDA machine has to show, in parts.")
    parser.add_argument("--tiny", action="store_true", help="every part small, on a CPU")
    parser.add_argument("--out", type=Path, help="default: results/gpu/<card>")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--only", action="append", default=[], choices=list(PARTS))
    given = parser.parse_args()
    out = given.out or ROOT / "results/gpu" / ("tiny" if given.tiny else card())
    sys.exit(0 if run_parts(Setting(out.resolve(), given.tiny, given.data), given.only) else 1)


if __name__ == "__main__":
    main()
