"""Alternating least squares: each half step is a minimizer, so the objective never rises."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS

TRUTH = rw.low_rank((40, 30), 3, key=0)
PROBLEMS = {"completion": rw.observe(TRUTH, 700, key=1, min_degree=4), "sensing": rw.sense(TRUTH, 450, key=3)}
ALS = rw.AlternatingLeastSquares


@pytest.mark.parametrize("rank", [3, None])
@pytest.mark.parametrize("kind", PROBLEMS)
def test_recovers(kind, rank):
    solution = rw.solve(PROBLEMS[kind], ALS(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 3)
    assert relative_error(solution.matrix, TRUTH) < 1e-8


def test_implicit_measurements():
    solution = rw.solve(rw.sense_fourier(TRUTH, 500, key=4), ALS(rank=3))
    assert relative_error(solution.matrix, TRUTH) < 1e-8


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_objective_never_rises(kind, ridge):
    problem, solver = PROBLEMS[kind], ALS(rank=2, ridge=ridge)
    state = solver.init(problem, 0)
    objective = np.inf
    for _ in range(30):
        unit, matrix = state.problem, state.matrix
        squares = (matrix.left**2).sum() + (matrix.right**2).sum()
        here = unit.loss(matrix) + ridge / state.size / 2 * squares
        assert here <= objective * (1 + 1e-12)
        objective, state = here, solver.step(problem, state)
        if solver.outcome(problem, state) is not RESULTS.running:
            break
    assert objective < np.inf


@pytest.mark.parametrize("rank", [3, None])
def test_by_count_minimizes_its_own_objective(rank):
    rng = np.random.default_rng(5)
    seen = rng.random((30, 60)) < rng.uniform(0.1, 0.9, (30, 1)) * rng.uniform(0.3, 1, 60)
    seen[4] = False
    table = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 60)) + 0.1 * rng.standard_normal((30, 60))
    problem = rw.Completion.from_dense(np.where(seen, table, np.nan))
    counts = seen.sum(axis=1)[:, None], seen.sum(axis=0)[:, None]
    solver = ALS(rank=rank, max_rank=3, ridge=0.1, by_count=True, stationary=1e-14, patience=10)
    state, objective, last = solver.init(problem, 0), np.inf, 0
    while solver.outcome(problem, state) is RESULTS.running:
        left, right = state.matrix.left, state.matrix.right
        weight, unit = 0.1 / state.size, state.problem
        squares = (counts[0] * left**2).sum() + (counts[1] * right**2).sum()
        here = unit.loss(state.matrix) + weight / 2 * squares
        assert here <= objective * (1 + 1e-12) or left.shape[1] > last
        objective, last, state = here, left.shape[1], solver.step(problem, state)
    slope = state.problem.gradient(state.matrix)
    assert np.abs(slope @ right + weight * counts[0] * left).max() < 1e-6 * np.abs(slope @ right).max()
    assert np.abs(slope.T @ left + weight * counts[1] * right).max() < 1e-6 * np.abs(slope.T @ left).max()


def test_a_ridge_far_above_the_values_gives_zero():
    solution = rw.solve(rw.Completion.from_dense(1e-310 * np.ones((3, 4))), ALS(ridge=0.1))
    assert np.abs(solution.matrix.dense()).max() < 1e-320


@pytest.mark.parametrize("side", [0, 1])
def test_a_half_step_is_a_row_by_row_ridge_fit(side):
    problem, solver = PROBLEMS["completion"], ALS(ridge=0.3, by_count=True)
    matrix = rw.LowRank(*np.split(np.random.default_rng(2).standard_normal((70, 3)), [40]))
    moved = solver._best_rows(problem, matrix, side, solver.ridge)
    mine, other = (problem.cols, problem.rows) if side else (problem.rows, problem.cols)
    known = matrix.left if side else matrix.right
    row = 7
    at = np.nonzero(mine == row)[0]
    block = known[other[at]]
    expected = np.linalg.solve(block.T @ block + 0.3 * at.size * np.eye(3), block.T @ problem.values[at])
    np.testing.assert_allclose((moved.right if side else moved.left)[row], expected, rtol=1e-8)


def test_a_ridge_is_a_nuclear_norm_penalty_in_the_units_of_the_data():
    matrix = 50 * np.random.default_rng(7).standard_normal((7, 5))
    solution = rw.solve(rw.Completion.from_dense(matrix), ALS(rank=5, ridge=40.0, stationary=1e-9), max_steps=3000)
    np.testing.assert_allclose(solution.matrix, rw.Nuclear(40.0).prox(matrix, 1.0), atol=1e-2)


def test_refusals():
    with pytest.raises(ValueError, match="ridge must be finite and not negative"):
        ALS(ridge=-1.0)
    with pytest.raises(ValueError, match="by_count needs a Completion"):
        rw.solve(PROBLEMS["sensing"], ALS(by_count=True))


def test_patience_of_its_own_or_none():
    problem = rw.observe(rw.low_rank((20, 15), 2, key=0), 200, key=1)
    assert rw.solve(problem, rw.AlternatingLeastSquares(rank=2, patience=None)).result.name == "explained"
