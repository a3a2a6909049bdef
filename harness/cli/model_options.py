"""The options that name a model, shared by the commands that take one, and how it is loaded."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.api import PROMPT

if TYPE_CHECKING:
    from gist.model import LanguageModel

Command = TypeVar("Command", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    "model_name",
    metavar="M",
    default="reference",
    show_default=True,
    help="The reference model, a folder, a hub id, or shape:NAME for costs alone.",
)
device_option = click.option(
    "--device", metavar="D", help="cpu, cuda or mps. Default: cuda if there is one."
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16", "float64"]),
    help="Type of the weights. Default: bfloat16 on cuda, else float32.",
)
four_bit_option = click.option(
    "--load-in-4bit", is_flag=True, help="NF4 weights with double quantisation."
)


def model_options(command: Command) -> Command:
    """Give a command `model_name`, `device`, `dtype` and `load_in_4bit`."""
    return model_option(device_option(dtype_option(four_bit_option(command))))


def load(
    model_name: str, *, device: str | None, dtype: str | None, load_in_4bit: bool
) -> "LanguageModel":
    """Load the model that the options name, with the prompt's pieces."""
    from gist.loading import load_model  # torch and transformers: seconds

    return load_model(
        model_name,
        head=PROMPT.head,
        between=PROMPT.between,
        tail=PROMPT.tail,
        device=device,
        dtype=dtype,
        load_in_4bit=load_in_4bit,
    )
