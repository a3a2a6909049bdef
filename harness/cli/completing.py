"""Shell completion of suites and backends, and of their options after a comma."""

import click

from harness.errors import UserError
from harness.run import plugins
from harness.run.spec import options_of


def complete_spec(_: click.Context, option: click.Parameter, typed: str) -> list[str]:
    """Return the specs that go on from what was typed for --suite or --backend of a command."""
    group = plugins.SUITES if "--suite" in option.opts else plugins.BACKENDS
    name, comma, given = typed.partition(",")
    if not comma:
        return [known for known in plugins.names(group) if known.startswith(typed)]
    *before, last = given.split(",")
    if "=" in last:
        return []
    try:
        options = options_of(plugins.load(group, name), given=int(group == plugins.BACKENDS))
    except UserError:
        return []
    stem = ",".join([name, *before])
    return [f"{stem},{one.name}=" for one in options if one.name.startswith(last)]
