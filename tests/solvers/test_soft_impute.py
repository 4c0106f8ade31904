"""SoftImpute: agreement with the convex solver, its path, the held-out choice, limits, refusals."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers import NuclearNorm, SoftImpute
from rankwise.solvers.factor_newton import FactorPoint, refine_penalized
from rankwise.solvers.penalized import threshold

TRUTH = rw.low_rank((50, 40), 3, key=0)
NOISY = rw.observe(TRUTH, 1000, key=1, noise=0.2)


@pytest.mark.parametrize("weight", [6.0, 0.5])
@pytest.mark.parametrize("problem", [NOISY, NOISY.mean()], ids=["half_sum", "mean"])
def test_agrees_with_the_convex_solver(problem, weight):
    weight = weight * problem.scale
    path = rw.solve(problem, SoftImpute(weight=weight, weights=5, gap=1e-11))
    convex = rw.solve(problem, NuclearNorm(weight=weight, gap=1e-11))
    assert (path.result, convex.result) == (RESULTS.optimal, RESULTS.optimal)
    assert relative_error(path.matrix, np.asarray(convex.matrix)) < 1e-6
    assert path.history["nuclear_norm"][-1] == pytest.approx(rw.measures.nuclear_norm(convex.matrix), rel=1e-7)


def test_the_path_starts_at_zero_and_is_monotone():
    solution = rw.solve(NOISY, SoftImpute(weight=0.5, weights=12, path_gap=1e-9))
    first = float(np.linalg.norm(NOISY.adjoint(NOISY.values), 2))
    path = solution.history
    assert path["weight"][1] == pytest.approx(first)
    assert (path["rank"][0], path["rank"][1]) == (0, 0)
    assert solution.steps == 12
    assert (np.diff(path["nuclear_norm"]) >= -1e-6).all()
    assert (np.diff(path["train_rmse"]) <= 1e-9).all()
    assert (np.diff(path["rank"]) >= 0).all()
    assert path["rank"][-1] > path["rank"][2] > 0
    just_below = rw.solve(NOISY, SoftImpute(weights=(0.99 * first,), gap=1e-9))
    assert just_below.rank == 1


def test_full_observation_is_one_threshold():
    matrix = np.random.default_rng(0).standard_normal((7, 5))
    solution = rw.solve(rw.Completion.from_dense(matrix), SoftImpute(weights=(0.7,), gap=1e-12))
    np.testing.assert_allclose(np.asarray(solution.matrix), rw.Nuclear(0.7).prox(matrix, 1.0), atol=1e-6)


def test_a_threshold_on_the_whole_space_is_the_proximal_step():
    rng = np.random.default_rng(1)
    sparse = rw.observe(rng.standard_normal((9, 6)), 20, key=2)
    low = rw.LowRank(rng.standard_normal((9, 2)), rng.standard_normal((6, 2)))
    found, basis = threshold(sparse.adjoint_operator(sparse.values), low, 0.8, np.eye(6))
    whole = sparse.adjoint(sparse.values) + low.dense()
    np.testing.assert_allclose(found.dense(), rw.Nuclear(1.0).prox(whole, 0.8), atol=1e-12)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)


def test_sparse_arithmetic_gives_the_same(monkeypatch):
    dense = rw.solve(NOISY, SoftImpute(weight=2.0, weights=4, gap=1e-10))
    monkeypatch.setattr("rankwise.solvers.growth.DENSE_ENTRIES", 0)
    sparse = rw.solve(NOISY, SoftImpute(weight=2.0, weights=4, gap=1e-10))
    assert relative_error(sparse.matrix, np.asarray(dense.matrix)) < 1e-5


def test_held_out_error_chooses_the_weight():
    solution = rw.solve(NOISY, SoftImpute(holdout=0.1), key=0)
    path = solution.state[0].path
    assert solution.result is RESULTS.holdout_stopped
    best = min(path, key=lambda fit: fit.holdout_rmse if np.isfinite(fit.holdout_rmse) else np.inf)
    kept = solution.state[0].kept.size
    assert solution.history["weight"][-1] == pytest.approx(best.weight * NOISY.size / kept)
    assert relative_error(solution.matrix, TRUTH) < 0.5 * relative_error(rw.LowRank.zeros((50, 40)), TRUTH)


def test_a_state_continues_to_the_same_bits():
    solver = SoftImpute(weight=1.0, weights=6, holdout=0.1)
    whole = rw.solve(NOISY, solver, key=3)
    part = rw.solve(NOISY, solver, key=3, max_steps=3)
    again = rw.solve(NOISY, solver, state=part.state)
    np.testing.assert_array_equal(np.asarray(again.matrix), np.asarray(whole.matrix))
    assert again.steps == whole.steps > 3


def test_small_sparse_tables_end_at_the_gap():
    few = rw.observe(rw.low_rank((12, 12), 3, key=0), 21, key=0)
    solution = rw.solve(few, SoftImpute(weights=6, inner_steps=2000))
    assert solution.result is RESULTS.optimal
    assert solution.history["gap"][-1] <= 1e-8


def test_newton_refines_to_a_stationary_point():
    problem = NOISY.replace(values=NOISY.values / np.std(NOISY.values))
    start = rw.solve(problem, SoftImpute(weight=0.3, weights=4, gap=1e-3)).matrix
    found, products = refine_penalized(problem, 0.3, start, 1e-10, 5000)
    slope = problem.gradient(found)
    assert 0 < products < 2000
    np.testing.assert_allclose(slope @ found.right, -0.3 * found.left, atol=1e-8)
    np.testing.assert_allclose(slope.T @ found.left, -0.3 * found.right, atol=1e-8)
    np.testing.assert_allclose(found.left.T @ found.left, found.right.T @ found.right, atol=1e-8)


def test_the_second_derivative_agrees_with_differences():
    rng = np.random.default_rng(4)
    factors, move = rng.standard_normal((90, 3)), rng.standard_normal((90, 3))

    def at(step):
        return FactorPoint.at(NOISY, 0.7, rw.LowRank(*np.split(factors + step * move, [50])))

    difference = (at(1e-5).slope - at(-1e-5).slope) / 2e-5
    np.testing.assert_allclose(at(0.0).product(move), difference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [5e-324, 1e-320, 1.7e308])
def test_the_ends_of_the_floats(value):
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(6, 6))
    table = np.where(np.eye(6, dtype=bool), np.nan, value * signs)
    solution = rw.solve(rw.Completion.from_dense(table), SoftImpute())
    assert solution.result is RESULTS.optimal
    assert np.isfinite(solution.matrix.left).all()
    assert np.isfinite(solution.matrix.right).all()


def test_nothing_may_be_the_best_choice():
    noise = rw.Completion.from_dense(np.random.default_rng(0).standard_normal((20, 20)))
    solution = rw.solve(noise, SoftImpute(holdout=0.2))
    assert (solution.result, solution.rank) == (RESULTS.holdout_stopped, 0)


@pytest.mark.parametrize("size", [2.0**-500, 2.0**500])
def test_scale_of_the_values_does_not_matter(size):
    scaled = rw.solve(NOISY.replace(values=NOISY.values * size), SoftImpute(weights=(4.0 * size, 2.0 * size)))
    plain = rw.solve(NOISY, SoftImpute(weights=(4.0, 2.0)))
    np.testing.assert_allclose(np.asarray(scaled.matrix) / size, np.asarray(plain.matrix), rtol=1e-12)


def test_precision_follows_the_data():
    solution = rw.solve(NOISY.replace(values=NOISY.values.astype(np.float32)), SoftImpute(weight=2.0, weights=3))
    assert (solution.result, solution.matrix.dtype) == (RESULTS.optimal, np.float32)


@pytest.mark.parametrize(
    ("table", "result"),
    [
        (np.zeros((3, 4)), RESULTS.explained),
        ([[1.0, np.nan, 2.0]], RESULTS.optimal),
        ([[np.nan, 3.0], [np.nan, np.nan]], RESULTS.optimal),
        (np.eye(3), RESULTS.optimal),
    ],
)
def test_smallest_cases(table, result):
    solution = rw.solve(rw.Completion.from_dense(np.asarray(table, float)), SoftImpute())
    assert solution.result is result
    assert np.isfinite(np.asarray(solution.matrix)).all()


def test_too_few_thresholdings_are_said_to_be():
    solution = rw.solve(NOISY, SoftImpute(weight=0.05, weights=2, inner_steps=3))
    assert solution.result is RESULTS.inner_limit
    assert solution.history["gap"][-1] > 1e-8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weight": 0.0}, "weight must be"),
        ({"weights": 0}, "weights must be an integer"),
        ({"weights": 10**400}, "weights must be at most"),
        ({"weights": np.array(2.0)}, "weights must be an integer"),
        ({"weights": (2.0, 1j)}, "weights must be a number"),
        ({"weights": (1.0, 2.0)}, "descending"),
        ({"weights": (2.0, 1.0), "weight": 1.0}, "not both"),
        ({"holdout": 1.0}, "holdout must be"),
        ({"gap": 0.0}, "gap must be"),
        ({"patience": 0}, "patience must be"),
    ],
)
def test_refused_settings(arguments, words):
    with pytest.raises(ValueError, match=words):
        SoftImpute(**arguments)


def test_other_problems_are_refused():
    with pytest.raises(ValueError, match="cannot take a Sensing"):
        rw.solve(rw.sense(TRUTH, 50, key=0), SoftImpute())
