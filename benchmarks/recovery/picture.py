"""Success against rho: one panel per shape and condition number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.recovery.tables import Line

# `auto` first, heavy and dark; the others in the order of the palette, with marks that can be told apart.
MARKS = "osD^vPX*<>hp"


def draw(lines: Sequence[Line], path: Path) -> None:
    """The share of successes against rho, and the share of patterns that are finitely completable."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[tuple[tuple[int, int], int, float], list[Line]] = {}
    for line in lines:
        if not line.case.noise:
            panels.setdefault((line.case.shape, line.case.rank, line.case.kappa), []).append(line)
    panels = {key: part for key, part in panels.items() if len({line.case.rho for line in part}) > 1}
    if not panels:
        raise ValueError("a picture needs a shape and condition number with at least two rho on record (see --grid)")
    methods = list(dict.fromkeys(line.method for part in panels.values() for line in part))
    wide = min(len(panels), 2)
    high = -(-len(panels) // wide)
    figure, axes = pyplot.subplots(
        high, wide, figsize=(4.6 * wide + 2.2, 3.2 * high), sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, ((shape, rank, kappa), part) in zip(axes.flat, panels.items(), strict=False):
        _panel(axis, part, methods)
        axis.set_title(f"{shape[0]} x {shape[1]}, rank {rank}, kappa {kappa:g}", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of trials")
    pairs = [pair for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
    handles = {label: handle for handle, label in pairs}
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _panel(axis: Any, part: Sequence[Line], methods: Sequence[str]) -> None:
    """One panel."""
    whole = {line.case.rho: line.completable / line.trials for line in sorted(part, key=lambda line: line.trials)}
    rhos = sorted(whole)
    axis.fill_between(rhos, [whole[rho] for rho in rhos], color="0.92", label="completable", zorder=0)
    for number, method in enumerate(methods):
        own = sorted((line for line in part if line.method == method), key=lambda line: line.case.rho)
        if own:
            color = "black" if method == "auto" else f"C{number % 10}"
            style = {"color": color, "linewidth": 2.4 if method == "auto" else 1.2, "zorder": 5 - bool(number)}
            axis.plot(
                [line.case.rho for line in own], [line.successes / line.trials for line in own],
                marker=MARKS[number % len(MARKS)], markersize=4, label=method, **style,
            )  # fmt: skip
    axis.set(xlabel="rho = observations / degrees of freedom", ylim=(-0.03, 1.03))
    axis.grid(alpha=0.3)
