"""Specs: reading, writing, and building instances from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from harness.errors import UserError
from harness.run import plugins
from harness.run.spec import Spec, build, check, options_of, settings_of

if TYPE_CHECKING:
    from gist.models.model import LanguageModel


@dataclass
class Example:
    """Has one option of every supported type, and a first field that is handed in."""

    model: LanguageModel
    top_k: int = 4
    ratio: float | None = None
    fast: bool = False
    order: Literal["document", "score"] = "document"
    folder: Path | None = None
    tokens: tuple[int, ...] = (256, 512)
    name: str = "x"

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}, and must be 1 or more")


@dataclass
class Needy:
    """Has an option without a default."""

    data: Path


def make(text: str) -> Example:
    """Build an example from a spec."""
    return build(Example, Spec.parse(text), "the model")


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("e,top_k=8", "top_k", 8),
        ("e,ratio=0.5", "ratio", 0.5),
        ("e,ratio=none", "ratio", None),
        ("e,fast=on", "fast", True),
        ("e,fast=False", "fast", False),
        ("e,order=score", "order", "score"),
        ("e,folder=/a/b", "folder", Path("/a/b")),
        ("e,tokens=256+512+1024", "tokens", (256, 512, 1024)),
        ("e,tokens=7", "tokens", (7,)),
        (r"e,name=a\,b=c", "name", "a,b=c"),
    ],
)
def test_an_option_is_read_by_its_annotation(text: str, field: str, value: object) -> None:
    """The text of an option becomes a value of the type its field is annotated with."""
    instance = make(text)
    assert getattr(instance, field) == value
    assert type(getattr(instance, field)) is type(value)
    assert instance.model == "the model"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("e,topk=8", ["unknown option 'topk'", "Did you mean 'top_k'?", "tokens, top_k"]),
        ("e,model=x", ["unknown option 'model'"]),
        ("e,top_k=many", ["'top_k'", "'many'", "Give int", "top_k=4"]),
        ("e,ratio=nan", ["'nan'", "float or none"]),
        ("e,fast=maybe", ["true or false"]),
        ("e,order=reverse", ["document or score"]),
        ("e,tokens=1+x", ["int+int+..."]),
        ("e,top_k=0", ["e,top_k=0: top_k is 0, and must be 1 or more"]),
        ("e,top_k", ["'top_k'", "name,option=value"]),
        ("e,=3", ["name,option=value"]),
        ("e,top_k=1,top_k=2", ["given twice"]),
        (",top_k=1", ["no name"]),
        ("", ["no name"]),
    ],
)
def test_a_bad_spec_is_one_line_that_says_what_is_allowed(text: str, words: list[str]) -> None:
    """A mistake in a spec names what was given and what may be given."""
    with pytest.raises(UserError) as caught:
        make(text)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_an_option_without_a_default_must_be_given() -> None:
    """A missing required option is named."""
    with pytest.raises(UserError, match="needs the option 'data'"):
        build(Needy, Spec.parse("needy"))
    assert build(Needy, Spec.parse("needy,data=f")) == Needy(Path("f"))


def test_a_class_without_fields_cannot_be_a_backend() -> None:
    """A class that is no dataclass is refused before it is called."""
    with pytest.raises(UserError, match="not a dataclass"):
        check(dict, Spec("builtins:dict"))


def test_options_are_listed_as_they_would_be_written() -> None:
    """Writing every listed default into a spec gives the instance that no option gives."""
    options = options_of(Example, given=1)
    assert [option.name for option in options][:2] == ["top_k", "ratio"]
    written = {option.name: str(option.default) for option in options}
    assert build(Example, Spec("e", written), None) == build(Example, Spec("e"), None)
    assert settings_of(build(Example, Spec("e"), None), given=1) == written


names = strategies.text("abz_", min_size=1)
values = strategies.text("a,\\=:+ é")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(names, strategies.dictionaries(names, values))
def test_a_written_spec_reads_back_the_same(name: str, options: dict[str, str]) -> None:
    """`Spec.parse(str(spec))` is the spec, whatever its values hold."""
    spec = Spec(name, options)
    assert Spec.parse(str(spec)) == spec


def test_options_are_written_in_one_order() -> None:
    """Two ways to write the same options give the same text."""
    assert str(Spec.parse("e,b=1,a=2")) == str(Spec.parse("e,a=2,b=1")) == "e,a=2,b=1"


def test_a_class_is_found_by_module_and_name() -> None:
    """`module:Class` needs no entry point."""
    assert plugins.load(plugins.SUITES, "tests.support.fakes:Scored").__name__ == "Scored"


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: plugins.load(plugins.BACKENDS, "fulll"), "unknown backend 'fulll'. Did you mean"),
        (lambda: plugins.load(plugins.SUITES, "passkeys"), "unknown suite 'passkeys'"),
        (lambda: plugins.load(plugins.SUITES, "no_such_module:X"), "No module named"),
        (lambda: plugins.load(plugins.SUITES, ":X"), "cannot import"),
        (lambda: plugins.load(plugins.SUITES, "decimal:Decimaal"), "no class 'Decimaal'"),
        (lambda: plugins.load(plugins.SUITES, "math:pi"), "no class 'pi'"),
    ],
)
def test_an_unknown_name_says_what_there_is(attempt: Callable[[], type], words: str) -> None:
    """A name that cannot be loaded is a mistake of the user, in one line."""
    with pytest.raises(UserError, match=words):
        attempt()
