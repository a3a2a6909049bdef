"""What is installed, and what every figure means, as text: `gist-bench list`."""

import inspect
import re
import textwrap

from harness.errors import UserError
from harness.run import plugins
from harness.run.spec import options_of

_OTHER_DATA = (
    "  hub            data=hub:NAME@REVISION: a data set of the Hugging Face hub, or a folder of "
    "data files",
    "      its split and columns: split=, context=, question=, answers=; its licence: on its page",
    "  no prefix      data=FILE: JSONL of your own contexts and questions",
)


def backends_and_suites() -> str:
    """Return every backend and suite with its options and metrics."""
    backends = [_described(plugins.BACKENDS, name) for name in plugins.names(plugins.BACKENDS)]
    suites = [_described(plugins.SUITES, name) for name in plugins.names(plugins.SUITES)]
    parts = [
        "Backends (--backend name,option=value,...)",
        *backends,
        "\nBackends of a served model (--model http://host:port/v1#name), and their options",
        *map(_of_server, plugins.names(plugins.SERVED)),
        "\nSuites (--suite name,option=value,...)",
        *suites,
        "",
    ]
    return "\n".join(_folded(line) for part in parts for line in part.split("\n"))


def _folded(line: str) -> str:
    """Return a line, its end in a further one where it is longer than 80."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return line if len(line) <= 80 else textwrap.fill(line, 80, subsequent_indent=indent)


def metrics() -> str:
    """Return what every figure means."""
    from harness.report.metrics import all_metrics

    kinds = {"answer": "Answers", "cost": "Costs", "comparison": "Comparisons"}
    lines: list[str] = []
    for kind, title in kinds.items():
        lines += [title]
        for metric in all_metrics().values():
            if metric.kind == kind:
                shown = "" if metric.better == "neither" else f", {metric.better} is better"
                derived = "" if metric.is_column else "; derived"
                lines += [f"  {metric.name} ({metric.unit}{shown}{derived})"]
                about = f"{metric.meaning} Source: {metric.source}."
                lines += textwrap.wrap(about, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines += [""]
    return "\n".join(lines)


def data_sets() -> str:
    """Return every layout of data sets: its licence, its source and its metrics."""
    lines = ["Data sets (--suite qa,data=PREFIX:FILE; files in their published layouts)"]
    for name in plugins.names(plugins.LAYOUTS):
        layout = plugins.load_layout(name)
        filled = "; filler_tokens fills its contexts" if layout.fills else ""
        lines += [
            f"  {name:<15}{layout.title}",
            f"      licence: {layout.licence}; source: {layout.source}",
            f"      metrics: {', '.join(layout.metrics)}{filled}",
        ]
    return "\n".join([*lines, *_OTHER_DATA, ""])


def _of_server(name: str) -> str:
    """Return the line of a backend of served models; what its options mean stands above."""
    try:
        kind = plugins.load(plugins.SERVED, name)
    except UserError as broken:
        return f"  {name:<15}{broken}"
    options = ", ".join(option.name for option in options_of(kind, given=1))
    return f"  {name:<15}{options or 'no options'}"


def _meanings(kind: type) -> dict[str, str]:
    """Return what each option does, as the class or a class below it says under `Args:`."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        text = inspect.cleandoc(owner.__doc__ or "").partition("Args:\n")[2]
        for entry in re.findall(r"^    (\w+: .*(?:\n {5,}.*)*)", text, re.MULTILINE):
            name, _, meaning = entry.partition(": ")
            found[name] = " ".join(meaning.split())
    return found


def _described(group: str, name: str) -> str:
    """Return the lines about one class; one that cannot be imported says why."""
    try:
        kind = plugins.load(group, name)
    except UserError as broken:
        return f"  {name:<15}{broken}"
    lines = [f"  {name:<15}{(inspect.getdoc(kind) or '').partition(chr(10))[0]}"]
    meanings = _meanings(kind)
    for option in options_of(kind, given=int(group == plugins.BACKENDS)):
        default = "" if option.default is None else option.default
        lines.append(f"      {option.name}={default:<{24 - len(option.name)}} {option.kind}")
        about = meanings.get(option.name, "")
        lines += textwrap.wrap(about, 80, initial_indent=" " * 10, subsequent_indent=" " * 10)
    if group == plugins.SUITES:
        metrics = ", ".join(getattr(kind, "metrics", ()))
        lines.append(f"      metrics: {metrics or 'none, it shows costs'}")
    return "\n".join(lines)
