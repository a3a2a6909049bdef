"""Find a model's folder, on this machine or on the hub, and read what is in it.

Every way a folder can be wrong is one line for the person. Code in a folder is never run, and
weights are read from safetensors alone.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from gist.models import gguf_files, shipped
from gist.models.architecture import check_supported, without_window
from harness.errors import UserError, one_line, reading

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# Only what transformers reads: some repositories keep the weights twice, in another layout.
TEXTS = ["*.json", "*.jinja", "*.txt", "tokenizer.model"]
WEIGHTS = ["model.safetensors", "model-*.safetensors"]
RESTORE = "Download or copy the model again."
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_folder(name: str, *, weights: bool = True) -> Path:
    """Return the folder of a model.

    Args:
        name: a shipped model, a folder, a hub id, a GGUF file, or FOLDER-OR-ID:FILE.gguf.
        weights: download or dequantise the weights too, not the texts alone.

    Raises:
        UserError: when there is no such folder, or the hub cannot be reached or refuses.
    """
    model = shipped.find(name)
    if model is not None:
        return model.folder(weights=weights)
    if name.endswith(gguf_files.SUFFIX):
        return gguf_files.dequantised_folder(_find_gguf(name), name, weights=weights)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(
            f"{name} is a file. Give the folder of the model, with its config.json, or a file "
            f"that ends in {gguf_files.SUFFIX}."
        )
    if not HUB_ID.fullmatch(name):
        raise UserError(
            f"no folder {name}. Allowed: {', '.join(shipped.names())}, a folder, a hub id, "
            "FILE.gguf, shape:NAME."
        )
    return _download(name, weights=weights)


def absolute_name(name: str) -> str:
    """Return a model's name so that it holds from any folder: paths become absolute."""
    left, _, file = name.rpartition(":") if name.endswith(gguf_files.SUFFIX) else (name, "", "")
    path = Path(left or file).expanduser()
    if shipped.find(name) is not None or not path.exists():
        return name
    return f"{path.resolve()}:{file}" if left and file else str(path.resolve())


def _find_gguf(name: str) -> Path:
    """Return the file that FILE.gguf, FOLDER:FILE.gguf or ID:FILE.gguf stands for."""
    path = Path(name).expanduser()
    left, _, file = name.rpartition(":")
    if path.is_file() or not left:
        if not path.is_file():
            raise UserError(f"no file {name}. Give the path of a GGUF file, or FOLDER:FILE.gguf.")
        return path
    folder = Path(left).expanduser()
    if folder.is_dir() or not HUB_ID.fullmatch(left):
        if not (folder / file).is_file():
            raise UserError(f"no file {file} in the folder {left}")
        return folder / file
    with _hub_errors(left):
        return Path(hf_hub_download(left, file))


def read_config(folder: Path, name: str) -> PretrainedConfig:
    """Return the configuration of the model in `folder`, if this project can measure it."""
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{name} is an adapter, not a model. Give its base model, and the adapter to the "
            f"backend: --backend gist,checkpoint={name}"
        )
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{name} is no model: it has no config.json. Expected: config.json, tokenizer.json, "
            "model.safetensors."
        )
    with reading(folder / "config.json", advice=RESTORE):
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_supported(config, name)
        without_window(config)
    return config


def read_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer in `folder`."""
    expected = "Expected: tokenizer.json and tokenizer_config.json in its folder."
    with reading(name, fault="has no usable tokenizer", advice=expected):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False
        )
        tokenizer.decode(tokenizer("a")["input_ids"])  # what is wrong inside shows when it is used
    return tokenizer


def check_weights(folder: Path, name: str) -> None:
    """Refuse a folder without complete safetensors weights."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        with reading(index, advice=RESTORE):
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            missing = sorted(shard for shard in shards if not (folder / shard).is_file())
        if missing:
            raise UserError(
                f"{name} lacks {len(missing)} of {len(shards)} weight files: {missing[0]}"
            )
    elif not (folder / "model.safetensors").is_file():
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"{name} has its weights as pickles only ({pickles[0]}); they can run code and are "
                "never loaded. Convert them with save_pretrained, which writes model.safetensors."
            )
        raise UserError(f"{name} has no weights: expected model.safetensors in its folder")


def check_generation(folder: Path) -> None:
    """Refuse damaged settings of generation: without them, no token may end an answer."""
    if (folder / "generation_config.json").is_file():
        with reading(folder / "generation_config.json", advice=RESTORE):
            GenerationConfig.from_pretrained(folder)


def _download(name: str, *, weights: bool) -> Path:
    """Download a model from the hub: first its texts, and its weights only if it is supported."""
    with _hub_errors(name):
        folder = Path(snapshot_download(name, allow_patterns=TEXTS))
        read_config(folder, name)
        if not weights:
            return folder
        return Path(snapshot_download(name, allow_patterns=[*TEXTS, *WEIGHTS]))


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Say in one line why the hub does not give a model."""
    try:
        yield
    except GatedRepoError as error:
        raise UserError(
            f"the hub lets only accepted users download {name}. Accept its terms on "
            f"https://huggingface.co/{name}, then run: hf auth login"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"no folder {name}, and no model of that id on the hub") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(
            f"no folder {name}, and the hub cannot be reached. Use --model "
            f"{' or '.join(shipped.names())}, shape:NAME, or the folder of a model copied to this "
            "machine."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"cannot download {name}: {one_line(error)}") from error
