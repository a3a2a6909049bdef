"""The gate on speed turns red: planted slowdowns go beyond the limits of the real parts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.regression.conftest import BASELINES, CheckRatio, limits
from tests.regression.test_parts import chunks_of, fake_run

Work = Callable[[], object]


def times(count: int, work: Work) -> Work:
    """Return work that is done so many times: a planted slowdown."""

    def again() -> None:
        for _ in range(count):
            work()

    return again


def test_a_planted_slowdown_is_red(check_ratio: CheckRatio, tmp_path: Path) -> None:
    """Chunking and running four times as slow fail, and the line names part, ratio and limit."""
    runs = fake_run(tmp_path / "large", 80), fake_run(tmp_path / "small", 20)
    parts = {
        "chunk 1600 / 400": (chunks_of(1600), chunks_of(400)),
        "run 80 contexts / 20": runs,
    }
    for name, (work, against) in parts.items():
        with pytest.raises(AssertionError, match=rf"{name} is \d+\.\d\d; its limit in ratios.json"):
            check_ratio(name, times(4, work), against)


def test_limits_leave_room_but_not_for_twice_the_time() -> None:
    """A limit is above what was measured, and a part that slows to three times is beyond it."""
    for name, ratio in limits().items():
        assert ratio["measured"] < ratio["limit"] < 3 * ratio["measured"], name


def test_every_limit_is_checked() -> None:
    """Each name in the file of limits is one that a test here checks."""
    texts = (file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    checked = {name for text in texts for name in re.findall(r'check_ratio\(\s*"([^"]+)"', text)}
    assert checked == set(limits()), BASELINES
