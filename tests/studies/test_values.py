"""Numbers out of rows: when in the run, of which cases, over them how; and what is refused before anything runs."""

import math

import pytest
from made_up import GIVEN, error

from rankwise.studies.study import build_study
from rankwise.studies.values import read_value


def value_of(folder, **given):
    value = read_value(given, "value", folder.scope)
    return value.over(folder.numbers(folder.select(value.grid, value.where), value))


def test_final_numbers_over_the_seeds(make):
    folder = make()
    where, each = {"depth": 2, "scale": 0.1}, [error({"depth": 2, "scale": 0.1, "seed": s}) for s in range(3)]
    for statistic, expected in {"median": each[1], "mean": sum(each) / 3, "min": each[0], "max": each[2]}.items():
        found = value_of(folder, value="mean_square_error", where=where, statistic=statistic)
        assert found == pytest.approx(expected, rel=1e-15)
    assert value_of(folder, value="steps", where=where) == 100
    assert value_of(folder, value="mean_square_error", where={"depth": [2, 3]}, statistic="count") == 12


@pytest.mark.parametrize(
    ("at", "expected"), [("end", 0.01), (0, 1.0), (1, 0.5), (9, 0.5), ("max", 1.0), ("argmin", 100.0),
                         ({"first_below": 0.6}, 1.0), ({"first_above": 2.0}, None), (10, None)],
)  # fmt: skip
def test_moments_of_a_curve_with_a_hole(make, at, expected):
    where = {"depth": 2, "scale": 0.1, "seed": 0}
    found = value_of(make(), value="mean_square_error", at=at, where=where)
    assert found == (None if expected is None else pytest.approx(expected))


def cut_off(steps, seeds=3):
    def change(one):
        if one["key"] < seeds:
            one["result"], one["steps"] = "max_steps", steps

    return change


def test_a_run_cut_off_before_a_step_has_no_number_there(make):
    asked, where = {"value": "mean_square_error", "where": {"depth": 2, "scale": 0.1}}, [0, 1, 100]
    until = make("until", change=cut_off(100))
    assert value_of(until, **asked, at=100) == pytest.approx(error({"depth": 2, "scale": 0.1, "seed": 1}))
    short = make("short", change=cut_off(99))
    assert [value_of(short, **asked, at=at) is None for at in where] == [False, False, True]
    assert value_of(short, **asked) is not None
    # One that ended by itself before stays where it is.
    assert value_of(make("ended"), **asked, at=30_000) == value_of(until, **asked, at=100)


@pytest.mark.parametrize("result", ["max_steps", "end_time", "integrator_stuck", "limit"])
def test_why_a_step_cannot_be_judged(make, result):
    folder = make(change=lambda one: one.update(result=result, steps=50) if one["key"] else None)
    rows = [folder.rows[entry.address] for entry in folder.select("main", {"depth": ("2",), "scale": ("0.1",)})]
    value = read_value({"value": "mean_square_error", "at": 30_000}, "value", folder.scope)
    assert value.lacking(rows) == "only 1 of 3 runs got to step 30,000"
    assert value.lacking(rows[1:]) == "no run got to step 30,000"
    assert value.lacking([*rows[:1], {**rows[1], "result": "failed"}]) == ""
    assert [value.is_in(row | {"curves": {"mean_square_error": []}}) for row in rows] == [True, False, False]
    assert read_value({"value": "mean_square_error", "at": 50}, "value", folder.scope).lacking(rows) == ""


def test_a_value_where_another_curve_first_falls_to_a_bound(make):
    def change(one):
        one["curves"]["train_loss"] = [1.0, 0.1, None, 0.01]

    folder, asked = make(change=change), {"value": "singular_values", "where": {"depth": 2, "scale": 0.1}}
    for bound, expected in {2.0: 1.0, 0.1: 2.0, 0.09: 101.0, 0.01: 101.0, 0.009: None}.items():
        assert value_of(folder, **asked, at={"train_loss": bound}) == expected
    assert value_of(folder, **asked, at={"train_loss": 0.1}, component=1, statistic="max") == 0.0
    value = read_value({**asked, "at": {"train_loss": 0.1}}, "value", folder.scope)
    assert value.words == "singular value 1 where train loss is first at most 0.1"
    # Of a curve that is not recorded nothing is known, which is not that it never fell.
    rows = [folder.rows[entry.address] | {"curves": {}, "vectors": {"singular_values": []}} for entry in folder.entries]
    assert not value.is_in(rows[0])
    assert value.is_in(rows[0] | {"curves": {"train_loss": [1.0]}})


