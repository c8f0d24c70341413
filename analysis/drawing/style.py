"""The look of every picture: one set of rcParams, one palette, one mark for each solution concept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.textpath import TextToPath

from analysis.comparison import BORDA, CHOSEN, FOLLOWER, LEADER, NLHF, RLHF

# Okabe and Ito (2008), "Color universal design": told apart with every common kind of colour blindness.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
INK, GREY, PALE, FAINT = "#222222", "#707070", "#B8B8B8", "#E9E9E9"

TITLE, TEXT, SMALL = 12.0, 9.0, 8.0
"""Sizes of type, in points."""

INSTALLED = {font.name for font in fontManager.ttflist}
OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Noto Sans Arabic",
    "Noto Emoji",
)
FONTS = ["DejaVu Sans", *(name for name in OTHER_SCRIPTS if name in INSTALLED)]
"""DejaVu comes with matplotlib: the same picture everywhere, but for scripts that it lacks."""

STYLE: dict[str, Any] = {
    "font.family": FONTS,
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a dollar sign
    "text.hinting": "none",  # lines are as wide in svg and png as they were measured
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.5,
    "hatch.color": PALE,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # drawn letters: no font of the reader's is needed
    "svg.hashsalt": "stackelberg",  # the same ids in every run
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and hatch of one solution concept: any one of them tells it apart."""

    colour: str
    marker: str
    hatch: str


LOOKS = {
    RLHF: Look(VERMILLION, "s", "////"),
    CHOSEN: Look(PURPLE, "P", "xxxx"),
    BORDA: Look(GREEN, "^", "...."),
    NLHF: Look(BLUE, "o", "\\\\\\\\"),
    LEADER: Look(BLACK, "D", ""),
    FOLLOWER: Look(ORANGE, "v", "||||"),
}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function that draws in the house style, whatever the reader's own settings, and leaves those alone."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return wrapper


def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Width of the widest line of a text, in inches, and 3 % more for the rounding of the letters' places.

    >>> round(text_width("preference", size=10) / text_width("preference", size=5), 2)
    2.0
    """
    font = FontProperties(family=STYLE["font.family"], size=size, weight=weight)
    return max(_measure().get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")) / 72 * 1.03


@functools.cache
def _measure() -> TextToPath:
    return TextToPath()


def line_height(size: float = TEXT) -> float:
    """Height of one line, in inches."""
    return 1.25 * size / 72


def wrapped(text: str, width: float, size: float = TEXT, *, weight: str = "normal", lines: int = 99) -> str:
    r"""A text in lines of at most ``width`` inches; longer words are broken, lines beyond ``lines`` cut with "…".

    >>> wrapped("Robin Wonsley Worlobah", 1.0)
    'Robin Wonsley\nWorlobah'
    """
    done, line = [], ""
    for word in text.split():
        for piece in _pieces(word, width, size, weight):
            longer = f"{line} {piece}" if line else piece
            if line and text_width(longer, size, weight) > width:
                done.append(line)
                longer = piece
            line = longer
    done.append(line)
    if len(done) > lines:
        done = [*done[: lines - 1], _cut(done[lines - 1] + "…", width, size, weight)]
    return "\n".join(done)


def _cut(line: str, width: float, size: float, weight: str) -> str:
    while len(line) > 2 and text_width(line, size, weight) > width:
        line = line[:-2] + "…"
    return line


def _pieces(word: str, width: float, size: float, weight: str) -> list[str]:
    """A word, broken where it is wider than a line."""
    pieces = []
    while text_width(word, size, weight) > width and len(word) > 2:
        end = len(word) - 1
        while end > 1 and text_width(word[:end] + "-", size, weight) > width:
            end -= 1
        pieces.append(word[:end] + "-")
        word = word[end:]
    return [*pieces, word]


def shortened(label: str, most: int = 32) -> str:
    """A label for use in a sentence: one line, and not too long.

    >>> shortened("A very, very long candidate name indeed", most=12)
    'A very, ver…'
    """
    line = " ".join(label.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def decimals(values: list[float]) -> int:
    """How many decimals, 2 to 4, tell every share that is not ½ from ½.

    >>> decimals([0.75, 0.5]), decimals([0.75, 0.501])
    (2, 3)
    """
    uneven = [value for value in values if abs(value - 0.5) > 1e-12]
    return next((k for k in (2, 3) if all(round(value, k) != 0.5 for value in uneven)), 4)
