"""A damaged run or configuration is refused in one line, or it still can be read."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gist.training.configuration import read_configuration
from harness.cli.training import read_settings
from harness.errors import UserError
from harness.run.rows import read_rows
from tests.support.damage import DAMAGES, FUZZ, ODD, Damage
from tests.support.made_run import made_run
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good run."""
    return made_run(tmp_path_factory.mktemp("runs") / "run")


def check_one_line(refused: Exception) -> None:
    """A person can read it."""
    assert str(refused).strip()
    assert "\n" not in str(refused)


@settings(FUZZ, max_examples=100)
@given(name=st.sampled_from(("run.json", "records.csv")), damage=DAMAGES)
def test_a_damaged_run_is_one_line(run: Path, name: str, damage: Damage) -> None:
    """Its rows, or what is known of it."""
    good = (run / name).read_bytes()
    try:
        (run / name).write_bytes(damage.apply(good))
        read_rows([run])
    except UserError as refused:
        check_one_line(refused)
    finally:
        (run / name).write_bytes(good)


@settings(FUZZ, max_examples=100)
@given(place=st.floats(0, 1, exclude_max=True), odd=st.sampled_from(ODD), damage=DAMAGES)
def test_a_damaged_configuration_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, place: float, odd: object, damage: Damage
) -> None:
    """A value of another kind, a torn file, a changed letter."""
    whole = (ROOT / "gist" / "reference" / "adapter.yaml").read_bytes()
    values = yaml.safe_load(whole)
    values[sorted(values)[int(place * len(values))]] = odd
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    for content in (damage.apply(whole), yaml.safe_dump(values).encode()):
        file.write_bytes(content)
        try:
            read_configuration(read_settings(file, {}))
        except UserError as refused:
            check_one_line(refused)


@pytest.mark.parametrize("form", ["long", "nested"])
def test_a_wrong_value_of_any_size_is_one_short_line(tmp_path: Path, form: str) -> None:
    """Lists that name lists stand for more than fits in memory."""
    lists = "&a0 [x, x, x, x, x, x, x, x, x]"
    for depth in range(1, 9):
        lists = f"&a{depth} [{lists}{f', *a{depth - 1}' * 8}]"
    file = tmp_path / "wrong.yaml"
    file.write_text(f"max_steps: {'x' * 100_000 if form == 'long' else lists}\n")
    with pytest.raises(UserError, match="must be a whole number") as refused:
        read_configuration(read_settings(file, {}))
    assert len(str(refused.value)) < 500