def test_components_that_never_take_off_are_counted_as_such(make):
    folder, given = make(), {"value": "singular_values", "component": 1, "at": {"first_above": 3}}
    where = {"depth": 3, "scale": 0.01}
    assert value_of(folder, **given, where=where) == 10
    assert value_of(folder, **given, where=where, statistic="count") == 2
    assert value_of(folder, **given, where={**where, "seed": 2}) is None


def test_a_failed_case_is_no_success(make):
    folder = make(kept=2, failed=1)
    where = {"depth": 2, "scale": 0.1}
    found = value_of(folder, value="mean_square_error", statistic="share_below", level=1.0, where=where)
    assert found == pytest.approx(2 / 3)


def test_only_the_curves_that_are_needed_are_read(make, monkeypatch):
    folder, read = make(), []
    rows = type(folder.records).rows
    monkeypatch.setattr(type(folder.records), "rows", lambda self, a, c: read.append((len(a), c)) or rows(self, a, c))
    value_of(folder, value="mean_square_error", where={"depth": 2})
    value_of(folder, value="mean_square_error", at="min", where={"depth": 2, "seed": 1})
    value_of(folder, value="mean_square_error", at="max", where={"depth": 2, "seed": 1})
    assert [(count, "curves" in columns) for count, columns in read] == [(18, False), (2, True)]


