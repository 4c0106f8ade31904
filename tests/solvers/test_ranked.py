"""Methods at one rank at a time: growth, verdicts, extremes and continuing, the same laws for every one of them."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers import SOLVERS
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.ranked import Ranked, best_step

TRUTH = rw.low_rank((40, 30), 3, key=0, kappa=2)
PROBLEM = rw.observe(TRUTH, 800, key=1, min_degree=6)
# ScaledGD stands for the base class; the second-order and Riemannian methods are held to the same laws.
NAMES = ("scaled_gd", "gauss_newton", "r2rils", "riemannian_cg")

RANKED = {each for each in SOLVERS.values() if issubclass(each, Ranked)}


@pytest.fixture(params=NAMES)
def method(request):
    assert issubclass(SOLVERS[request.param], Ranked)
    return SOLVERS[request.param]


@pytest.mark.parametrize("rank", [3, None])
def test_recovers_an_easy_matrix(method, rank):
    solution = rw.solve(PROBLEM, method(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 3)
    assert relative_error(solution.matrix, TRUTH) < 1e-6
    assert solution.history["rank"][0] == (rank or 1)
    assert (np.diff(solution.history["rank"]) >= 0).all()


def test_recovers_from_sensors(method):
    truth = rw.low_rank((15, 12), 2, key=3)
    solution = rw.solve(rw.sense(truth, 160, key=4), method(rank=2))
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, truth) < 1e-6


@pytest.mark.parametrize("rank", [3, None])
def test_goes_on_from_a_state_to_the_same_bits(method, rank):
    whole = rw.solve(PROBLEM, method(rank=rank), max_steps=9)
    part = rw.solve(PROBLEM, method(rank=rank), max_steps=4)
    rest = rw.solve(PROBLEM, method(rank=rank), max_steps=9, state=part.state)
    np.testing.assert_array_equal(whole.matrix.left, rest.matrix.left)
    np.testing.assert_array_equal(whole.matrix.right, rest.matrix.right)
    assert whole.steps == rest.steps


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_size_of_the_values_does_not_matter(method, size):
    scaled = rw.solve(PROBLEM.replace(values=PROBLEM.values * size), method(rank=3))
    assert scaled.result is RESULTS.explained
    np.testing.assert_allclose(scaled.matrix.dense() / size, TRUTH.dense(), atol=1e-6)


def test_the_scale_of_the_loss_does_not_matter(method):
    first, second = (rw.solve(PROBLEM.replace(scale=s), method(), max_steps=8).matrix for s in (1.0, 1e-3))
    np.testing.assert_array_equal(first.left, second.left)


def test_the_transposed_problem_has_the_transposed_answer(method):
    truth = rw.low_rank((25, 20), 2, key=5)
    problem = rw.observe(truth, 350, key=6, min_degree=5)
    mirrored = rw.Completion((20, 25), problem.cols, problem.rows, problem.values)
    matrix, flipped = (rw.solve(one, method(rank=2)).matrix for one in (problem, mirrored))
    np.testing.assert_allclose(flipped.dense().T, matrix.dense(), atol=1e-7)


@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize("shape", [(1, 6), (5, 4), (250, 200)])
def test_zeros_are_explained_by_rank_zero(method, rank, shape):
    rank = rank and min(rank, *shape)
    solution = rw.solve(rw.Completion.from_dense(np.zeros(shape)), method(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 0)


@pytest.mark.parametrize("rank", [1, None])
def test_rank_one(method, rank):
    truth = rw.low_rank((20, 12), 1, key=7)
    solution = rw.solve(rw.observe(truth, 200, key=8, min_degree=6), method(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 1)
    assert relative_error(solution.matrix, truth) < 1e-6


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[1.0, np.nan, 3.0]], RESULTS.underdetermined),
        ([[np.nan, np.nan], [2.0, np.nan]], RESULTS.underdetermined),
        ([[1.0], [2.0], [np.nan]], RESULTS.underdetermined),
        ([[1.0, 2.0], [3.0, 5.0]], RESULTS.explained),
        ([[1.0, 2.0, np.nan], [2.0, 4.0, np.nan], [3.0, np.nan, np.nan]], RESULTS.underdetermined),
    ],
)
def test_extremes_end_with_a_word(method, table, expected):
    solution = rw.solve(rw.Completion.from_dense(np.asarray(table)), method())
    assert solution.result is expected
    assert np.isfinite(solution.matrix.dense()).all()


@pytest.mark.parametrize("rank", [2, None])
def test_too_few_observations_are_named_however_the_fit_ends(method, rank):
    # 25 entries: rank one has 39 parameters. Some fits of them run away, others are exact.
    problem = rw.observe(rw.low_rank((20, 20), 2, key=0), 25, key=1)
    assert rw.solve(problem, method(rank=rank)).result is RESULTS.underdetermined


@pytest.mark.parametrize("rank", [1, None])
@pytest.mark.parametrize("kind", sorted(RANKED - {rw.IterativeSVD}, key=str))
def test_nothing_fits_better_than_zero(kind, rank):
    problem = rw.Sensing(np.stack([np.eye(3), np.eye(3)]), [1.0, -1.0])
    solution = rw.solve(problem, kind(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.converged, 0)


def test_noise_is_not_fitted(method):
    problem = rw.observe(TRUTH, 900, key=1, min_degree=5, noise=0.1)
    solution = rw.solve(problem, method(noise=0.1))
    assert (solution.result, solution.rank) == (RESULTS.noise_level, 3)
    best = fit_factors(problem, solution.matrix.left, solution.matrix.right, stationary=1e-12)
    assert problem.loss(solution.matrix) < 1.001 * best.residual_norm**2 / 2


def test_a_rank_too_low_is_flat(method):
    assert rw.solve(PROBLEM, method(rank=1)).result is RESULTS.flat


def test_the_rank_limit_is_said_and_can_be_raised(method):
    limited = rw.solve(PROBLEM, method(max_rank=2))
    assert (limited.result, limited.rank) == (RESULTS.max_rank, 2)
    further = rw.solve(PROBLEM, method(), state=limited.state)
    assert (further.result, further.rank) == (RESULTS.explained, 3)


def test_a_rank_above_the_smaller_side_is_refused(method):
    with pytest.raises(ValueError, match="rank must be at most 30, the smaller side, not 31"):
        rw.solve(PROBLEM, method(rank=31))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("rank", 0), ("max_rank", 1.5), ("patience", 0), ("tolerance", -1.0), ("noise", -0.1), ("norm_limit", 0.0)],
)
def test_bad_settings_are_named(method, setting, value):
    with pytest.raises(ValueError, match=setting):
        method(**{setting: value})


def test_the_exact_step_is_the_best_of_a_fine_grid():
    rng = np.random.default_rng(0)
    matrix = LowRank(rng.standard_normal((40, 2)), rng.standard_normal((30, 2)))
    gradient = PROBLEM.gradient(matrix)
    move = LowRank(-gradient @ matrix.right, -gradient.T @ matrix.left)

    def loss(t):
        return PROBLEM.loss(LowRank(matrix.left + t * move.left, matrix.right + t * move.right))

    best = best_step(PROBLEM, matrix, move, PROBLEM.residual(matrix))
    assert best > 0
    assert loss(best) <= min(loss(t) for t in np.linspace(0, 3 * best, 301)) * (1 + 1e-12)


def test_the_exact_step_stays_where_nothing_ahead_is_lower():
    rng = np.random.default_rng(0)
    matrix = LowRank(rng.standard_normal((40, 2)), rng.standard_normal((30, 2)))
    gradient = PROBLEM.gradient(matrix)
    uphill = LowRank(1e-6 * gradient @ matrix.right, 1e-6 * gradient.T @ matrix.left)
    residual = PROBLEM.residual(matrix)
    best = best_step(PROBLEM, matrix, uphill, residual)
    moved = LowRank(matrix.left + best * uphill.left, matrix.right + best * uphill.right)
    assert PROBLEM.loss(moved) <= PROBLEM.loss(matrix)
