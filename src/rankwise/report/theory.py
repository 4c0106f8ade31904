"""The page of theory: for every finding its statement, the numbers beside those proved, and its plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .blocks import Block, Card, Cards, Command, Figure, Pair, Section, Table, Text
from .figures import UNDER_LEGEND, axis_title, layout, plain
from .page import render_page
from .wording import plural, significant

Record = Mapping[str, Any]

# Distinguishable with any colour vision, on light and dark ground.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7F7F7F")
PREDICTED = " (predicted)"
KINDS = {"theorem": "Theorem", "conjecture": "Conjecture", "measurement": "Measurement"}


def render_theory(findings: Sequence[Record], command: str) -> str:
    """The page as one HTML string, from the records of findings (`Finding.record`) alone."""
    held = sum(finding["holds"] for finding in findings)
    checks = sum(len(finding["checks"]) for finding in findings)
    cards = Cards(
        (
            Card("findings", str(len(findings)), f"{held} hold in every check"),
            Card("checks", str(checks), f"{sum(c['holds'] for f in findings for c in f['checks'])} hold"),
        )
    )
    sections = [Section("Theory beside measurement", (cards,)), *map(_section, findings)]
    again = Section("To make this page again", (Command(command),))
    return render_page("rankwise theory", [*sections, again], subtitle=plural(len(findings), "finding"))


def _section(finding: Record) -> Section:
    kind = f"{KINDS[finding['kind']]}; source: {finding['source']}."
    verdict = "Every check holds." if finding["holds"] else "Not every check holds: see the table."
    figures = [_figure(panel) for panel in finding["panels"]]
    blocks: list[Block] = [
        Text(finding["statement"]), Text(kind, "quiet"), Text(verdict, "good" if finding["holds"] else "caution"),
        _table(finding), *(Pair(figures[k : k + 2]) for k in range(0, len(figures), 2)),
    ]  # fmt: skip
    return Section(finding["name"].replace("_", " "), blocks)


def _table(finding: Record) -> Table:
    rows = [
        (c["label"], significant(c["measured"]), c["relation"], significant(c["proved"]), f"{c['tolerance']:.1g}",
         "holds" if c["holds"] else "does not hold")
        for c in finding["checks"]
    ]  # fmt: skip
    return Table("Measured beside proved", ("", "measured", "", "proved", "tolerance", ""), rows)


def _figure(panel: Record) -> Figure:
    spec = _chart(panel) if "z" in panel else _curves(panel)
    return Figure(panel["title"], spec, "", f"{panel['title']}: {panel['y']} against {panel['x']}.")


def _curves(panel: Record) -> dict[str, Any]:
    """Curves in the colour of what they measure; predictions dashed in the same one."""
    names = list(dict.fromkeys(curve["label"].removesuffix(PREDICTED) for curve in panel["curves"]))
    data = []
    for curve in panel["curves"]:
        colour = COLOURS[names.index(curve["label"].removesuffix(PREDICTED)) % len(COLOURS)]
        points = curve["style"] == "points"
        data.append({
            "type": "scatter", "x": curve["x"], "y": curve["y"], "name": plain(curve["label"]),
            "mode": "markers" if points else "lines", "showlegend": bool(curve["label"]),
            "marker": {"color": colour, "size": 6},
            "line": {"color": colour, "width": 2, "dash": "dash" if curve["style"] == "dashed" else "solid"},
        })  # fmt: skip
    axes = {
        f"{name}axis": {"title": axis_title(plain(panel[name])), "type": "log" if name in panel["log"] else "linear"}
        for name in "xy"
    }
    return {"data": data, "layout": layout(**axes, margin=UNDER_LEGEND)}


def _chart(panel: Record) -> dict[str, Any]:
    shown, ends = panel["z"], panel["limits"]
    if panel["log"]:
        shown = [[math.log10(v) if v is not None and v > 0 else None for v in row] for row in shown]
        ends = ends and [math.log10(v) for v in ends]
    label = f"log10 {panel['z_label']}" if panel["log"] else panel["z_label"]
    data = {
        "type": "heatmap", "z": shown, "x": [f"{v:g}" for v in panel["x_values"]],
        "y": [f"{v:g}" for v in panel["y_values"]], "colorscale": "Viridis", "colorbar": {"title": plain(label)},
        "zmin": ends and ends[0], "zmax": ends and ends[1],
    }  # fmt: skip
    axes = {f"{name}axis": {"title": axis_title(plain(panel[name])), "type": "category"} for name in "xy"}
    return {"data": [data], "layout": layout(**axes)}
