"""`gist-bench list`: the backends and suites that are installed, with their options."""

import inspect

import click


@click.command(name="list")
def command() -> None:
    """List backends and suites with their options and metrics.

    \b
    Example:
      gist-bench list
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness import plugins

    click.echo("Backends (--backend name,option=value,...)")
    for name in plugins.names(plugins.BACKENDS):
        click.echo(_described(plugins.BACKENDS, name, given=1))
    click.echo("\nSuites (--suite name,option=value,...)")
    for name in plugins.names(plugins.SUITES):
        click.echo(_described(plugins.SUITES, name, given=0))


def _described(group: str, name: str, *, given: int) -> str:
    """Return the lines about one class; one that cannot be imported says why."""
    from harness import plugins
    from harness.errors import UserError
    from harness.spec import options_of

    try:
        kind = plugins.load(group, name)
    except UserError as broken:
        return f"  {name:<15}{broken}"
    lines = [f"  {name:<15}{(inspect.getdoc(kind) or '').partition(chr(10))[0]}"]
    for option in options_of(kind, given=given):
        default = "" if option.default is None else option.default
        lines.append(f"      {option.name}={default:<{24 - len(option.name)}} {option.kind}")
    if group == plugins.SUITES:
        metrics = ", ".join(getattr(kind, "metrics", ()))
        lines.append(f"      metrics: {metrics or 'none, it shows costs'}")
    return "\n".join(lines)
