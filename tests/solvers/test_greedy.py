"""Greedy low-rank learning: recovery without the rank, its limits, its stopping rules."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.greedy import degrees_of_freedom, leading_pair

TRUTH = rw.low_rank((40, 30), 3, key=0)


def counterexample(r):
    """The 4 x 4 problem of Li, Luo, Lyu 2021 on which greedy learning and the nuclear norm disagree."""
    rows, cols, values = [0, 0, 1, 2, 3, 2], [2, 3, 2, 0, 0, 1], [1, r, r, 1, r, r]
    return rw.Completion((4, 4), rows, cols, np.asarray(values, float))


@pytest.mark.parametrize("seed", range(3))
def test_recovers_without_being_told_the_rank(seed):
    problem = rw.observe(TRUTH, 500, key=seed, min_degree=4)
    solution = rw.solve(problem, rw.Greedy())
    assert solution.result is RESULTS.explained
    assert solution.rank == 3
    assert relative_error(solution.matrix, TRUTH) < 1e-8


def test_five_decades_of_singular_values():
    truth = rw.low_rank((60, 60), 4, key=1, kappa=1e5)
    problem = rw.observe(truth, int(1.4 * degrees_of_freedom(4, (60, 60))), key=2, min_degree=5)
    solution = rw.solve(problem, rw.Greedy())
    assert solution.rank == 4
    assert relative_error(solution.matrix, truth) < 1e-7


def test_sensing_and_symmetric_sensing():
    solution = rw.solve(rw.sense(TRUTH, 450, key=3), rw.Greedy())
    assert solution.rank == 3
    assert relative_error(solution.matrix, TRUTH) < 1e-8
    square = rw.low_rank((20, 20), 2, key=4, symmetric=True)
    solution = rw.solve(rw.sense(square, 120, key=5, symmetric=True), rw.Greedy(factorization=rw.Symmetric()))
    assert solution.rank == 2
    assert relative_error(solution.matrix, square) < 1e-8
    np.testing.assert_array_equal(solution.matrix.left, solution.matrix.right)


@pytest.mark.parametrize("inner", ["newton", "gradient", "flow"])
@pytest.mark.parametrize("r", [2.0, 3.0])
def test_one_phase_reaches_the_rank_one_solution_of_the_counterexample(inner, r):
    vector = np.array([1, r, 1, r])
    solution = rw.solve(counterexample(r), rw.Greedy(factorization=rw.Symmetric(), inner=inner, tolerance=1e-7))
    assert solution.steps == solution.rank == 1
    np.testing.assert_allclose(solution.matrix, np.outer(vector, vector), atol=1e-5)
    assert rw.measures.nuclear_norm(solution.matrix) == pytest.approx(2 + 2 * r**2, rel=1e-5)
    # The drive at zero is the golden-ratio-like root: its square satisfies t^2 - (1 + 2 r^2) t + r^4 = 0.
    drive = solution.history["leading"][0] ** 2
    assert drive**2 - (1 + 2 * r**2) * drive + r**4 == pytest.approx(0, abs=1e-9)


def test_a_positive_semidefinite_matrix_cannot_explain_negative_curvature():
    problem = rw.Completion.from_dense(-np.eye(3))
    solution = rw.solve(problem, rw.Greedy(factorization=rw.Symmetric()))
    assert solution.result is RESULTS.converged
    assert solution.rank == 0


def test_full_observation_is_the_truncated_decomposition():
    matrix = np.random.default_rng(6).standard_normal((8, 6))
    problem = rw.Completion.from_dense(matrix)
    solution = rw.solve(problem, rw.Greedy(max_rank=2))
    u, s, vt = np.linalg.svd(matrix)
    assert solution.result is RESULTS.max_rank
    np.testing.assert_allclose(solution.matrix, (u[:, :2] * s[:2]) @ vt[:2], atol=1e-5)


def test_a_ridge_is_a_nuclear_norm_penalty():
    matrix = np.random.default_rng(7).standard_normal((7, 5))
    ridge = 1.0
    solution = rw.solve(rw.Completion.from_dense(matrix), rw.Greedy(ridge=ridge))
    assert solution.result is RESULTS.converged
    np.testing.assert_allclose(solution.matrix, rw.Nuclear(ridge).prox(matrix, 1.0), atol=1e-4)


def test_noise_stops_at_its_level_and_held_out_error_finds_the_rank():
    noisy = rw.observe(TRUTH, 900, key=8, noise=0.05)
    level = rw.solve(noisy, rw.Greedy(noise=0.05))
    assert (level.result, level.rank) == (RESULTS.noise_level, 3)
    chosen = rw.solve(noisy, rw.Greedy(holdout=0.1), key=0)
    assert (chosen.result, chosen.rank) == (RESULTS.holdout_stopped, 3)
    assert relative_error(chosen.matrix, TRUTH) < 0.06
    path = chosen.state[0].path
    assert min(path, key=lambda fit: fit.holdout_rmse).rank == 3
    grown = rw.solve(noisy, rw.Greedy(holdout=0.1, refit=False), key=0)
    assert (grown.state[0].path, grown.rank) == (path, path[-1].rank)
    assert (grown.result, grown.steps) == (RESULTS.holdout_stopped, chosen.steps - 1)


def test_too_few_observations_are_said_to_be_too_few():
    solution = rw.solve(rw.observe(TRUTH, 70, key=9), rw.Greedy())
    assert solution.result is RESULTS.underdetermined
    assert degrees_of_freedom(solution.rank, (40, 30)) < 70


def test_leading_pair_is_the_same_by_both_routes(monkeypatch):
    problem = rw.observe(TRUTH, 500, key=10)
    dense = leading_pair(problem, -problem.values, symmetric=False)
    monkeypatch.setattr("rankwise.solvers.greedy.DENSE_ENTRIES", 0)
    sparse = leading_pair(problem, -problem.values, symmetric=False)
    assert dense[0] == pytest.approx(sparse[0])
    assert abs(dense[1] @ sparse[1]) == pytest.approx(1)


def test_float32_data_are_explained_to_float32():
    problem = rw.observe(TRUTH, 500, key=0, min_degree=4, dtype=np.float32)
    solution = rw.solve(problem, rw.Greedy())
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, TRUTH) < 1e-3


def test_zero_observations_are_explained_by_zero():
    solution = rw.solve(rw.Completion((3, 3), [0, 1], [1, 2], [0.0, 0.0]), rw.Greedy())
    assert (solution.result, solution.rank, solution.steps) == (RESULTS.explained, 0, 0)
    np.testing.assert_array_equal(np.asarray(solution.matrix), np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"factorization": rw.Deep(3)}, r"takes Deep\(2\) or Symmetric"),
        ({"inner": "adam"}, "inner must be"),
        ({"max_rank": 0}, "max_rank must be an integer"),
        ({"ridge": -1.0}, "ridge must be finite"),
        ({"holdout": 1.0}, "holdout must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        rw.Greedy(**arguments)
