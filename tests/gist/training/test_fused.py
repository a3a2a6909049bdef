"""Fused training on a CPU computes what stock code computes."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pytest
import torch
from peft import PeftModel

from gist.adapter import added
from gist.collator import Example
from gist.forward import forward_for
from gist.layout import GistPlan
from gist.lora import LINEAR, LoraOptions
from gist.models.model import LanguageModel
from gist.training import fused as module
from gist.training.configuration import LossWeights
from gist.training.fused import fused
from gist.training.step import TrainingStep

CPU = torch.device("cpu")
PLANS = {"tokens": GistPlan(rows=8, segment_tokens=16), "pool": GistPlan(0, "pool"),
         "residual": GistPlan(3, "residual")}  # fmt: skip
Gradients = dict[str, torch.Tensor]


@pytest.fixture(params=["tiny_llama", "tiny_qwen3"])
def lm(request: pytest.FixtureRequest) -> Iterator[LanguageModel]:
    """A tiny model in float64."""
    tiny: LanguageModel = request.getfixturevalue(request.param)
    tiny.model.to(torch.float64)
    yield tiny
    tiny.model.to(torch.float32)


def examples(gists: int) -> Sequence[Example]:
    """Contexts and questions of different lengths."""
    sizes = ((40, 5), (23, 9), (31, 2))
    return [
        Example(
            tuple(range(10, 10 + context)),
            ((tuple(range(50, 50 + asked)), (90, 91, 1)), ((60, 61), (92, 1))),
            gists and context // gists,
        )
        for context, asked in sizes
    ]


def learn(
    lm: LanguageModel, adapted: PeftModel, plan: GistPlan, gists: int, *, fast: bool
) -> tuple[torch.Tensor, Gradients]:
    """Return loss and gradients of a step that distils too: the teacher has the adapter off."""
    step = TrainingStep(forward_for(lm, plan), LossWeights(distillation=0.5))
    with fused(adapted, CPU) if fast else nullcontext():
        loss = step(adapted, examples(gists)).loss
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares none
    trained = {n: p for n, p in adapted.named_parameters() if p.grad is not None}
    found = {n: p.grad.clone() for n, p in trained.items() if p.grad is not None}
    adapted.zero_grad()
    return loss.detach(), found


def adapter(adapted: PeftModel, dtype: torch.dtype) -> None:
    """Draw an adapter that changes the answers."""
    generator = torch.Generator().manual_seed(3)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator).to(dtype) / 5


@pytest.mark.parametrize("gists", [0, 4])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_fused_step_has_the_loss_and_gradients_of_stock_code(
    lm: LanguageModel, plan: GistPlan, gists: int
) -> None:
    """In float64, of all that learns; and stock code is back afterwards."""
    with added(lm.model, plan, LoraOptions(4, 8, LINEAR), seed=0) as adapted:
        adapter(adapted, torch.float64)
        stock, wanted = learn(lm, adapted, plan, gists, fast=False)
        loss, found = learn(lm, adapted, plan, gists, fast=True)
        assert not any("forward" in vars(layer) for layer in adapted.modules())
    torch.testing.assert_close(loss, stock, rtol=1e-12, atol=0)
    assert found.keys() == wanted.keys()
    for name, grad in wanted.items():
        torch.testing.assert_close(found[name], grad, rtol=1e-9, atol=1e-12)


def test_the_adapter_learns_in_float32_on_bfloat16_weights(tiny_llama: LanguageModel) -> None:
    """Its gradients are float32, and those of stock code but for rounding; autocast as well."""
    plan = PLANS["pool"]
    for dtype, autocast in ((torch.bfloat16, False), (torch.float32, True)):
        tiny_llama.model.to(dtype)
        with added(tiny_llama.model, plan, LoraOptions(4, 8, LINEAR), seed=0) as adapted:
            adapter(adapted, torch.float32)
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                _, wanted = learn(tiny_llama, adapted, plan, 4, fast=False)
                _, found = learn(tiny_llama, adapted, plan, 4, fast=True)
        assert {grad.dtype for grad in found.values()} == {torch.float32}
        flat = [torch.cat([g.flatten() for g in each.values()]) for each in (found, wanted)]
        assert torch.cosine_similarity(*flat, dim=0) > 0.99
    tiny_llama.model.to(torch.float32)


def test_long_contexts_keep_no_attention_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size, attention is torch's own: its memory grows with the length alone."""
    asked = []
    monkeypatch.setattr(module._Attention, "_attend", lambda *_, **__: asked.append(1))
    query = torch.zeros(1, 4, 64, 8, requires_grad=True)
    for largest, count in ((4 * 64 * 64 - 1, 0), (4 * 64 * 64, 1)):
        monkeypatch.setattr(module, "LARGEST", largest)
        with module._Attention():
            torch.nn.functional.scaled_dot_product_attention(query, query, query)
        assert len(asked) == count
