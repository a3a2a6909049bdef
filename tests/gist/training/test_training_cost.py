"""What training is computed to cost is what it allocates and does."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, PretrainedConfig, Qwen3Config

from gist.adapter import added
from gist.collator import Example, PackedCollator
from gist.embedding import first_gist_id
from gist.layout import GistPlan
from gist.lora import ATTENTION, LINEAR, LoraOptions
from gist.models import memory, shapes
from gist.models.model import LanguageModel
from gist.models.prompt import PromptIds
from gist.training import dry_run
from gist.training.checkpointing import checkpointed
from gist.training.configuration import (
    AdapterOptions,
    LayoutOptions,
    OptimiserOptions,
    TrainingConfiguration,
)
from gist.training.curriculum_options import CurriculumOptions
from gist.training.dry_run import DryRow
from gist.training.dry_run_table import dry_run_table, render
from gist.training.training_cost import Base, Step, TrainingCost, estimate
from tests.gist.models.test_shapes import load_shape
from tests.support.allocations import peak_allocated_bytes

# Computed over measured, of what a step holds beside weights and adapter.
LOWEST, HIGHEST = 0.95, 1.4
PLAN = GistPlan(rows=16, segment_tokens=64)
SMALL = {
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
LLAMA_8B = "shape:llama-3-8b"


class Training:
    """A small random model with an adapter, and one packed batch for it."""

    def __init__(self, base: Base, targets: tuple[str, ...], step: Step) -> None:
        self.model, _ = shapes.build_random(
            base.config,
            name="small",
            device=torch.device("cpu"),
            dtype=base.dtype,
            in_4bit=base.in_4bit,
        )
        self.base, self.step = base, step
        self.lora = LoraOptions(8, 16, targets)
        self.adapter = AdapterOptions(rank=8, targets=targets)
        generator = torch.Generator().manual_seed(0)

        def ids(count: int) -> tuple[int, ...]:
            return tuple(torch.randint(0, 1000, (count,), generator=generator).tolist())

        questions = tuple((ids(12), ids(8)) for _ in range(4))
        collator = PackedCollator(PromptIds((1,), (2,), (3,)), first_gist_id(self.model), PLAN)
        self.batch = collator([Example(ids(300), questions, 20)] * step.batch)
        self.labels = self.batch.pop("shift_labels")
        self.batch.pop("answers")
        sizes = {"tokens": self.batch["input_ids"].shape[1], "answer_tokens": 4 * 8}
        self.step = replace(step, **sizes)

    @property
    def cost(self) -> TrainingCost:
        """What one step is computed to cost."""
        return estimate(self.base, self.adapter, PLAN.rows, self.step)

    def run(self, *, peak: bool = False) -> int:
        """Do forward and backward; return the operations, or the most bytes held at once."""
        with added(self.model, PLAN, self.lora, seed=0) as adapted:
            adapted.train()
            checkpointing = self.step.gradient_checkpointing

            def once() -> None:
                way = checkpointed(adapted) if checkpointing else nullcontext()
                with way, torch.autocast("cpu", torch.bfloat16, enabled=self.step.autocast):
                    logits = adapted(**self.batch, use_cache=False).logits
                F.cross_entropy(logits.float().flatten(0, 1), self.labels.flatten()).backward()

            once()  # gradients are there from now on
            if peak:
                return peak_allocated_bytes(once)
            # The fused kernel of a CPU is none that the counter knows.
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                once()
            return counter.get_total_flops()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("config", "dtype", "in_4bit", "autocast", "targets"),
    [
        (LlamaConfig(**SMALL), torch.float32, False, False, ATTENTION),
        (LlamaConfig(**SMALL), torch.bfloat16, True, True, LINEAR),
        (Qwen3Config(**SMALL), torch.float32, False, True, LINEAR),
        (Qwen3Config(**SMALL), torch.bfloat16, True, False, ATTENTION),
    ],
)
def test_activations_are_computed_as_a_step_allocates_them(
    config: PretrainedConfig,
    dtype: torch.dtype,
    in_4bit: bool,
    autocast: bool,
    targets: tuple[str, ...],
    checkpointing: bool,
) -> None:
    """Between 0.95 and 1.4 times what PyTorch's allocator held, whatever is trained and how."""
    step = Step(0, 0, gradient_checkpointing=checkpointing, autocast=autocast)
    training = Training(Base(config, dtype, in_4bit), targets, step)
    measured = training.run(peak=True)
    assert LOWEST < training.cost.activation_bytes / measured < HIGHEST


