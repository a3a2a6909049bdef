"""The fields of JSON objects, checked: every mistake is one line that says where it is."""

import json
from typing import Any

from harness.errors import UserError
from harness.text import normalize

_TYPES: dict[type, str] = {
    str: "text",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    bool: "true or false",
}


def field(where: str, row: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field that must be there and of a kind."""
    if name not in row:
        given = ", ".join(map(_short, list(row)[:12])) or "nothing"
        raise UserError(f"{where}: {name!r} is missing. Given: {given}.")
    value = row[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{where}: {name!r} is {name_of(value)}; give {_TYPES[kind]}.")
    return value


def text(where: str, row: dict[str, Any], name: str) -> str:
    """Return a text that is not blank."""
    value: str = field(where, row, name, str)
    if not value.strip():
        raise UserError(f"{where}: {name!r} is blank.")
    check_encodable(where, name, value)
    return value


def objects(where: str, row: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the place and the value of every item of a list of objects."""
    items = []
    for index, item in enumerate(field(where, row, name, list)):
        here = f"{where}, {name} {index + 1}"
        if not isinstance(item, dict):
            raise UserError(f"{here}: is {name_of(item)}, not an object.")
        items.append((here, item))
    return items


def texts(where: str, row: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts; it may be empty."""
    for value in field(where, row, name, list):
        if not isinstance(value, str):
            raise UserError(f"{where}: {name!r} holds {name_of(value)}; give texts.")
        check_encodable(where, name, value)
    return tuple(row[name])


def answers(
    where: str, row: dict[str, Any], name: str, *, advice: str = "Write []"
) -> tuple[str, ...]:
    """Return accepted answers of which one can be compared; none is no mistake.

    `advice` is how the layout says that there is none.
    """
    given = texts(where, row, name)
    if given and not any(normalize(answer, articles=True) for answer in given):
        raise UserError(
            f"{where}: {name!r} hold no letter or digit to compare: {_short(str(list(given)))}. "
            f"{advice} if the context does not hold the answer."
        )
    return given


def in_target(target: str, otherwise: Any) -> Any:
    """Return the JSON value of the kind of `otherwise` that a target holds, or `otherwise`.

    A suite scores against whatever targets it is given: validity checks put others in their place.
    """
    try:
        value = json.loads(target)
    except ValueError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def check_encodable(where: str, name: str, value: str) -> None:
    """Refuse half of a surrogate pair: JSON can write it, but no tokenizer or file can."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: {name!r} holds half a character at position {error.start + 1}. Remove it."
        ) from error


def name_of(value: object) -> str:
    """Return what a JSON value is, in a person's words."""
    if value is None:
        return "null"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return _TYPES.get(type(value), type(value).__name__)


def _short(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:57]}..."
