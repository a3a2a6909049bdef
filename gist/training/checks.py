"""What is refused before the first step of a training."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils.constants import FSDP_MODEL_NAME
from peft import PeftModel

from gist.checkpoint import adapter_folder, check_base, read_card
from gist.collator import Example
from gist.forward import Forward
from gist.gradients import mask_blocks
from gist.layout import GistPlan
from gist.models.model import LanguageModel
from gist.models.nf4 import is_sharded
from gist.rotary import check_movable
from gist.stored_adapter import read_adapter
from gist.training.configuration import TrainingConfiguration
from gist.training.curriculum_options import Stage
from harness.errors import UserError, reading
from harness.files import write_atomically

BEST = "best"  # the adapter with the best held-out score so far, in the folder of a training
GIST_TOKEN = "<GIST_"  # the name that gist tokens have in print
log = logging.getLogger(__name__)


def check_trainable(lm: LanguageModel, stages: Sequence[Stage], plan: GistPlan) -> None:
    """Refuse what no adapter can come out of.

    Raises:
        UserError: random weights, no gists in any stage, windows of a model whose keys cannot be
            moved, means to be read by gists, or a tokenizer with gist tokens already.
    """
    if lm.random_weights:
        raise UserError(f"{lm.name} has random weights; an adapter for it would learn nothing")
    if not any(stage.compresses or stage.plain == 1 for stage in stages):
        raise UserError("no stage has gists: give ratios, such as 8 and 16 context tokens per gist")
    if any(stage.window_tokens for stage in stages):
        check_movable(lm.model)
    if plan.pools and any(stage.twice for stage in stages):
        raise UserError(
            f"placement {plan.placement} keeps means, which no gists read: leave out twice. "
            "Allowed with twice: end, interleaved."
        )
    taken = [token for token in lm.tokenizer.inner.get_vocab() if token.startswith(GIST_TOKEN)]
    if taken:
        raise UserError(
            f"the tokenizer of {lm.name} has {len(taken)} tokens of its own such as {taken[0]}: "
            "it belongs to a model that was trained with gists before. Give its base model."
        )


def check_sharding(lm: LanguageModel, plan: GistPlan, stages: Sequence[Stage]) -> None:
    """Refuse what FSDP does not do.

    Raises:
        UserError: no GPU, where accelerate would leave a whole copy in every process without a
            word; or a training in two passes: the gradients of the first come after its weights
            have been freed.
    """
    if not is_sharded():
        return
    if lm.device == "cpu":
        raise UserError("FSDP shards over GPUs, and this is a CPU. Use torchrun without it.")
    if plan.pools:
        raise UserError(
            f"placement {plan.placement} is trained in two passes, which FSDP cannot do. "
            "Allowed with FSDP: end, interleaved."
        )
    for stage in stages:
        if stage.window_tokens:
            raise UserError(
                f"stage {stage.name!r}: window_tokens is trained in two passes, which FSDP cannot "
                "do. Leave it out."
            )


def check_checkpoint(folder: Path) -> None:
    """Refuse a checkpoint of FSDP without it, and the other way round: accelerate reads its own."""
    written = (folder / f"{FSDP_MODEL_NAME}.bin").is_file()
    if written != is_sharded():
        how = "with" if written else "without"
        raise UserError(
            f"{folder} was written {how} FSDP, and can only be resumed {how} it. Start it as "
            "it was started before, or give another --output."
        )


def check_start(folder: Path, lm: LanguageModel, configuration: TrainingConfiguration) -> None:
    """Refuse to go on from an adapter of another base or of another build.

    Gists that refine means may start from an adapter of means: their gates are closed.
    """
    card = read_card(folder)
    check_base(card, lm, folder)
    config = read_adapter(adapter_folder(folder), card)[0]
    full = "lm_head" in (config.modules_to_save or ())
    adapter, plan = configuration.adapter, configuration.layout.plan
    refines = plan.placement == "residual" and card.plan.placement == "pool"
    related = refines or not (plan.pools or card.plan.pools)
    for name, wanted, found in (
        ("rank", adapter.rank, config.r),
        ("alpha", adapter.alpha, config.lora_alpha),
        ("targets", sorted(adapter.targets), sorted(config.target_modules or ())),
        ("placement", plan.placement, plan.placement if related else card.plan.placement),
        ("rows", plan.rows, plan.rows if refines else card.plan.rows),
        ("embeddings", adapter.embeddings, "full" if full else "rows"),
    ):
        if wanted != found:
            shown = ", ".join(found) if isinstance(found, list) else found
            raise UserError(
                f"{folder} has another {name}: {shown}. Give the same to go on from it."
            )


def claim_folder(output: Path, record: Mapping[str, Any], *, resume: bool) -> None:
    """Note what is trained in the folder; refuse to go on with something else.

    A training that goes on may be given more steps, or fewer. One that begins leaves no best
    adapter of another there: it would be taken for its own.
    """
    path = output / "training.json"
    values = json.loads(json.dumps(record))
    if resume and path.is_file():
        with reading(path, advice="Give another --output."):
            begun = dict(json.loads(path.read_text(encoding="utf-8")))
        changed = sorted(
            name
            for name in values
            if _but_for_steps(begun.get(name)) != _but_for_steps(values[name])
        )
        if changed:
            raise UserError(
                f"{output} holds a training that differs in {', '.join(changed)}. "
                "Give the same command, or another --output."
            )
    if not resume:
        shutil.rmtree(output / BEST, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode())


def _but_for_steps(value: Any) -> Any:
    """Return a value of the record; stages without their number of steps."""
    if not isinstance(value, list):
        return value
    return [{**each, "max_steps": None} if isinstance(each, Mapping) else each for each in value]


def check_mask(adapted: PeftModel, forward: Forward, examples: Sequence[Example]) -> None:
    """Refuse to train where answers see the context past the gists, or not through them."""
    if not examples:
        return  # trained on full contexts alone
    check = mask_blocks(adapted, forward, examples)
    if not check.passed:
        raise UserError(
            f"the mask is wrong: the gradient from answers to the context is {check.cut:.3g} with "
            f"the gists cut off (must be 0) and {check.whole:.3g} with them (must not be 0). "
            "No score of such a training would mean anything."
        )
    log.info(
        "the mask hides %d context tokens: gradient %.3g through the gists, exactly 0 past them",
        check.context_tokens,
        check.whole,
    )
