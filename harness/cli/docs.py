"""docs/cli.md, written from the commands themselves: python -m harness.cli.docs > docs/cli.md."""

from collections.abc import Iterator
from inspect import cleandoc

import click

from harness.cli import cli

HEAD = """\
# The command line

Written by `make docs` from the help of the commands, which `gist-bench COMMAND --help` shows too.
A list of numbers is written with `+`; a comma inside a value is written `\\,`.
"""
EXAMPLES = "\b\n"  # click's mark of a paragraph whose lines stay as they are


def command_line_page() -> str:
    """Return the page: for each command what it does, examples, and a table of its options."""
    parent = click.Context(cli, info_name="gist-bench")
    sections = (
        line for name in cli.list_commands(parent) for line in _section(parent, cli, name, "##")
    )
    return "\n".join([HEAD, *sections])


def _section(parent: click.Context, group: click.Group, name: str, mark: str) -> Iterator[str]:
    """Yield the lines of a command, and those of its own commands."""
    command = group.get_command(parent, name)
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=parent)
    prose, _, examples = cleandoc(command.help or "").partition(EXAMPLES)
    words = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from (f"{mark} {context.command_path}", "", f"    {words}", "", prose.strip(), "")
    commands = [line.strip() for line in examples.splitlines()[1:]]
    if commands:
        yield from ("```sh", *commands, "```", "")
    options = (option for option in command.params if isinstance(option, click.Option))
    records = [option.get_help_record(context) for option in options]
    rows = [f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in records if record]
    if rows:
        yield from ("| option | what it does |", "|---|---|", *rows, "")
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _section(context, command, inner, f"{mark}#")


def _cell(text: str) -> str:
    """Return a text as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    click.echo(command_line_page(), nl=False)
