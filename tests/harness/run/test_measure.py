"""The meter: phases are measured from level ground, whatever came before."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import OutOfMemory
from harness.run import measure
from harness.run.measure import Meter, memory_errors
from tests.support.paths import ROOT

MIB = 2**20

needs_count_of_waiting = pytest.mark.skipif(
    not measure.WAITING.exists(), reason="this system does not count how long a thread waits"
)

needs_resident_peak = pytest.mark.skipif(
    Meter("cpu").memory_kind != "cpu_rss", reason="this system does not reset the resident peak"
)


@pytest.fixture
def automatic_gc_off() -> Iterator[None]:
    """Leave garbage where it is until someone collects it."""
    gc.disable()
    yield
    gc.enable()


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, size: int) -> None:
        self.itself = self
        self.block = touched(size)


def touched(size: int) -> bytearray:
    """Return memory that is really there: every page written."""
    return bytearray(b"x") * size


def test_a_phase_returns_its_result_and_its_time() -> None:
    """The seconds are those of the phase, no more than passed outside of it."""
    start = time.perf_counter()
    result, taken = Meter("cpu").measure(lambda: sum(range(100_000)))
    outside = time.perf_counter() - start
    assert result == sum(range(100_000))
    assert 0 < taken.seconds < outside


@needs_count_of_waiting
def test_time_lost_to_other_work_is_known() -> None:
    """Beside another process on the same processor, about half of the time is waiting."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    other = subprocess.Popen([sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass"],
                             stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert other.stdout is not None
        other.stdout.readline()
        _, taken = Meter("cpu").measure(lambda: sum(range(20_000_000)))
    finally:
        other.kill()
        other.communicate()
        os.sched_setaffinity(0, allowed)
    assert taken.waited_s is not None
    assert 0.2 * taken.seconds < taken.waited_s < taken.seconds


def test_waiting_for_something_else_is_not_time_lost_to_other_work() -> None:
    """Who sleeps, as for a disk or a server, wants no processor."""
    _, taken = Meter("cpu").measure(lambda: time.sleep(1))
    assert taken.waited_s is None or taken.waited_s < 0.5


def test_where_waiting_is_not_counted_it_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another system has no such file, or one with nothing in it: None, never 0."""
    monkeypatch.setattr(measure, "WAITING", tmp_path / "schedstat")
    assert Meter("cpu").measure(lambda: None)[1].waited_s is None
    (tmp_path / "schedstat").write_text("")
    assert Meter("cpu").measure(lambda: None)[1].waited_s is None


@needs_resident_peak
def test_the_peak_is_that_of_the_phase() -> None:
    """Memory used and freed within a phase is in its peak, and in no later one."""
    meter = Meter("cpu")
    _, large = meter.measure(lambda: len(touched(96 * MIB)))
    _, small = meter.measure(lambda: len(touched(MIB)))
    assert large.peak_bytes is not None
    assert large.baseline_bytes is not None
    assert small.peak_bytes is not None
    assert large.peak_bytes - large.baseline_bytes > 90 * MIB
    assert small.peak_bytes < large.peak_bytes - 80 * MIB
    assert large.reserved_bytes is None


@needs_resident_peak
@pytest.mark.usefixtures("automatic_gc_off")
def test_what_ran_before_does_not_raise_the_peak() -> None:
    """Freed small blocks and uncollected cycles of an earlier phase are gone when one begins."""
    meter = Meter("cpu")
    with meter.frozen_gc():
        _, alone = meter.measure(lambda: len(touched(8 * MIB)))
        blocks = [touched(1000) for _ in range(64_000)]
        del blocks
        Cycle(64 * MIB)
        _, after = meter.measure(lambda: len(touched(8 * MIB)))
    meter.clear()
    assert alone.peak_bytes is not None
    assert after.peak_bytes is not None
    assert abs(after.peak_bytes - alone.peak_bytes) < 16 * MIB


def test_an_unknown_peak_is_no_number() -> None:
    """A device whose peak cannot be read gives None, never 0."""
    meter = Meter("meta")
    _, taken = meter.measure(lambda: None)
    assert meter.memory_kind == ""
    assert (taken.baseline_bytes, taken.peak_bytes, taken.reserved_bytes) == (None, None, None)


@pytest.mark.parametrize(
    "full",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"
        ),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory.\nTried to"),
    ],
)
def test_an_allocators_failure_is_out_of_memory(full: Exception) -> None:
    """Whatever the allocator raises, the harness knows it by one name."""
    with pytest.raises(OutOfMemory) as caught, memory_errors():
        raise full
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_failures_stay_what_they_are() -> None:
    """A fault of the program is not taken for a lack of memory."""
    with pytest.raises(RuntimeError, match="shape"), memory_errors():
        raise RuntimeError("shape mismatch")


@pytest.mark.gpu
def test_the_cuda_peak_is_that_of_the_allocator() -> None:
    """On CUDA the peak counts allocated bytes, not those of the cache."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    meter = Meter("cuda")
    held = torch.zeros(8 * MIB, dtype=torch.uint8, device="cuda")
    _, taken = meter.measure(lambda: torch.zeros(64 * MIB, dtype=torch.uint8, device="cuda").sum())
    assert meter.memory_kind == "cuda_allocated"
    assert taken.peak_bytes is not None
    assert taken.baseline_bytes is not None
    assert taken.reserved_bytes is not None
    assert taken.baseline_bytes >= held.numel()
    assert 64 * MIB <= taken.peak_bytes - taken.baseline_bytes < 96 * MIB
    assert taken.reserved_bytes >= taken.peak_bytes


READERS = {  # words, and the modules that may use them
    ("perf_counter", "time.time("): [
        "harness/run/measure.py",
        "harness/served/http.py",  # when the first piece of a reply arrived
    ],
    ("monotonic",): [],
    ("max_memory_", "VmHWM", "ru_maxrss"): ["harness/memory.py"],
}


def test_one_module_reads_the_clock_and_one_the_peak() -> None:
    """No other module of the harness, and no backend or suite, touches a clock or a peak."""
    paths = [
        p for name in ("harness", "backends", "benchmarks") for p in (ROOT / name).rglob("*.py")
    ]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
    for words, owners in READERS.items():
        assert sorted(n for n, text in texts.items() if any(w in text for w in words)) == owners
