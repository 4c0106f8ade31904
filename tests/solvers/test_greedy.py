"""Greedy low-rank learning: recovery without the rank, its limits, its stopping rules."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.growth import leading_pair

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


@pytest.mark.parametrize("shape", [(300, 300), (3, 3), (1, 50_000)])
def test_zeros_are_explained_at_once(shape):
    solution = rw.solve(rw.Completion.from_dense(np.zeros(shape)), rw.Greedy())
    assert (solution.result, solution.rank) == (RESULTS.explained, 0)


def test_one_long_row_is_explained():
    row = np.random.default_rng(0).standard_normal((1, 50_000))
    row[0, :100] = np.nan
    assert rw.solve(rw.Completion.from_dense(row), rw.Greedy()).result in (RESULTS.explained, RESULTS.underdetermined)


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [3.0, 5.0]], np.random.default_rng(0).standard_normal((6, 4))])
def test_what_is_observed_whole_is_explained_at_full_rank(matrix):
    solution = rw.solve(rw.Completion.from_dense(matrix), rw.Greedy())
    assert (solution.result, solution.rank) == (RESULTS.explained, min(np.shape(matrix)))


def mirrored(rank, size, share, seed, noise=0.0):
    """A symmetric completion problem, and the same from its upper triangle alone."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((size, rank))
    error = np.triu(noise * rng.standard_normal((size, size)))
    matrix = z @ z.T + error + np.triu(error, 1).T
    upper = np.triu(rng.random((size, size)) < share)
    both = [np.where(mask, matrix, np.nan) for mask in (upper | upper.T, upper)]
    return [rw.Completion.from_dense(one) for one in both]


def test_mirrored_observations_count_once():
    for problem in mirrored(6, 20, 0.42, 2):
        solution = rw.solve(problem, rw.Greedy(rw.Symmetric()))
        assert solution.result is RESULTS.underdetermined
        assert degrees_of_freedom(solution.rank, problem.shape, symmetric=True) < problem.distinct(symmetric=True)


def test_mirrored_observations_are_held_out_together():
    both, _ = mirrored(2, 40, 0.5, 0, noise=0.3)
    kept, held = both.split(0.1, 0, symmetric=True)
    assert kept.size + held.size == both.size
    seen = set(zip(kept.rows, kept.cols, strict=True))
    assert not any((j, i) in seen for i, j in zip(held.rows, held.cols, strict=True))
    for key in range(3):
        assert rw.solve(both, rw.Greedy(rw.Symmetric(), holdout=0.1), key=key).rank == 2


def test_a_fit_cut_short_is_said_to_be():
    problem = rw.observe(TRUTH, 700, key=1)
    short = rw.solve(problem, rw.Greedy(inner="gradient", inner_steps=50))
    assert (short.result, short.rank) == (RESULTS.inner_limit, 1)
    assert rw.solve(problem, rw.Greedy(inner_steps=500)).result is RESULTS.explained


@pytest.mark.parametrize("scale", [1.0, 1e150])
def test_steps_too_large_are_said_to_diverge(scale):
    problem = rw.observe(rw.low_rank((20, 15), 2, key=0), 200, key=1)
    large = rw.Greedy(inner="gradient", inner_rate=2.5, inner_steps=5000, epsilon=1e-10 * scale)
    run = rw.solve(problem.replace(values=problem.values * scale), large, max_steps=4)
    assert (run.result, run.rank) == (RESULTS.diverging_norm, 1)
    assert np.isfinite(run.matrix.dense()).all()


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_an_infimum_that_no_matrix_attains_is_said_to_diverge(scale):
    # Rank one comes as near as it likes with a corner that grows without end; a ridge holds it, rank two needs none.
    cross = np.zeros((6, 6))
    cross[0], cross[:, 0], cross[0, 0] = scale, scale, np.nan
    cross[1, 1] = 1e-9 * scale  # of the two leading pairs, else alike, the one that has both arms leads
    problem = rw.Completion.from_dense(cross)
    for most in (1, None):
        run = rw.solve(problem, rw.Greedy(max_rank=most))
        assert (run.result, run.rank) == (RESULTS.diverging_norm, 1)
    assert rw.solve(problem, rw.Greedy(norm_limit=1e4)).result is RESULTS.explained
    held = rw.solve(problem, rw.Greedy(max_rank=1, ridge=0.1 * scale))
    assert held.result is RESULTS.max_rank
    assert np.max(np.abs(held.matrix.dense())) < 10 * scale


def test_precision_follows_the_data():
    problem = rw.observe(TRUTH, 700, key=1, dtype=np.float32)
    assert rw.solve(problem, rw.Greedy()).matrix.dtype == np.float32


@pytest.mark.parametrize("inner", ["newton", "gradient"])
def test_a_symmetric_matrix_is_found_from_either_triangle(inner):
    problem = mirrored(1, 8, 0.8, 4)[1]
    solution = rw.solve(problem, rw.Greedy(rw.Symmetric(), inner=inner, tolerance=1e-7))
    assert (solution.result, solution.rank) == (RESULTS.explained, 1)


def test_the_ridge_of_gradient_steps_is_that_of_newton():
    problem = rw.Completion.from_dense(np.diag([3.0, 1.0]))
    fits = [rw.solve(problem, rw.Greedy(ridge=0.5, inner=inner, inner_rate=0.2)) for inner in ("newton", "gradient")]
    for fit in fits:
        np.testing.assert_allclose(fit.matrix, np.diag([2.5, 0.5]), atol=1e-4)


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
    assert repr(grown.state[0].path) == repr(path[:-1])
    assert (grown.rank, chosen.history["rank"][-1]) == (path[-2].rank, 3)
    assert (grown.result, grown.steps) == (RESULTS.holdout_stopped, chosen.steps - 1)


def test_too_few_observations_are_said_to_be_too_few():
    solution = rw.solve(rw.observe(TRUTH, 70, key=9), rw.Greedy())
    assert solution.result is RESULTS.underdetermined
    assert degrees_of_freedom(solution.rank, (40, 30)) < 70


def test_leading_pair_is_the_same_by_both_routes(monkeypatch):
    problem = rw.observe(TRUTH, 500, key=10)
    dense = leading_pair(problem, -problem.values, symmetric=False)
    monkeypatch.setattr("rankwise.solvers.growth.DENSE_ENTRIES", 0)
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
        ({"norm_limit": 0.0}, "norm_limit must be"),
        ({"holdout": 1.0}, "holdout must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        rw.Greedy(**arguments)


@pytest.mark.parametrize(
    "settings",
    [{"noise": [1.0]}, {"noise": True}, {"tolerance": "a"}, {"ridge": "a"}, {"holdout": None}, {"ladder": 3}],
)
def test_settings_that_are_no_numbers_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        rw.Greedy(**settings)


@pytest.mark.parametrize("noise", [0.02, "estimate"])
@pytest.mark.parametrize("same", [False, True])
def test_readings_with_noise_of_their_own_count_each(same, noise):
    # An entry and its mirror image say the same of the truth, but not of the noise, unless they hold the same number.
    rng = np.random.default_rng(0)
    z, upper = rng.standard_normal((40, 3)), np.triu(rng.random((40, 40)) < 0.5)
    noisy = 0.02 * rng.standard_normal((40, 40))
    noisy = np.triu(noisy) + np.triu(noisy, 1).T if same else noisy
    problem = rw.Completion.from_dense(np.where(upper | upper.T, z @ z.T + noisy, np.nan))
    run = rw.solve(problem, rw.Greedy(rw.Symmetric(), noise=noise))
    assert (run.rank, run.result) == (3, RESULTS.noise_level)
