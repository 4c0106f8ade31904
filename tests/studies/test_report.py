"""Figures, tables and pages of a study, from its folder alone: finished, half done, failed."""

import html
import re
import tomllib
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_up import GIVEN

from rankwise.report import render_overview, render_study
from rankwise.report.claims import claims_table
from rankwise.report.study import _caption
from rankwise.studies.results import write_results
from rankwise.studies.shared import color_of, lacking
from rankwise.studies.summary import command, summarize
from rankwise.theory.drawing import draw_sheet
from rankwise.theory.finding import panel_of
from rankwise.vocabulary import COLORS

LINES = {
    "name": "error", "kind": "lines", "x": "scale", "x_factor": 10, "y": ["mean_square_error", "effective_rank"],
    "series": "depth", "log": "xy",
    "references": [{"grid": "rival", "label": "rival", "where": {"method": "easy_way"}}],
    "published": [{"where": {"depth": 3}, "x": [1.0], "y": [2e-3]}],
}  # fmt: skip
CURVES = {"name": "modes", "kind": "curves", "x": "steps", "y": "singular_values", "components": 2, "panels": "depth",
          "where": {"scale": 0.1}, "vertical": [{"x": 8, "label": "law", "where": {"depth": 3}}]}  # fmt: skip
MAP = {"name": "success", "kind": "map", "x": "scale", "y": "depth", "value": "mean_square_error",
       "statistic": "share_below", "level": 3e-4}  # fmt: skip
NAMES = {"name": "names", "kind": "lines", "x": "method", "value": "mean_square_error", "grid": "rival"}
ASKED = {
    "figures": [LINES, CURVES, MAP, NAMES],
    "tables": [{"title": "Errors", "rows": "depth", "columns": "scale", "value": "mean_square_error"}],
    "claims": [{"text": "It <works>", "value": "mean_square_error", "where": {"depth": 3, "scale": 0.01},
                "published": 2e-6, "factor": 1.1}],
}  # fmt: skip


def sheet_of(folder, name):
    return next(sheet for sheet in summarize(folder)[1] if sheet.name == name)


def words(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page.split("<script")[0]))


def test_lines_are_medians_with_bands_and_levels_and_published_numbers(make):
    error, rank = sheet_of(make(**ASKED), "error").panels
    two, three, published = error.curves
    assert (two.label, three.label, published.label) == ("depth 2", "depth 3", "depth 3 (published)")
    assert two.x == pytest.approx([1.0, 0.1])
    assert two.y == pytest.approx([2e-2, 2e-4])
    assert two.band[0] == pytest.approx([1e-2, 1e-4])
    assert two.band[1] == pytest.approx([4e-2, 4e-4])
    assert [(line.label, line.at) for line in error.lines] == [("rival", 1.0)]
    assert len(rank.curves) == 2


def test_curves_are_those_of_the_first_run_and_lines_stand_where_they_belong(make):
    left, right = sheet_of(make(**ASKED), "modes").panels
    assert [curve.label for curve in left.curves] == ["σ₁", "σ₂"]
    assert left.curves[1].y == [0, 0, 4, 5]
    assert (left.lines, [line.at for line in right.lines]) == ((), [8])


def test_the_median_of_runs_that_end_early_keeps_their_last_value(make):
    def shorten(one):
        if '"key": 1' in one["settings"]:
            one["at"], one["curves"] = [0, 1], {"mean_square_error": [1.0, 0.25]}

    figure = {"name": "m", "kind": "curves", "x": "steps", "y": "mean_square_error", "statistic": "max",
              "where": {"depth": 2, "scale": 0.1}}  # fmt: skip
    (panel,) = sheet_of(make(figures=[figure], change=shorten), "m").panels
    assert panel.curves[0].x == [0, 1, 10, 100]
    assert panel.curves[0].y == [1.0, 0.5, 0.25, 0.25]


