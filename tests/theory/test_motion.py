"""Theorem 3, its corollary and the toy model on small instances, and at full size under their marker."""

import math

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory import (
    TRACK,
    mode_time,
    mode_value,
    neighbors,
    predict,
    singular_value_motion,
    stationary_vectors,
    three_ways,
    toy_modes,
)


def test_singular_values_move_as_theorem_3_says():
    found = singular_value_motion(size=12, rank=2, count=90, depths=(1, 2, 3))
    assert found.holds, found.table()
    with pytest.raises(ValueError, match="depths must be"):
        singular_value_motion(depths=())


def test_three_ways_are_one_trajectory():
    found = three_ways(size=8, rank=1, count=40, horizon=150.0)
    assert found.holds, found.table()


def test_vectors_at_rest_are_aligned():
    assert stationary_vectors(depths=(2,)).holds
    with pytest.raises(ValueError, match="from depth 2 on"):
        stationary_vectors(depths=(1,))
    with pytest.raises(ValueError, match="depth must be at least 2"):
        three_ways(depth=1)
    with pytest.raises(ValueError, match="must not be empty"):
        toy_modes(depths=())


def test_toy_modes_follow_the_closed_forms():
    found = toy_modes(targets=(2.0, 1.0), depths=(1, 2, 4, math.inf))
    assert found.holds, found.table()
    with pytest.raises(ValueError, match="larger than the scale"):
        toy_modes(targets=(1e-4,))


@pytest.mark.parametrize("depth", [1, 2, 4, math.inf])
def test_mode_value_inverts_mode_time(depth):
    values = np.array([1e-3, 0.01, 1.0, 1.9, 1.9999])
    times = mode_time(depth, 2.0, 1e-3, values)
    assert (np.diff(times) > 0).all()
    np.testing.assert_allclose(mode_value(depth, 2.0, 1e-3, times), values, rtol=1e-9)


def test_modes_without_closed_form_are_refused():
    with pytest.raises(ValueError, match="closed forms exist for depth 1, 2, 4 and infinity, not 3"):
        mode_time(3, 1.0, 0.1, np.array([0.5]))
    with pytest.raises(ValueError, match="a mode rises"):
        mode_time(2, 1.0, 0.1, np.array([1.5]))


@pytest.mark.reproduction
@pytest.mark.parametrize(("depth", "steps"), [(1, 20_000), (2, 12_000), (3, 20_000), (4, 30_000)])
def test_speeds_at_full_size(depth, steps):
    problem = rw.observe(rw.low_rank((100, 100), 5, key=0), 2000, key=1).mean()
    start = rw.Identity(1e-3)
    form = rw.Full(start) if depth == 1 else rw.Deep(depth, start)
    solver = rw.GradientDescent(form, rw.Optimizer("gradient_descent", 0.1))
    points = neighbors(range(100, steps, 200), steps)
    found = predict(problem, solver, rw.solve(problem, solver, max_steps=steps, track=TRACK, checkpoints=points))
    print(f"\n100 x 100, rank 5, 2,000 entries, depth {depth}, gradient descent 0.1; times in units of 1")
    print(found.table())
    assert found.median_error < 0.01
    if depth == 3:
        assert 7500 < found.takeoff_measured[0] / 0.1 < 9500
