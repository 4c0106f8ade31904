"""Depth 1: the limit is the nearest interpolant, and the whole way there is known."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved.depth_one import (
    descent_from,
    flow_from,
    measurement_modes,
    minimum_frobenius,
    nearest_interpolant,
)

TRUTH = rw.low_rank((5, 4), 1, key=0)


@pytest.fixture(params=["completion", "sensing"])
def problem(request):
    return rw.observe(TRUTH, 9, key=1) if request.param == "completion" else rw.sense(TRUTH, 9, key=1)


def test_the_nearest_interpolant_fits_and_no_other_is_nearer(problem):
    start = np.random.default_rng(0).standard_normal(problem.shape)
    nearest = nearest_interpolant(problem, start)
    assert problem.residual(nearest) == pytest.approx(0, abs=1e-12)
    other = np.asarray(TRUTH.left @ TRUTH.right.T)
    # Pythagoras: what separates two interpolants is orthogonal to the way from the start.
    apart, way = np.linalg.norm(other - nearest), np.linalg.norm(nearest - start)
    assert np.linalg.norm(other - start) ** 2 == pytest.approx(apart**2 + way**2)


def test_a_completion_keeps_every_hidden_entry_of_its_start():
    problem = rw.observe(TRUTH, 9, key=1)
    hidden = np.ones(problem.shape, bool)
    hidden[problem.rows, problem.cols] = False
    assert not nearest_interpolant(problem)[hidden].any()
    assert nearest_interpolant(problem, 3.0)[hidden] == pytest.approx(3.0)
    assert flow_from(problem, [0.7], 3.0)[0][hidden] == pytest.approx(3.0)


def test_an_observed_entry_relaxes_exponentially():
    problem = rw.Completion((2, 2), np.array([0]), np.array([1]), np.array([5.0])).mean()
    assert flow_from(problem, [0.0, 1.5], 1.0)[:, 0, 1] == pytest.approx([1.0, 5 - 4 * np.exp(-2 * 1.5)])
    assert descent_from(problem, 0.1, [0, 3], 1.0)[:, 0, 1] == pytest.approx([1.0, 5 - 4 * 0.8**3])


def test_least_squares_where_measurements_contradict_one_another():
    sensors = np.random.default_rng(1).standard_normal((7, 2, 3))
    problem = rw.Sensing(np.concatenate([sensors[:4], sensors[:4]]), np.arange(8.0))
    assert measurement_modes(problem).sigma.size == 4
    expected = np.linalg.pinv(problem.sensors.reshape(8, 6)) @ problem.values
    assert nearest_interpolant(problem).ravel() == pytest.approx(expected)


def test_small_steps_of_descent_follow_the_flow(problem):
    flow = flow_from(problem, [2.0])[0]
    off = [np.linalg.norm(descent_from(problem, 2.0 / k, [k])[0] - flow) for k in (200, 400)]
    assert off[0] / off[1] == pytest.approx(2, rel=0.02)


def test_the_finding_holds_and_draws():
    found = minimum_frobenius(shape=(4, 3), rank=1, count=5, seed=3)
    assert found.holds, found.table()
    assert found.details["filled"].shape == (4, 3)
    assert len(found.figure().axes) == 3


def test_bad_arguments(problem):
    with pytest.raises(ValueError, match="start must be a number or a matrix of shape"):
        nearest_interpolant(problem, np.ones((2, 2)))
    with pytest.raises(ValueError, match="count must leave an entry"):
        minimum_frobenius(shape=(4, 3), count=12)
    with pytest.raises(ValueError, match="start must be a positive scale"):
        minimum_frobenius(start=0.0)
