"""Panels and charts as Matplotlib figures, for papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rankwise.theory.finding import Chart, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width and height of one panel, in inches; so many stand side by side.
WIDTH, HEIGHT, ACROSS = 4.2, 3.2, 3
STYLES: dict[str, dict[str, Any]] = {
    "line": {"linestyle": "-", "linewidth": 1.6},
    "dashed": {"linestyle": "--", "linewidth": 1.2},
    "points": {"linestyle": "none", "marker": "o", "markersize": 4},
}
# Distinguishable with any colour vision (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# More curves than this share one legend entry each with their own label only if they have one.
LEGEND = 10


def draw(panels: Sequence[Panel | Chart]) -> Figure:
    """The panels side by side, at most three in a row.

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
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH * across, HEIGHT * down), layout="constrained")
    for k, panel in enumerate(panels):
        axes = figure.add_subplot(down, across, k + 1)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.x)
        axes.set_ylabel(panel.y)
        if isinstance(panel, Chart):
            _draw_chart(figure, axes, panel)
        else:
            _draw_curves(axes, panel)
    return figure


def _draw_curves(axes: Any, panel: Panel) -> None:
    colours: dict[str, str] = {}
    for curve in panel.curves:
        # A prediction has the colour of the measurement of the same name.
        name = curve.label.removesuffix(" (predicted)")
        colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
        label = curve.label or "_nolegend_"
        axes.plot(np.asarray(curve.x), np.asarray(curve.y), color=colour, label=label, **STYLES[curve.style])
    axes.set_xscale("log" if "x" in panel.log else "linear")
    axes.set_yscale("log" if "y" in panel.log else "linear")
    axes.grid(alpha=0.25)
    if any(curve.label for curve in panel.curves):
        axes.legend(fontsize=7, ncols=2 if len(panel.curves) > LEGEND else 1)


def _draw_chart(figure: Any, axes: Any, chart: Chart) -> None:
    from matplotlib.colors import LogNorm, Normalize

    z = np.asarray(chart.z, float)
    norm = (LogNorm if chart.log else Normalize)(*(chart.limits or (None, None)), clip=True)
    image = axes.imshow(z, origin="lower", aspect="auto", cmap="viridis", norm=norm)
    axes.set_xticks(range(len(chart.x_values)), [f"{v:.3g}" for v in chart.x_values], fontsize=7)
    axes.set_yticks(range(len(chart.y_values)), [f"{v:.3g}" for v in chart.y_values], fontsize=7)
    figure.colorbar(image, ax=axes, label=chart.z_label)
