"""`gist-bench list`: the backends and suites that are installed, with their options."""

import inspect
import textwrap

import click

DATA = "gist_bench.data"  # layouts of data sets, for the suites over documents
_OTHER_DATA = (
    "  hub            data=hub:NAME@REVISION: a data set of the Hugging Face hub, or a folder of "
    "data files",
    "      its split and columns: split=, context=, question=, answers=; its licence: on its page",
    "  no prefix      data=FILE: JSONL of your own contexts and questions",
)


@click.command(name="list")
@click.option("--metrics", is_flag=True, help="List what every figure means instead.")
@click.option("--data", is_flag=True, help="List the data sets that data=PREFIX:FILE reads.")
def command(*, metrics: bool, data: bool) -> None:
    """List backends and suites with their options and metrics.

    \b
    Examples:
      gist-bench list
      gist-bench list --metrics
      gist-bench list --data
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness import plugins

    if metrics:
        click.echo(_metrics(), nl=False)
        return
    if data:
        click.echo(_data(), nl=False)
        return
    click.echo("Backends (--backend name,option=value,...)")
    for name in plugins.names(plugins.BACKENDS):
        click.echo(_described(plugins.BACKENDS, name, given=1))
    click.echo("\nSuites (--suite name,option=value,...)")
    for name in plugins.names(plugins.SUITES):
        click.echo(_described(plugins.SUITES, name, given=0))


def _metrics() -> str:
    """Return what every figure means, in paragraphs of the terminal's usual width."""
    from harness.metrics import METRICS

    kinds = {"answer": "Answers", "cost": "Costs", "comparison": "Comparisons"}
    lines: list[str] = []
    for kind, title in kinds.items():
        lines += [title]
        for metric in METRICS.values():
            if metric.kind == kind:
                shown = "" if metric.better == "neither" else f", {metric.better} is better"
                derived = "" if metric.column else "; derived"
                lines += [f"  {metric.name} ({metric.unit}{shown}{derived})"]
                about = f"{metric.meaning} Source: {metric.source}."
                lines += textwrap.wrap(about, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines += [""]
    return "\n".join(lines)


def _data() -> str:
    """Return what is known of every layout of data sets: where it is from, how it is scored."""
    from importlib.metadata import entry_points

    lines = ["Data sets (--suite qa,data=PREFIX:FILE; files in their published layouts)"]
    for entry in sorted(entry_points(group=DATA), key=lambda entry: entry.name):
        layout = entry.load()
        filled = "; filler_tokens fills its contexts" if layout.fills else ""
        lines += [
            f"  {entry.name:<15}{layout.title}",
            f"      licence: {layout.licence}; source: {layout.source}",
            f"      metrics: {', '.join(layout.metrics)}{filled}",
        ]
    return "\n".join([*lines, *_OTHER_DATA, ""])


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
