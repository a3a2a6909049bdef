"""What a gist file says of itself, read and checked before torch is loaded or anything believed.

A file may come from anywhere: nothing of the size that it claims is allocated here.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import UserError

FORMAT = "gist-bench 1"
HEADER_BYTES = 2**20  # no model has so many layers that their names need more
TEXT_CHARACTERS = 4096
NUMBER = re.compile(r"\d{1,15}")
_LENGTH_BYTES = 8  # of the number that begins a safetensors file


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a gist file says of itself; it can be read without the KV entries."""

    model: str  # where its base model was found: a hint, the fingerprint decides
    checkpoint: str  # where its adapter was found: a hint, the hash decides
    base_fingerprint: str
    prompt_hash: str
    adapter_hash: str
    dtype: str
    load_in_4bit: int  # 1: the base model's weights were
    context_tokens: int
    gists: int  # KV entries that stand for the context
    prefix_entries: int  # KV entries of the prompt's beginning, in front of them
    next_position: int
    source: str  # name of the document
    source_bytes: int
    source_sha256: str
    options: str  # how it was compressed, as typed: ratio=16

    @property
    def entries(self) -> int:
        """KV entries per layer."""
        return self.prefix_entries + self.gists


def printable(text: str) -> str:
    """Return `text` as one line that no terminal can take for a command, and a header can hold."""
    spelled = text if text.isprintable() else text.encode("unicode_escape").decode()
    return spelled[:TEXT_CHARACTERS]


def read_manifest(path: Path) -> Manifest:
    """Read what a gist file says of itself, and check that it is as long as it says.

    Raises:
        UserError: it is no gist file, or not a whole one.
    """
    with opened(path) as file:
        return read_header(file, path)[0]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file; a pipe or a device would block, or never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise UserError(f"no gist file {path}. Make it with gist-bench compress.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is no gist file: it is not a plain file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_header(file: BinaryIO, path: Path) -> tuple[Manifest, dict[str, str]]:
    """Return the fields and the whole metadata of a file's header."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or not 0 < length <= min(HEADER_BYTES, size - _LENGTH_BYTES):
        raise UserError(
            f"{path} is no gist file, or its beginning is damaged. From a document, gist-bench "
            "compress makes one."
        )
    try:
        parsed = json.loads(file.read(length))
        metadata = parsed["__metadata__"]
        ends = [value["data_offsets"][1] for name, value in parsed.items() if name[:2] != "__"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise UserError(f"{path} is no gist file, or its header is damaged") from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} is no gist file of this version ({FORMAT}). Make it with gist-bench compress."
        )
    manifest = _parse(path, metadata)
    if not all(isinstance(end, int) for end in ends) or size != _LENGTH_BYTES + length + max(
        ends, default=0
    ):
        raise UserError(f"{path} is damaged: it is not as long as it says. Make it again.")
    return manifest, metadata


def _parse(path: Path, metadata: Mapping[str, Any]) -> Manifest:
    """Return the metadata as fields, each of its own type and within its bounds."""
    if set(metadata) != {"format", "checksum", *(field.name for field in fields(Manifest))}:
        raise UserError(f"{path} is damaged: its header lacks fields, or has strange ones")
    values: dict[str, Any] = {}
    for field in fields(Manifest):
        text = metadata[field.name]
        if not isinstance(text, str) or len(text) > TEXT_CHARACTERS or not text.isprintable():
            raise UserError(f"{path} is damaged: {field.name} is not a line of text")
        if field.type is int and not (text.isascii() and NUMBER.fullmatch(text)):
            raise UserError(f"{path} is damaged: {field.name} is not a number: {text[:40]!r}")
        values[field.name] = field.type(text) if field.type is int else text
    return Manifest(**values)
