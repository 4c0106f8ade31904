"""Panels and charts as Matplotlib figures, for papers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rankwise.theory.finding import Chart, Curve, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width and height of one panel, in inches: two or three side by side stay legible across the page of a paper.
WIDTH, HEIGHT = 2.9, 2.4
# Points: of titles, axis labels, and of ticks and legends.
TITLE, LABEL, SMALL = 9, 8, 7
# Characters of a title's line; so wide, in inches, are a legend's character and its sample.
WRAP, LETTER, SAMPLE = 36, 0.055, 0.45
# How far below the axes a legend hangs, under ticks and label, and the height of one of its lines, in inches.
BELOW, LINE = 0.4, 0.15
# Distinguishable with any color vision (Okabe and Ito), and by their markers in print without color.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# A line through so few points shows them; more points than the second number are drawn smaller.
FEW, MANY = 12, 40
# At most so many powers of ten along an axis.
POWERS = 7
# How what is not measured is drawn.
DASHES = {"dashed": "--", "dotted": ":"}


def draw(panels: Sequence[Panel | Chart]) -> Figure:
    """The panels side by side, at most three in a row and four as two by two, each with its legend below it.

    Panels whose legends say the same share one.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("there is nothing to draw")
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ImportError("figures need Matplotlib: pip install 'rankwise[figures]'") from missing
    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH * across, HEIGHT * down), layout="constrained")
    legends: list[tuple[Any, dict[str, Any]]] = []
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(down, across, k + 1)
        axes.set_title(textwrap.fill(panel.title, WRAP), fontsize=TITLE)
        axes.set_xlabel(panel.x, fontsize=LABEL)
        axes.set_ylabel(panel.y, fontsize=LABEL)
        axes.tick_params(which="both", labelsize=SMALL)
        if isinstance(panel, Chart):
            _draw_chart(figure, axes, panel)
        else:
            legends.append((axes, _draw_curves(axes, panel)))
    _add_legends(figure, legends, len(panels), down)
    return figure


def _draw_curves(axes: Any, panel: Panel) -> dict[str, Any]:
    """Draw them and return the legend: a line by name, and at the end one for all predictions of these names."""
    names, labels = list(dict.fromkeys(curve.name for curve in panel.curves)), {curve.label for curve in panel.curves}
    legend, roles = {}, {}
    for curve in panel.curves:
        # A prediction has the color of the measurement of the same name.
        foretold = f"{curve.name} (predicted)" in labels
        style = _style(curve, names.index(curve.name), foretold)
        (line,) = axes.plot(np.asarray(curve.x), np.asarray(curve.y), **style)
        if curve.label in (curve.name, "") or curve.name not in labels:
            legend[curve.label] = line
        else:
            roles[curve.label[len(curve.name) + 2 : -1]] = _gray(line)
    legend.pop("", None)
    axes.set_xscale("log" if "x" in panel.log else "linear")
    axes.set_yscale("log" if "y" in panel.log else "linear")
    _tick(axes, panel)
    axes.grid(alpha=0.25)
    return {**legend, **roles}


def _style(curve: Curve, index: int, foretold: bool) -> dict[str, Any]:
    """Measured lines are broad and light where a dashed prediction runs along them, so that both are seen."""
    color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    size, edge = (4.0, 1.0) if len(curve.x) <= MANY else (2.5, 0.6)
    hollow = {"color": color, "marker": marker, "markersize": size, "markeredgewidth": edge, "markerfacecolor": "none"}
    if curve.style == "points":
        return {**hollow, "linestyle": "none"}
    if curve.style in DASHES:
        return {"color": color, "linestyle": DASHES[curve.style], "linewidth": 1.1, "zorder": 3}
    look = {"linewidth": 2.5, "alpha": 0.5} if foretold else {"linewidth": 1.5}
    return {**(hollow if len(curve.x) <= FEW else {"color": color}), **look}


def _gray(line: Any) -> Any:
    """A dashed line of no one's color, for the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color="0.3", linestyle=line.get_linestyle(), linewidth=line.get_linewidth())


def _tick(axes: Any, panel: Panel) -> None:
    """Depths, ranks and counts have ticks at whole numbers only, and powers of ten no more than can be read."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        values = [np.asarray(getattr(curve, letter), float) for curve in panel.curves]
        if letter in panel.log:
            axis.set_major_locator(LogLocator(numticks=POWERS))
        elif all((each == np.round(each)).all() for each in values):
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _add_legends(figure: Any, legends: Sequence[tuple[Any, dict[str, Any]]], panels: int, down: int) -> None:
    """One below each panel, where it covers no curve, or one for all; the figure grows by their lines."""
    from matplotlib.transforms import ScaledTranslation

    names = [list(legend) for _, legend in legends]
    width, height = figure.get_size_inches()
    if panels == len(names) > 1 and names[0] and all(each == names[0] for each in names):
        columns = _columns(names[0], width)
        figure.legend(
            legends[0][1].values(), names[0], loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False
        )
        figure.set_size_inches(width, height + LINE * -(-len(names[0]) // columns))
        return
    lines = 0
    for axes, legend in legends:
        if legend:
            columns = _columns(list(legend), WIDTH)
            lines = max(lines, -(-len(legend) // columns))
            axes.legend(
                legend.values(), list(legend), loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=0,
                bbox_transform=axes.transAxes + ScaledTranslation(0, -BELOW, figure.dpi_scale_trans),
                ncols=columns, fontsize=SMALL, frameon=False, handlelength=1.6, columnspacing=1.0,
            )  # fmt: skip
    figure.set_size_inches(width, height + LINE * lines * down)


def _columns(names: Sequence[str], width: float) -> int:
    """How many columns of a legend fit beside one another."""
    return min(max(int(width / (SAMPLE + LETTER * max(map(len, names)))), 1), len(names))


def _draw_chart(figure: Any, axes: Any, chart: Chart) -> None:
    from matplotlib.colors import LogNorm, Normalize

    z = np.asarray(chart.z, float)
    low, high = chart.limits or (None, None)
    norm = (LogNorm if chart.log else Normalize)(low, high, clip=True)
    image = axes.imshow(z, origin="lower", aspect="auto", cmap="viridis", norm=norm)
    axes.set_xticks(range(len(chart.x_values)), [f"{v:.3g}" for v in chart.x_values])
    axes.set_yticks(range(len(chart.y_values)), [f"{v:.3g}" for v in chart.y_values])
    # Arrows say that values beyond the ends have the end's color.
    below, above = low is not None and bool((z < low).any()), high is not None and bool((z > high).any())
    bar = figure.colorbar(image, ax=axes, extend=("neither", "min", "max", "both")[below + 2 * above])
    bar.set_label(chart.z_label, fontsize=LABEL)
    bar.ax.tick_params(labelsize=SMALL)
