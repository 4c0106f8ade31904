"""Least squares over the factors: known answers, optimality, hard data, and no warning on any of it."""

from __future__ import annotations

import numpy as np
import pytest

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem, Sensing
from rankwise.solvers.factor_least_squares import fit_factors, grow_factors
from rankwise.solvers.growth import append_pair, leading_pair
from rankwise.solvers.normal_equations import BLOCK_SHIFT, EliminatedFactor


def low_rank(shape: tuple[int, int], rank: int, condition: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((shape[0], rank)))[0]
    right = np.linalg.qr(rng.standard_normal((shape[1], rank)))[0]
    matrix = left * np.logspace(0, -np.log10(condition), rank) @ right.T
    return matrix * np.sqrt(matrix.size) / np.linalg.norm(matrix)


def observed(matrix: np.ndarray, count: int, degree: int = 0, seed: int = 0) -> Completion:
    """About `count` uniform entries, every row and column given at least `degree`."""
    rng = np.random.default_rng(seed)
    order = rng.random(matrix.shape)
    mask = order.argsort(axis=1).argsort(axis=1) < degree
    mask |= order.argsort(axis=0).argsort(axis=0) < degree
    free = rng.permutation(np.flatnonzero(~mask))[: max(count - mask.sum(), 0)]
    mask.flat[free] = True
    return Completion.from_dense(np.where(mask, matrix, np.nan))


def grown(problem: Problem, symmetric: bool = False, max_rank: int = 6) -> LowRank:
    matrix = LowRank.zeros(problem.shape)
    for _ in range(max_rank):
        drive, u, v = leading_pair(problem, problem.residual(matrix), symmetric)
        start = append_pair(problem, matrix, (u, v), symmetric)
        fit = grow_factors(problem, start.left, start.right, drive, tolerance=1e-10, symmetric=symmetric)
        matrix = LowRank(fit.left, fit.right)
        if fit.outcome == "exact":
            return matrix
    return matrix


def error(matrix: LowRank, truth: np.ndarray) -> float:
    return float(np.linalg.norm(matrix.dense() - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e5])
@pytest.mark.parametrize("seed", [0, 1])
def test_growing_recovers_from_few_observations(condition: float, seed: int) -> None:
    truth = low_rank((60, 50), 3, condition, seed)
    matrix = grown(observed(truth, 520, degree=4, seed=seed))
    assert matrix.rank == 3
    assert error(matrix, truth) < 1e-7


def test_growing_recovers_from_sensors() -> None:
    truth = low_rank((20, 15), 2)
    sensors = np.random.default_rng(1).standard_normal((120, 20, 15)) / 20
    matrix = grown(Sensing(sensors, np.einsum("mij,ij->m", sensors, truth)))
    assert matrix.rank == 2
    assert error(matrix, truth) < 1e-11


def test_growing_recovers_a_symmetric_matrix() -> None:
    z = np.random.default_rng(0).standard_normal((30, 2))
    truth = z @ z.T
    matrix = grown(observed(np.where(np.triu(np.ones((30, 30))), truth, np.nan), 900), symmetric=True)
    assert np.array_equal(matrix.left, matrix.right)
    assert error(matrix, truth) < 1e-11


@pytest.mark.parametrize("shape", [(12, 9), (9, 12)])
@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_eliminated_normal_equations_are_the_schur_complement(shape: tuple[int, int], ridge: float) -> None:
    problem = observed(low_rank(shape, 3), 70, degree=4)
    rng = np.random.default_rng(2)
    system = EliminatedFactor(problem, problem.values, np.full(2, ridge))
    point = system.settle(rng.standard_normal((shape[0], 2)), rng.standard_normal((shape[1], 2)))
    jacobian = problem.factor_jacobian(point.left, point.right).toarray()
    normal = jacobian.T @ jacobian + ridge * np.eye(jacobian.shape[1])
    split = 2 * shape[0]
    by_left, by_right = np.arange(split), np.arange(split, normal.shape[0])
    short, long = (by_right, by_left) if system.flipped else (by_left, by_right)
    coupling = normal[np.ix_(short, long)]
    schur = normal[np.ix_(short, short)] - coupling @ np.linalg.solve(normal[np.ix_(long, long)], coupling.T)
    model = system.linearize(point)
    step = rng.standard_normal(short.size)
    if not ridge:  # away from the columns of the short factor, where the gauge acts
        block = step.reshape(-1, 2)
        step = (block - model.short @ (model.short.T @ block)).ravel()
    assert model.product(step, 0.0) == pytest.approx(schur @ step, abs=1e4 * BLOCK_SHIFT)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_a_ridge_fit_is_stationary_and_balanced(symmetric: bool, scale: float) -> None:
    rng = np.random.default_rng(0)
    problem = observed(low_rank((20, 20), 3) + rng.standard_normal((20, 20)), 250).replace(scale=scale)
    left, right = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    ridge = 2.0 * scale
    fit = fit_factors(problem, left, right, ridge=ridge, stationary=1e-15, symmetric=symmetric)
    gradient = problem.gradient(LowRank(fit.left, fit.right))
    if symmetric:
        gradient = (gradient + gradient.T) / 2
    assert fit.outcome == "stationary"
    assert gradient @ fit.right == pytest.approx(-ridge * fit.left, abs=1e-5 * scale)
    assert gradient.T @ fit.left == pytest.approx(-ridge * fit.right, abs=1e-5 * scale)
    assert fit.left.T @ fit.left == pytest.approx(fit.right.T @ fit.right, abs=1e-5)


