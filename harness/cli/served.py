"""The model of `--model http://host:port/v1#name`."""

import logging

from harness.api import prompt_with
from harness.run.engine import OneProcess
from harness.served.address import read_key
from harness.served.client import Server
from harness.served.model import OpenAIModel

log = logging.getLogger(__name__)


def open_served(
    address: str, *, key_env: str | None, tokenizer: str | None, shots: int
) -> OneProcess:
    """Return a model behind a server, which is asked whether it has it.

    Raises:
        UserError: there is no such server, model, tokenizer or key.
    """
    named = None
    if tokenizer:
        from gist.models.loading import read_facts
        from gist.models.prompt import TextTokenizer

        named = TextTokenizer(read_facts(tokenizer)[1])
    server = Server(address, read_key(key_env, address, log.warning, "model"), role="model")
    model = OpenAIModel(server, prompt_with(shots), named, tokenizer or "")
    return OneProcess(model, keeper=model.kept)  # no adapter, nothing to check