def test_maps_share_a_scale_and_names_stand_beside_one_another(make):
    folder = make(**ASKED)
    (chart,) = sheet_of(folder, "success").panels
    np.testing.assert_allclose(chart.z, [[0, 2 / 3], [0, 1]])
    assert chart.limits == (0, 1)
    (panel,) = sheet_of(folder, "names").panels
    assert (panel.ticks, panel.curves[0].x) == (("hard way", "easy way"), [0, 1])


def test_every_figure_can_be_drawn_for_print_and_again_from_its_record(make):
    record, sheets = summarize(make(**ASKED))
    for sheet, stored in zip(sheets, record["figures"], strict=True):
        axes = draw_sheet(sheet.panels, sheet.across).get_axes()
        again = draw_sheet([panel_of(panel) for panel in stored["panels"]], stored["across"]).get_axes()
        assert [len(one.get_lines()) for one in axes] == [len(one.get_lines()) for one in again]
    figure = draw_sheet(sheets[0].panels, 1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["depth 2", "depth 3", "rival", "published"]
    assert figure.get_axes()[1].get_lines()[1].get_color() == COLORS[1]


def test_the_page_has_claims_figures_tables_and_how_to_run_it_again(make, unpack):
    record, _ = summarize(make(**ASKED))
    page = render_study(record, {"error": ["a b.png"]})
    text = " ".join(words(page).split())
    assert "It <works>" in text
    assert "✓ reproduced" in text
    assert "1 of 1 claim reproduced" in text
    assert "rankwise study run made.toml" in text
    assert 'href="a b.png"' in page
    assert "0.0200 0.000200" in text
    lines, modes, success, names = unpack(page)
    shown = [trace["name"] for trace in lines["data"] if trace.get("showlegend", True)]
    assert shown == ["depth 2", "depth 3", "published", "rival"]
    assert lines["layout"]["xaxis"]["domain"][1] < lines["layout"]["xaxis2"]["domain"][0]
    assert modes["narrow"]["xaxis2.domain"] == [0, 1]
    assert success["data"][0]["z"][1] == [0, 1]
    assert names["layout"]["xaxis"]["ticktext"] == ["hard way", "easy way"]


def test_counts_are_whole_and_what_no_claim_has_takes_no_column(make):
    claim = {
        "text": "three",
        "value": "steps",
        "statistic": "count",
        "within": [3, 3],
        "where": {"depth": 2, "scale": 0.1},
    }
    counted = {"rows": "depth", "caption": "Runs.", "values": ["steps", {"value": "steps", "statistic": "count"}]}
    text = " ".join(words(render_study(summarize(make(tables=[counted], claims=[claim]))[0])).split())
    assert "claim published ours holds if verdict three in words 3 exactly 3 ✓ reproduced" in text
    assert "Runs. Median over the rest depth steps number of runs with steps 2 100 6 3 100 6" in text


def test_a_figure_that_this_version_has_no_cases_for_is_not_waited_for(make):
    record, sheets = summarize(make(kept=0, **ASKED))
    assert [sheet.cases for sheet in sheets] == [12, 6, 12, 6]
    record["figures"][1]["cases"] = 0
    text = words(render_study(record))
    assert "modes: this version has no such cases." in text
    assert text.count("nothing of this figure is on record yet") == 2


def test_names_in_maps_are_words_and_no_two_of_many_series_look_alike(make, unpack):
    methods = {name: {"solver.tolerance": (i + 1) / 100} for i, name in enumerate(["<b>0</b>", *"1234567"])}
    axes = {**GIVEN["axes"], "method": {"choices": methods}}
    chart = {"name": "map", "kind": "map", "x": "method", "y": "seed", "value": "steps", "grid": "rival"}
    record, _ = summarize(make(axes=axes, figures=[chart]))
    assert unpack(render_study(record))[0]["data"][0]["x"][0] == "&lt;b&gt;0&lt;/b&gt;"
    many = [f"word {i}" for i in range(10)]
    assert len({color_of(many, k) for k in range(10)}) == 10


def test_nine_series_have_colors_of_their_own_the_same_on_the_page_and_in_print(make, unpack):
    methods = {name: {"solver.tolerance": int(name) / 100} for name in "123456789"}
    lines = {"name": "many", "kind": "lines", "x": "seed", "y": ["steps"], "series": "method", "grid": "rival"}
    record, (sheet,) = summarize(make(axes={**GIVEN["axes"], "method": {"choices": methods}}, figures=[lines]))
    drawn = [line.get_color() for line in draw_sheet(sheet.panels, 1).get_axes()[0].get_lines()]
    shown = [trace["line"]["color"] for trace in unpack(render_study(record))[0]["data"]]
    assert drawn == shown
    assert len(set(shown)) == len(shown) == 9


def test_half_a_study_and_its_failures_are_told(make):
    record, _ = summarize(make(kept=4, failed=2, **ASKED))
    text = " ".join(words(render_study(record)).split())
    assert "not complete: 6 of 18 cases on record" in text
    assert "2 cases failed" in text
    assert "Only 6 of its 12 cases are on record. 2 of its 12 cases failed." in text
    assert "ValueError: no" in text
    assert "– not run: none of its 3 cases is on record" in text


@pytest.mark.parametrize(
    ("done", "cases", "words"),
    [(0, 1, "its case is not on record"), (0, 16, "none of its 16 cases is on record"),
     (1, 3, "only 1 of its 3 cases is on record"), (2, 3, "only 2 of its 3 cases are on record")],
)  # fmt: skip
def test_what_is_missing_is_told_in_numbers(done, cases, words):
    assert lacking(done, cases) == words


def test_nothing_run_at_all_still_gives_a_page(make):
    record, sheets = summarize(make(kept=0, **ASKED))
    assert [sheet.name for sheet in sheets if sheet.has_content] == ["error"]  # the published numbers
    assert words(render_study(record)).count("nothing of this figure is on record yet") == 3


def test_an_overview_adds_up_by_origin_and_all_of_them_last(make):
    claims = [ASKED["claims"][0], {**ASKED["claims"][0], "published": 1, "origin": "own"}]
    records = [summarize(make(name, **ASKED | {"claims": claims}))[0] for name in ("one", "two")]
    text = " ".join(words(render_overview(records, ["one.html", "two.html"])).split())
    assert "Published numbers 2 of 2 0 not reproduced, 0 not run Our own measurements 0 of 2 2 not reproduced" in text
    assert "All claims 2 of 4 2 not reproduced, 0 not run" in text
    assert "study published own all not run Made up (.) 1 of 1 0 of 1 1 of 2 0" in text
    assert "36 cases on record of 36" in text


@pytest.mark.parametrize(
    ("ours", "asked", "shown"),
    [
        (1.0004, {"published": 1.0, "tolerance": 1e-4}, "1|1.0004|within 0.01 %|1.0004 × the published value"),
        (1.0000001, {"published": 1}, "1|1.0000001|exactly|1.0000001 × the published value"),
        (209.9, {"published": 210.15163, "tolerance": 0.02}, "210.15163|210|within 2 %|✓ reproduced"),
        (1.002, {"published": 1, "relation": "<=", "origin": "words"}, "in words|1.002|ours ≤ 1|1.002 × the bound"),
        (8.0, {"within": [1, 1], "origin": "own"}, "–|8|exactly 1|✗ not reproduced"),
        (8.0, {"published": 1, "factor": 2, "origin": "words"}, "in words|8|within a factor of 2 of 1|8.00 × the"),
        (3e-7, {"within": [0, 1e-7]}, "in words|3.00 × 10⁻⁷|from 0 to 1 × 10⁻⁷|✗ not reproduced"),
    ],
)  # fmt: skip
def test_a_verdict_can_be_checked_from_the_page(make, ours, asked, shown):
    def put(one):
        one["numbers"]["effective_rank"] = ours

    claim = {"text": "t", "value": "effective_rank", **asked}
    (judged,) = summarize(make(change=put, claims=[claim]))[0]["claims"]
    row = [cell.replace("\u00a0", " ") for cell in claims_table([judged], judged["origin"]).rows[0]]
    *cells, verdict = shown.split("|")
    assert row[1:4] == cells
    assert verdict in row[4]


def test_answers_stand_first_with_their_numbers(make):
    asked = {**ASKED["claims"][0], "yes": "Depth 3 errs less", "no": "It does not", "relation": "<=",
             "published": 1, "than": {"where": {"depth": 2}}}  # fmt: skip
    del asked["factor"]
    text = " ".join(words(render_study(summarize(make(claims=[asked], about="About it."))[0])).split())
    assert text.index("Depth 3 errs less (2.00 × 10⁻⁶ against 0.000200).") < text.index("About it.")


def test_captions_say_nothing_twice():
    table = {"title": "Mean square error", "caption": "", "value": "mean square error", "statistic": "median"}
    assert _caption(table) == "Mean square error. Median over the rest"
    assert _caption(table | {"title": "Errors"}) == "Errors. Mean square error, median over the rest"
    assert _caption(table | {"title": "Rank (median)", "value": ""}) == "Rank (median)"
    assert _caption(table | {"statistic": "mean"}) == "Mean square error. Mean over the rest"


def test_titles_of_an_overview_lead_to_the_pages_and_those_that_are_alike_name_their_folders(make):
    records = [summarize(make(name, title=title))[0] for name, title in (("a", "Same"), ("b", "Same"), ("c", "<One>"))]
    page = render_overview(records, ["a/report.html", '../"b"/report.html', "c/report.html"])
    shown = [("a/report.html", "Same (a)"), ('../"b"/report.html', 'Same (../"b")'), ("c/report.html", "<One>")]
    links = [tuple(map(html.unescape, link)) for link in re.findall('<a href="([^"]*)">([^<]*)</a>', page)]
    assert links == [*shown, *shown]  # in the table of runs, and as headings


def test_code_in_what_a_study_is_about_is_set_as_code_and_nothing_else_is_markup(make):
    page = render_study(summarize(make(about="Grid `a <b>` & `c`.\n\nOne ` alone, and <i>none</i>."))[0])
    assert '<p class="text">Grid <code>a &lt;b&gt;</code> &amp; <code>c</code>.</p>' in page
    assert '<p class="text">One ` alone, and &lt;i&gt;none&lt;/i&gt;.</p>' in page


def test_a_study_without_figures_and_claims_has_a_page(make):
    assert "rankwise study run" in words(render_study(summarize(make())[0]))


def test_results_are_one_flat_table(make):
    folder = make(kept=17)
    write_results(folder)
    table = pq.read_table(folder.path / "results.parquet").to_pandas()
    assert len(table) == 18
    assert table["mean_square_error"].isna().sum() == 1
    own = table[(table.grid == "main") & (table.depth == 3) & (table.scale == 0.01)]
    assert own["mean_square_error"].tolist() == pytest.approx([1e-6, 2e-6, 4e-6])


def test_an_axis_called_like_a_column_keeps_its_name(make):
    axes = {"rank": {"key": "problem.truth.rank", "values": [1, 2]}}
    folder = make(axes=axes, grid={"main": {}})
    write_results(folder)
    names = pq.read_table(folder.path / "results.parquet").column_names
    assert names[:4] == ["address", "grid", "rank", "seed"]
    assert "run_rank" in names


def test_the_command_that_runs_it_again_has_tables_as_toml():
    changes = {"seeds": [3, 4], "grid.a.where": {"a method": ["x y", "z"]}, "case.flag": True}
    options = {"quick": True, "changes": changes, "modules": ["here"]}
    words = command(SimpleNamespace(index={"name": "made", "options": options}))
    assert words[:7] == ["rankwise", "study", "run", "made.toml", "--quick", "--import", "here"]
    pairs = [one.split("=", 1) for one in words[8::2]]
    assert {key: tomllib.loads(f"value = {text}")["value"] for key, text in pairs} == changes