def test_fully_observed_data_gives_the_truncated_svd() -> None:
    table = np.random.default_rng(0).standard_normal((15, 11))
    u, s, vt = np.linalg.svd(table, full_matrices=False)
    rng = np.random.default_rng(1)
    start = rng.standard_normal((15, 3)), rng.standard_normal((11, 3))
    fit = fit_factors(Completion.from_dense(table), *start, stationary=1e-15)
    assert fit.left @ fit.right.T == pytest.approx(u[:, :3] * s[:3] @ vt[:3], abs=1e-6)
    assert fit.residual_norm == pytest.approx(np.sqrt((s[3:] ** 2).sum()))


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_size_of_the_data_does_not_matter(size: float) -> None:
    truth = low_rank((20, 15), 1)
    problem = observed(truth * size, 150, degree=3)
    u, s, v = LowRank(truth[:, :1], np.eye(15)[:, :1]).svd()
    root = np.sqrt(size)
    fit = fit_factors(problem, u * np.sqrt(s) * root, v * np.sqrt(s) * root)
    assert fit.outcome == "exact"
    assert fit.left @ fit.right.T / size == pytest.approx(truth, abs=1e-10)


def test_single_precision_is_worked_in_double() -> None:
    problem = observed(low_rank((20, 15), 2).astype(np.float32), 200, degree=3)
    fit = fit_factors(problem, np.ones((20, 2), np.float32), np.eye(15, 2, dtype=np.float32))
    assert fit.left.dtype == fit.right.dtype == np.float64


def test_rows_with_fewer_observations_than_the_rank() -> None:
    mask = np.zeros((8, 6), bool)
    mask[:, 0] = mask[0] = True
    problem = Completion.from_dense(np.where(mask[:, :5], low_rank((8, 6), 4)[:, :5], np.nan))
    rng = np.random.default_rng(0)
    fit = fit_factors(problem, rng.standard_normal((8, 4)), rng.standard_normal((5, 4)))
    assert fit.outcome == "exact"
    assert np.isfinite(fit.left).all()
    assert np.isfinite(fit.right).all()


def test_an_empty_row_and_column_stay_zero() -> None:
    truth = low_rank((8, 7), 1)
    truth[3], truth[:, 2] = np.nan, np.nan
    problem = Completion.from_dense(truth)
    start = append_pair(problem, LowRank.zeros((8, 7)), leading_pair(problem, -problem.values, False)[1:], False)
    fit = fit_factors(problem, start.left, start.right)
    assert fit.outcome == "exact"
    matrix = fit.left @ fit.right.T
    assert matrix[3] == pytest.approx(0, abs=1e-12)
    assert matrix[:, 2] == pytest.approx(0, abs=1e-12)


def test_more_columns_than_rows_are_dropped() -> None:
    problem = observed(low_rank((3, 10), 2), 25)
    rng = np.random.default_rng(0)
    fit = fit_factors(problem, rng.standard_normal((3, 5)), rng.standard_normal((10, 5)))
    assert fit.left.shape == (3, 3)
    assert fit.right.shape == (10, 3)


def test_outcomes() -> None:
    rng = np.random.default_rng(0)
    problem = observed(low_rank((20, 15), 4), 250)
    left, right = rng.standard_normal((20, 2)), rng.standard_normal((15, 2))
    assert fit_factors(problem, left, right, max_steps=1).outcome == "max_steps"
    assert fit_factors(problem, left, right).outcome == "stationary"
    assert fit_factors(problem, left, right, norm_limit=1e-3).outcome == "diverging"
    assert fit_factors(problem, left * np.nan, right).outcome == "non_finite"
    assert fit_factors(problem, left * 1e200, right).outcome == "diverging"
    zero = problem.replace(values=np.zeros(problem.size))
    nothing = fit_factors(zero, left, right)
    assert nothing.outcome == "exact"
    assert not nothing.left.any()


def test_equal_calls_give_equal_bits() -> None:
    problem = observed(low_rank((30, 25), 3), 400)
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((30, 2)), rng.standard_normal((25, 2))
    first, second = (fit_factors(problem, left, right) for _ in range(2))
    assert np.array_equal(first.left, second.left)
    assert np.array_equal(first.right, second.right)
