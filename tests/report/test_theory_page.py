"""The page of theory, drawn from records: names, relations, legends, axes, and what stands under what heading."""

import html
import re
from typing import Any

import pytest

from rankwise.report import render_theory, write_theory
from rankwise.theory import Chart, Check, Curve, Finding, Panel

STEPS = [1.0, 10.0, 100.0]
BOTH = Panel("Both", "step", "value", (
    Curve("a", STEPS, STEPS, "points"), Curve("a (predicted)", STEPS, STEPS, "dashed"),
    Curve("b", STEPS, STEPS), Curve("b", STEPS, [2.0, 3.0, 4.0]), Curve("b (predicted)", STEPS, STEPS, "dashed"),
    Curve("b (bound)", STEPS, [200.0] * 3, "dotted"), Curve("law (predicted)", STEPS, STEPS, "dashed"),
), "xy")  # fmt: skip
MAP = Chart("Map", "weight", "rate", (1, 2), (3,), [[1e-9, 1e-2]], "error", True, (1e-6, 1.0))
CHECKS = Check("speed", 0.99, 1.0, "=", 0.15), Check("size", 3e-7, 0.0, "<=", 1e-6), Check("growth", 2.0, 1.0, ">=")


def finding(**given: Any) -> Finding:
    return Finding("toy", "Everything grows.", "nobody2026", CHECKS, **{"panels": (BOTH, MAP), **given})


def cells(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_numbers_relations_and_tolerances_are_written_as_elsewhere_on_pages() -> None:
    head, *rows = cells(render_theory([finding().record()]))
    assert head == ["", "measured", "", "proved", "tolerance", ""]
    assert rows[0] == ["speed", "0.990", "=", "1.00", "0.150", "holds"]
    assert rows[1] == ["size", "3.00 × 10⁻⁷", "≤", "0", "1.00 × 10⁻⁶", "holds"]
    assert rows[2][2] == "≥"


@pytest.mark.parametrize("kind", ["measurement", "conjecture"])
def test_only_theorems_are_proved(kind: Any) -> None:
    page = render_theory([finding(kind=kind).record()])
    assert cells(page)[0][3] == "expected"
    assert "proved" not in page.split("<script")[0].split("<main>")[1]


def test_the_legend_says_each_name_and_each_role_once(unpack: Any) -> None:
    curves, _ = unpack(render_theory([finding().record()]))
    shown = [trace for trace in curves["data"] if trace.get("showlegend", True)]
    assert [trace["name"] for trace in shown] == ["a", "b", "law (predicted)", "predicted", "bound"]
    colors = {trace["name"]: trace["line"]["color"] for trace in curves["data"]}
    assert colors["b"] == colors["b (predicted)"] == colors["b (bound)"] != colors["a"]
    assert colors["predicted"] == colors["bound"] == "var(--muted)"
    assert [trace["line"]["dash"] for trace in shown[-2:]] == ["dash", "dot"]


def test_legends_stand_below_the_plot_and_lengthen_the_figure(unpack: Any) -> None:
    short = Panel("Short", "x", "y", (Curve("", STEPS, STEPS),))
    long = Panel("Long", "x", "y", tuple(Curve(f"a long name, number {k}", STEPS, STEPS) for k in range(6)))
    page = render_theory([finding(panels=(short, long)).record()])
    assert all(figure["layout"]["legend"]["yanchor"] == "bottom" for figure in unpack(page))
    low, high = (int(height) for height in re.findall(r'style="height:(\d+)px"', page))
    assert high - low == 60


def test_logarithms_are_powers_of_ten_on_axes_and_maps(unpack: Any) -> None:
    curves, chart = unpack(render_theory([finding().record()]))
    assert {curves["layout"][axis]["exponentformat"] for axis in ("xaxis", "yaxis")} == {"power"}
    (map_,) = chart["data"]
    assert map_["z"] == [[-9.0, -2.0]]
    assert (map_["zmin"], map_["zmax"]) == (-6.0, 0.0)
    assert map_["colorbar"]["tickprefix"] == "10<sup>"
    assert map_["colorbar"]["title"]["text"] == "error"


def test_a_page_needs_a_finding_and_a_finding_no_figure(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="at least one finding"):
        write_theory(tmp_path / "none.html")
    write_theory(tmp_path / "bare.html", finding(panels=(), notes=("Mind the gap.",)))
    assert "Mind the gap." in (tmp_path / "bare.html").read_text(encoding="utf-8")
