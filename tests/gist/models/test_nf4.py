"""4-bit weights stay differentiable, and training leaves them what they are when asked."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from bitsandbytes.nn.modules import has_avx512bf16
from torch.nn import functional as F

from gist.adapter import added
from gist.collator import Example, PackedCollator
from gist.embedding import first_gist_id
from gist.layout import GistPlan
from gist.lora import LINEAR, LoraOptions
from gist.models import nf4
from gist.models.loading import load_model
from gist.models.model import LanguageModel
from gist.training.checkpointing import checkpointed
from harness.api import PROMPT

PLAN = GistPlan(rows=8, segment_tokens=16)
CONTEXT = tuple(range(10, 50))
QUESTIONS = (((60, 61, 62), (70, 71, 1)), ((63, 64), (72, 1)))
Gradients = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model in 4 bits whose layers are wide enough for the kernel that has the trap."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.support.tiny_models import SHAPE, tiny_tokenizer

    torch.manual_seed(7)
    wide = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32, "num_hidden_layers": 3}
    model = LlamaForCausalLM(LlamaConfig(**(SHAPE | wide | {"initializer_range": 0.1})))
    model.save_pretrained(tmp_path / "wide")
    tiny_tokenizer(chat=False).save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def load(folder: Path) -> LanguageModel:
    """Load the model in 4 bits, as the command line does."""
    return load_model(str(folder), PROMPT, device="cpu", load_in_4bit=True)


def gradients(
    lm: LanguageModel, *, evaluate: bool = False, checkpointing: bool = False
) -> Gradients:
    """Return the gradient of everything that learns; before it, the model may be evaluated."""
    with added(lm.model, PLAN, LoraOptions(4, 8, LINEAR), seed=1) as adapted:
        nf4.prepare_for_training(adapted)
        return _gradients(lm, adapted, evaluate=evaluate, checkpointing=checkpointing)


def _gradients(
    lm: LanguageModel, adapted: torch.nn.Module, *, evaluate: bool, checkpointing: bool = False
) -> Gradients:
    generator = torch.Generator().manual_seed(3)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # drawn as zeros, which let no gradient through to lora_A
            parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    batch = PackedCollator(lm.prompt, first_gist_id(lm.model), PLAN)(
        [Example(CONTEXT, QUESTIONS, 6)]
    )
    labels, _ = batch.pop("shift_labels"), batch.pop("answers")
    if evaluate:
        adapted.eval()
        with torch.no_grad():
            adapted(**batch, use_cache=False)
    adapted.train()
    with checkpointed(adapted) if checkpointing else nullcontext():
        logits = adapted(**batch, use_cache=False).logits
    F.cross_entropy(logits.float().flatten(0, 1), labels.flatten()).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in adapted.named_parameters()
        if p.requires_grad
    }


def distance(first: Gradients, second: Gradients) -> float:
    """Return the largest relative difference over all that learns."""
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).norm() / first[name].norm()) for name in first)


def test_evaluating_before_training_changes_no_gradient(folder: Path) -> None:
    """The gradients are those of a model that was loaded and trained at once."""
    fresh = gradients(load(folder))
    assert all(gradient.abs().max() > 0 for gradient in fresh.values())
    assert distance(fresh, gradients(load(folder), evaluate=True)) == 0.0


@pytest.mark.skipif(not has_avx512bf16(), reason="only CPUs with avx512_bf16 have the trap")
@pytest.mark.filterwarnings("ignore:bitsandbytes")
def test_the_trap_is_there_without_the_mend(folder: Path) -> None:
    """Repacked by an evaluation, layers lose their gradients: what the fix is for."""
    fresh = gradients(load(folder))
    lm = load(folder)
    for module in lm.model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = True
    with added(lm.model, PLAN, LoraOptions(4, 8, LINEAR), seed=1) as adapted:
        broken = _gradients(lm, adapted, evaluate=True)
    assert distance(fresh, broken) > 0.1


def test_checkpointing_changes_no_gradient(folder: Path) -> None:
    """Gist embeddings make the inputs of every layer differentiable: it needs no hook."""
    assert distance(gradients(load(folder)), gradients(load(folder), checkpointing=True)) == 0.0


def test_what_learns_is_float32_and_the_rest_stays(folder: Path) -> None:
    """Training makes no copy of embeddings, head or norms in float32, and computes as asking."""
    lm = load(folder)
    before = {name: (p.dtype, p.data_ptr()) for name, p in lm.model.named_parameters()}
    with added(lm.model, PLAN, LoraOptions(4, 8, LINEAR), seed=1) as adapted:
        nf4.prepare_for_training(adapted)
        learning = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
        assert {p.dtype for p in learning.values()} == {torch.float32}
        assert {"gist_rows", "lora_A", "lora_B"} == {
            part for name in learning for part in ("gist_rows", "lora_A", "lora_B") if part in name
        }
        ids = torch.tensor([[5, first_gist_id(lm.model)]])
        assert lm.model.get_input_embeddings()(ids).dtype == torch.bfloat16
    after = {name: (p.dtype, p.data_ptr()) for name, p in lm.model.named_parameters()}
    assert after == before
