"""What commands share: options, above all those that name a model, and how it is loaded."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.api import SHOTS, prompt_with
from harness.cli.importing import importing
from harness.errors import UserError
from harness.run.spec import Spec
from harness.served.address import is_address

if TYPE_CHECKING:
    from gist.models.model import LanguageModel

log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
DEFAULT_MODEL = "reference"


def _model_option(
    reads_documents: Callable[[Mapping[str, Any]], bool],
    default: str,
    more: str = ", or shape:NAME for costs alone",
    *,
    several: bool = False,
) -> Callable[[Command], Command]:
    """Return the option --model.

    Args:
        reads_documents: says from a command's other options whether its text is a person's own.
        default: what the help says that the default is.
        more: kinds of models that this command takes besides.
        several: whether the command takes it several times, and gets `model_names`.
    """

    def choose_all(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given)) or (choose(context, option, None),)

    def choose(context: click.Context, _: click.Parameter, given: str | None) -> str:
        if given is not None:
            return given
        if not reads_documents(context.params):
            return DEFAULT_MODEL
        # A command that takes an adapter cannot do without one.
        with_adapter = any(option.name == "checkpoint" for option in context.command.params)
        return model_for_documents(context.params.get("checkpoint"), with_adapter=with_adapter)

    return click.option(
        "--model",
        "model_names" if several else "model_name",
        metavar="M",
        multiple=several,
        callback=choose_all if several else choose,
        help="A shipped model (reference, smollm2), a folder, a hub id, FILE.gguf, "
        f"FOLDER:FILE.gguf{more}. "
        f"{'Can be given several times. ' if several else ''}Default: {default}.",
    )


def _has_own_data(options: Mapping[str, Any]) -> bool:
    return any("data" in Spec.parse(text).options for text in options.get("suites") or ())


_OF_DOCUMENTS = "the shipped model that reads any text, else reference"
model_option = _model_option(lambda _: False, DEFAULT_MODEL)
documents_model_option = _model_option(lambda _: True, _OF_DOCUMENTS, "")
chroma_option = click.option(
    "--chroma",
    metavar="URL",
    help="For a store: the ChromaDB server that has its vectors, as http://HOST:PORT.",
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
seed_option = click.option(
    "--seed", metavar="S", type=int, default=0, show_default=True, help="Seed of random choices."
)
shots_option = click.option(
    "--shots",
    type=click.Choice(SHOTS),
    default=SHOTS[0],
    show_default=True,
    help="Worked examples in the prompt, the same for every backend.",
)

headline_option = click.option(
    "--headline",
    metavar="METRIC",
    default="",
    help="The metric to compare backends by. Default: the suite's first; contains for a model that "
    "answers in sentences.",
)


def _and_how(model: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return the option --model, and those that say how a model is loaded, as `load` takes them."""
    return lambda command: model(
        device_option(dtype_option(four_bit_option(shots_option(command))))
    )


model_options = _and_how(model_option)
documents_model_options = _and_how(documents_model_option)
suites_model_options = _and_how(
    _model_option(
        _has_own_data,
        f"{DEFAULT_MODEL}; with data=, {_OF_DOCUMENTS}",
        ", http://host:port/v1#NAME for one behind a server, or shape:NAME for costs alone",
        several=True,
    )
)
"""For a command with `suites`, whose data may be one's own; it gets `model_names`."""


def model_for_documents(checkpoint: Path | None = None, *, with_adapter: bool = False) -> str:
    """Return the model for a person's own documents where none was named.

    Args:
        checkpoint: the adapter that was named; its own model is then the one.
        with_adapter: take only a model whose gist adapter is there.
    """
    from gist.checkpoint import read_card
    from gist.models import shipped

    if checkpoint is not None:
        base = read_card(checkpoint).base
        known = shipped.find(base) is not None or Path(base).exists()
        return warn_of_reading(base if known else DEFAULT_MODEL)
    lacking = []
    for name, model in shipped.all_models().items():
        if not model.reads_any_text:
            continue
        reason = model.missing()
        if with_adapter and not (reason or model.adapter.is_dir()):
            reason = f"{name} has no gist adapter. Train one with: gist-bench train-gist"
        if not reason:
            return name
        lacking.append(reason)
    return warn_of_reading(DEFAULT_MODEL, *lacking)


def default_adapter() -> Path:
    """Return the folder of the default model's gist adapter."""
    from gist.models import shipped

    model = shipped.find(DEFAULT_MODEL)
    assert model, DEFAULT_MODEL
    return model.adapter


def warn_of_reading(name: str, *advice: str) -> str:
    """Return the name of a model; warn if it cannot read a person's own documents."""
    from gist.models import shipped

    model = shipped.find(name)
    if model is not None and not model.reads_any_text:
        words = [f"{name} reads {model.reads}: what it answers about other text means nothing."]
        log.warning(" ".join([*words, *advice]))
    return name


def load(
    model_name: str, *, device: str | None, dtype: str | None, load_in_4bit: bool, shots: int
) -> "LanguageModel":
    """Load the model that the options name, with the prompt's pieces and worked examples."""
    if is_address(model_name):
        raise UserError(
            f"{model_name} is behind a server, which gist-bench run can test. This command needs "
            "a model that is loaded here."
        )
    with importing():
        from gist.models.loading import load_model  # torch and transformers: seconds

    return load_model(
        model_name,
        prompt_with(shots),
        device=device,
        dtype=dtype,
        load_in_4bit=load_in_4bit,
    )


def typed_command() -> str:
    """Return the command as it was typed."""
    return shlex.join(["gist-bench", *sys.argv[1:]])


def terminal_width(default: int = 110) -> int:
    """Return the columns of the terminal, `default` where there is none."""
    return shutil.get_terminal_size((default, 24)).columns


def has_colours() -> bool:
    """Say whether standard output shows colours: a terminal, unless NO_COLOR or TERM objects."""
    objects = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not objects
