"""How a folder's results are shown: the flat table says why a case failed, whole numbers are whole, print is clean."""

import html
import re
from importlib import resources
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
from made_up import error

from rankwise.report import render_study
from rankwise.studies.results import write_results
from rankwise.studies.summary import summarize


def test_the_flat_table_says_why_a_case_failed(make):
    folder = make(kept=17, failed=1)
    write_results(folder)
    table = pq.read_table(folder.path / "results.parquet").to_pylist()
    ends = [(one["result"], one["sentence"]) for one in table]
    assert ends == [("converged", "It converged.")] * 17 + [("failed", "ValueError: no")]


def test_the_queries_of_the_page_of_studies_give_what_is_on_record(make, tmp_path, monkeypatch):
    page = Path(__file__).parents[2].joinpath("docs/studies.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

    def put(one):
        one["curves"]["train_loss"] = [0.5, 0.25, 0.125, float(one["key"])]

    write_results(make("figure1", grid={"depth": {"axes": ["depth", "scale"]}}, change=put))
    monkeypatch.chdir(tmp_path)
    medians, runs = (duckdb.sql(query).fetchall() for query in block.rstrip(";\n").split(";"))
    labels = [{"scale": scale, "seed": seed} for scale in (0.1, 0.01) for seed in range(3)]
    found = {depth: np.median([error({"depth": depth, **one}) for one in labels]) for depth in (2, 3)}
    assert dict(medians) == found
    assert len(runs) == 12
    assert (2, 0.01, 1.5, [0.5, 0.25, 0.125, 2.0]) in runs


def shown(make, **table):
    """The cells of a table on the page, row by row."""

    def put(one):
        one["steps"], one["rank"] = 18000, 1 + one["key"] % 2
        one["numbers"]["relative_error"] = 0.5 if '"depth": 2' in one["settings"] else 2.0
        one["numbers"]["nuclear_norm"] = 2e9

    page = render_study(summarize(make(change=put, tables=[{"rows": "depth", "digits": 6, **table}]))[0])
    body = page[page.index("<caption>") :]
    rows = re.findall("<tr>(<td.*?)</tr>", body[: body.index("</table>")])
    return [[html.unescape(cell) for cell in re.findall("<td[^>]*>([^<]*)", row)] for row in rows]


def test_columns_of_whole_numbers_are_whole_and_no_others(make):
    values = ["steps", {"value": "rank", "statistic": "mean"}, "relative_error", "nuclear_norm"]
    vast = "2.00000 × 10⁹"
    assert shown(make, values=values) == [
        ["2", "18,000", "1.33333", "0.500000", vast],
        ["3", "18,000", "1.33333", "2.00000", vast],
    ]


def test_columns_across_an_axis_are_whole_too(make):
    assert shown(make, columns="scale", value="steps") == [["2", "18,000", "18,000"], ["3", "18,000", "18,000"]]


def test_print_has_no_buttons_and_no_heading_alone():
    style = resources.files("rankwise.report").joinpath("assets/style.css").read_text(encoding="utf-8")
    printed = style[style.index("@media print") :]
    assert re.search(r"\.modebar[^{}]*\{ display: none", printed)
    assert re.search(r"h2, h3[^{}]*\{ break-after: avoid", printed)
