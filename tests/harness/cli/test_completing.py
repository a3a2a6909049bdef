"""Shell completion knows suites, backends and their options; `list` says what an option does."""

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


def test_the_list_says_what_an_option_does() -> None:
    """As its class describes it."""
    text = " ".join(backends_and_suites().split())
    assert "gist tokens for every context" in text
    assert "JSONL of your own contexts and questions" in text
    assert "number of documents; none: without end, for training." in text
