"""Gauss-Newton: its least-squares steps against dense algebra, its variants, and quadratic convergence."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.gauss_newton import GaussNewton, least_norm, linearized, tangent_step

TRUTH = rw.low_rank((30, 24), 2, key=0, kappa=10)
PROBLEM = rw.observe(TRUTH, 550, key=1, min_degree=4)
VARIANTS = ("balanced", "setting", "averaging", "updating")


def somewhere(seed=2):
    rng = np.random.default_rng(seed)
    return LowRank(rng.standard_normal((30, 2)), rng.standard_normal((24, 2)))


@pytest.mark.parametrize("problem", [PROBLEM, rw.sense(TRUTH, 200, key=3)], ids=["completion", "sensing"])
def test_a_step_is_the_least_squares_solution_of_least_norm(problem):
    at = somewhere()
    residual = problem.residual(at)
    jacobian = problem.factor_jacobian(at.left, at.right)
    dense = jacobian if isinstance(jacobian, np.ndarray) else jacobian.toarray()
    expected = scipy.linalg.lstsq(dense, -residual, cond=1e-10)[0].reshape(54, 2)
    found = least_norm(at, tangent_step(problem, at, residual, 2000, 1e-15))
    np.testing.assert_allclose(found.left, expected[:30], atol=1e-8)
    np.testing.assert_allclose(found.right, expected[30:], atol=1e-8)


def test_what_no_observation_sees_does_not_move():
    table = TRUTH.dense()
    table[4], table[:, 7] = np.nan, np.nan
    problem = rw.Completion.from_dense(table)
    at = somewhere()
    found = tangent_step(problem, at, problem.residual(at), 500, 1e-12)
    assert np.isfinite(found.left).all()
    assert (found.left[4] == 0).all()
    assert (found.right[7] == 0).all()


def test_least_norm_changes_no_matrix_to_first_order():
    at, move = somewhere(2), somewhere(3)
    least = least_norm(at, move)
    np.testing.assert_allclose(linearized(at, least).dense(), linearized(at, move).dense(), atol=1e-10)
    # Orthogonal to every change of basis (left K, -right K^T).
    np.testing.assert_allclose(at.left.T @ least.left, least.right.T @ at.right, atol=1e-10)


def test_least_norm_is_exact_where_singular_values_lie_far_apart():
    # Squared, 1e-6 vanishes beside 1e6: Gram matrices would divide by what rounding leaves of it.
    turned = np.diag([1e6, 1e-6]) @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    at, move = LowRank(somewhere(2).left @ turned, somewhere(2).right @ turned), somewhere(3)
    least = least_norm(at, move)
    assert np.linalg.norm(least.left) < np.linalg.norm(move.left)
    np.testing.assert_allclose(at.left.T @ least.left, least.right.T @ at.right, atol=1e-14 * 1e6 * 30)


def test_on_balanced_factors_the_variants_take_the_same_step():
    start = TRUTH.truncate(2)
    first = [GaussNewton(rank=2, variant=v).iterate(PROBLEM, start, start)[0].dense() for v in VARIANTS]
    for other in first[1:]:
        np.testing.assert_allclose(other, first[0], atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_recovers(variant):
    solution = rw.solve(PROBLEM, GaussNewton(rank=2, variant=variant))
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, TRUTH) < 1e-6


@pytest.mark.parametrize("variant", ["balanced", "averaging", "updating"])
def test_convergence_is_quadratic_near_the_solution(variant):
    solver = GaussNewton(rank=2, variant=variant, tolerance=1e-14, inner_steps=2000, accuracy=1e-12)
    residual = rw.solve(PROBLEM, solver).history["train_rmse"]
    near = np.flatnonzero((residual < 1e-3) & (residual > 1e-8))
    assert len(near)
    assert (residual[near + 1] < np.maximum(500 * residual[near] ** 2, 1e-13)).all()


def test_five_decades_of_singular_values():
    truth = rw.low_rank((60, 60), 4, key=1, kappa=1e5)
    problem = rw.observe(truth, 1100, key=2, min_degree=6)
    solution = rw.solve(problem, GaussNewton(rank=4))
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, truth) < 1e-8


def test_factors_that_run_away_end_in_a_word():
    truth = rw.low_rank((100, 100), 5, key=0, kappa=10)
    problem = rw.observe(truth, 1462, key=1000, min_degree=6)
    solution = rw.solve(problem, GaussNewton(rank=5, variant="updating"), max_steps=60)
    assert solution.result in (RESULTS.max_steps, RESULTS.diverging_norm, RESULTS.non_finite)
    assert np.isfinite(np.asarray(solution.matrix)).all()


def test_a_decomposition_that_fails_is_a_result_at_the_last_matrix():
    solver = GaussNewton(rank=2)
    before = solver.step(PROBLEM, solver.init(PROBLEM, 0))
    broken = replace(before, memory=LowRank(before.memory.left * np.nan, before.memory.right))
    after = solver.step(PROBLEM, broken)
    assert solver.outcome(PROBLEM, after) is RESULTS.non_finite
    np.testing.assert_array_equal(after.matrix.dense(), before.matrix.dense())


@pytest.mark.parametrize(
    ("settings", "name"), [({"variant": "halving"}, "variant"), ({"inner_steps": 0}, "inner_steps"),
                           ({"accuracy": 0.0}, "accuracy")]
)  # fmt: skip
def test_bad_settings_are_named(settings, name):
    with pytest.raises(ValueError, match=name):
        GaussNewton(**settings)


@pytest.mark.parametrize("solver", [rw.GaussNewton(rank=1), rw.R2RILS(rank=1)], ids=["gauss_newton", "r2rils"])
def test_the_unit_of_the_sensors_does_not_matter(solver):
    problem = rw.sense(rw.low_rank((5, 4), 1, key=0), 14, key=1)
    plain, small = (rw.solve(problem.replace(sensors=problem.sensors * unit), solver) for unit in (1.0, 1e-40))
    assert (small.result, small.steps) == (RESULTS.explained, plain.steps)
