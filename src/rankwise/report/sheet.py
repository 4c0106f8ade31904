"""The panels of one figure as one plotly figure: side by side, one legend, and one under the other on a phone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rankwise.vocabulary import COLORS, name_of

from .blocks import Figure
from .figures import MUTED, axis_title, layout, plain
from .theory import DASHES, LINE, entry, scale

Record = Mapping[str, Any]
Box = tuple[float, float]

# In pixels: the plot itself, alone and among others; what stands between rows, also in one column, above and below.
ALONE, AMONG, GAP, STACKED, ABOVE, BELOW, TITLE = 320, 230, 62, 86, 34, 64, 26
# Shares of the width between panels, without and with a label beside each; characters of a line of the legend.
BETWEEN, LABELED, LETTERS, NARROW_LETTERS, SAMPLE = 0.06, 0.1, 130, 40, 6
ACROSS = ("dash", "dot", "dashdot", "longdashdot")
# At most about so many powers of ten along an axis, and over so many whole numbers a tick at each.
POWERS, WHOLE = 7, 12
# A line through so few points shows them.
FEW = 12
BAND = 0.18


def sheet_figure(sheet: Record) -> Figure | None:
    """The figure of a sheet's record; None if nothing of it is there yet."""
    if not any(panel and (panel.get("curves") or _measured(panel)) for panel in sheet["panels"]):
        return None
    # A title that the heading says already is left out.
    panels = {
        k: {**panel, "title": "" if panel["title"] == sheet["title"] else panel["title"]}
        for k, panel in enumerate(sheet["panels"])
        if panel is not None
    }
    columns = min(sheet["across"], len(sheet["panels"]))
    data, shapes = _charts(panels) if "z" in next(iter(panels.values())) else _curves(panels)
    lines = {width: _legend_lines(data, width) for width in (LETTERS, NARROW_LETTERS)}
    wide, height = _placed(panels, columns)
    # Panels that have their title from the one above them need it where they stand in one column.
    titled = [
        {**panel, "title": panel["title"] or panels.get(k % columns, panel)["title"]} for k, panel in panels.items()
    ]
    alone, tall = _placed(dict(enumerate(titled)), 1)
    shared = layout()["xaxis"]
    placed = {name: {**shared, **look} if name[1:5] == "axis" else look for name, look in wide.items()}
    spec: dict[str, Any] = {"data": data, "layout": layout(legend=LEGEND, shapes=shapes, **placed)}
    if "z" in next(iter(panels.values())):
        spec["layout"]["coloraxis"] = _scale_of_colors(list(panels.values()))
    spec["narrow"] = {**_paths(alone), "height": tall + LINE * lines[NARROW_LETTERS], "legend.font.size": 11}
    words = "; ".join(dict.fromkeys(f"{panel['y']} against {panel['x']}" for panel in panels.values()))
    return Figure(
        sheet["title"] or sheet["name"].replace("_", " "), spec, sheet["caption"],
        f"{sheet['title']}: {words}, {len(panels)} panels.", height=height + LINE * lines[LETTERS],
    )  # fmt: skip


LEGEND = {
    "orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom", "tracegroupgap": 0,
}  # fmt: skip


def _measured(panel: Record) -> bool:
    """Whether a map has any value."""
    return any(value is not None for row in panel.get("z", ()) for value in row)


def _placed(panels: Mapping[int, Record], columns: int) -> tuple[dict[str, Any], int]:
    """Axes and titles of panels in rows of so many, and the height in pixels without the legend."""
    rows = max(panels) // columns + 1
    each, gap = ALONE if len(panels) == 1 else AMONG, STACKED if columns == 1 else GAP
    plot = rows * each + (rows - 1) * gap
    between = 0.0 if columns == 1 else BETWEEN if _same_labels(panels, columns) else LABELED
    width = (1 - between * (columns - 1)) / columns
    made: dict[str, Any] = {"annotations": []}
    for n, (k, panel) in enumerate(panels.items()):
        row, column = divmod(k, columns)
        across = (column * (width + between), column * (width + between) + width)
        top = 1 - row * (each + gap) / plot
        upward = (max(top - each / plot, 0.0), top)
        below = panels.get(k + columns)
        beside = panels.get(k - 1) if column else None
        labels = {
            "x": "" if below is not None and below["x"] == panel["x"] and columns > 1 else panel["x"],
            "y": "" if beside is not None and beside["y"] == panel["y"] else panel["y"],
        }
        for letter, box in (("x", across), ("y", upward)):
            made[_axis(letter, n)] = _look(panel, letter, labels[letter], box, n)
        title = panel["title"]
        made["annotations"].append({
            "text": plain(title), "x": sum(across) / 2, "xref": "paper", "xanchor": "center", "y": top, "yref": "paper",
            "yanchor": "bottom", "yshift": 4, "showarrow": False, "font": {"color": "var(--soft)", "size": 12},
        })  # fmt: skip
    above = ABOVE + (TITLE if any(panel["title"] for panel in panels.values()) else 0)
    made["margin"] = {"l": 8, "r": 8, "t": above, "b": 8}
    return made, above + plot + BELOW


