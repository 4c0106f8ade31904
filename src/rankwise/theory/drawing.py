"""Panels and charts as Matplotlib figures, for papers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rankwise.theory.finding import Chart, Curve, Panel
from rankwise.vocabulary import COLORS

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
# In print without color these tell curves apart; one more than colors, so that their pairs repeat late.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A line through so few points shows them; more points than the second number are drawn smaller.
FEW, MANY = 12, 40
# Characters of a line of a tick's name.
NAME = 14
# At most so many powers of ten along a logarithmic axis; fewer than the second number would not tell its scale, and
# it has numbers between them, at most so many where they are evenly spaced.
POWERS, SCALE, EVEN = 7, 3, 5
# Numbers between such ends are written out, others have a power of ten each.
PLAIN = 1e-3, 1e4
# How what is not measured is drawn, and lines across a panel, by turns.
DASHES = {"dashed": "--", "dotted": ":"}
ACROSS = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))
# Places of maps where nothing was measured.
EMPTY = "0.85"


def draw(panels: Sequence[Panel | Chart]) -> Figure:
    """The panels side by side, at most three in a row and four as two by two, each with its legend below it.

    Panels whose legends say the same share one.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("there is nothing to draw")
    across = 2 if len(panels) == 4 else min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = _empty(across, down)
    legends: list[tuple[Any, dict[str, Any]]] = []
    for k, panel in enumerate(panels):
        axes = _add_axes(figure, down, across, k, panel)
        if isinstance(panel, Chart):
            _add_bar(figure, axes, _draw_chart(axes, panel), panel)
        else:
            legends.append((axes, _draw_curves(axes, panel, names_in([panel]))))
    _add_legends(figure, legends, len(panels), down)
    return figure


