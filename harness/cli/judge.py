"""The judge of `rescore --judge`: a model behind a server, or one that is loaded here."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from harness.served.address import is_address, read_key
from harness.served.client import Server
from harness.served.judge import Judge
from harness.served.messages import Message

log = logging.getLogger(__name__)

LOCAL_TOKENS = 8  # a word
SERVED_TOKENS = 1024  # a word, behind the thoughts of a reasoning model
PARALLEL = 8  # requests to a server


def open_judge(name: str, *, key_env: str | None) -> Judge:
    """Return the judge that `--judge` names.

    Raises:
        UserError: there is no such model or key.
    """
    if not is_address(name):
        from harness.makeqa.models import Models

        teacher = Models(None, load_in_4bit=False).teacher(name)
        return Judge(name, replace(teacher, reply_tokens=LOCAL_TOKENS).ask)
    server = Server(name, read_key(key_env, name, log.warning, "judge"), role="judge")

    def ask(messages: Sequence[Message]) -> str:
        return server.complete(messages, max_tokens=SERVED_TOKENS, needs_text=True).text

    return Judge(name, ask, PARALLEL)
