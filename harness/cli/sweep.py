"""The runs of one command: each model with each seed, in a folder each, one after the other."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api import prompt_with
from harness.cli.importing import importing
from harness.cli.options import load, typed_command
from harness.errors import UserError
from harness.run import plugins
from harness.run.choose import Choice, choose_backends
from harness.run.cluster import Heed, connected
from harness.run.engine import Engine, OneProcess
from harness.run.plan import Settings
from harness.run.runner import run
from harness.run.workers import Workers
from harness.served.address import is_address, read_key

if TYPE_CHECKING:
    from harness.api import Suite

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is run, as `gist-bench run --help` describes it."""

    model_names: tuple[str, ...]
    suites: "list[tuple[Choice, Suite]]"
    backends: tuple[str, ...]
    controls: bool
    budgets: tuple[int, ...]
    settings: tuple[Settings, ...]  # one for each seed
    device: str | None
    dtype: str | None
    load_in_4bit: bool
    shots: int
    tokenizer: str | None
    key_env: str | None
    out: Path
    headline: str
    restart: bool
    no_contexts: bool  # keep no copy of them beside the rows
    ray: str | None  # an address, "" for a Ray of its own; None: no Ray

    def run(self) -> list[Path]:
        """Run what is not finished yet, and return the folders.

        Raises:
            UserError: an option does not apply to one of the models, or one cannot be run.
        """
        for name in self.model_names:
            self._refuse_options(name)
        # Before a model is loaded: a typing mistake should not wait for it.
        chosen = {name: self._choose_backends(name) for name in self.model_names}
        _check_there(self.model_names[1:])
        with nullcontext() if self.ray is None else connected(self.ray) as heed:
            folders = (self._run_model(name, chosen[name], heed) for name in self.model_names)
            return list(chain.from_iterable(folders))

    def _run_model(
        self, name: str, backends: Sequence[Choice], heed: Heed | None
    ) -> Iterator[Path]:
        """Load a model and run every plan of it; nothing of it is left when the next one comes."""
        with closing(self._engine(name, heed)) as engine:
            for plan in engine.plans(self.suites, backends, self.settings):
                if len(self.model_names) * len(self.settings) > 1:
                    click.echo(f"{name}, seed {plan.settings.seed}", err=True)
                yield run(
                    plan,
                    engine,
                    out=self.out,
                    command=typed_command(),
                    headline=self.headline,
                    restart=self.restart,
                    contexts=not self.no_contexts,
                )

    def _engine(self, name: str, heed: Heed | None) -> Engine:
        if heed is None:
            return self._open(name)
        return Workers(partial(self._open, name), heed, on_gpus=self.device != "cpu")

    def _open(self, name: str) -> OneProcess:
        if is_address(name):
            return self._open_served(name)
        from harness.checks.overlap import overlap_notices
        from harness.checks.run import run_checks

        lm = load(
            name,
            device=self.device,
            dtype=self.dtype,
            load_in_4bit=self.load_in_4bit,
            shots=self.shots,
        )
        return OneProcess(lm, partial(run_checks, lm), partial(overlap_notices, lm))

    def _open_served(self, address: str) -> OneProcess:
        from harness.served.client import Server
        from harness.served.model import OpenAIModel

        named = None
        if self.tokenizer:
            from gist.models.loading import read_facts
            from gist.models.prompt import TextTokenizer

            named = TextTokenizer(read_facts(self.tokenizer)[1])
        key = read_key(self.key_env, address, log.warning, "model")
        server = Server(address, key, role="model")
        model = OpenAIModel(server, prompt_with(self.shots), named, self.tokenizer or "")
        return OneProcess(model, keeper=model.kept)  # no adapter, nothing to check

    def _choose_backends(self, name: str) -> list[Choice]:
        return choose_backends(
            self.backends,
            controls=self.controls,
            budgets=self.budgets,
            group=plugins.SERVED if is_address(name) else plugins.BACKENDS,
        )

    def _refuse_options(self, name: str) -> None:
        """Refuse options that mean nothing for a model."""
        served = is_address(name)
        others = ("device", "dtype", "load_in_4bit", "ray") if served else ("key_env", "tokenizer")
        for option in others:
            if getattr(self, option) not in (None, False):
                flag = f"--{option.replace('_', '-')}"
                which = "a served model: leave it out" if served else "a model that is loaded here"
                raise UserError(f"{flag} does not apply to {which}.")


def _check_there(names: Sequence[str]) -> None:
    """Read what is small of models that are loaded later, so that a wrong name is known now."""
    for name in names:
        if not is_address(name):
            with importing():
                from gist.models.loading import read_facts
            read_facts(name)
