"""Read flat settings (a YAML file, the command line) into nested dataclasses.

A setting has one name: that of the field it fills, in whichever part of the configuration the field
stands. Types and bounds are checked here, by what the fields declare.
"""

import math
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.errors import UserError, did_you_mean

T = TypeVar("T")
OPTION = "option"  # the key of a field's metadata
# A few lines of YAML can name each other until they stand for gigabytes.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist = 2, 4
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


@dataclass(frozen=True, slots=True)
class Option:
    """How a field is offered on the command line, and what values it takes."""

    help: str = ""  # empty: in YAML only
    flag: str = ""  # on the command line; by default the field's name, with dashes
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a configuration, or of one of its parts."""

    name: str
    kind: Any  # its annotation
    option: Option


def option(
    default: T,
    text: str,
    *,
    flag: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
) -> T:
    """Return a field with a default that is offered on the command line; see `Option`."""
    return field(default=default, metadata={OPTION: Option(text, flag, minimum, maximum)})


def settings_of(cls: type) -> Iterator[Setting]:
    """Yield the settings of a configuration, those of its parts included."""
    for item, kind in _fields(cls):
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from settings_of(kind)
        else:
            yield Setting(item.name, kind, item.metadata.get(OPTION, Option()))


def check_bounds(part: Any) -> None:
    """Raise ValueError for a value, or one of several, outside of what its field declares."""
    for item in fields(part):
        bounds = item.metadata.get(OPTION, Option())
        value = getattr(part, item.name)
        for number in value if isinstance(value, tuple) else (value,):
            if bounds.minimum is not None and number is not None and number < bounds.minimum:
                raise ValueError(f"{item.name}={number} must be at least {bounds.minimum:g}")
            if bounds.maximum is not None and number is not None and number > bounds.maximum:
                raise ValueError(f"{item.name}={number} must be at most {bounds.maximum:g}")


class Part:
    """A dataclass whose fields declare everything that it refuses."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Refuse values out of bounds."""
        check_bounds(self)


def read(cls: type[T], settings: Mapping[str, Any]) -> T:
    """Return the configuration that the settings make; what is not set keeps its default.

    Raises:
        UserError: an unknown name, a value of another type, or values that a part refuses.
    """
    known = {setting.name for setting in settings_of(cls)}
    for name in settings:
        if name not in known:
            raise UserError(
                f"unknown option {name!r}. {did_you_mean(name, known)}"
                f"Options: {', '.join(sorted(known))}."
            )
    try:
        made: T = _make(cls, settings, None)
    except ValueError as error:
        raise UserError(str(error)) from None
    return made


def _make(cls: Any, settings: Mapping[str, Any], default: Any) -> Any:
    values = {}
    for item, kind in _fields(cls):
        if is_dataclass(kind):
            assert item.default_factory is not MISSING
            values[item.name] = _make(kind, settings, item.default_factory())
        elif item.name in settings:
            values[item.name] = _typed(item.name, settings[item.name], kind)
        elif default is None and item.default is item.default_factory is MISSING:
            raise ValueError(f"{item.name} is missing")
    return cls(**values) if default is None else replace(default, **values)


def _fields(cls: type) -> list[tuple[Field[Any], Any]]:
    kinds = get_type_hints(cls)
    return [(item, kinds[item.name]) for item in fields(cls)]


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return the value as its annotation has it; ValueError if it is something else."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _typed(name, value, arguments[0])
    if origin is tuple:
        several = isinstance(value, list | tuple)
        if not several or (arguments[-1] is not ... and len(value) != len(arguments)):
            raise ValueError(
                f"{name}={_SHORT.repr(value)} must be a list of {_describe(arguments[0])}"
            )
        return tuple(_typed(name, part, arguments[0]) for part in value)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return _nested(name, value, kind)
    if origin is Mapping and isinstance(value, Mapping):
        return {_typed(name, key, str): _typed(name, value[key], arguments[1]) for key in value}
    if kind is float and isinstance(value, str):
        with suppress(ValueError):
            value = float(value)  # YAML takes 1e-4 for text
    accepted: Any = {float: (int, float), Literal: (str, int)}.get(origin or kind, origin or kind)
    right = isinstance(value, accepted) and isinstance(value, bool) <= (kind is bool)
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (right and finite) or (origin is Literal and value not in arguments):
        raise ValueError(f"{name}={_SHORT.repr(value)} must be {_describe(kind)}")
    return value


def _nested(name: str, value: Any, kind: type) -> Any:
    one = name.removesuffix("s")
    if not isinstance(value, Mapping):
        raise ValueError(f"a {one} is wrong: {_SHORT.repr(value)} must be options, as name: value")
    try:
        return read(kind, value)
    except UserError as error:
        raise ValueError(f"a {one} is wrong: {error}") from None


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(kind, "options, as name: value")