def test_rows_of_a_batch_cost_the_same_each() -> None:
    """Two contexts in a batch take twice the activations and the operations of one."""
    base = Base(LlamaConfig(**SMALL), torch.float32)
    step = Step(0, 0, autocast=False)
    one, two = (Training(base, ATTENTION, replace(step, batch=batch)) for batch in (1, 2))
    assert two.cost.activation_bytes == 2 * one.cost.activation_bytes
    assert LOWEST < two.cost.activation_bytes / two.run(peak=True) < HIGHEST


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("targets", [ATTENTION, LINEAR])
def test_operations_are_those_that_torch_counts(
    checkpointing: bool, targets: tuple[str, ...]
) -> None:
    """Forward, backward and recomputation, as torch's own counter has them.

    But for the scores, which fused attention computes again in its backward pass.
    """
    step = Step(0, 0, gradient_checkpointing=checkpointing, autocast=False)
    training = Training(Base(LlamaConfig(**SMALL), torch.float32), targets, step)
    scores = 2 * training.step.tokens**2 * 4 * 32 * 3  # pairs, heads, head_dim, layers
    # Recomputation stops before the last product of a layer, where nothing there is learnt.
    tolerance = 0.05 if checkpointing else 1e-3
    assert training.cost.flops == pytest.approx(training.run() + scores, rel=tolerance)


def test_what_is_trained_is_counted_to_the_byte() -> None:
    """LoRA and gist embeddings, each as weight, gradient and two moments in float32."""
    step = Step(0, 0, autocast=False)
    training = Training(Base(LlamaConfig(**SMALL), torch.float32), LINEAR, step)
    with added(training.model, PLAN, training.lora, seed=0) as adapted:
        learning = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert training.cost.trained_bytes == learning * 4 * 4


def test_full_embeddings_are_copies_of_both_tables() -> None:
    """They take what torch gives their copies, and far more than the rows alone."""
    base = Base(LlamaConfig(**SMALL), torch.float32)
    training = Training(base, ATTENTION, Step(0, 0))
    with added(training.model, PLAN, training.lora, seed=0, embeddings="full") as adapted:
        learning = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    full = replace(training.adapter, embeddings="full")
    assert estimate(base, full, PLAN.rows, training.step).trained_bytes == learning * 4 * 4


@pytest.mark.parametrize(("context_tokens", "gigabytes"), [(4096, 12), (7600, 16)])
def test_an_8b_model_in_4_bits_trains_on_a_small_gpu(context_tokens: int, gigabytes: int) -> None:
    """LoRA of rank 64 and gist embeddings, checkpointed, eight questions: under 12 and 16 GB."""
    base = Base(shapes.shape_config(LLAMA_8B), torch.bfloat16, in_4bit=True)
    tokens = context_tokens + context_tokens // 16 + 8 * 48 + 40
    step = Step(tokens, 8 * 16, gradient_checkpointing=True)
    cost = estimate(base, AdapterOptions(rank=64), 64, step)
    assert gigabytes / 2 < cost.total_bytes / 1e9 < gigabytes
    kept = estimate(base, AdapterOptions("full", rank=64), 64, step)
    assert kept.total_bytes - cost.total_bytes > 8e9


CONFIGURATION = TrainingConfiguration(
    layout=LayoutOptions(rows=PLAN.rows, segment_tokens=PLAN.segment_tokens),
    adapter=AdapterOptions(rank=4, alpha=8),
    curriculum=CurriculumOptions(questions=2, context_tokens=(300,)),
    optimiser=OptimiserOptions(gradient_checkpointing=True),
)


