"""Checks hold when their numbers relate as they should; findings are drawn and recorded from plain data."""

import json
import math

import numpy as np
import pytest

from rankwise.report import render_theory
from rankwise.theory import Chart, Check, Curve, Finding, Panel

CURVES = Panel("t", "x", "y", (Curve("m", [1, 2], np.array([1.0, np.inf])), Curve("m (predicted)", [1, 2], [2, 1])))
CHART = Chart("c", "x", "y", (1, 2), (1, 2, 3), np.ones((3, 2)), "z", log=True)
FINDING = Finding("toy", "One is one.", "someone2020", (Check("one", 1.0, 1.0),), (CURVES, CHART))


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (Check("", 1.01, 1.0, "=", 0.02), True),
        (Check("", 1.03, 1.0, "=", 0.02), False),
        (Check("", 0.5, 1.0, "<="), True),
        (Check("", 1.01, 1.0, "<="), False),
        (Check("", 1.01, 1.0, "<=", 0.02), True),
        (Check("", 5.0, 1.0, ">="), True),
        (Check("", 0.97, 1.0, ">=", 0.02), False),
        (Check("", 1e-9, 0.0, "=", 1e-8), True),
        (Check("", -1.0, -2.0, "=", 0.4), False),
        (Check("", math.nan, 1.0, "<="), False),
        (Check("", math.inf, 1.0, ">="), False),
    ],
)
def test_a_check_holds_if_its_numbers_relate(check, holds):
    assert check.holds is holds


def test_a_finding_holds_if_all_its_checks_do():
    broken = Finding("toy", "", "", (Check("a", 1.0, 1.0), Check("b", 2.0, 1.0)))
    assert FINDING.holds
    assert not broken.holds
    np.testing.assert_array_equal(broken.measured, [1, 2])
    np.testing.assert_array_equal(broken.proved, [1, 1])
    assert "b: 2 = 1: DOES NOT HOLD" in broken.table()


def test_the_record_is_plain_and_the_page_is_drawn_from_it():
    record = FINDING.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["panels"][0]["curves"][0]["y"] == [1.0, None]
    page = render_theory([record], "rankwise theory toy")
    assert "One is one." in page
    assert "http://" not in page.partition("<script")[0]


def test_figures_have_an_axis_per_panel():
    axes = FINDING.figure().get_axes()
    assert [one.get_title() for one in axes if one.get_title()] == ["t", "c"]
    measured, predicted = axes[0].get_lines()
    assert measured.get_color() == predicted.get_color()
    with pytest.raises(ValueError, match="nothing to draw"):
        Finding("x", "", "", ()).figure()
