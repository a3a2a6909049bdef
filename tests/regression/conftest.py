"""What the speed tests share: a model of the reference model's size, counters, ratios with limits.

Three kinds of checks, from hard to soft. Counts of forward passes and tokens are exact. Ratios of
two things timed in one process, turn by turn, must stay below the limit in
results/baselines/ratios.json. Seconds are printed by `make bench` and gate nothing: they belong to
the machine.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.api import PROMPT

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

BASELINES = Path(__file__).parents[2] / "results/baselines/ratios.json"
LAYERS, WIDTH = 4, 128
CheckRatio = Callable[[str, Callable[[], object], Callable[[], object]], None]


@dataclass
class Forwards:
    """The shapes of the token ids that a model was fed."""

    shapes: list[tuple[int, int]] = field(default_factory=list)  # (batch, tokens) of each pass

    @property
    def tokens(self) -> int:
        """All token positions computed, padding included."""
        return sum(batch * tokens for batch, tokens in self.shapes)


@contextmanager
def counted(lm: "LanguageModel") -> Iterator[Forwards]:
    """Count the forward passes of a model."""
    forwards = Forwards()

    def note(_module: object, _args: object, given: dict[str, Any]) -> None:
        batch, tokens = given["input_ids"].shape
        forwards.shapes.append((int(batch), int(tokens)))

    hook = lm.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield forwards
    finally:
        hook.remove()


def best_seconds(*works: Callable[[], object], rounds: int) -> list[float]:
    """Return the processor time of each work's best round, whatever else the machine does.

    The works take turns, so that caches and clock rates are the same for all of them.
    """
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for number, work in enumerate(works):
            start = time.process_time()
            work()
            best[number] = min(best[number], time.process_time() - start)
    return best


def limits() -> dict[str, dict[str, float]]:
    """Return what was measured and what is allowed, by the name of the ratio."""
    read: dict[str, dict[str, float]] = json.loads(BASELINES.read_text(encoding="utf-8"))
    return read


@pytest.fixture
def check_ratio(record_property: Callable[[str, object], None]) -> CheckRatio:
    """Time `work` against `against` and compare the ratio with the limit of that name."""

    def check(name: str, work: Callable[[], object], against: Callable[[], object]) -> None:
        limit = limits()[name]["limit"]
        ratio = float("inf")
        for rounds in (3, 12):  # a second, longer look before something is called slow
            first, second = best_seconds(work, against, rounds=rounds)
            ratio = min(ratio, first / second)
            if ratio <= limit:
                break
        record_property(name, ratio)
        print(f"{name}: {ratio:.3f} (limit {limit:g})")
        assert ratio <= limit, f"{name} is {ratio:.2f}; its limit in {BASELINES.name} is {limit}"

    return check


@pytest.fixture(scope="session")
def bench_model(tmp_path_factory: pytest.TempPathFactory) -> "LanguageModel":
    """A random Llama of the reference model's size, with one token per byte."""
    from gist.models.loading import load_model
    from tests.support.tiny_models import SHAPE, tiny_tokenizer

    folder = tmp_path_factory.mktemp("bench-model")
    shape = SHAPE | {
        "model_type": "llama",
        "num_hidden_layers": LAYERS,
        "hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_attention_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 8192,
        "eos_token_id": 1,
    }
    tiny_tokenizer(chat=False).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    return load_model(f"shape:{folder}/config.json", PROMPT, device="cpu", dtype="float32")
