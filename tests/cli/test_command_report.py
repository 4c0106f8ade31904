"""`rankwise report` and `rankwise study compare` on a tiny study that is really run."""

import json
import re
from urllib.parse import unquote, urlsplit

import pytest

STUDY = """
title = "Tiny"
seeds = 2
[case]
max_steps = 20
checkpoints = 2
track = ["effective_rank"]
[case.problem]
count = 20
truth = {shape = [6, 6], rank = 1}
[case.solver]
name = "greedy"
[axes.count]
key = "problem.count"
values = [18, 24]
[[claims]]
text = "found"
value = "rank"
published = 1
where = {count = 24}
[[claims]]
text = "far off"
value = "rank"
published = 4
[[figures]]
name = "rank"
kind = "lines"
x = "count"
value = "effective_rank"
"""


@pytest.fixture
def study(shell):
    (shell.folder / "tiny.toml").write_text(STUDY)
    assert shell("study", "run", "tiny.toml", "--quiet") == 0, shell.err
    return shell


def test_a_page_a_table_and_pictures(study):
    assert study("report", "tiny", "--export", "print", "--format", "svg") == 0, study.err
    assert "tiny: 4 of 4 cases\n  published numbers: 1 reproduced, 1 not reproduced, 0 not run\n" in study.out
    assert "far off: claimed 4, ours 1: ✗ not reproduced: 0.250 × the published value" in study.out
    page = (study.folder / "tiny" / "report.html").read_text()
    assert 'href="../print/rank.svg"' in page
    assert (study.folder / "print" / "rank.svg").read_text().startswith("<?xml")
    assert (study.folder / "tiny" / "results.parquet").is_file()


def test_the_same_folder_gives_the_same_bytes(study):
    made = []
    for _ in range(2):
        assert study("study", "report", "tiny", "-o", "p.html", "--export", "print", "--format", "pdf", "--quiet") == 0
        made.append([(study.folder / name).read_bytes() for name in ("p.html", "print/rank.pdf")])
    assert made[0] == made[1]
    assert study.out == ""


def test_several_folders_have_a_page_each_and_one_together(study):
    assert study("study", "run", "tiny.toml", "--out", "other", "--set", "seeds=1", "--quiet") == 0
    found = study.json("report", "tiny", "other", "--export", "print")
    assert [(one["name"], one["standing"]["done"]) for one in found["studies"]] == [("tiny", 4), ("tiny", 2)]
    page = (study.folder / "studies.html").read_text()
    assert 'href="tiny/report.html"' in page
    assert 'href="other/report.html"' in page
    assert {one.name for one in (study.folder / "print").iterdir()} == {"tiny_rank.png", "other_rank.png"}


def test_links_lead_to_folders_of_any_name(study):
    names = ["a#b 50%25?", "x:y", "Zürich"]
    for name in names:
        (study.folder / "tiny").rename(study.folder / name)
        assert study("report", name, "-o", "page.html", "--export", f"{name}/print", "--quiet") == 0, study.err
        (link,) = re.findall('<a href="([^"]*)">PNG', (study.folder / "page.html").read_text())
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert unquote(parts.path) == f"{name}/print/rank.png"
        (study.folder / name).rename(study.folder / "tiny")


def test_of_several_folders_a_broken_study_is_named(study):
    place = study.folder / "tiny" / "study.json"
    place.write_text(place.read_text().replace('"kind": "lines"', '"kind": "line"'))
    assert "tiny/study.json: figures[0].kind: unknown 'line'" in study.refuses("report", "tiny")


def test_a_folder_that_may_not_be_written_can_be_drawn_elsewhere(study, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied", "tiny/results.parquet")

    monkeypatch.setattr("rankwise.studies.results.write_results", refuse)
    assert "tiny/results.parquet: Permission denied" in study.refuses("report", "tiny")
    assert study("report", "tiny", "-o", "p.html") == 0
    assert study.err == "rankwise: tiny/results.parquet is not written: Permission denied\n"
    assert (study.folder / "p.html").is_file()


def test_two_runs_are_compared_by_their_bits(study):
    assert study("study", "run", "tiny.toml", "--out", "other", "--quiet") == 0
    assert study("study", "compare", "tiny", "other") == 0
    assert study.out == "4 cases on record in both: all results are the same, bit for bit\n"
    assert study("study", "run", "tiny.toml", "--out", "third", "--set", "case.max_steps=1", "--quiet") == 0
    assert study("study", "compare", "tiny", "third") == 1
    assert "no case of equal settings is on record in both\n" in study.out
    assert "max_steps: 20 in tiny, 1 in third" in study.out
    assert study("study", "compare", "tiny", "third", "--json") == 1
    assert json.loads(study.out)["only_second"]["cases"] == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report", "nowhere"], "nowhere holds no study"),
        (["report", "tiny", "tiny/"], "one folder is named twice"),
        (["report", "tiny", "-o", "no/p.html"], "no/p.html: the folder"),
        (["report", "tiny", "--export", "tiny.toml"], "tiny.toml is a file, not a folder"),
        (["report", "tiny", "--format", "gif"], "invalid choice: 'gif'"),
        (
            ["report", "tiny", "--format", "pdf"],
            "--format is that of exported figures: name their folder with --export",
        ),
        (["study", "compare", "tiny", "nowhere"], "nowhere holds no study"),
    ],
)
def test_mistakes_are_told_in_one_line(study, words, told):
    assert told in study.refuses(*words)
