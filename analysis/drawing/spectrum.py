"""Eigenvalues of one step of a solver in the complex plane, beside the rate that was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from numpy.typing import NDArray

from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, sheet
from analysis.drawing.style import BLUE, FAINT, GREY, INK, SMALL, TEXT, VERMILLION, line_height, styled, wrapped
from stackelberg import Rate, Spectrum
from stackelberg.validation import Array

SIDE, WORDS = 3.3, 2.35
"""Inches: the plane, and the width of the words beside it."""


@styled
def draw_spectrum(spectrum: Spectrum, measured: Rate | None = None) -> Drawing:
    """The eigenvalues of one step with the unit circle: inside it a run converges, outside it does not.

    On the left the whole circle, in the middle the eigenvalues alone, close up. The dashed circle is the spectral
    radius, the predicted factor a step; a measured rate is a vermilion ring, as wide as its 95 % interval.

    Args:
        spectrum: from :func:`stackelberg.spectrum`.
        measured: the rate of the error of the policies, from :func:`stackelberg.fit_rate`; of what is
            quadratic in it, a KL or a gap, fit the square root.

    Raises:
        ValueError: there are no eigenvalues, because nothing can move.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_spectrum
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.3)
        >>> draw_spectrum(sb.spectrum(game, sb.OnlineIPO(learning_rate=0.5))).rows[0]
        ('eigenvalue of a step', 0.85, 0.144338)
    """
    values = spectrum.eigenvalues
    if not len(values):
        raise ValueError("There are no eigenvalues: at this point nothing can move. Take a game with tau > 0.")
    left, second = MARGIN + 0.55, MARGIN + 0.55 + SIDE + 0.85
    page = sheet(second + SIDE + 0.4 + WORDS + MARGIN, SIDE + 0.75, *_words(spectrum, measured))
    bound = 1.12 * max(1.0, spectrum.radius)
    whole, close = page.axes(left, 0.5, SIDE, SIDE), page.axes(second, 0.5, SIDE, SIDE)
    _frame(whole, np.array([0.0, 0.0]), bound)
    _frame(close, *_window(values))
    for axes, size in ((whole, 4.5), (close, 6.5)):
        _draw_circles(axes, spectrum, measured)
        axes.plot(values.real, values.imag, "o", color=BLUE, markersize=size, markeredgecolor="white", zorder=5)
    whole.set_title("the unit circle")
    close.set_title("the eigenvalues, close up")
    _write(page.drawing_board(), spectrum, measured, second + SIDE + 0.4, SIDE + 0.45)
    return Drawing("spectrum", page.figure, ("kind", "real", "imaginary"), _rows(spectrum, measured))


def _window(values: NDArray[np.complex128]) -> tuple[Array, float]:
    """Middle and half width of a square round the eigenvalues, with some room."""
    low = np.array([values.real.min(), values.imag.min()])
    high = np.array([values.real.max(), values.imag.max()])
    half = max(float((high - low).max()) / 2 * 1.3, 0.03)
    return (low + high) / 2, half


def _frame(axes: Axes, middle: Array, half: float) -> None:
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.locator_params(nbins=5)
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")


def _draw_circles(axes: Axes, spectrum: Spectrum, measured: Rate | None) -> None:
    look: dict[str, Any] = {"fill": False, "zorder": 3}
    axes.add_patch(Circle((0, 0), 1.0, edgecolor=INK, linewidth=1.3, **look))
    axes.add_patch(Circle((0, 0), spectrum.radius, edgecolor=BLUE, linewidth=1.2, linestyle=(0, (5, 3)), **look))
    if measured is not None:
        factor = measured.factor
        dots: dict[str, Any] = {"edgecolor": VERMILLION, "linewidth": 1.6, "linestyle": (0, (1, 1.5))}
        axes.add_patch(Circle((0, 0), factor.value, **dots, **look))
        for end in (factor.low, factor.high):
            axes.add_patch(Circle((0, 0), end, edgecolor=VERMILLION, linewidth=0.5, **look))


def _words(spectrum: Spectrum, measured: Rate | None) -> tuple[str, str, str]:
    name = type(spectrum.solver).__name__
    fate = "inside: it converges" if spectrum.radius < 1 else "not inside: it does not settle"
    subtitle = f"Dots: eigenvalues of the Jacobian of a step. All of them {fate}."
    if spectrum.radius >= 1:
        subtitle = f"Dots: eigenvalues of the Jacobian of a step. Some are {fate}."
    note = "A factor is what a step multiplies the error of the policies by, in the end."
    if not spectrum.is_fixed:
        note += f" This is no fixed point: a step leads {spectrum.residual:.2g} away from it."
    return f"One step of {name}", subtitle, note


def _write(board: Axes, spectrum: Spectrum, measured: Rate | None, left: float, top: float) -> None:
    """Predicted and measured, in numbers, with the samples of their lines."""

    def item(colour: str, dashes: Any, width: float, head: str, lines: list[str]) -> None:
        nonlocal top
        height = top - 0.5 * line_height(TEXT)
        board.plot([left, left + 0.38], [height, height], color=colour, linestyle=dashes, linewidth=width)
        board.text(left + 0.48, top, head, size=TEXT, weight="bold", va="top")
        top -= line_height(TEXT)
        for line in lines:
            text = wrapped(line, WORDS - 0.48, SMALL)
            board.text(left + 0.48, top, text, size=SMALL, va="top", linespacing=1.25)
            top -= (text.count("\n") + 1) * line_height(SMALL)
        top -= 0.14

    turning = f"once round in {spectrum.period:.4g} steps" if np.isfinite(spectrum.period) else "no rotation"
    item(INK, "-", 1.3, "unit circle", ["inside attracts, outside repels"])
    item(BLUE, (0, (5, 3)), 1.2, "predicted factor", [f"{spectrum.factor:.6g} a step", turning])
    if measured is not None:
        lines = [f"{measured.factor} a step", "95 % interval in brackets", f"law: {measured.law.name.lower()}"]
        item(VERMILLION, (0, (1, 1.5)), 1.6, "measured factor", lines)
    field = spectrum.field_eigenvalues
    if len(field):
        ends = [f"{-end:.3g}" for end in (field.real.max(), field.real.min())]
        spread = f"pull {ends[0]}" if ends[0] == ends[1] else f"pull {ends[0]} to {ends[1]}"
        item(GREY, "none", 0, "the field itself", [spread, f"rotation up to {np.abs(field.imag).max():.3g}"])


def _rows(spectrum: Spectrum, measured: Rate | None) -> tuple[tuple[Any, ...], ...]:
    def pairs(kind: str, values: Any) -> list[tuple[Any, ...]]:
        return [(kind, round(float(value.real), 6), round(float(value.imag), 6)) for value in values]

    rows = pairs("eigenvalue of a step", spectrum.eigenvalues)
    rows += pairs("eigenvalue of the field", spectrum.field_eigenvalues)
    rows.append(("predicted factor", spectrum.factor, 0.0))
    if measured is not None:
        ends = measured.factor
        rows += [("measured factor", ends.value, 0.0), ("its low end", ends.low, 0.0), ("its high end", ends.high, 0.0)]
    return tuple(rows)
