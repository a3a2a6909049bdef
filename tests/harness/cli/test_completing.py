"""Shell completion knows suites, backends and their options; `list` says what an option does."""

import click
import pytest
from click.shell_completion import ShellComplete

from harness.cli import cli
from harness.report.listing import backends_and_suites


@pytest.mark.parametrize(
    ("option", "typed", "expected"),
    [
        ("--suite", "pass", {"passkey"}),
        ("--backend", "closed", {"closed_book"}),
        ("--backend", "rag,top", {"rag,top_k="}),
        ("--backend", "rag,top_k=4,ord", {"rag,top_k=4,order="}),
        ("--backend", "nothing,", set()),
    ],
)
def test_specs_are_completed(option: str, typed: str, expected: set[str]) -> None:
    """Names first, and after a comma the options that are left to type."""
    complete = ShellComplete(cli, {}, "gist-bench", "_GIST_BENCH_COMPLETE")
    assert {one.value for one in complete.get_completions(["run", option], typed)} == expected


@pytest.mark.parametrize("option", ["--suite", "--backend"])
def test_every_command_with_specs_completes_them_alike(option: str) -> None:
    """Names, and options after a comma: in `try` and `verify` as in `run`."""
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    takers = [
        name
        for name, command in commands.items()
        for each in (command.params if command else ())
        if option in each.opts and "SPEC" in (each.make_metavar(context))
    ]
    assert {"run", "verify"} <= {*takers}
    assert "try" in takers or option == "--suite"
    complete = ShellComplete(cli, {}, "gist-bench", "_GIST_BENCH_COMPLETE")
    for typed in ("", "qa,da" if option == "--suite" else "rag,top"):
        found = [
            {one.value for one in complete.get_completions([name, option], typed)}
            for name in takers
        ]
        assert found[0]
        assert all(one == found[0] for one in found)


def test_the_list_says_what_an_option_does() -> None:
    """As its class describes it."""
    text = " ".join(backends_and_suites().split())
    assert "gist tokens for every context" in text
    assert "JSONL of your own contexts and questions" in text
    assert "number of documents; none: without end, for training." in text


def test_the_list_fits_80_columns() -> None:
    """Options and metrics of a class go on in a further line."""
    assert max(map(len, backends_and_suites().splitlines())) <= 80