def draw_sheet(panels: Sequence[Panel | Chart | None], across: int) -> Figure:
    """Panels of one kind in rows of `across`, with one legend or color scale for all; None leaves a place empty.

    Curves of one name have one color in all of them. A label is written once beside a row and once under a column.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if there is no panel.
    """
    shown = {k: panel for k, panel in enumerate(panels) if panel is not None}
    if not shown:
        raise ValueError("there is nothing to draw")
    down = -(-len(panels) // across)
    figure, names = _empty(across, down), names_in(list(shown.values()))
    legend: dict[str, Any] = {}
    images = []
    for k, panel in shown.items():
        axes = _add_axes(figure, down, across, k, panel)
        beside, below = shown.get(k - 1) if k % across else None, shown.get(k + across)
        if beside is not None and beside.y == panel.y:
            axes.set_ylabel("")
        if below is not None and below.x == panel.x:
            axes.set_xlabel("")
        if isinstance(panel, Chart):
            images.append((axes, _draw_chart(axes, panel), panel))
        else:
            legend |= _draw_curves(axes, panel, names)
    if images:
        _, image, first = images[0]
        below, above = (any(out) for out in zip(*(_outside(panel) for *_, panel in images), strict=True))
        _add_bar(figure, [axes for axes, *_ in images], image, first, (below, above))
    elif legend:
        order = sorted(legend, key=lambda label: (label not in names, names.index(label) if label in names else 0))
        _add_shared_legend(figure, {label: legend[label] for label in order})
    return figure


def names_in(panels: Sequence[Panel | Chart]) -> list[str]:
    """What has a color of its own in panels: the curves but for what they are to the measured ones."""
    curves = [curve for panel in panels if isinstance(panel, Panel) for curve in panel.curves]
    return list(dict.fromkeys(curve.name for curve in curves))


def _empty(across: int, down: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ImportError("figures need Matplotlib: pip install 'rankwise[figures]'") from missing
    return Figure(figsize=(WIDTH * across, HEIGHT * down), layout="constrained")


def _add_axes(figure: Any, down: int, across: int, k: int, panel: Panel | Chart) -> Any:
    axes = figure.add_subplot(down, across, k + 1)
    axes.set_title(_literal(textwrap.fill(panel.title, WRAP)), fontsize=TITLE)
    axes.set_xlabel(_literal(panel.x), fontsize=LABEL)
    axes.set_ylabel(_literal(panel.y), fontsize=LABEL)
    axes.tick_params(which="both", labelsize=SMALL)
    return axes


def _draw_curves(axes: Any, panel: Panel, names: Sequence[str]) -> dict[str, Any]:
    """Draw them and return the legend: a line by name, and at the end one for all predictions of these names."""
    labels = {curve.label for curve in panel.curves}
    legend, roles = {}, {}
    for curve in panel.curves:
        # A prediction has the color of the measurement of the same name.
        foretold = f"{curve.name} (predicted)" in labels
        style = _style(curve, names.index(curve.name), foretold)
        (line,) = axes.plot(np.asarray(curve.x), np.asarray(curve.y), **style)
        if curve.band is not None:
            _draw_band(axes, curve, line.get_color())
        if curve.label in (curve.name, "") or curve.name not in labels:
            legend[curve.label] = line
        else:
            roles[curve.label[len(curve.name) + 2 : -1]] = _gray(line)
    legend |= _draw_lines(axes, panel, names)
    legend.pop("", None)
    axes.set_xscale("log" if "x" in panel.log else "linear")
    axes.set_yscale("log" if "y" in panel.log else "linear")
    if any(len(curve.x) for curve in panel.curves):
        _tick(axes, panel)
    else:
        axes.tick_params(which="both", labelleft=False, labelbottom=False)
        axes.text(0.5, 0.5, "no runs", transform=axes.transAxes, ha="center", color="0.5", fontsize=LABEL)
    axes.set_xlim(panel.x_range)
    axes.set_ylim(panel.y_range)
    axes.grid(alpha=0.25)
    return {**legend, **roles}


def _draw_band(axes: Any, curve: Curve, color: str) -> None:
    """The spread around a curve: shaded along a line, bars at points."""
    y, (low, high) = np.asarray(curve.y, float), (np.asarray(end, float) for end in curve.band or ())
    if curve.style in ("points", "open"):
        axes.errorbar(
            np.asarray(curve.x), y, [y - low, high - y], color=color, linestyle="none", elinewidth=1, capsize=2
        )
    else:
        axes.fill_between(np.asarray(curve.x), low, high, color=color, alpha=0.18, linewidth=0)


def _draw_lines(axes: Any, panel: Panel, names: Sequence[str]) -> dict[str, Any]:
    """Lines across the panel in gray, or in the color of the curve they belong to; the legend has them in gray."""
    legend: dict[str, Any] = {}
    dashes: dict[str, Any] = {}
    for line in panel.lines:
        dash = dashes.setdefault(line.label, ACROSS[len(dashes) % len(ACROSS)])
        color = next((curve.color for curve in panel.curves if curve.color and curve.name == line.name), "")
        if not color:
            color = COLORS[names.index(line.name) % len(COLORS)] if line.name in names else "0.3"
        across = axes.axvline if line.upright else axes.axhline
        drawn = across(line.at, color=color, linestyle=dash, linewidth=1.2, zorder=1.5)
        legend.setdefault(line.label, _gray(drawn) if line.name else drawn)
    return legend


def _style(curve: Curve, index: int, foretold: bool) -> dict[str, Any]:
    """Measured lines are broad and light where a dashed prediction runs along them, so that both are seen."""
    color, marker = curve.color or COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
    size, edge = (4.0, 1.0) if len(curve.x) <= MANY else (2.5, 0.6)
    hollow = {"color": color, "marker": marker, "markersize": size, "markeredgewidth": edge, "markerfacecolor": "none"}
    if curve.style == "points":
        return {**hollow, "linestyle": "none"}
    if curve.style == "open":
        return {**hollow, "linestyle": "none", "markersize": 7.0, "markeredgewidth": 1.2, "zorder": 4}
    if curve.style == "dots":
        return {"color": color, "marker": marker, "markersize": size, "linewidth": 1.5}
    if curve.style in DASHES:
        return {"color": color, "linestyle": DASHES[curve.style], "linewidth": 1.1, "zorder": 3}
    look = {"linewidth": 2.5, "alpha": 0.5} if foretold else {"linewidth": 1.5}
    return {**(hollow if len(curve.x) <= FEW else {"color": color}), **look}


def _gray(line: Any) -> Any:
    """The same line or marker in no one's color, for the legend."""
    from matplotlib.lines import Line2D

    marker = {"marker": "o", "markersize": line.get_markersize(), "markerfacecolor": "none"}
    look = {"linestyle": line.get_linestyle(), "linewidth": line.get_linewidth()}
    return Line2D([], [], color="0.3", **look, **(marker if line.get_linestyle() == "None" else {}))


def _tick(axes: Any, panel: Panel) -> None:
    """Names in place of numbers; depths, ranks and counts have ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), [_tick_label(name) for name in panel.ticks])
        axes.set_xlim(-0.5, len(panel.ticks) - 0.5)
    for letter, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if letter == "x" and panel.ticks:
            continue
        values = [np.asarray(getattr(curve, letter), float) for curve in panel.curves]
        if letter in panel.log:
            _tick_log(axis, *(getattr(panel, f"{letter}_range") or axis.get_view_interval()))
        elif values and all((each == np.round(each)).all() for each in values):
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
        elif letter == "y" and values:  # small numbers share their power of ten
            axes.ticklabel_format(axis="y", scilimits=(-3, 5))
            axis.get_offset_text().set_fontsize(SMALL)


def _tick_log(axis: Any, low: float, high: float) -> None:
    """Powers of ten, no more than can be read; where too few, numbers between them, all of one style."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if low <= 0:  # nothing is drawn yet
        return
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = np.outer(powers, factors)
        if ((low <= ticks) & (ticks <= high)).sum() >= SCALE:
            axis.set_major_locator(LogLocator(subs=factors, numticks=POWERS))
            break
    else:
        axis.set_major_locator(MaxNLocator(EVEN, steps=[1, 2, 5, 10]))
    axis.set_minor_formatter(NullFormatter())
    if len(factors) > 1:
        axis.set_major_formatter("{x:g}" if PLAIN[0] <= low and high < PLAIN[1] else _short)


def _short(number: float, _: int = 0) -> str:
    """A number as 3e-5: a digit or two, and its power of ten."""
    digits, power = f"{number:.2e}".split("e")
    return f"{float(digits):g}e{int(power)}"


def _add_legends(figure: Any, legends: Sequence[tuple[Any, dict[str, Any]]], panels: int, down: int) -> None:
    """One below each panel, where it covers no curve, or one for all; the figure grows by their lines."""
    from matplotlib.transforms import ScaledTranslation

    names = [list(legend) for _, legend in legends]
    width, height = figure.get_size_inches()
    if panels == len(names) > 1 and names[0] and all(each == names[0] for each in names):
        _add_shared_legend(figure, legends[0][1])
        return
    lines = 0
    for axes, legend in legends:
        if legend:
            columns = _columns(list(legend), WIDTH)
            lines = max(lines, -(-len(legend) // columns))
            axes.legend(
                legend.values(), map(_literal, legend), loc="upper center", bbox_to_anchor=(0.5, 0),
                bbox_transform=axes.transAxes + ScaledTranslation(0, -BELOW, figure.dpi_scale_trans),
                borderaxespad=0, ncols=columns, fontsize=SMALL, frameon=False, handlelength=1.6, columnspacing=1.0,
            )  # fmt: skip
    figure.set_size_inches(width, height + LINE * lines * down)


def _add_shared_legend(figure: Any, legend: dict[str, Any]) -> None:
    """One legend below all panels; the figure grows by its lines."""
    width, height = figure.get_size_inches()
    columns = _columns(list(legend), width)
    look = {"loc": "outside lower center", "ncols": columns, "fontsize": SMALL, "frameon": False}
    figure.legend(legend.values(), map(_literal, legend), **look)
    figure.set_size_inches(width, height + LINE * -(-len(legend) // columns))


def _columns(names: Sequence[str], width: float) -> int:
    """How many columns of a legend fit beside one another."""
    return min(max(int(width / (SAMPLE + LETTER * max(map(len, names)))), 1), len(names))


def _draw_chart(axes: Any, chart: Chart) -> Any:
    import matplotlib
    from matplotlib.colors import LogNorm, Normalize

    low, high = chart.limits or (None, None)
    norm = (LogNorm if chart.log else Normalize)(low, high, clip=True)
    colors = matplotlib.colormaps["viridis"].with_extremes(bad=EMPTY)
    image = axes.imshow(np.asarray(chart.z, float), origin="lower", aspect="auto", cmap=colors, norm=norm)
    axes.set_xticks(range(len(chart.x_values)), [_tick_label(v) for v in chart.x_values])
    axes.set_yticks(range(len(chart.y_values)), [_tick_label(v) for v in chart.y_values])
    return image


def _tick_label(value: float | str) -> str:
    return _literal(textwrap.fill(value, NAME)) if isinstance(value, str) else f"{value:.3g}"


def _literal(text: str) -> str:
    """The text for Matplotlib, which would set what stands between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def _outside(chart: Chart) -> tuple[bool, bool]:
    """Whether values lie below and above the ends of the color scale."""
    z, (low, high) = np.asarray(chart.z, float), chart.limits or (None, None)
    return low is not None and bool((z < low).any()), high is not None and bool((z > high).any())


def _add_bar(figure: Any, axes: Any, image: Any, chart: Chart, outside: tuple[bool, bool] | None = None) -> None:
    """The color scale; arrows say that values beyond its ends have the end's color."""
    below, above = outside or _outside(chart)
    bar = figure.colorbar(image, ax=axes, extend=("neither", "min", "max", "both")[below + 2 * above])
    bar.set_label(_literal(chart.z_label), fontsize=LABEL)
    bar.ax.tick_params(which="both", labelsize=SMALL)
    if chart.log:
        _tick_log(bar.ax.yaxis, *bar.ax.get_ylim())
