"""The page of theory: for every finding its statement, the numbers beside those proved, and its plots."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rankwise.vocabulary import COLORS, RELATIONS, name_of

from .blocks import Block, Card, Cards, Command, Figure, Pair, Section, Table, Text
from .figures import MUTED, axis_title, layout, plain
from .page import render_page
from .wording import plural, significant

Record = Mapping[str, Any]

DASHES = {"dashed": "dash", "dotted": "dot"}
# The legend stands under the plot, where it covers neither heading nor buttons. In pixels a line of it and the plot
# without it; in characters such a line and the sample before each name.
LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "yref": "container",
    "y": 0,
    "yanchor": "bottom",
    "tracegroupgap": 0,
}
LINE, HEIGHT = 20, 360
LETTERS, SAMPLE = 60, 6
KINDS = {"theorem": "Theorem", "conjecture": "Conjecture", "measurement": "Measurement"}


class Recorded(Protocol):
    """What has a record: a `Finding`, or the `Predictions` for a run."""

    def record(self) -> dict[str, Any]:
        """Plain numbers and words."""
        ...


def write_theory(path: str | os.PathLike[str], *findings: Recorded, command: str = "") -> None:
    """Write the page of findings, or of the predictions for runs (`rankwise.theory.predict`), in one call.

    command: what makes the page again, shown at its end if given.

    Raises:
        ValueError: if there is nothing to show.
        OSError: if the file cannot be written.
    """
    if not findings:
        raise ValueError("write_theory needs at least one finding")
    page = render_theory([finding.record() for finding in findings], command)
    Path(path).write_text(page, encoding="utf-8")


def render_theory(findings: Sequence[Record], command: str = "") -> str:
    """The page as one HTML string, from the records of findings (`Finding.record`) alone."""
    held = sum(finding["holds"] for finding in findings)
    checks = sum(len(finding["checks"]) for finding in findings)
    cards = Cards(
        (
            Card("findings", str(len(findings)), f"{held} hold in every check"),
            Card("checks", str(checks), f"{sum(c['holds'] for f in findings for c in f['checks'])} hold"),
        )
    )
    sections = [Section("Theory beside measurement", (cards,)), *map(finding_section, findings)]
    if command:
        sections.append(Section("To make this page again", (Command(command),)))
    return render_page("rankwise theory", sections, subtitle=plural(len(findings), "finding"))


def finding_section(finding: Record) -> Section:
    """A finding from its record: statement, checks and plots."""
    kind = f"{KINDS[finding['kind']]}; source: {finding['source']}."
    verdict = "Every check holds." if finding["holds"] else "Not every check holds: see the table."
    figures = [_figure(panel) for panel in finding["panels"]]
    blocks: list[Block] = [
        Text(finding["statement"]), Text(kind, "quiet"), Text(verdict, "good" if finding["holds"] else "caution"),
        _table(finding), *(Text(note, "quiet") for note in finding["notes"]),
        *([Pair(figures)] if figures else []),
    ]  # fmt: skip
    return Section(finding["name"].replace("_", " "), blocks)


def _table(finding: Record) -> Table:
    rows = [
        (c["label"], significant(c["measured"]), RELATIONS[c["relation"]], significant(c["proved"]),
         significant(c["tolerance"]), "holds" if c["holds"] else "does not hold")
        for c in finding["checks"]
    ]  # fmt: skip
    given = "proved" if finding["kind"] == "theorem" else "expected"
    return Table(f"Measured beside {given}", ("", "measured", "", given, "tolerance", ""), rows, whole=True)


def _figure(panel: Record) -> Figure:
    spec = _chart(panel) if "z" in panel else _curves(panel)
    words = f"{panel['title']}: {panel['y']} against {panel['x']}."
    return Figure(panel["title"], spec, "", words, height=HEIGHT + LINE * _legend_lines(spec))


def _curves(panel: Record) -> dict[str, Any]:
    """Curves in the color of what they measure; predictions dashed and bounds dotted in the same one."""
    labels = [curve["label"] for curve in panel["curves"]]
    names = list(dict.fromkeys(map(name_of, labels)))
    data, roles = [], {}
    for k, curve in enumerate(panel["curves"]):
        label, name = curve["label"], name_of(curve["label"])
        color, dash = COLORS[names.index(name) % len(COLORS)], DASHES.get(curve["style"], "solid")
        twin = name != label and name in labels
        if twin:
            roles[label[len(name) + 2 : -1]] = dash
        data.append({
            "type": "scatter", "x": curve["x"], "y": curve["y"], "name": plain(label),
            "mode": "markers" if curve["style"] == "points" else "lines",
            "showlegend": bool(label) and not twin and label not in labels[:k],
            "legendgroup": plain(name), "marker": {"color": color, "size": 6},
            "line": {"color": color, "width": 2, "dash": dash},
        })  # fmt: skip
    axes = {f"{name}axis": {"title": axis_title(plain(panel[name])), **scale(name in panel["log"])} for name in "xy"}
    return {"data": data + [entry(*role) for role in roles.items()], "layout": layout(**axes, legend=LEGEND)}


def entry(role: str, dash: str) -> dict[str, Any]:
    """An entry of the legend, in no one's color, without a curve."""
    line = {"color": MUTED, "width": 2, "dash": dash}
    return {"type": "scatter", "x": [None], "y": [None], "name": role, "mode": "lines", "line": line}


def scale(logarithmic: bool) -> dict[str, Any]:
    """The kind of an axis."""
    return {"type": "log", "exponentformat": "power"} if logarithmic else {"type": "linear"}


def _legend_lines(spec: Mapping[str, Any]) -> int:
    """How many lines of the legend to make room for: its columns are as wide as the longest name."""
    shown = [trace["name"] for trace in spec["data"] if trace["type"] == "scatter" and trace.get("showlegend", True)]
    columns = max(LETTERS // (SAMPLE + max(map(len, shown), default=0)), 1)
    return -(-len(shown) // columns)


def _chart(panel: Record) -> dict[str, Any]:
    """A map; on a logarithmic scale its bar names powers of ten."""
    z, ends, bar = panel["z"], panel["limits"], {"title": {"text": plain(panel["z_label"]), "side": "right"}}
    if panel["log"]:
        z = [[math.log10(v) if v is not None and v > 0 else None for v in row] for row in z]
        ends = ends and [math.log10(v) for v in ends]
        bar |= {"tickprefix": "10<sup>", "ticksuffix": "</sup>", "dtick": 1}
    data = {
        "type": "heatmap", "z": z, "x": [f"{v:g}" for v in panel["x_values"]],
        "y": [f"{v:g}" for v in panel["y_values"]], "colorscale": "Viridis", "colorbar": bar,
        "zmin": ends and ends[0], "zmax": ends and ends[1],
    }  # fmt: skip
    axes = {f"{name}axis": {"title": axis_title(plain(panel[name])), "type": "category"} for name in "xy"}
    return {"data": [data], "layout": layout(**axes)}
