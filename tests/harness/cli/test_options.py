"""A person's own documents are read by a model that can read them, or with a warning."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gist.models import shipped
from gist.models.reference import MODEL as REFERENCE
from harness.cli.options import (
    documents_model_option,
    model_option,
    suites_model_options,
    warn_of_reading,
)


@dataclass(frozen=True)
class Shipped:
    """A model as a package would bring it."""

    adapter: Path
    lacking: str = ""
    title: str = "a reader"
    licence: str = "MIT"
    source: str = "here"
    reads: str = "any text"
    reads_any_text: bool = True

    def missing(self) -> str:
        """Return what it lacks."""
        return self.lacking

    def folder(self, *, weights: bool) -> Path:
        """Not asked for."""
        raise AssertionError(f"no test loads it, weights={weights}")


def ship(monkeypatch: pytest.MonkeyPatch, reader: Shipped) -> None:
    """Let the reference model and `reader` be what is shipped."""
    models: Mapping[str, shipped.ShippedModel] = {"reference": REFERENCE, "reader": reader}
    monkeypatch.setattr(shipped, "all_models", lambda: models)
    monkeypatch.setattr(shipped, "find", models.get)


@click.command()
@documents_model_option
def about_documents(model_name: str) -> None:
    """Read documents."""
    click.echo(model_name)


@click.command()
@documents_model_option
@click.option("--checkpoint", type=click.Path(path_type=Path))
def with_adapter(model_name: str, checkpoint: Path | None) -> None:
    """Compress documents."""
    click.echo(f"{model_name} {checkpoint is not None}")


@click.command()
@suites_model_options
@click.option("--suite", "suites", multiple=True)
def about_suites(model_names: tuple[str, ...], suites: tuple[str, ...], **_: Any) -> None:
    """Run suites."""
    click.echo(f"{'+'.join(model_names)} {len(suites)}")


@click.command()
@model_option
def about_nothing(model_name: str) -> None:
    """Check a model."""
    click.echo(model_name)


def chosen(command: click.Command, *arguments: str) -> str:
    """Return the model that a command gets."""
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.split()[0]


def test_documents_are_read_by_a_model_that_reads_any_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the default where it is installed, and nothing is said about it."""
    ship(monkeypatch, Shipped(tmp_path))
    assert chosen(about_documents) == "reader"
    assert chosen(with_adapter) == "reader"
    assert chosen(about_suites, "--suite", "passkey", "--suite", "qa,data=mine.jsonl") == "reader"
    assert not caplog.records


def test_generated_text_is_read_by_the_reference_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suites without data= and commands without documents keep their default."""
    ship(monkeypatch, Shipped(tmp_path))
    assert chosen(about_suites, "--suite", "qa,people=3") == "reference"
    assert chosen(about_suites) == "reference"
    assert chosen(about_nothing) == "reference"


@pytest.mark.parametrize("command", [about_documents, with_adapter, about_nothing])
def test_the_model_that_is_named_is_taken(
    command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--model always counts."""
    ship(monkeypatch, Shipped(tmp_path))
    assert chosen(command, "--model", "reference") == "reference"


def test_a_model_that_is_not_installed_leaves_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It says what the reference model can read, and what to type."""
    ship(monkeypatch, Shipped(tmp_path, lacking="reader is not installed: pip install reader"))
    with caplog.at_level(logging.WARNING):
        assert chosen(about_documents) == "reference"
    (record,) = caplog.records
    assert "reads nothing but the documents that this project generates" in record.message
    assert "pip install reader" in record.message


def test_compressing_needs_an_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without one for the reader, the reference model compresses, with a warning."""
    ship(monkeypatch, Shipped(tmp_path / "nothing"))
    assert chosen(about_documents) == "reader"
    with caplog.at_level(logging.WARNING):
        assert chosen(with_adapter) == "reference"
    assert "reader has no gist adapter" in caplog.text


def test_a_named_adapter_brings_its_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The card says which, and the warning is given all the same."""
    ship(monkeypatch, Shipped(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert chosen(with_adapter, "--checkpoint", str(REFERENCE.adapter)) == "reference"
    assert len(caplog.records) == 1


def test_a_gist_file_of_the_reference_model_is_asked_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A folder or a hub id is the user's own choice: nothing is said."""
    with caplog.at_level(logging.WARNING):
        assert warn_of_reading("my/model") == "my/model"
        assert not caplog.records
        assert warn_of_reading("reference") == "reference"
    assert "reference reads nothing but" in caplog.text
