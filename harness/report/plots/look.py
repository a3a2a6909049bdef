"""How pictures look: colours, shapes, letters, ticks, legends.

Colours are Okabe's and Ito's (safe for colour-blind readers), and shape, hatching or a printed
figure always says the same as the colour. Nothing here knows what is drawn.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # of lines and letters; a page puts its own in its place
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#8a8a8a")
MARKERS = "osD^vP*Xph<>"
HATCHES = ("", "///", "xxx", "---")
WIDTH = 4.3  # inches: what a telephone shows without making it smaller
GREY = "#8c8c8c"
TIP = "tip-"  # how the gid of a part with a tip begins
NAME = 34  # letters of a backend in a picture; tables have all of them
STYLE: Any = {  # matplotlib types its settings by their names
    "text.parse_math": False,
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "gist-bench",  # the same figures give the same file
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GREY,
    "grid.alpha": 0.35,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@dataclass
class Canvas:
    """A figure being drawn, and the tooltips of its parts."""

    figure: "Figure"
    axes: "Axes"
    backends: Sequence[str]  # all backends of the report, so that each looks the same everywhere
    tips: dict[str, str] = field(default_factory=dict)

    def tip(self, text: str) -> str:
        """Return the gid for a part that says `text`."""
        gid = f"{TIP}{len(self.tips)}"
        self.tips[gid] = text
        return gid

    def colour(self, backend: str) -> str:
        """Return the colour of a backend."""
        return COLOURS[self._place(backend) % len(COLOURS)]

    def marker(self, backend: str) -> str:
        """Return the shape of a backend's points."""
        return MARKERS[self._place(backend) % len(MARKERS)]

    def dashes(self, backend: str) -> tuple[int, tuple[int, ...]]:
        """Return the dashes of a backend's line."""
        place = self._place(backend) % 4
        return (0, ((), (4, 2), (1, 2), (6, 2, 1, 2))[place])

    def _place(self, backend: str) -> int:
        return self.backends.index(backend) if backend in self.backends else len(self.backends)


@contextmanager
def in_style() -> Iterator[None]:
    """Draw and save in our style, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name may hold letters that the font lacks; the browser has its own fonts.
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def short(name: str, room: int = NAME) -> str:
    """Return a name that fits a picture, its middle left out if it must be."""
    shown = "".join(char if char.isprintable() else " " for char in name)
    half = (room - 1) // 2
    return shown if len(shown) <= room else f"{shown[:half]}…{shown[-half:]}"


def ticks(axes: "Axes", values: Sequence[float], show: Callable[[float], str]) -> None:
    """Put three or so ticks on a logarithmic axis, at 1, 2 or 5 of a power, and words on them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values), max(values)
    if high < 1.5 * low:
        low, high = low / 2, high * 2
    low, high = low / 1.25, high * 1.25
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(list(round_values(low, high, base=base_of(show)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))


def base_of(show: Callable[[float], str]) -> int:
    """Return 2 for figures that are shown in KiB and the like, else 10."""
    return 2 if show(1024).endswith("iB") else 10


def round_values(low: float, high: float, *, base: int) -> Iterator[float]:
    """Yield at most five round values between two: powers of 2, or 1, 2 and 5 times one of 10."""
    if base == 2:
        powers = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
        found = [2.0**power for power in powers]
    else:
        tens = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        found = [step * 10.0**ten for ten in tens for step in (1, 2, 5)]
        found = [value for value in found if low <= value <= high]
        ones = [value for value in found if f"{value:e}"[0] == "1"]
        found = ones if len(found) > 5 and len(ones) > 2 else found
    yield from found[:: math.ceil(len(found) / 5) or 1]


def fill(part: int) -> dict[str, Any]:
    """Return colour and hatching of a part."""
    hatch = HATCHES[part % len(HATCHES)]
    return {"color": COLOURS[part], "ec": INK, "lw": 0.6, "hatch": hatch}


def few_ticks(highest: float, *, base: int) -> list[float]:
    """Return 0 and up to four round values below `highest`."""
    if highest <= 0:
        return [0.0]
    min_step = highest / 4
    if base == 2:
        step = 2.0 ** math.ceil(math.log2(min_step))
    else:
        ten = 10.0 ** math.floor(math.log10(min_step))
        step = next(ten * times for times in (1, 2, 5, 10) if ten * times >= min_step * 0.999)
    return [step * count for count in range(int(highest / step * 1.001) + 1)]


def bands(axes: "Axes", count: int) -> None:
    """Leave the names of the rows to the text above each."""
    axes.set_ylim(count - 0.55, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def key_below(canvas: Canvas, keys: "Sequence[Artist]", names: Sequence[str]) -> None:
    """Say below the picture what is what, in one line or, for long names, below each other."""
    columns = len(names) if sum(map(len, names)) < 40 else 1
    canvas.figure.legend(handles=keys, loc="outside lower left", ncols=columns)


def legend(canvas: Canvas) -> None:
    """Say below the picture which point or line is which backend."""
    handles, labels = canvas.axes.get_legend_handles_labels()
    canvas.figure.legend(handles, labels, loc="outside lower left", ncols=_columns(labels))


def legend_height(labels: Sequence[str]) -> float:
    """Return the inches that `legend` takes, so that the picture above keeps its own."""
    return 0.175 * math.ceil(len(labels) / _columns(list(map(short, labels))))


def _columns(labels: Sequence[str]) -> int:
    return 1 if max(map(len, labels)) > 26 else 2
