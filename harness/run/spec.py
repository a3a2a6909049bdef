"""Specs: a name and options in one word, `rag,top_k=8`, and how they become an instance.

The options of a backend or suite are the fields of its dataclass; a spec sets them by name, and the
annotation of a field says how the text is read. There is no other list of options anywhere.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.errors import UserError, did_you_mean

# Backslashes count only in front of a comma: an odd number of them makes it part of the value.
_COMMA = re.compile(r"(\\*),")
_LAST_SLASHES = re.compile(r"\\+\Z")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spec:
    r"""A name with options, written `name,option=value,...`.

    The name is that of an entry point, or `module:Class`. A comma inside a value is written `\,`.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read a spec from text; `UserError` if it is not one."""
        name, *pairs = _split(text)
        if not name.strip():
            raise UserError(f"spec {text!r} has no name. Write name,option=value,...")
        options: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            key = key.strip()
            if not (key and equals):
                raise UserError(
                    f"{pair!r} in {text!r} is not an option. Write name,option=value,..."
                )
            if key in options:
                raise UserError(f"option {key!r} is given twice in {text!r}. Give it once.")
            options[key] = value
        return cls(name.strip(), options)

    def __str__(self) -> str:
        pairs = (f"{key}={value}" for key, value in sorted(self.options.items()))
        *others, last = (_COMMA.sub(r"\1\1\\,", part) for part in (self.name, *pairs))
        return ",".join([*(_LAST_SLASHES.sub(r"\g<0>\g<0>", part) for part in others), last])


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a backend or suite, as `gist-bench list` shows it."""

    name: str
    kind: str  # "int", "document or score", ...
    default: str | None  # as it would be written in a spec; None: it must be given


def options_of(cls: type, *, given: int = 0) -> list[Option]:
    """Return the options of a dataclass, without its first `given` fields."""
    return [
        Option(item.name, describe_type(_annotation(cls, item)), _default(item))
        for item in _option_fields(cls, given)
    ]


def settings_of(instance: Any, *, given: int = 0) -> dict[str, str]:
    """Return every option of an instance with its value, defaults included."""
    fields = _option_fields(type(instance), given)
    return {item.name: _written(getattr(instance, item.name)) for item in fields}


def check(cls: type, spec: Spec, *, given: int = 0) -> dict[str, Any]:
    """Return the values of a spec's options for `cls`; `UserError` for what it does not take."""
    if not dataclasses.is_dataclass(cls):
        raise UserError(f"{spec.name!r} is not a dataclass, so it cannot be a backend or suite.")
    fields = {item.name: item for item in _option_fields(cls, given)}
    values: dict[str, Any] = {}
    for name, text in spec.options.items():
        if name not in fields:
            allowed = f"Options: {', '.join(sorted(fields))}." if fields else "It has no options."
            guess = did_you_mean(name, fields)
            raise UserError(f"unknown option {name!r} for {spec.name!r}. {guess}{allowed}")
        kind = _annotation(cls, fields[name])
        try:
            values[name] = convert(text, kind)
        except ValueError:
            raise UserError(
                f"option {name!r} of {spec.name!r} cannot be {text!r}. "
                f"Give {describe_type(kind)}, for example {name}={_example(fields[name], kind)}."
            ) from None
    missing = [name for name, item in fields.items() if name not in values and _required(item)]
    if missing:
        raise UserError(f"{spec.name!r} needs the option {missing[0]!r}. Add {missing[0]}=...")
    return values


def build(cls: type[T], spec: Spec, *given: Any) -> T:
    """Make an instance of the dataclass `cls`: `given` fill the first fields, the spec the others.

    Raises:
        UserError: an option is unknown, of the wrong type, or refused by the class itself.
    """
    values = check(cls, spec, given=len(given))
    try:
        return cls(*given, **values)
    except ValueError as refused:
        raise UserError(f"{spec}: {' '.join(str(refused).split())}") from refused


def convert(text: str, kind: Any) -> Any:
    """Read `text` as a value of the annotation `kind`; `ValueError` if it is not one."""
    if kind is float:
        return _convert_float(text)
    if kind is Path:
        return Path(text).expanduser()
    if kind in (int, str):
        return kind(text)
    arguments = get_args(kind)
    if kind is bool:
        return _chosen(text.lower(), {"true": True, "on": True, "false": False, "off": False})
    if get_origin(kind) is Literal:
        return _chosen(text, {str(choice): choice for choice in arguments})
    if get_origin(kind) is tuple and arguments[1:] == (...,):
        return tuple(convert(part, arguments[0]) for part in text.split("+"))
    if get_origin(kind) in (Union, UnionType):
        return _convert_union(text, arguments)
    raise TypeError(f"options of type {kind} are not supported")


def describe_type(kind: Any) -> str:
    """Return how the values of an annotation are written."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in arguments)
    if get_origin(kind) is tuple:
        return f"{describe_type(arguments[0])}+{describe_type(arguments[0])}+..."
    if arguments:
        return " or ".join(describe_type(choice) for choice in arguments)
    names = {bool: "true or false", NoneType: "none", Path: "path", str: "text"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _convert_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _convert_union(text: str, kinds: tuple[Any, ...]) -> Any:
    if NoneType in kinds and text.lower() == "none":
        return None
    for kind in kinds:
        if kind is not NoneType:
            try:
                return convert(text, kind)
            except ValueError:
                continue
    raise ValueError(text)


def _chosen(text: str, choices: Mapping[str, Any]) -> Any:
    if text not in choices:
        raise ValueError(text)
    return choices[text]


def _split(text: str) -> list[str]:
    parts, start = [""], 0
    for comma in _COMMA.finditer(text):
        slashes = len(comma[1])
        parts[-1] += text[start : comma.start()] + "\\" * (slashes // 2)
        if slashes % 2:
            parts[-1] += ","
        else:
            parts.append("")
        start = comma.end()
    parts[-1] += text[start:]
    return parts


def _option_fields(cls: type, given: int) -> list[dataclasses.Field[Any]]:
    return [item for item in dataclasses.fields(cls) if item.init][given:]


def _annotation(cls: type, item: dataclasses.Field[Any]) -> Any:
    """Resolve one field's annotation; the others may name types that are imported for checking."""
    owners = (base for base in reversed(cls.__mro__) if dataclasses.is_dataclass(base))
    owner = next(base for base in owners if item in dataclasses.fields(base))
    holder = type("Holder", (), {"__annotations__": {item.name: item.type}})
    return get_type_hints(holder, vars(sys.modules[owner.__module__]))[item.name]


def _required(item: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return item.default is missing and item.default_factory is missing


def _default(item: dataclasses.Field[Any]) -> str | None:
    if _required(item):
        return None
    if item.default is not dataclasses.MISSING:
        return _written(item.default)
    assert callable(item.default_factory)
    return _written(item.default_factory())


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(_written(part) for part in value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _example(item: dataclasses.Field[Any], kind: Any) -> str:
    default = _default(item)
    return default if default is not None else describe_type(kind).split(" ")[0]