def _same_labels(panels: Mapping[int, Record], columns: int) -> bool:
    """Whether only the first panel of each row needs a label beside it."""
    return all(panels[k - 1]["y"] == panel["y"] for k, panel in panels.items() if k % columns and k - 1 in panels)


def _axis(letter: str, n: int) -> str:
    return f"{letter}axis{n + 1 if n else ''}"


def _anchor(letter: str, n: int) -> str:
    return f"{letter}{n + 1 if n else ''}"


def _look(panel: Record, letter: str, label: str, box: Box, n: int) -> dict[str, Any]:
    """An axis in its place; names where there are no numbers."""
    look: dict[str, Any] = {"domain": list(box), "anchor": _anchor("y" if letter == "x" else "x", n)}
    look["title"] = axis_title(plain(label))
    if "z" in panel:
        return {**look, "type": "category"}
    if letter == "x" and panel.get("ticks"):
        ticks = panel["ticks"]
        names = {"tickvals": list(range(len(ticks))), "ticktext": [plain(name) for name in ticks]}
        return {**look, **names, "tickmode": "array", "range": [-0.5, len(ticks) - 0.5]}
    logarithmic = letter in panel["log"]
    ends = panel.get(f"{letter}_range")
    if ends:
        look["range"] = [math.log10(end) for end in ends] if logarithmic else list(ends)
    return {**look, **scale(logarithmic), **(_ticks if logarithmic else _plain_ticks)(panel, letter, ends)}


def _plain_ticks(panel: Record, letter: str, ends: Box | None) -> dict[str, Any]:
    """Depths and ranks have ticks at whole numbers only; an axis without values has none."""
    values = _values(panel, letter)
    if not values and ends is None:
        return {"showticklabels": False}
    low, high = ends or (min(values), max(values))
    if letter == "x" and high - low <= WHOLE and all(value == round(value) for value in (*values, low, high)):
        return {"tickformat": "d", "dtick": 1}
    return {"tickformat": ",.6~g"}


def _values(panel: Record, letter: str) -> list[float]:
    return [value for curve in panel["curves"] for value in curve[letter] if value is not None]


def _ticks(panel: Record, letter: str, ends: Box | None) -> dict[str, Any]:
    """Of a logarithmic axis: at 1, 2, 5 over less than two decades, else at powers of ten, never too many."""
    values = [value for value in _values(panel, letter) if value > 0]
    values += [line["at"] for line in panel.get("lines") or [] if line["upright"] == (letter == "x") and line["at"] > 0]
    if not values and ends is None:
        return {"showticklabels": False}
    low, high = ends or (min(values), max(values))
    decades = math.log10(high / low)
    if decades < 1.7:
        return {"tickformat": ".3~g", **({"dtick": "D2"} if decades > 0.8 else {"nticks": 6})}
    return {"dtick": max(math.ceil(decades / POWERS), 1)}


def _paths(placed: Mapping[str, Any]) -> dict[str, Any]:
    """The same placing as changes of a layout by dotted paths."""
    made: dict[str, Any] = {}
    for name, value in placed.items():
        if name == "annotations":
            for i, note in enumerate(value):
                made |= {f"annotations.{i}.{key}": note[key] for key in ("x", "y", "text")}
        elif name != "margin":
            made |= {f"{name}.{key}": value[key] for key in ("domain", "title")}
    return made


