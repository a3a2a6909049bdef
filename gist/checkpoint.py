"""A gist adapter on disk: a PEFT folder plus `gist.json`, tied to the base model it was trained on.

adapter/adapter_model.safetensors   LoRA weights and the gist embeddings
adapter/adapter_config.json         PEFT's own: rank, scale and targets of LoRA
adapter/gist.json                   layout of the gists, base fingerprint, prompt hash, versions
adapter/contexts.bin                8 bytes of each paragraph that it was trained on, sorted
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gist.layout import GistPlan, Placement, Positions
from gist.models import shipped
from harness.errors import UserError, reading
from harness.files import write_atomically

if TYPE_CHECKING:
    from gist.models.model import LanguageModel  # torch, which reading a card does without

ADAPTER = "adapter"  # the folder in which train-gist leaves its result
CARD = "gist.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
CONTEXTS = "contexts.bin"


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
        UserError: the folder is no gist checkpoint, or a damaged one.
    """
    path = adapter_folder(folder) / CARD
    if not path.is_file():
        there = f"{CARD} is missing" if folder.is_dir() else "there is no such folder"
        raise UserError(
            f"{folder} is no gist checkpoint: {there}. Make one with gist-bench train-gist."
        )
    with reading(path, advice="Restore it, or train the adapter again."):
        values = json.loads(path.read_text(encoding="utf-8"))
        plan = GistPlan(**values.pop("plan"))
        card = AdapterCard(plan=plan, **values | {"ratios": tuple(values["ratios"])})
        if wrong := _wrong(card):
            raise ValueError(f"{wrong} is not what it must be")
    return card


def adapter_folder(folder: Path) -> Path:
    """Return the folder with the adapter: the given one, or `adapter` in what train-gist wrote."""
    inside = folder / ADAPTER
    return inside if not (folder / CARD).is_file() and (inside / CARD).is_file() else folder


def _wrong(card: AdapterCard) -> str:
    """Return the first field of a card whose value cannot be."""
    plan = card.plan
    possible = {
        "plan.rows": _is_count(plan.rows) and (plan.rows == 0) == (plan.placement == "pool"),
        "plan.placement": plan.placement in get_args(Placement),
        "plan.positions": plan.positions in get_args(Positions),
        "plan.segment_tokens": _is_count(plan.segment_tokens) and plan.segment_tokens > 0,
        "plan.keep_prefix": isinstance(plan.keep_prefix, bool),
        "base": isinstance(card.base, str),
        "base_fingerprint": isinstance(card.base_fingerprint, str),
        "prompt_hash": isinstance(card.prompt_hash, str),
        "ratios": all(isinstance(ratio, int | float) and ratio >= 1 for ratio in card.ratios),
        "training": isinstance(card.training, dict),
        "shots": _is_count(card.shots),
    }
    wrong = (name for name, holds in possible.items() if not holds)
    return next((f"{name}={attrgetter(name)(card)!r}" for name in wrong), "")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def paragraph_hashes(text: str) -> set[bytes]:
    """Return 8 bytes for each paragraph, by which it is known again beside others.

    Letters and digits count alone. Paragraphs of fewer than 40, such as headings, stand in many
    texts: they count only in a text that has no longer one. Adapters keep these hashes: a change
    here would make them forget what they were trained on.
    """
    lowered = re.split(r"\n\s*\n", text.lower())
    paragraphs = ["".join(filter(str.isalnum, part)) for part in lowered]
    known = [part for part in paragraphs if len(part) >= 40] or ["".join(paragraphs)]
    return {hashlib.sha256(part.encode()).digest()[:8] for part in known}


def write_contexts(folder: Path, hashes: Collection[bytes]) -> None:
    """Write what an adapter was trained on, as `paragraph_hashes`."""
    write_atomically(folder / CONTEXTS, b"".join(sorted(hashes)))


def read_contexts(folder: Path) -> frozenset[bytes]:
    """Return what an adapter was trained on; nothing if its folder does not say."""
    try:
        joined = (adapter_folder(folder) / CONTEXTS).read_bytes()
    except FileNotFoundError:
        return frozenset()
    return frozenset(joined[at : at + 8] for at in range(0, len(joined), 8))


def file_hash(folder: Path) -> str:
    """Return a hash of all that decides an answer: weights, LoRA's scale and targets, the card."""
    folder = adapter_folder(folder)
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
