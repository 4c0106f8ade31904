"""The page of a completion, field by field."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import numpy as np
import pytest

from rankwise.report import render_completion, shown_indices

FIELDS = [
    *[
        "name",
        "command",
        "version",
        "created",
        "shape",
        "observed",
        "observed_share",
        "holes",
        "holes_filled",
    ],
    *[
        "row_labels",
        "column_names",
        "before",
        "after",
        "method",
        "rank",
        "low_rank",
        "verdict",
        "preprocessing",
    ],
    *["result", "spectrum", "path", "holdout", "candidates", "empty_rows", "empty_columns", "warnings"],
    *["settings", "seconds", "output"],
]


def words(page: str) -> str:
    """The page's text without its markup, scripts and non-breaking spaces."""
    page = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " "))


def test_headline(record: dict[str, Any]) -> None:
    text = words(render_completion(record))
    assert "Rank 1 of at most 3" in text
    assert "Held-out RMSE 0.500 ± 0.020 50 % less than row and column effects (1.00)" in text
    assert "Observed 83.3 % 2 holes, 1 filled" in text
    assert "Why it stopped Noise level A further rank would follow noise." in text
    assert record["command"] in text
    assert "rankwise 0.1.0" in text


def test_every_panel_is_there(record: dict[str, Any], unpack: Any) -> None:
    page = render_completion(record)
    headings = re.findall(r"<h3>(.*?)</h3>", page)
    assert headings == ["Before", "After", "Predicted vs. held out", "Error against rank", "Spectrum"]
    assert len(unpack(page)) == len(headings) == page.count('class="plot"')
    text = words(page)
    for words_of_a_panel in (
        "Take note Mind the gap.",
        "Columns were centred.",
        "1 entry stayed empty.",
        "1 row: desert",
        "max_rank not set",
        "fill_empty no",
        "output filled.csv",
    ):
        assert words_of_a_panel in text


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("how", ["missing", "null"])
def test_any_field_may_be_absent(record: dict[str, Any], field: str, how: str) -> None:
    if how == "null":
        record[field] = None
    else:
        del record[field]
    assert "</html>" in render_completion(record)


def test_a_record_of_nothing_has_no_panels() -> None:
    page = render_completion({})
    assert "<h2>" not in page
    assert len(page) < 30_000


def test_partial_panels(record: dict[str, Any]) -> None:
    record["path"] = [{"rank": 1, "train_rmse": float("nan"), "seconds": None}]
    record["holdout"] = {"rmse": 0.5}
    record["spectrum"] = [0.0, 0.0]
    assert re.findall(r"<h3>(.*?)</h3>", render_completion(record)) == ["Before", "After"]


def test_no_structure_is_said_as_a_caution(record: dict[str, Any]) -> None:
    record["low_rank"] = False
    assert re.search(r'class="text caution">The table', render_completion(record))


def test_names_with_markup_stay_text(record: dict[str, Any], unpack: Any) -> None:
    evil = "</script><img src=x onerror=alert(1)> \"'"
    record.update(name=evil, verdict=evil, row_labels=[evil] * 3, empty_rows=[evil], output=evil, settings={evil: evil})
    record["column_names"] = [evil, "b", "c", "d"]
    record["holdout"]["row"] = [evil, "middle"]
    page = render_completion(record)
    assert "<img" not in page
    assert page.count("</script>") == 3
    assert not any("<img" in str(figure) for figure in unpack(page))


def test_holes_and_filled_cells_are_apart(record: dict[str, Any], unpack: Any) -> None:
    before, after = unpack(render_completion(record))[:2]
    observed, holes = (trace["z"] for trace in before["data"])
    assert observed == record["before"]
    assert [(i, j) for i in range(3) for j in range(4) if holes[i][j] is not None] == [(1, 1), (2, 2)]
    kept, filled, left, dots = after["data"]
    assert kept["z"] == record["before"]
    assert [value for row in filled["z"] for value in row if value is not None] == [4]
    assert left["z"][2][2] == 1
    assert (dots["x"], dots["y"]) == (["b"], ["middle"])
    assert (kept["zmin"], kept["zmax"]) == (before["data"][0]["zmin"], before["data"][0]["zmax"]) == (1, 12)
    assert before["link"] == after["link"] == "matrix"


def test_columns_in_different_units_are_coloured_within_themselves(record: dict[str, Any], unpack: Any) -> None:
    unit = np.array([1, 1e3, 1e-3, 10])
    for name in ("before", "after"):
        scaled = np.array(record[name], dtype=float) * unit
        record[name] = np.where(np.isnan(scaled), None, scaled).tolist()
    page = render_completion(record)
    observed = unpack(page)[0]["data"][0]
    assert observed["z"][0][0] == pytest.approx(-1.225, abs=1e-3)  # (1 - 2) / sqrt(2/3)
    assert observed["customdata"][1][2] == 0.006
    assert "The columns differ in unit" in words(page)


