"""How pictures look: a colour and a mark for each backend, letters, ticks, keys.

Colours are Okabe's and Ito's (safe for colour-blind readers) and darker ones of the same kind, and
shape, hatching or a printed name always says the same as the colour. A backend's look follows from
its name alone, so that it is the same in every report. Nothing here knows what is drawn.
"""

import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.report.sections import name_of
from harness.report.standing import ADAPTED

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # of lines and letters; a page puts its own in its place
GREY = "#8c8c8c"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#8a8a8a")
MARKERS = "osD^vP*Xph<>d"
GLYPHS = dict(zip(MARKERS, "●■◆▲▼✚★✖⬟⬢◀▶♦", strict=True))  # a mark as a letter
HOLLOW = dict(zip("●■◆▲▼", "○□◇△▽", strict=True))
LOOKS = {  # of the backends and controls that come with gist-bench: colour and mark
    "full": (COLOURS[0], "o"),
    "rag": (COLOURS[1], "s"),
    "gist": (COLOURS[2], "D"),
    "finetune": (COLOURS[3], "*"),
    "mean_pool": (COLOURS[4], "p"),
    "truncate": (COLOURS[5], "^"),
    "summary": (COLOURS[6], "X"),
    "closed_book": (COLOURS[7], "v"),
    "hybrid": ("#7a6a00", ">"),
    "gist_store": ("#4fb286", "<"),
    "hierarchical": ("#14532d", "d"),
    "kvpress": ("#7b4fa3", "P"),
    "selective_context": ("#8c3b2e", "h"),
    "oracle": ("#4a4f57", "o"),
    "shuffled": ("#4a4f57", "D"),
}
HATCHES = ("", "///", "xxx", "---")
WIDTH = 4.8  # inches: about what a telephone shows without making it smaller
TIP = "tip-"  # how the gid of a part with a tip begins
NAME = 34  # letters of a backend in a picture; tables have all of them
STYLE: Any = {  # matplotlib types its settings by their names
    "text.parse_math": False,
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "gist-bench",  # the same figures give the same file
    "font.size": 8.5,
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


@dataclass(frozen=True, slots=True)
class Look:
    """What marks a backend in every picture of every report."""

    colour: str
    marker: str
    is_filled: bool = True

    @property
    def glyph(self) -> str:
        """The mark as a letter."""
        filled = GLYPHS[self.marker]
        return filled if self.is_filled else HOLLOW.get(filled, filled)


@dataclass
class Canvas:
    """A figure being drawn, and the tooltips of its parts."""

    figure: "Figure"
    axes: "Axes"
    top: float = 0  # inches above the axes that are taken
    tips: dict[str, str] = field(default_factory=dict)

    def tip(self, text: str) -> str:
        """Return the gid for a part that says `text`."""
        gid = f"{TIP}{len(self.tips)}"
        self.tips[gid] = text
        return gid


def look_of(backend: str) -> Look:
    """Return the look of a backend; one that is not ours gets one by its name's checksum.

    Configurations of one backend share it, but for those with the adapter on, which are hollow.
    """
    name = name_of(backend)
    if name in LOOKS:
        return Look(*LOOKS[name], is_filled=ADAPTED not in backend)
    taken = set(LOOKS.values())
    free = [(c, m) for m in MARKERS for c in COLOURS if (c, m) not in taken]
    return Look(*free[zlib.crc32(name.encode()) % len(free)])


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


def log_x(axes: "Axes", values: Sequence[float], show: Callable[[float], str], name: str) -> None:
    """Make the axis logarithmic and say so, with up to five ticks at round values."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values), max(values)
    if high < 1.5 * low:
        low, high = low / 2, high * 2
    room = (high / low) ** 0.06  # beside the outer marks
    low, high = low / max(room, 1.25), high * max(room, 1.25)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{name}, logarithmic")
    axes.xaxis.set_major_locator(FixedLocator(list(round_values(low, high, base=base_of(show)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))


def base_of(show: Callable[[float], str]) -> int:
    """Return 2 for figures that are shown in KiB and the like, else 10."""
    return 2 if show(1024).endswith("iB") else 10


def round_values(low: float, high: float, *, base: int) -> Iterator[float]:
    """Yield at most five round values between two: powers of 2, or 1, 2 and 5 times one of 10.

    Where there are fewer than three, values between them too.
    """
    if base == 2:
        powers = range(math.floor(math.log2(low)), math.floor(math.log2(high)) + 1)
        found = [2.0**power for power in powers if 2.0**power >= low]
        for steps in ((1, 1.5), (1, 1.25, 1.5, 1.75)):
            if len(found) < 3:
                finer = [2.0**power * times for power in powers for times in steps]
                found = [value for value in finer if low <= value <= high]
    else:
        tens = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
        found = [step * 10.0**ten for ten in tens for step in (1, 2, 5)]
        found = [value for value in found if low <= value <= high]
        ones = [value for value in found if f"{value:e}"[0] == "1"]
        found = ones if len(found) > 5 and len(ones) > 2 else found
        if len(found) < 3:
            finer = [step * 10.0**ten for ten in tens for step in (1, 1.5, 2, 3, 4, 5, 6, 8)]
            found = [value for value in finer if low <= value <= high]
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
    columns = len(names) if sum(map(len, names)) < 50 else 1
    canvas.figure.legend(handles=keys, loc="outside lower left", ncols=columns)
