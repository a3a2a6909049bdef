"""The command line: one module per command, imported when it is asked for.

This is the only place that prints. A user's mistake becomes one line on stderr and exit code 2,
never a traceback.
"""

import errno
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import click

from harness.cli.threads import share_cores
from harness.errors import SampleError, UserError, did_you_mean, printable

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "try": "harness.cli.try_:command",
        "run": "harness.cli.run:command",
        "report": "harness.cli.report:command",
        "verify": "harness.cli.verify:command",
        "inspect": "harness.cli.inspect:command",
        "compare": "harness.cli.compare:command",
        "rescore": "harness.cli.rescore:command",
        "compress": "harness.cli.compress:command",
        "ask": "harness.cli.ask:command",
        "import": "harness.cli.import_:command",
        "export": "harness.cli.export:command",
        "list": "harness.cli.listing:command",  # not `list`: it would hide the built-in here
        "doctor": "harness.cli.doctor:command",
        "make-qa": "harness.cli.make_qa:command",
        "train-gist": "harness.cli.train:command",
        "train-reference": "harness.cli.train_reference:command",
    }
)
_RESUMED = frozenset({"run", "try", "make-qa"})  # by the same command
_OURS = ("harness", "backends", "gist", "benchmarks")
_DISK = MappingProxyType(
    {
        errno.ENOSPC: "no space is left on the disk. Free some and give the same command again",
        errno.EDQUOT: "the disk quota is used up. Free some and give the same command again",
        errno.EFBIG: "the file is larger than this disk, or a limit (ulimit -f), allows. Raise the "
        "limit, or choose another folder",
        errno.EACCES: "no permission. Choose another folder",
        errno.EPERM: "no permission. Choose another folder",
        errno.EROFS: "the disk is read-only. Choose another folder",
        errno.ENOTDIR: "a part of this path is no folder. Choose another folder",
        errno.EISDIR: "this is a folder. Give the name of a file",
        errno.EEXIST: "there is a file where a folder must be. Choose another folder",
        errno.ENAMETOOLONG: "this name is too long. Choose a shorter one",
        errno.ELOOP: "its links lead in a circle. Choose another folder",
        errno.EMFILE: "too many files are open. Raise the limit (ulimit -n)",
    }
)


class _LazyGroup(click.Group):
    """A group that imports a command's module when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            guess = did_you_mean(cmd_name, _COMMANDS)
            raise UserError(
                f"unknown command {cmd_name!r}. {guess}Commands: {', '.join(_COMMANDS)}."
            )
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), _COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does as a whole sentence, in as many lines as it takes."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        lines = [
            (name, command.get_short_help_str(limit=1000))
            for name, command in commands.items()
            if command
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gist-bench", message="gist-bench %(version)s")
def cli() -> None:
    """Compare full context, RAG and gist tokens on your own model and documents.

    \b
    Examples:
      gist-bench try notes/ report.pdf  your documents, to a verdict
      gist-bench run                    every suite and backend on the reference model
      gist-bench run --suite passkey    one suite
      gist-bench list                   what there is, with its options
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 a check failed, 2 a user's mistake, 130 interrupted."""
    # Last, so that no file of the current folder can stand in for an installed package.
    sys.path.append(str(Path.cwd()))  # for module:Class
    share_cores()  # before any command imports torch
    given = sys.argv[1:] if arguments is None else arguments
    with _notices_on_stderr(), _mistakes_in_one_line(resumes=bool({*given[:1]} & _RESUMED)):
        sys.exit(cli.main(arguments, prog_name="gist-bench", standalone_mode=False))


@contextmanager
def _mistakes_in_one_line(*, resumes: bool) -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        sys.exit(asked.exit_code)
    except click.ClickException as mistake:
        _fail(mistake.format_message())
    except (UserError, SampleError) as mistake:
        _fail(str(mistake))
    except click.Abort:
        kept = ": what is finished is kept, and the same command goes on from there"
        print(f"gist-bench: interrupted{kept if resumes else ''}", file=sys.stderr)
        sys.exit(130)
    except OSError as broken:
        advice = _DISK.get(broken.errno or 0)
        if advice is None:
            raise
        _fail(f"{broken.filename or 'cannot write'}: {advice}.")


def _fail(message: str) -> NoReturn:
    print(f"gist-bench: error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


class _Notices(logging.Handler):
    """Writes our own log messages to stderr, each once, above a progress bar if there is one.

    A backend is built more than once, and logs the same each time. Messages of other packages are
    shown only if they are errors.
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        text = record.getMessage()
        ours = record.name.partition(".")[0] in _OURS
        if (ours or record.levelno >= logging.ERROR) and text not in self._written:
            self._written.add(text)
            tqdm.write(f"gist-bench: {printable(text)}", file=sys.stderr)


@contextmanager
def _notices_on_stderr() -> Iterator[None]:
    root, handler = logging.getLogger(), _Notices()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