def test_outliers_do_not_wash_the_colours_out(record: dict[str, Any], unpack: Any) -> None:
    values = np.arange(400.0).reshape(20, 20)
    values[3, 3] = 1e6
    record.update(before=values.tolist(), after=values.tolist(), shape=[20, 20], row_labels=None, column_names=None)
    page = render_completion(record)
    assert unpack(page)[0]["data"][0]["zmax"] < 400
    assert "≥" in words(page)


def test_thinned_matrices_say_so_and_keep_their_labels(record: dict[str, Any], unpack: Any) -> None:
    record.update(shape=[2001, 4], shown_rows=[0, 1000, 2000], row_labels=[f"r{i}" for i in range(2001)])
    page = render_completion(record)
    assert "Drawn: 3 of 2,001 rows and 4 of 4 columns." in words(page)
    assert unpack(page)[0]["data"][0]["y"] == ["r0", "r1000", "r2000"]


def test_labels_are_distinct_and_short(record: dict[str, Any], unpack: Any) -> None:
    record.update(row_labels=["x", "x", "y" * 100], column_names=[1, None, "", "1"])
    trace = unpack(render_completion(record))[0]["data"][0]
    assert trace["y"][:2] == ["x", "x (2)"]
    assert len(trace["y"][2]) <= 24
    assert trace["x"] == ["1", "None", "(blank)", "1 (2)"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"after": [[1, 2]]}, "before and after differ in shape"),
        ({"before": [[1], [1, 2]]}, "before must hold rows of equal length"),
        ({"row_labels": ["a"]}, "row_labels has 1 entries, the matrix shows 3"),
        ({"shown_cols": [0, 1]}, "column_names: 2 positions are said to be shown, the matrix has 4"),
        ({"holdout": {"actual": [1], "predicted": []}}, "holdout has 1 actual values and 0 predicted ones"),
    ],
)
def test_contradictions_are_named(record: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_completion({**record, **change})


def test_spectrum_marks_the_rank_and_leaves_rounding_out(record: dict[str, Any], unpack: Any) -> None:
    page = render_completion(record)
    kept, beyond = unpack(page)[4]["data"]
    assert (kept["y"], beyond["y"]) == ([20.0], [0.5])
    assert unpack(page)[4]["layout"]["shapes"][0]["x0"] == 1.5
    text = words(page)
    assert "The first one carries 99.9 % of its sum of squares." in text
    assert "zero up to rounding: 1 value." in text


def test_error_figure_has_both_errors_the_rank_and_a_baseline(record: dict[str, Any], unpack: Any) -> None:
    training, held_out, baseline = unpack(render_completion(record))[3]["data"]
    assert training["y"] == [1.0, 0.1, 0.05]
    assert held_out["y"] == [1.1, 0.2, 0.4]
    assert baseline["y"] == [1.1, 1.1]
    record["path_baselines"] = {"column means": 1.3, "row and column effects": 0.7}
    lines = unpack(render_completion(record))[3]["data"][2:]
    assert [(line["name"], line["y"][0]) for line in lines] == [
        ("column means", 1.3),
        ("row and column effects", 0.7),
    ]


def test_tables_mark_what_was_chosen(record: dict[str, Any]) -> None:
    marked = re.findall(r'<tr class="marked">(.*?)</tr>', render_completion(record))
    assert [words(row).split() for row in marked] == [
        ["this", "completion", "0.500", "±", "0.020", "25", "%"],
        ["1", "0.100", "0.200", "20", "ms"],
        ["columns", "centred", "1", "–", "0.400", "–"],
    ]


def test_scatter_is_thinned_and_says_so(record: dict[str, Any], unpack: Any) -> None:
    many = np.linspace(0, 1, 5001).tolist()
    record["holdout"] = {"actual": many, "predicted": many, "rmse": 0.0}
    page = render_completion(record)
    assert len(unpack(page)[2]["data"][1]["x"]) == 2000
    assert "one of 2,000 of the 5,001 observed entries" in words(page)


def test_shown_indices_reach_both_ends() -> None:
    assert shown_indices(3, 5) == [0, 1, 2]
    chosen = shown_indices(1001, 300)
    assert (chosen[0], chosen[-1], len(set(chosen))) == (0, 1000, 300)


def test_colours_of_figures_exist_in_the_style_sheet(record: dict[str, Any], unpack: Any) -> None:
    style = (resources.files("rankwise.report") / "assets" / "style.css").read_text("utf-8")
    used = set(re.findall(r"var\((--[\w-]+)\)", str(unpack(render_completion(record)))))
    assert {"--accent", "--hole", "--scale-0"} <= used <= set(re.findall(r"(--[\w-]+):", style))


def test_the_largest_page_stays_under_5_mb(record: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    after = generator.standard_normal((300, 300)) * 10.0 ** generator.uniform(-3, 4, 300)
    before = np.where(generator.random((300, 300)) < 0.5, None, after * 1.01)
    values = generator.standard_normal(20_000).tolist()
    record.update(
        shape=[9000, 300],
        before=before.tolist(),
        after=after.tolist(),
        row_labels=[f"station {i} of the northern network" for i in range(300)],
        column_names=[f"sensor {i}" for i in range(300)],
        holdout={"actual": values, "predicted": values, "rmse": 0.1},
        spectrum=np.sort(generator.random(300))[::-1].tolist(),
    )
    assert len(render_completion(record).encode()) < 5_000_000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([[None]], [[None]]),
        ([[1.0]], [[1.0]]),
        ([[0.0, 0.0], [None, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        ([[None, None], [None, 2.0]], [[1.0, 1.0], [1.0, 2.0]]),
        ([[float("inf"), 1e150, -1e150]], [[1.0, 1e150, -1e150]]),
    ],
)
def test_degenerate_matrices_are_drawn(before: Any, after: Any, unpack: Any) -> None:
    page = render_completion({"before": before, "after": after})
    assert len(unpack(page)) == 2


def test_errors_are_shown_in_both_units_where_these_matter(record: dict[str, Any]) -> None:
    record["holdout"] |= {
        "units_matter": True,
        "rmse_standardized": 0.9,
        "rmse_error_standardized": 0.01,
        "rmse_column_means_standardized": 0.6,
        "rmse_effects_standardized": 0.8,
    }
    text = words(render_completion(record))
    assert "Held-out RMSE, in column standard deviations 0.900 ± 0.010 50 % more than column means (0.600)" in text
    assert "own units 0.500 ± 0.020; 50 % less than row and column effects (1.00)" in text
    assert "this completion 0.500 ± 0.020 25 % 0.900 ± 0.010 150 %" in text


def test_each_column_has_its_error_and_wide_tables_show_those_with_most_holes(record: dict[str, Any]) -> None:
    columns = [{"name": f"c{i}", "holes": i, "deviation": 2.0, "rmse": 0.5, "count": 3} for i in range(40)]
    columns[39] |= {"name": "pH", "rmse": None, "count": 0}
    record["column_errors"] = columns
    text = words(render_completion(record))
    assert "the 30 of 40 columns with the most holes" in text
    assert "c10 10 2.00 0.500 0.250 3 c11" in text
    assert "pH 39 2.00 – – 0" in text
    assert "c9 " not in text
    record["column_errors"] = [columns[39]]
    assert "Column by column" not in words(render_completion(record))


@pytest.mark.parametrize(("spectrum", "ticks"), [([70, 40, 30], {"nticks": 6}), ([900, 40, 3], {"dtick": "D2"})])
def test_a_spectrum_within_a_decade_has_ticks(record: dict[str, Any], unpack: Any, spectrum: Any, ticks: Any) -> None:
    record["spectrum"] = spectrum
    axis = unpack(render_completion(record))[4]["layout"]["yaxis"]
    assert ticks.items() <= axis.items()
    assert ("dtick" in axis) == ("dtick" in ticks)  # within a decade plotly steps evenly


def test_a_rejected_fit_is_shown_and_no_candidate_marked(record: dict[str, Any]) -> None:
    record["holdout"] |= {"rmse_rejected": 0.75, "rejected_rank": 3}
    record["candidates"][1]["chosen"] = False
    record["taken_instead"] = "column means"
    text = words(render_completion(record))
    assert "the low-rank fit that was not taken, of rank 3 0.750 37.5 %" in text
    assert "none of them was taken; instead: column means" in text


def test_a_spectrum_of_the_rank_alone_says_so(record: dict[str, Any], unpack: Any) -> None:
    record.update(spectrum=[20.0, 0.5], rank=2)
    page = render_completion(record)
    assert "The fit has this rank and so no others." in words(page)
    assert unpack(page)[4]["layout"]["annotations"][0]["xanchor"] == "right"


def test_long_labels_of_what_stayed_empty_are_shortened(record: dict[str, Any]) -> None:
    record["empty_rows"] = ["x" * 60]
    assert f"1 row: {'x' * 37}... " in words(render_completion(record))