FIGURE = {"kind": "lines", "x": "scale", "y": "mean_square_error"}
CLAIM = {"text": "t", "value": "mean_square_error", "published": 1.0, "factor": 2.0}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"figures": [{**FIGURE, "series": "dpth"}]},
            r"figures\[0\].series: there is no axis 'dpth'; did you mean 'depth'",
        ),
        ({"figures": [{**FIGURE, "kind": "line"}]}, r"figures\[0\].kind: unknown 'line'; did you mean 'lines'"),
        ({"figures": [{**FIGURE, "pannels": "depth"}]}, r"figures\[0\].pannels is not a key; did you mean 'panels'"),
        ({"figures": [{**FIGURE, "y": "nuclear"}]}, r"figures\[0\].y: there is no value 'nuclear'"),
        (
            {"figures": [{**FIGURE, "y": ["stable_rank"]}]},
            r"figures\[0\].y\[0\]: 'stable_rank' is not in `track`",
        ),
        (
            {"claims": [{**CLAIM, "grid": "rival", "value": "relative_eror"}]},
            r"claims\[0\].value: there is no value 'relative_eror'; did you mean 'relative_error'",
        ),
        (
            {
                "grid": {**GIVEN["grid"], "t": {"axes": [], "case": {"task": "theory", "finding": "counterexample"}}},
                "claims": [{**CLAIM, "grid": "t", "value": "hols"}],
            },
            r"claims\[0\].value: there is no value 'hols'; did you mean 'holds'",
        ),
        ({"figures": [{**FIGURE, "x": "method"}]}, r"figures\[0\].x: grid 'main' has no axis 'method'"),
        (
            {"figures": [FIGURE, {**FIGURE, "name": "figure_0"}]},
            r"figures\[1\].name: figures\[0\] is called 'figure_0'",
        ),
        ({"figures": [{**FIGURE, "name": "a/b"}]}, r"figures\[0\].name becomes the name of a file"),
        ({"figures": [{**FIGURE, "log": "z"}]}, r"figures\[0\].log must be"),
        ({"figures": [{**FIGURE, "references": [{"label": "r", "grid": "rivl"}]}]}, r"references\[0\].grid: .*'rival'"),
        ({"figures": [{**FIGURE, "published": [{"x": [1], "y": [1, 2]}]}]}, r"published\[0\]: x and y must be"),
        ({"figures": [{**FIGURE, "kind": ["lines"]}]}, r"figures\[0\].kind: unknown \['lines'\]"),
        ({"figures": [{**FIGURE, "x": ["scale"]}]}, r"figures\[0\].x: there is no axis \['scale'\]; did you mean"),
        ({"figures": [{**FIGURE, "grid": ["main"]}]}, r"figures\[0\].grid: there is no grid \['main'\]"),
        (
            {"figures": [FIGURE, {**FIGURE, "name": "Figure_0"}]},
            r"figures\[1\].name: figures\[0\] is called 'figure_0'",
        ),
        ({"figures": [{**FIGURE, "x_factor": 0}]}, r"figures\[0\].x_factor must be positive, not 0"),
        ({"figures": [{**FIGURE, "y_labels": [1]}]}, r"figures\[0\].y_labels must be a list of names"),
        (
            {"figures": [{**FIGURE, "log": "y", "horizontal": [{"y": 0}]}]},
            r"horizontal\[0\].y must be positive on a log",
        ),
        ({"figures": [{**FIGURE, "vertical": [{"x": math.nan}]}]}, r"vertical\[0\].x must be a finite number, not nan"),
        (
            {"figures": [{**FIGURE, "log": "x", "published": [{"x": [0], "y": [1]}]}]},
            r"published\[0\].x must be positive",
        ),
        (
            {"figures": [{**FIGURE, "published": [{"x": ["a"], "y": [1]}]}]},
            r"published\[0\].x must be a number, not 'a'",
        ),
        ({"figures": [{**FIGURE, "series": FIGURE["x"]}]}, rf"figures\[0\].series: '{FIGURE['x']}' is its x already"),
        ({"tables": [{"rows": "depth", "columns": "scale"}]}, r"tables\[0\].value is missing"),
        (
            {"tables": [{"rows": "depth", "columns": "depth", "value": "rank"}]},
            r"tables\[0\].columns: 'depth' is the axis of the rows already",
        ),
        (
            {"tables": [{"rows": "depth", "columns": ["scale"], "value": "rank"}]},
            r"tables\[0\].columns: there is no axis",
        ),
        (
            {"tables": [{"rows": "depth", "values": [{"value": "rank", "label": 3}]}]},
            r"values\[0\].label must be a word",
        ),
        ({"tables": [{"rows": "depth", "values": []}]}, r"tables\[0\] needs `values`"),
        ({"claims": [{**CLAIM, "where": {"depth": 4}}]}, r"claims\[0\].where.depth: 4 is no value of axis 'depth'"),
        ({"claims": [{**CLAIM, "where": {"depth": []}}]}, r"claims\[0\].where.depth is empty, so no case has it"),
        ({"claims": [{**CLAIM, "published": math.nan}]}, r"claims\[0\].published must be a finite number, not nan"),
        ({"claims": [{**CLAIM, "factor": math.inf}]}, r"claims\[0\].factor must be a finite number, not inf"),
        ({"claims": [{**CLAIM, "at": "last"}]}, r"claims\[0\].at must be a step"),
        (
            {"claims": [{**CLAIM, "at": {"first_blow": 1}}]},
            r"at.first_blow: there is no crossing 'first_blow'; did you mean 'first_below'",
        ),
        ({"claims": [{**CLAIM, "at": {"train_los": 1}}]}, r"at.train_los: there is no value .*; did you mean 'train_l"),
        ({"claims": [{**CLAIM, "at": {"train_loss": math.inf}}]}, r"at.train_loss must be a finite number"),
        ({"claims": [{**CLAIM, "at": {"singular_values": 1}}]}, r"'singular_values' is not one number at each step"),
        ({"claims": [{**CLAIM, "value": "steps", "at": {"train_loss": 1}}]}, r"'steps' is one number of the whole run"),
        ({"claims": [{**CLAIM, "at": {"first_below": 1, "train_loss": 1}}]}, r"at must be one crossing, .* one curve"),
        ({"claims": [{**CLAIM, "statistic": "share_below"}]}, r"claims\[0\].level is missing"),
        ({"claims": [{**CLAIM, "tolerance": 0.1}]}, r"claims\[0\] has factor and tolerance"),
        ({"claims": [{**CLAIM, "than": {"grid": "no"}}]}, r"claims\[0\].than.grid: there is no grid 'no'"),
        ({"claims": [{"text": "t", "value": "mean_square_error"}]}, r"claims\[0\].published is missing"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_runs(asked, told):
    with pytest.raises(ValueError, match=told):
        build_study({**GIVEN, **asked}, "bad")


def test_the_quick_version_may_lack_values_that_claims_name():
    claims = [{**CLAIM, "where": {"depth": 3}}, {**CLAIM, "quick": False}, {**CLAIM, "where": {"depth": 5}}]
    given = {**GIVEN, "claims": claims, "quick": {"axes": {"depth": {"values": [2, 5]}}}}
    assert len(build_study(given, "full").claims) == 3
    assert len(build_study(given, "small", quick=True).claims) == 2


def test_a_grid_may_name_what_its_solver_records_and_what_a_finding_measures():
    theory = {"axes": [], "case": {"task": "theory", "finding": "counterexample"}}
    instance = {"axes": [], "case": {"task": "instance"}}
    grids = {**GIVEN["grid"], "t": theory, "i": instance}
    named = [("rival", "holdout_rmse"), ("t", "nuclear norm of M_rank"), ("i", "completable")]
    study = build_study({**GIVEN, "grid": grids, "claims": [{**CLAIM, "grid": g, "value": v} for g, v in named]}, "s")
    assert len(study.claims) == 3
