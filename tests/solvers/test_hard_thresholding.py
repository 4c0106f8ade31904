"""Iterative hard thresholding and iterative SVD: gradient steps followed by truncation."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.hard_thresholding import thresholded

TRUTH = rw.low_rank((40, 30), 3, key=0)
PROBLEM = rw.observe(TRUTH, 800, key=1, min_degree=4)
SOLVERS = [rw.HardThresholding, rw.IterativeSVD]


@pytest.mark.parametrize("rank", [3, None])
@pytest.mark.parametrize("solver", SOLVERS)
def test_recovers(solver, rank):
    solution = rw.solve(PROBLEM, solver(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 3)
    assert relative_error(solution.matrix, TRUTH) < 1e-8


@pytest.mark.parametrize("rank", [3, None])
def test_sensing(rank):
    solution = rw.solve(rw.sense(TRUTH, 450, key=3), rw.HardThresholding(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 3)
    assert relative_error(solution.matrix, TRUTH) < 1e-8


@pytest.mark.parametrize("power", [-460, 460])
def test_a_power_of_two_in_the_sensors_comes_out_of_the_matrix(power):
    # 2^460 is 3e138: the square of a measured gradient is no number any more.
    plain = rw.sense(rw.low_rank((6, 5), 1, key=0), 25, key=1)
    scaled = rw.Sensing(plain.sensors * 2.0**power, plain.values)
    one, other = (rw.solve(problem, rw.HardThresholding()) for problem in (plain, scaled))
    assert one.result is other.result is RESULTS.explained
    np.testing.assert_allclose(other.matrix.dense() * 2.0**power, one.matrix.dense(), rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_residual_never_rises(solver):
    residuals = rw.solve(PROBLEM, solver(rank=2), max_steps=60).history["train_rmse"]
    assert len(residuals) > 20
    assert (np.diff(residuals) <= 1e-12 * residuals[0]).all()


def test_iterative_svd_fills_and_truncates():
    before, after = (rw.solve(PROBLEM, rw.IterativeSVD(rank=3), max_steps=k).matrix.dense() for k in (2, 3))
    before[PROBLEM.rows, PROBLEM.cols] = PROBLEM.values
    u, s, vt = np.linalg.svd(before)
    np.testing.assert_allclose(after, (u[:, :3] * s[:3]) @ vt[:3], atol=1e-10)


def test_the_rate_of_singular_value_projection():
    rate = 40 * 30 / (1.2 * PROBLEM.size)
    solution = rw.solve(PROBLEM, rw.HardThresholding(rank=3, rate=rate))
    assert solution.result is RESULTS.explained
    assert solution.steps < rw.solve(PROBLEM, rw.IterativeSVD(rank=3)).steps


def test_too_large_a_rate_is_a_result():
    assert rw.solve(PROBLEM, rw.HardThresholding(rank=3, rate=50.0)).result in (
        RESULTS.diverging_norm,
        RESULTS.non_finite,
    )


def test_truncation_is_the_same_by_both_routes(monkeypatch):
    matrix, residual = rw.low_rank((90, 70), 3, key=4), rw.observe(rw.low_rank((90, 70), 3, key=5), 300, key=6)
    move = residual.adjoint_operator(1e-3 * residual.values)
    dense = thresholded(matrix, move)
    monkeypatch.setattr("rankwise.solvers.hard_thresholding.DENSE_ENTRIES", 0)
    assert relative_error(thresholded(matrix, move), dense.dense()) < 1e-8


def test_refusals():
    with pytest.raises(ValueError, match="rate must be positive"):
        rw.HardThresholding(rate=0.0)
    with pytest.raises(ValueError, match="IterativeSVD fills the holes of a Completion"):
        rw.solve(rw.sense(TRUTH, 450, key=3), rw.IterativeSVD(rank=3))
