"""Axes that cannot be listed or named are refused at once, with the key's path."""

import pytest

from rankwise.studies import build_study
from rankwise.studies.axes import MOST, read_axis, seeds_axis


@pytest.mark.parametrize("given", [-1, 0, MOST + 1, 3_000_000_000, 10**30])
def test_a_number_of_seeds_beyond_what_can_be_listed_is_refused_before_any_is_made(given):
    with pytest.raises(ValueError, match=rf"^grid\.g\.seeds must be from 1 to 10,000,000.*, not {given:,}$"):
        seeds_axis(given, "grid.g.seeds")


def test_so_many_seeds_are_those_from_0_on():
    assert seeds_axis(3, "seeds").values == (0, 1, 2)


def test_a_grid_of_more_cases_than_can_be_listed_is_refused_before_any_is_made():
    axes = {name: {"key": f"problem.{name}", "values": list(range(100))} for name in ("count", "key")}
    given = {"case": {"solver": {"name": "greedy"}}, "axes": axes, "grid": {"small": {"axes": []}, "vast": {}}}
    told = r"^grid\.vast: 10,010,000 cases \(100 of count x 100 of key x 1,001 of seed\) are more than the 10,000,000 "
    with pytest.raises(ValueError, match=told):
        build_study({**given, "seeds": 1001}, "trial")
    assert [grid.name for grid in build_study({**given, "seeds": 1000}, "trial").grids] == ["small", "vast"]


def test_an_axis_has_a_name():
    with pytest.raises(ValueError, match=r'^axes\."": an axis needs a name'):
        read_axis("", {"key": "problem.count", "values": [1]})