def _curves(panels: Mapping[int, Record]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The traces and straight lines of all panels; a name has one color and one entry of the legend in all."""
    names = list(dict.fromkeys(name_of(curve["label"]) for panel in panels.values() for curve in panel["curves"]))
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    shown: set[str] = set()
    roles: dict[str, dict[str, Any]] = {}
    for n, panel in enumerate(panels.values()):
        place = {"xaxis": _anchor("x", n), "yaxis": _anchor("y", n)}
        labels = {curve["label"] for curve in panel["curves"]}
        colors: dict[str, str] = {}
        for curve in panel["curves"]:
            label, name = curve["label"], name_of(curve["label"])
            color = colors.setdefault(name, curve.get("color") or COLORS[names.index(name) % len(COLORS)])
            twin = name != label and name in labels
            trace = {**_trace(curve, color), **place, "legendgroup": plain(name), "name": plain(label)}
            trace["showlegend"] = bool(label) and not twin and label not in shown
            shown.add(label)
            if twin:
                role = label[len(name) + 2 : -1]
                roles.setdefault(role, _gray(trace, role))
            data += [*_band(curve, color, trace), trace]
        shapes += _straight(panel, n, names, colors, roles)
    order = {plain(name): i for i, name in enumerate(names)}
    data.sort(key=lambda trace: order[trace["legendgroup"]])
    return [*data, *roles.values()], shapes


def _trace(curve: Record, color: str) -> dict[str, Any]:
    """One curve in its style."""
    style = curve["style"]
    points = style in ("points", "open", "dots") or (style == "line" and len(curve["x"]) <= FEW)
    mode = "markers" if style in ("points", "open") else "lines+markers" if points else "lines"
    marker = {"color": color, "size": 11 if style == "open" else 7}
    if style == "open":
        marker |= {"symbol": "circle-open", "line": {"width": 2, "color": color}}
    made = {"type": "scatter", "x": curve["x"], "y": curve["y"], "mode": mode, "marker": marker}
    return {**made, "line": {"color": color, "width": 2, "dash": DASHES.get(style, "solid")}}


def _band(curve: Record, color: str, trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The spread: shaded between two lines that are not drawn, or bars at points, which the trace itself carries."""
    if not curve.get("band"):
        return []
    low, high = curve["band"]
    if trace["mode"] == "markers":
        up, down = ([b - a for a, b in zip(*pair, strict=True)] for pair in ((curve["y"], high), (low, curve["y"])))
        trace["error_y"] = {
            "type": "data", "symmetric": False, "array": up, "arrayminus": down, "color": color, "thickness": 1.5,
        }  # fmt: skip
        return []
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    edge = {
        "type": "scatter", "x": curve["x"], "mode": "lines", "line": {"width": 0}, "showlegend": False,
        "hoverinfo": "skip", "legendgroup": trace["legendgroup"], "xaxis": trace["xaxis"], "yaxis": trace["yaxis"],
    }  # fmt: skip
    return [
        {**edge, "y": low},
        {**edge, "y": high, "fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},{BAND})"},
    ]


def _gray(trace: Record, role: str) -> dict[str, Any]:
    """The legend's entry for what all curves of a role are to the measured ones."""
    made = entry(role, trace["line"]["dash"])
    if trace["mode"] == "markers":
        made |= {"mode": "markers", "marker": {**trace["marker"], "color": MUTED, "line": {"width": 2, "color": MUTED}}}
    return {**made, "hoverinfo": "skip"}


def _straight(
    panel: Record, n: int, names: Sequence[str], colors: Mapping[str, str], roles: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Lines across a panel; their entries of the legend go to `roles`."""
    made = []
    for line in panel.get("lines") or []:
        met = [label for label in roles if not label.startswith("(")]
        dash = roles[line["label"]]["line"]["dash"] if line["label"] in roles else ACROSS[len(met) % len(ACROSS)]
        if line["label"]:
            roles.setdefault(line["label"], {**entry(plain(line["label"]), dash), "hoverinfo": "skip"})
        place = names.index(line["name"]) if line["name"] in names else None
        color = MUTED if place is None else colors.get(line["name"], COLORS[place % len(COLORS)])
        along, at = ("y", "x") if line["upright"] else ("x", "y")
        made.append({
            "type": "line", f"{along}ref": f"{_anchor(along, n)} domain", f"{at}ref": _anchor(at, n), f"{along}0": 0,
            f"{along}1": 1, f"{at}0": line["at"], f"{at}1": line["at"], "layer": "below",
            "line": {"color": color, "width": 1.8, "dash": dash},
        })  # fmt: skip
    return made


def _charts(panels: Mapping[int, Record]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Maps on one scale of colors; what was not measured stays empty."""
    data = []
    for n, panel in enumerate(panels.values()):
        words = [
            [plain(value) if isinstance(value, str) else f"{value:g}" for value in panel[f"{s}_values"]] for s in "xy"
        ]
        data.append({
            "type": "heatmap", "z": _logarithms(panel["z"]) if panel["log"] else panel["z"], "customdata": panel["z"],
            "x": words[0], "y": words[1], "xaxis": _anchor("x", n), "yaxis": _anchor("y", n), "coloraxis": "coloraxis",
            "hoverongaps": False, "xgap": 1, "ygap": 1,
            "hovertemplate": f"{plain(panel['x'])} %{{x}}<br>{plain(panel['y'])} %{{y}}<br>"
                             f"{plain(panel['z_label'])} %{{customdata:.3~g}}<extra>{plain(panel['title'])}</extra>",
        })  # fmt: skip
    return data, []


def _logarithms(z: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    return [[math.log10(v) if v is not None and v > 0 else None for v in row] for row in z]


def _scale_of_colors(panels: Sequence[Record]) -> dict[str, Any]:
    """The color scale of all maps; on a logarithmic one its bar names powers of ten."""
    first = panels[0]
    bar = {"title": {"text": plain(first["z_label"]), "side": "right"}, "thickness": 14, "outlinewidth": 0}
    ends = first["limits"]
    if first["log"]:
        bar |= {"tickprefix": "10<sup>", "ticksuffix": "</sup>"}
        ends = ends and [math.log10(end) for end in ends]
    return {"colorscale": "Viridis", "colorbar": bar, **({"cmin": ends[0], "cmax": ends[1]} if ends else {})}


def _legend_lines(data: Sequence[Record], letters: int) -> int:
    """How many lines of the legend to make room for: its columns are as wide as the longest name."""
    shown = [trace["name"] for trace in data if trace["type"] == "scatter" and trace.get("showlegend", True)]
    columns = max(letters // (SAMPLE + max(map(len, shown), default=0)), 1)
    return -(-len(shown) // columns)