@pytest.fixture(params=[False, True], ids=["plain", "nf4"])
def shape(request: pytest.FixtureRequest, tiny_llama_folder: Path) -> LanguageModel:
    """A tiny shape with random weights, as it is and in 4 bits."""
    return load_shape(tiny_llama_folder, load_in_4bit=request.param)


def test_a_dry_run_measures_a_step_and_asking(shape: LanguageModel) -> None:
    """Time and peak of both are measured, and the model is as it was."""
    names = [name for name, _ in shape.model.named_modules()]
    rows = list(dry_run.dry_run(shape, CONFIGURATION, contexts=(300,)))
    assert [(row.phase, row.context_tokens) for row in rows] == [("train", 300), ("ask", 300)]
    for row in rows:
        assert row.how == "measured"
        assert row.seconds is not None
        assert row.seconds > 0
        assert row.peak_bytes is None or row.peak_bytes >= (row.before_bytes or 0) > 0
    assert [name for name, _ in shape.model.named_modules()] == names
    assert not shape.model.training


def test_what_is_over_the_limit_is_computed_only(shape: LanguageModel) -> None:
    """On a CPU a limit keeps a step from being tried; the table says so."""
    (train, ask) = dry_run.dry_run(shape, CONFIGURATION, contexts=(300,), memory_limit_gib=1e-6)
    for row in (train, ask):
        assert row.how == "computed"
        assert row.seconds is None
        assert "over the limit" in row.why


def test_what_does_not_fit_is_computed_only(
    tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory for the weights, nothing is measured and every row says why."""
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    lm = load_shape(tiny_llama_folder)
    lengths = replace(CONFIGURATION.curriculum, context_tokens=(300, 10**6))
    text = dry_run_table(lm, replace(CONFIGURATION, curriculum=lengths), processor="a CPU")
    lines = text.splitlines()
    assert sum(line.endswith("computed") for line in lines) == 4
    assert not any(line.endswith("measured") for line in lines)
    reasons = [line for line in lines if "(weights) needs" in line]
    assert len(reasons) == 1
    assert "train 300, ask 300, train 1,000,000, ask 1,000,000" in reasons[0]


def test_rows_over_the_limit_are_named(tiny_llama: LanguageModel) -> None:
    """The table says which lengths do not fit a smaller memory."""
    text = dry_run_table(tiny_llama, CONFIGURATION, processor="a CPU", memory_limit_gib=1e-6)
    assert "over the limit of 1e-06 GiB: train 300, ask 300" in text


def test_contexts_beyond_the_positions_are_not_tried(tiny_qwen3: LanguageModel) -> None:
    """The row says how many positions the model has."""
    rows = list(dry_run.dry_run(tiny_qwen3, CONFIGURATION, contexts=(5000,)))
    assert all("2048 positions" in row.why for row in rows)


def test_memory_is_given_back_when_a_step_runs_out_of_it(
    tiny_llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allocator's error is a row, and the adapter is off afterwards."""

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(dry_run, "_step", fail)
    train, ask = dry_run.dry_run(tiny_llama, CONFIGURATION, contexts=(100,))
    assert train.why == "out of memory"
    assert ask.how == "measured"
    assert not any("lora" in name for name, _ in tiny_llama.model.named_modules())


def test_the_table_shows_what_was_measured() -> None:
    """A row that was not measured shows no peak, and its time is a computed one."""
    computed = DryRow("train", 4096, 5000, 2**30, 3 * 2**30, 12.5)
    measured = replace(computed, peak_bytes=2**31, seconds=20.0)
    first, second = render([computed, measured]).splitlines()[2:]
    assert first.split() == "train 4,096 5,000 1.00 - - 3.00 - 12.50 computed".split()
    assert second.split() == "train 4,096 5,000 1.00 - - 3.00 2.00 20.00 measured".split()
