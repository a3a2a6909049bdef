"""Where a server is, and the key that it wants. Standard library only."""

import ipaddress
import os
from collections.abc import Callable
from urllib.parse import urlsplit

from harness.errors import UserError

DEFAULT_KEY = "OPENAI_API_KEY"  # the environment variable


def is_address(name: str) -> bool:
    """Say whether a model or a teacher is behind a server."""
    return name.startswith(("http://", "https://"))


def is_loopback(address: str) -> bool:
    """Say whether an address leads to this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def split_address(address: str, role: str) -> tuple[str, str]:
    """Return the address of a server up to `/v1`, and the model behind its `#`.

    Raises:
        UserError: it has no model, or holds a password or a query.
    """
    base, _, model = address.partition("#")
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    else:
        if "@" in parts.netloc or parts.query:  # not repeated: it may be the key
            raise UserError(
                f"the {role}'s address holds a user, a password or a query. "
                "Put the key into an environment variable and name it with --key-env."
            )
    if not host or not model:
        raise UserError(
            f"{role} {address!r} is not an address with a model. Write http://host:port/v1#model."
        )
    return base.rstrip("/").removesuffix("/chat/completions"), model


def read_key(
    name: str | None, address: str, notify: Callable[[str], object], role: str = "teacher"
) -> str:
    """Return the key for a server, or nothing; it is never printed.

    A key that nobody named for this server goes over no unencrypted connection to another machine.

    Raises:
        UserError: the variable that was named is not set, or holds what is no key.
    """
    key = os.environ.get(name or DEFAULT_KEY, "").strip()
    if name and not key:
        raise UserError(f"the environment variable {name} of --key-env is not set.")
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"the key in {name or DEFAULT_KEY} has characters that no key has.")
    if key and not name and address.startswith("http://") and not is_loopback(address):
        notify(
            f"{DEFAULT_KEY} is not sent to the {role}: its address is not encrypted (http). "
            f"--key-env {DEFAULT_KEY} sends it anyway."
        )
        return ""
    return key
