"""Try a training before it begins: one real step at each context length, beside what is computed.

A step is what the Trainer does with one packed batch: forward, loss on the answers, backward,
optimizer. Ids are random, since costs do not depend on them. Asking is tried as well: compress,
then answer all questions at once. Where the model is not in memory, or a step would not fit,
rows hold what is computed, and say why.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from gist.adapter import added
from gist.collator import Example
from gist.compress import compress, gists_for
from gist.decode import ask
from gist.embedding import first_gist_id
from gist.forward import forward_for
from gist.layout import max_gists
from gist.models import fit
from gist.models.memory import GIB, limited, usable_bytes
from gist.models.model import LanguageModel
from gist.models.nf4 import prepare_for_training
from gist.training.checkpointing import checkpointed
from gist.training.configuration import TrainingConfiguration
from gist.training.fused import fused
from gist.training.stages import DEFAULT_RATIOS
from gist.training.step import TrainingStep
from gist.training.training_cost import (
    ADAM_COPIES,
    TrainingCost,
    measure_flop_rate,
    reading_flops,
    step_cost,
)
from harness.errors import ContextTooLong, OutOfMemory
from harness.memory import memory_of

QUESTION_TOKENS, ANSWER_TOKENS = 24, 16
CONTEXTS = (2048, 4096, 7600)
LONGEST_S = 300  # steps that would take longer even at full speed are computed only


@dataclass(frozen=True, slots=True)
class DryRow:
    """What training on, or asking, one context takes."""

    phase: Literal["train", "ask"]
    context_tokens: int
    tokens: int  # of the largest forward pass
    weights_bytes: int  # of the base model, exact
    computed_bytes: int  # at the largest moment, weights included
    computed_s: float  # at the rate of a plain matrix product: a lower bound
    cost: TrainingCost | None = None  # the parts of computed_bytes; None for asking
    peak_bytes: int | None = None  # measured; on a CPU that of the whole process
    before_bytes: int | None = None  # in use before, counted in the same way
    seconds: float | None = None  # measured
    why: str = ""  # nothing was measured

    @property
    def how(self) -> str:
        """Where the figures come from."""
        return "computed" if self.seconds is None else "measured"


def dry_run(
    lm: LanguageModel,
    configuration: TrainingConfiguration,
    *,
    contexts: Sequence[int],
    memory_limit_gib: float | None = None,
) -> Iterator[DryRow]:
    """Yield two rows for each context length in tokens, of a training step and of asking.

    The model is left as it was found; on the meta device nothing is measured. `memory_limit_gib` is
    the GPU memory to simulate on CUDA; on a CPU nothing beyond it is tried.
    """
    rate = measure_flop_rate(
        torch.device("cpu") if lm.device == "meta" else lm.model.device,
        torch.bfloat16 if configuration.optimiser.bf16 else lm.model.dtype,
    )
    planned = [row for tokens in contexts for row in _plan(lm, configuration, tokens, rate)]
    reasons = [_why_not(lm, row, memory_limit_gib) for row in planned]
    with limited(lm.model.device, memory_limit_gib):
        if not all(reasons):  # the first step sets things up
            few = replace(configuration.curriculum, questions=1)
            _measure(lm, replace(configuration, curriculum=few), 8, _step)
        for row, why in zip(planned, reasons, strict=True):
            if why:
                yield replace(row, why=why)
            else:
                work = _step if row.phase == "train" else _ask
                yield replace(row, **_measure(lm, configuration, row.context_tokens, work))


def _plan(
    lm: LanguageModel, configuration: TrainingConfiguration, context_tokens: int, rate: float
) -> list[DryRow]:
    """Return the computed rows of one context length."""
    prompt = lm.prompt
    question = len(prompt.between) + QUESTION_TOKENS + len(prompt.after)
    gists = _gists(configuration, context_tokens) if configuration.layout.plan.rows else 0
    read = len(prompt.before) + context_tokens + gists
    # An answer's last token is predicted, not read.
    packed = read + configuration.curriculum.questions * (question + ANSWER_TOKENS - 1)
    answer_tokens = configuration.curriculum.questions * ANSWER_TOKENS
    cost = step_cost(lm, configuration, tokens=packed, answer_tokens=answer_tokens)
    config, dtype, on_cpu = lm.model.config, lm.model.dtype, lm.device == "cpu"
    request = fit.request_bytes(config, dtype, new_entries=read, new_tokens=read, on_cpu=on_cpu)
    weights = cost.weights_bytes
    asking = weights + cost.trained_bytes // ADAM_COPIES + request  # no gradients, no moments
    forward_s = reading_flops(config, tokens=read) / rate
    return [
        DryRow("train", context_tokens, packed, weights, cost.total_bytes, cost.flops / rate, cost),
        DryRow("ask", context_tokens, read, weights, asking, forward_s),
    ]


def _gists(configuration: TrainingConfiguration, context_tokens: int) -> int:
    ratio = max(configuration.curriculum.ratios, default=max(DEFAULT_RATIOS))
    wanted = gists_for(context_tokens, tokens=None, ratio=ratio)
    return min(wanted, max_gists(context_tokens, configuration.layout.plan))


def _why_not(lm: LanguageModel, row: DryRow, memory_limit_gib: float | None) -> str:
    """Return why a row should not be tried, empty if it may be."""
    if lm.device == "meta":
        return lm.does_not_fit.partition(" Try ")[0]
    if row.context_tokens >= lm.max_positions:
        return f"{lm.name} has {lm.max_positions} positions"
    if row.computed_s > LONGEST_S:
        return f"it would take more than {row.computed_s / 60:,.0f} minutes"
    if lm.device == "cuda":
        return ""  # its allocator refuses by itself, and does no harm
    if memory_limit_gib is not None and row.computed_bytes > memory_limit_gib * GIB:
        return f"over the limit of {memory_limit_gib:g} GiB"
    if row.computed_bytes - row.weights_bytes > usable_bytes(lm.model.device):
        return "more than the memory that is free"
    return ""


def _measure(
    lm: LanguageModel,
    configuration: TrainingConfiguration,
    context_tokens: int,
    work: Callable[[LanguageModel, Any, TrainingConfiguration, int], None],
) -> dict[str, Any]:
    """Do the work once with a fresh adapter; return the fields of a row."""
    device, options = lm.model.device, configuration.adapter
    try:
        plan = configuration.layout.plan
        with added(lm.model, plan, options.lora, seed=0, embeddings=options.embeddings) as adapted:
            gc.collect()
            memory = memory_of(str(device))
            memory.reset()
            before = memory.used_bytes()
            start = time.perf_counter()
            work(lm, adapted, configuration, context_tokens)
            memory.synchronize()
            seconds = time.perf_counter() - start
            peak = memory.peak_bytes()
    except (torch.OutOfMemoryError, MemoryError, OutOfMemory):
        return {"why": "out of memory"}
    except ContextTooLong as error:
        return {"why": str(error)}
    finally:
        if device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
    known = before is not None
    return {"peak_bytes": peak if known else None, "before_bytes": before, "seconds": seconds}


def _step(
    lm: LanguageModel, adapted: Any, configuration: TrainingConfiguration, context_tokens: int
) -> None:
    """Train one step on one context with all its questions."""
    prepare_for_training(adapted)
    device, plan = lm.model.device, configuration.layout.plan
    context, questions = _random_ids(lm, configuration, context_tokens)
    pairs = tuple((question, question[:ANSWER_TOKENS]) for question in questions)
    example = Example(context, pairs, _gists(configuration, context_tokens))
    was_training = lm.model.training
    adapted.train()
    try:
        learning = [p for p in adapted.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, fused=True)
        step = TrainingStep(forward_for(lm, plan), configuration.losses)
        checkpointing = configuration.optimiser.gradient_checkpointing
        with checkpointed(adapted) if checkpointing else fused(adapted, device):
            with torch.autocast(device.type, torch.bfloat16, enabled=configuration.optimiser.bf16):
                loss = step(adapted, [example]).loss
            loss.backward()
        optimizer.step()
    finally:
        lm.model.train(was_training)


def _ask(
    lm: LanguageModel, adapted: Any, configuration: TrainingConfiguration, context_tokens: int
) -> None:
    """Compress one context and answer its questions, one token each."""
    adapted.eval()
    context, questions = _random_ids(lm, configuration, context_tokens)
    state = compress(
        lm, context, gists=_gists(configuration, context_tokens), plan=configuration.layout.plan
    )
    rows = [[*lm.prompt.between, *question, *lm.prompt.after] for question in questions]
    ask(lm, state, rows, max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS)


def _random_ids(
    lm: LanguageModel, configuration: TrainingConfiguration, context_tokens: int
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return a context and its questions."""
    rng, size = random.Random(0), first_gist_id(lm.model)
    context = tuple(rng.randrange(size) for _ in range(context_tokens))
    asked = [
        tuple(rng.randrange(size) for _ in range(QUESTION_TOKENS))
        for _ in range(configuration.curriculum.questions)
    ]
    return context, asked
