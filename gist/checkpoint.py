"""A gist adapter on disk: a PEFT folder plus `gist.json`, tied to the base model it was trained on.

adapter/adapter_model.safetensors   LoRA weights and the gist rows
adapter/adapter_config.json         PEFT's own
adapter/gist.json                   plan of the gists, base fingerprint, prompt hash, versions
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gist.errors import GistError
from gist.layout import GistPlan

if TYPE_CHECKING:
    from gist.model import LanguageModel  # torch, which reading a card does without

REFERENCE_ADAPTER = Path(__file__).parent / "reference" / "adapter"
CARD = "gist.json"
WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Card:
    """What `gist.json` holds."""

    plan: GistPlan
    base: str
    base_fingerprint: str
    prompt_hash: str
    ratios: tuple[float, ...]  # context tokens per gist that it was trained with
    training: Mapping[str, Any] = field(default_factory=dict)  # data, options, versions, scores


def write_card(folder: Path, card: Card) -> None:
    """Write `gist.json`; a checkpoint is whole once it is there."""
    (folder / CARD).write_text(json.dumps(asdict(card), indent=1) + "\n")


def read_card(folder: Path) -> Card:
    """Read `gist.json`.

    Raises:
        GistError: the folder is no gist checkpoint.
    """
    path = folder / CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        plan = GistPlan(**values.pop("plan"))
        return Card(plan=plan, **values | {"ratios": tuple(values["ratios"])})
    except FileNotFoundError:
        raise GistError(
            f"{folder} is no gist checkpoint: {CARD} is missing. "
            "Make one with gist-bench train-gist."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise GistError(f"{path} cannot be read: {error}") from None


def file_hash(folder: Path) -> str:
    """Return a hash of the adapter's weights and its card."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CARD):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def check_base(card: Card, lm: "LanguageModel", folder: Path) -> None:
    """Refuse an adapter of another model, or of other prompt pieces.

    Raises:
        GistError: with both fingerprints.
    """
    if card.base_fingerprint != lm.fingerprint:
        raise GistError(
            f"{folder} was trained on {card.base} ({card.base_fingerprint}), "
            f"not on {lm.name} ({lm.fingerprint}). Train one for it with gist-bench train-gist."
        )
    if card.prompt_hash != lm.prompt_hash:
        raise GistError(
            f"{folder} was trained with another prompt ({card.prompt_hash}, now {lm.prompt_hash}). "
            "Train it again with this version."
        )
