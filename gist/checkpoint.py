"""A gist adapter on disk: a PEFT folder plus `gist.json`, tied to the base model it was trained on.

adapter/adapter_model.safetensors   LoRA weights and the gist embeddings
adapter/adapter_config.json         PEFT's own: rank, scale and targets of LoRA
adapter/gist.json                   layout of the gists, base fingerprint, prompt hash, versions
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gist.layout import GistPlan
from gist.models import shipped
from harness.errors import UserError
from harness.files import write_atomically

if TYPE_CHECKING:
    from gist.models.model import LanguageModel  # torch, which reading a card does without

CARD = "gist.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class AdapterCard:
    """What `gist.json` holds."""

    plan: GistPlan
    base: str
    base_fingerprint: str
    prompt_hash: str
    ratios: tuple[float, ...]  # context tokens per gist that it was trained with
    training: Mapping[str, Any] = field(default_factory=dict)  # data, options, versions, scores
    shots: int = 0  # worked examples in the prompt


def write_card(folder: Path, card: AdapterCard) -> None:
    """Write `gist.json`; a checkpoint is whole once it is there."""
    write_atomically(folder / CARD, (json.dumps(asdict(card), indent=1) + "\n").encode())


def read_card(folder: Path) -> AdapterCard:
    """Read `gist.json`.

    Raises:
        UserError: the folder is no gist checkpoint.
    """
    path = folder / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        plan = GistPlan(**values.pop("plan"))
        return AdapterCard(plan=plan, **values | {"ratios": tuple(values["ratios"])})
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no gist checkpoint: {CARD} is missing. "
            "Make one with gist-bench train-gist."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def file_hash(folder: Path) -> str:
    """Return a hash of all that decides an answer: weights, LoRA's scale and targets, the card."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CONFIG, CARD):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def shipped_adapter(fingerprint: str) -> Path | None:
    """Return the folder of the adapter that a package brings for the model of a fingerprint."""
    folders = (model.adapter for model in shipped.all_models().values())
    return next(
        (f for f in folders if f.is_dir() and read_card(f).base_fingerprint == fingerprint), None
    )


def check_base(card: AdapterCard, lm: "LanguageModel", folder: Path) -> None:
    """Refuse an adapter of another model, or of other prompt pieces.

    Raises:
        UserError: with both fingerprints.
    """
    if card.base_fingerprint != lm.fingerprint:
        raise UserError(
            f"{folder} was trained on {card.base} ({card.base_fingerprint}), "
            f"not on {lm.name} ({lm.fingerprint}). Train one for it with gist-bench train-gist."
        )
    if card.shots != lm.prompt.shots:
        raise UserError(
            f"{folder} was trained with --shots {card.shots}, and the prompt has "
            f"{lm.prompt.shots} worked examples. Add --shots {card.shots}."
        )
    if card.prompt_hash != lm.prompt_hash:
        raise UserError(
            f"{folder} was trained with another prompt ({card.prompt_hash}, now {lm.prompt_hash}). "
            "Train it again with this version."
        )
