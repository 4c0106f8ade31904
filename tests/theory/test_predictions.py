"""Predicted speeds and take-offs beside measured ones: known answers, and what cannot be predicted."""

import math

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory import TRACK, half_times, neighbours, predict, takeoff_times

TARGETS = np.array([4.0, 2.0, 1.0])
PROBLEM = rw.Completion.from_dense(np.diag(TARGETS))


def test_neighbours_stay_inside():
    assert neighbours([0, 5, 6, 9], 9) == [0, 1, 4, 5, 6, 7, 8, 9]


def test_takeoff_times_of_decoupled_modes():
    scale = 1e-3
    np.testing.assert_allclose(takeoff_times(PROBLEM, 2, scale), math.log(1 / scale) / (2 * TARGETS))
    np.testing.assert_allclose(takeoff_times(PROBLEM, 4, scale), scale**-0.5 / (2 * TARGETS))
    np.testing.assert_allclose(takeoff_times(PROBLEM, math.inf, scale), 1 / (scale * TARGETS))
    assert np.isnan(takeoff_times(PROBLEM, 1, scale)).all()


@pytest.mark.parametrize("depth", [2, 4, math.inf])
def test_half_times_are_those_of_the_closed_forms(depth):
    from rankwise.theory import mode_time

    factor = 1 if depth == math.inf else depth
    expected = [mode_time(depth, s, 1e-3, np.array([s / 2]))[0] / factor for s in TARGETS]
    np.testing.assert_allclose(half_times(PROBLEM, depth, 1e-3), expected, rtol=1e-8)


@pytest.mark.parametrize(
    "solver",
    [
        rw.GradientDescent(rw.Deep(3, rw.Identity(1e-2)), rw.Optimizer("gradient_descent", 1e-3)),
        rw.GradientFlow(rw.Deep(3, rw.Identity(1e-2)), times=10.0),
        rw.GradientFlow(rw.Symmetric(rw.Identity(1e-2)), times=3.0),
    ],
    ids=["descent", "flow", "symmetric"],
)
def test_predicted_speeds_are_the_measured_ones(solver):
    steps = 10_000 if isinstance(solver, rw.GradientDescent) else None
    solution = rw.solve(PROBLEM, solver, max_steps=steps, track=TRACK, checkpoints=None if steps is None else 200)
    found = predict(PROBLEM, solver, solution)
    assert found.median_error < 0.01
    np.testing.assert_allclose(found.takeoff_measured, found.half_predicted, rtol=0.05)
    assert found.table().count("\n") == 4
    assert len(found.panels) == 5
    assert found.finding().holds


def test_the_product_alone_is_enough():
    flow = rw.EndToEndFlow(3, rw.Identity(1e-2), times=10.0)
    solution = rw.solve(PROBLEM, flow, track=["singular_values", "matrix"])
    assert predict(PROBLEM, flow, solution).median_error < 0.01


def test_what_cannot_be_predicted_is_refused():
    adam = rw.GradientDescent(rw.Deep(2), rw.Optimizer("adam", 1e-3))
    plain = rw.GradientDescent(rw.Deep(2), rw.Optimizer("gradient_descent", 1e-3))
    run = rw.solve(PROBLEM, plain, max_steps=3)
    for solver, words in (
        (adam, "plain gradient descent"),
        (plain.replace(penalty=rw.Nuclear(1e-3)), "without penalty"),
        (rw.Greedy(), "not of Greedy"),
        (plain, "must have tracked 'singular_values'"),
    ):
        with pytest.raises(ValueError, match=words):
            predict(PROBLEM, solver, run)
    few = rw.solve(PROBLEM, plain, max_steps=2, track=TRACK, checkpoints=1)
    with pytest.raises(ValueError, match="at least three checkpoints"):
        predict(PROBLEM, plain, few)
    with pytest.raises(ValueError, match="scale must lie"):
        takeoff_times(PROBLEM, 2, 2.0)
