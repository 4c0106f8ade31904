"""Ratio continuation: its objective and gradient, recovery without the rank, limits, refusals."""

import numpy as np
import pytest

import rankwise as rw
from rankwise import RESULTS
from rankwise.lowrank import degrees_of_freedom
from rankwise.measures import relative_error
from rankwise.solvers.ratio_continuation import CappedRatio


def instance(shape, rank, rho, key, kappa=None):
    truth = rw.low_rank(shape, rank, key=key, kappa=kappa)
    count = round(rho * degrees_of_freedom(rank, shape))
    return truth, rw.observe(truth, count, key=key + 100, min_degree=rank + 1)


@pytest.mark.parametrize("cap", [0.7, 30.0])
def test_the_objective_is_that_of_the_penalties_at_balanced_factors(cap):
    _, problem = instance((9, 7), 2, 1.5, 0)
    norm, weight = float(problem.norm_estimate()), 0.2
    rng = np.random.default_rng(0)
    matrix = rw.LowRank(rng.standard_normal((9, 3)), 3 * rng.standard_normal((7, 3))).balanced()
    objective = CappedRatio(problem, weight, cap)
    flat = objective.flat(matrix)
    fit = float(np.sum(problem.residual(matrix) ** 2) / np.sum(problem.values**2))
    penalty = rw.Ratio(weight) + rw.NormCap(cap, norm)
    assert objective(flat)[0] * weight == pytest.approx(fit + penalty(matrix.dense()))
    direction, h = rng.standard_normal(flat.shape), 1e-6
    slope = (objective(flat + h * direction)[0] - objective(flat - h * direction)[0]) / (2 * h)
    assert slope == pytest.approx(objective(flat)[1] @ direction, rel=1e-6)


def test_unbalanced_factors_cost_more():
    _, problem = instance((9, 7), 2, 1.5, 0)
    objective = CappedRatio(problem, 0.2, 1.0)
    matrix = rw.low_rank((9, 7), 3, key=5).balanced()
    tilted = rw.LowRank(2 * matrix.left, matrix.right / 2)
    assert objective(objective.flat(tilted))[0] > objective(objective.flat(matrix))[0]


@pytest.mark.parametrize("kappa", [None, 1, 10])
def test_few_entries_give_the_matrix_and_its_rank(kappa):
    truth, problem = instance((50, 60), 3, 1.4, 0, kappa)
    solution = rw.solve(problem, rw.RatioContinuation())
    assert solution.result is RESULTS.explained
    assert solution.rank == 3
    assert relative_error(solution.matrix, truth) < 1e-9


def test_noise():
    truth, problem = instance((20, 16), 1, 4.0, 1)
    noisy = problem.replace(values=problem.values + 0.3 * np.random.default_rng(0).standard_normal(problem.size))
    exact = rw.solve(noisy, rw.RatioContinuation(max_rank=1))
    assert exact.result is RESULTS.stalled
    assert exact.history["weight"][-1] == pytest.approx(1e-3)
    # A falling weight lets the fit in, and with it the ratio up.
    assert (np.diff(exact.history["ratio"][1:]) > 0).all()
    known = rw.solve(noisy, rw.RatioContinuation(noise=0.3))
    assert (known.result, known.rank) == (RESULTS.noise_level, truth.rank)


def test_sensing():
    truth = rw.low_rank((12, 10), 2, key=0)
    solution = rw.solve(rw.sense(truth, 60, key=1), rw.RatioContinuation())
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, truth) < 1e-9


def test_values_that_no_matrix_comes_near_leave_it_at_zero():
    problem = rw.Sensing(np.stack([np.eye(3), np.zeros((3, 3))]), [0.0, 1.0])
    run = rw.solve(problem, rw.RatioContinuation())
    assert (np.count_nonzero(run.matrix.dense()), run.result) == (0, RESULTS.converged)


def test_measurements_whose_norm_has_no_cube_are_told():
    plain = rw.sense(rw.low_rank((6, 5), 1, key=0), 25, key=1)
    for factor, result in ((1e80, "explained"), (1e-80, "explained"), (1e140, "non_finite"), (1e-140, "non_finite")):
        problem = rw.Sensing(plain.sensors * factor, plain.values)
        assert rw.solve(problem, rw.RatioContinuation()).result.name == result


def test_no_rank_to_trust():
    solution = rw.solve(rw.observe(rw.low_rank((8, 8), 1, key=0), 10, key=1), rw.RatioContinuation())
    assert solution.result is RESULTS.underdetermined


@pytest.mark.parametrize("setting", [{"last": 0.2}, {"cap": 0.0}, {"step_factor": 1.0}, {"width": 0}, {"noise": -1.0}])
def test_refusals(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        rw.RatioContinuation(**setting)
