"""Nuclear norm minimization: known minimizers, another solver's answers, gaps that bound, limits, refusals."""

import warnings

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers import NuclearNorm
from rankwise.solvers.anderson import Anderson
from rankwise.solvers.data_term import DataTerm
from rankwise.solvers.nuclear_parts import SoftThreshold, best_multiple

TRUTH = rw.low_rank((14, 11), 2, key=0)
PARTIAL = rw.observe(TRUTH, 80, key=1)
NOISY = rw.observe(TRUTH, 110, key=2, noise=0.2)
SQUARE = rw.low_rank((8, 8), 2, key=3, symmetric=True)


def counterexample(r):
    """The 4 x 4 problem of Li, Luo, Lyu 2021 on which greedy learning and the nuclear norm disagree."""
    rows, cols, values = [0, 0, 1, 2, 3, 2], [2, 3, 2, 0, 0, 1], [1, r, r, 1, r, r]
    return rw.Completion((4, 4), rows, cols, np.asarray(values, float))


def by_cvxpy(problem, solver):
    """The least objective and a minimizer according to cvxpy with Clarabel, an interior point method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cvxpy as cp

        unknown = cp.Variable(problem.shape, PSD=True) if solver.semidefinite else cp.Variable(problem.shape)
        if isinstance(problem, rw.Completion):
            misfit = unknown[problem.rows, problem.cols] - problem.values
        else:
            misfit = problem.sensors.reshape(problem.size, -1) @ cp.vec(unknown, order="C") - problem.values
        objective, constraints = cp.normNuc(unknown), []
        if solver.weight is not None:
            objective = solver.weight * objective + problem.scale / 2 * cp.sum_squares(misfit)
        else:
            constraints.append(cp.norm(misfit) <= solver.delta if solver.delta else misfit == 0)
        for side, bound in zip((1, -1), solver.bounds or (-np.inf, np.inf), strict=True):
            if np.isfinite(bound):
                constraints.append(side * unknown >= side * bound)
        least = cp.Problem(cp.Minimize(objective), constraints).solve(solver=cp.CLARABEL)
    return least, np.asarray(unknown.value)


@pytest.mark.parametrize(
    ("problem", "solver"),
    [
        (PARTIAL, NuclearNorm()),
        (NOISY, NuclearNorm(delta=2.0)),
        (NOISY.mean(), NuclearNorm(weight=0.05)),
        (NOISY, NuclearNorm(delta=2.5, bounds=(-2.0, 2.0))),
        (NOISY, NuclearNorm(weight=0.5, bounds=(0.0, np.inf))),
        (rw.observe(SQUARE, 30, key=4), NuclearNorm(semidefinite=True)),
        (rw.sense(TRUTH, 40, key=5), NuclearNorm()),
        (rw.sense(TRUTH, 60, key=6, noise=0.1), NuclearNorm(delta=0.8, bounds=(-1.0, 1.0))),
        (rw.sense(SQUARE, 20, key=7), NuclearNorm(semidefinite=True, weight=0.1)),
    ],
    ids=[
        "exact", "constrained", "penalized", "constrained-bounds", "penalized-bounds", "semidefinite",
        "sensing", "sensing-constrained-bounds", "sensing-semidefinite-penalized",
    ],
)  # fmt: skip
def test_agrees_with_an_interior_point_method(problem, solver):
    solution = rw.solve(problem, solver)
    least, minimizer = by_cvxpy(problem, solver)
    assert solution.result is RESULTS.optimal
    assert solution.history["primal"][-1] == pytest.approx(least, rel=1e-6)
    np.testing.assert_allclose(np.asarray(solution.matrix), minimizer, atol=2e-4)


@pytest.mark.parametrize("r", [2.0, 3.0])
def test_the_counterexample_has_nuclear_norm_4r(r):
    norm = np.array([[r, 1, 1, r], [1, r, r, 1], [1, r, r, 1], [r, 1, 1, r]])
    solution = rw.solve(counterexample(r), NuclearNorm(semidefinite=True, gap=1e-10))
    assert rw.measures.nuclear_norm(solution.matrix) == pytest.approx(4 * r, rel=1e-8)
    assert solution.history["dual"][-1] == pytest.approx(4 * r, rel=1e-8)
    np.testing.assert_allclose(np.asarray(solution.matrix), norm, atol=1e-4)


def test_enough_observations_recover_the_truth():
    truth = rw.low_rank((60, 50), 2, key=0)
    solution = rw.solve(rw.observe(truth, 1500, key=1, min_degree=8), NuclearNorm())
    assert (solution.result, solution.rank) == (RESULTS.optimal, 2)
    assert relative_error(solution.matrix, truth) < 1e-6


def test_every_dual_value_lies_below_the_least_objective():
    for solver in (NuclearNorm(gap=1e-11), NuclearNorm(weight=1.0, gap=1e-11), NuclearNorm(delta=1.0, gap=1e-11)):
        solution = rw.solve(NOISY, solver)
        least = solution.history["primal"][-1]
        assert (solution.history["dual"] <= least * (1 + 1e-10)).all()
        assert solution.history["dual"][0] < 0.999 * least


def test_a_penalty_on_every_entry_is_soft_thresholding():
    matrix = np.random.default_rng(0).standard_normal((7, 5))
    solution = rw.solve(rw.Completion.from_dense(matrix), NuclearNorm(weight=0.7, gap=1e-12))
    np.testing.assert_allclose(np.asarray(solution.matrix), rw.Nuclear(0.7).prox(matrix, 1.0), atol=1e-6)


def test_bounds_hold():
    solution = rw.solve(NOISY, NuclearNorm(weight=0.5, bounds=(-0.3, 0.4), gap=1e-9))
    entries = np.asarray(solution.matrix)
    assert entries.min() >= -0.3 - 1e-6
    assert entries.max() <= 0.4 + 1e-6


def test_the_threshold_is_the_proximal_step():
    matrix = np.random.default_rng(1).standard_normal((4, 6))
    expected = rw.Nuclear(1.0).prox(matrix, 0.8)
    np.testing.assert_allclose(SoftThreshold.of(matrix, 0.8, False).low_rank().dense(), expected, atol=1e-12)
    np.testing.assert_allclose(SoftThreshold.of(matrix.T, 0.8, False).low_rank().dense(), expected.T, atol=1e-12)
    halves = SoftThreshold.of(np.diag([3.0, -3.0, 0.5]), 1.0, True).low_rank()
    np.testing.assert_allclose(halves.dense(), np.diag([2.0, 0.0, 0.0]), atol=1e-12)


@pytest.mark.parametrize(("radius", "curvature"), [(0.0, None), (0.3, None), (0.0, 2.0)])
def test_the_data_term_steps_to_its_own_subgradient(radius, curvature):
    problem = rw.sense(TRUTH, 12, key=0)
    term = DataTerm.of(problem, radius, curvature)
    start = np.random.default_rng(2).standard_normal(TRUTH.shape)
    fitted, multipliers = term.prox(start, 0.7)
    np.testing.assert_allclose(fitted, start - 0.7 * problem.adjoint(multipliers), atol=1e-12)
    residual = problem.residual(fitted)
    if curvature is not None:
        np.testing.assert_allclose(multipliers, curvature * residual, atol=1e-12)
    else:
        assert np.linalg.norm(residual) == pytest.approx(radius, abs=1e-10)
    # Fenchel's equality: h(W) + h*(lambda) = <lambda, measure(W)> at a subgradient.
    linear, square = term.conjugate(multipliers)
    assert term.value(residual) + linear + square / 2 == pytest.approx(multipliers @ problem.measure(fitted), abs=1e-9)


def test_acceleration_solves_a_linear_iteration_in_as_many_steps_as_it_has_modes():
    rates = np.array([0.2, 0.9, 0.99])
    point, history = np.ones(3), Anderson(5)
    for _ in range(5):
        point, history = history.propose(point, rates * point)
    assert np.abs(point).max() < 1e-6


def test_acceleration_falls_back_to_the_plain_step_where_residuals_rise():
    _, history = Anderson(5).propose(np.zeros(2), np.array([1.0, 0.0]))
    point, history = history.propose(np.array([9.0, 0.0]), np.array([0.0, 9.0]))
    np.testing.assert_array_equal(point, [1.0, 0.0])
    assert history.residual is None


def test_the_best_multiple():
    assert best_multiple(3.0, 2.0, 0.1) == pytest.approx(9 / 4)
    assert best_multiple(3.0, 2.0, 1.0) == pytest.approx(2.0)
    assert best_multiple(-1.0, 0.0, 1.0) == 0.0
    assert best_multiple(3.0, 0.0, 2.0) == pytest.approx(1.5)


@pytest.mark.parametrize("form", [{}, {"weight": 0.1}])
@pytest.mark.parametrize("size", [1e-200, 1e-20, 1e20, 1e200])
def test_scale_of_the_values_does_not_matter(size, form):
    units = {name: size * number for name, number in form.items()}
    solution = rw.solve(PARTIAL.replace(values=PARTIAL.values * size), NuclearNorm(**units))
    reference = rw.solve(PARTIAL, NuclearNorm(**form))
    assert solution.steps == reference.steps
    np.testing.assert_allclose(np.asarray(solution.matrix) / size, np.asarray(reference.matrix), rtol=1e-6, atol=1e-9)


def test_precision_follows_the_data():
    problem = rw.observe(TRUTH, 80, key=1, dtype=np.float32)
    solution = rw.solve(problem, NuclearNorm())
    assert solution.result is RESULTS.optimal
    assert solution.matrix.dtype == np.float32
    assert relative_error(solution.matrix, rw.solve(PARTIAL, NuclearNorm()).matrix) < 1e-4


@pytest.mark.parametrize(
    "table", [np.zeros((3, 4)), [[1.0, np.nan, 2.0]], [[np.nan, 3.0], [np.nan, np.nan]], np.eye(3)]
)
@pytest.mark.parametrize("solver", [NuclearNorm(), NuclearNorm(weight=0.1), NuclearNorm(delta=0.1)])
def test_smallest_cases(table, solver):
    solution = rw.solve(rw.Completion.from_dense(np.asarray(table, float)), solver)
    assert solution.result is RESULTS.optimal
    assert np.isfinite(np.asarray(solution.matrix)).all()
    # What no entry speaks of stays zero in the matrix of least norm.
    if not np.isfinite(table).all():
        assert np.abs(np.asarray(solution.matrix)[~np.isfinite(table)]).max() < 1e-6


def test_a_state_continues_to_the_same_bits():
    whole = rw.solve(PARTIAL, NuclearNorm())
    part = rw.solve(PARTIAL, NuclearNorm(), max_steps=3)
    again = rw.solve(PARTIAL, NuclearNorm(), state=part.state)
    np.testing.assert_array_equal(np.asarray(again.matrix), np.asarray(whole.matrix))
    assert again.steps == whole.steps > 3


def test_repeated_measurements_are_taken_once_and_contradictions_refused():
    sensed = rw.sense(TRUTH, 10, key=8)
    twice = rw.Sensing(np.tile(sensed.sensors, (2, 1, 1)), np.tile(sensed.values, 2))
    one, two = (rw.solve(problem, NuclearNorm(gap=1e-10)) for problem in (sensed, twice))
    np.testing.assert_allclose(np.asarray(one.matrix), np.asarray(two.matrix), atol=1e-6)
    crossed = twice.replace(values=np.append(sensed.values, sensed.values + 1))
    with pytest.raises(ValueError, match="contradict one another"):
        rw.solve(crossed, NuclearNorm())
    assert rw.solve(crossed, NuclearNorm(weight=0.1)).result is RESULTS.optimal


def test_newton_steps_end_a_run_of_many_splitting_steps():
    problem = rw.observe(rw.low_rank((60, 60), 4, key=0), 1000, key=1, min_degree=5)
    solution = rw.solve(problem, NuclearNorm())
    assert solution.result is RESULTS.optimal
    assert solution.steps <= 15
    assert solution.history["infeasibility"][-1] <= 1e-8
    # Every Newton step takes about one digit of the gap; ten splitting steps take half of one at best.
    assert (solution.history["gap"][-3:] < 0.3 * solution.history["gap"][-4:-1]).all()


@pytest.mark.parametrize("size", [1e-20, 1.0])
def test_values_rounded_to_single_precision_are_fitted(size):
    rounded = rw.observe(rw.low_rank((60, 50), 2, key=0), 900, key=1, min_degree=3, dtype=np.float32)
    problem = rounded.replace(values=rounded.values.astype(np.float64) * size)
    solution = rw.solve(problem, NuclearNorm(), max_steps=150)
    assert solution.result is RESULTS.optimal
    assert np.linalg.norm(problem.residual(solution.matrix)) <= 1e-8 * np.linalg.norm(problem.values)
    # Rounding errors are no matrix of rank 2.
    assert solution.rank > 10


@pytest.mark.parametrize("form", [{}, {"weight": 1e-3}, {"semidefinite": True}])
def test_a_matrix_seen_whole_is_found_whatever_its_rank(form):
    for seed in range(4):
        table = np.random.default_rng(seed).standard_normal((20, 20))
        table = table @ table.T if form.get("semidefinite") else table
        solution = rw.solve(rw.Completion.from_dense(table), NuclearNorm(**form), max_steps=60)
        assert solution.result is RESULTS.optimal
        assert relative_error(solution.matrix, table) < 2e-3


def test_bounds_tell_the_size_of_a_matrix_where_the_values_do_not():
    unseen = rw.solve(rw.Completion((3, 3), [0], [0], [0.0]), NuclearNorm(delta=2.0, bounds=(1.0, 5.0)))
    assert unseen.result is RESULTS.optimal
    np.testing.assert_allclose(np.asarray(unseen.matrix), 1.0, atol=1e-8)
    steps = np.eye(4)[:3] - np.eye(4)[1:]
    sensors = np.stack([np.outer(np.eye(4)[i], step) for i in range(4) for step in steps])
    level = rw.solve(rw.Sensing(sensors, np.zeros(12)), NuclearNorm(bounds=(250.0, 320.0)))
    assert level.result is RESULTS.optimal
    np.testing.assert_allclose(np.asarray(level.matrix), 250.0, rtol=1e-7)


def test_no_semidefinite_matrix_has_a_negative_diagonal():
    solution = rw.solve(rw.Completion.from_dense(-np.eye(3)), NuclearNorm(semidefinite=True), max_steps=50)
    assert solution.result is RESULTS.infeasible


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"delta": 1.0, "weight": 1.0}, "not both"),
        ({"delta": -1.0}, "delta must be"),
        ({"weight": 0.0}, "weight must be"),
        ({"gap": 0.0}, "gap must be"),
        ({"memory": 0}, "memory must be"),
        ({"bounds": (2.0, 1.0)}, "bounds must be two numbers"),
        ({"bounds": (np.inf, np.inf)}, "bounds must be two numbers"),
        ({"bounds": (1.0, 1.0)}, "bounds must be two numbers"),
        ({"bounds": 3}, "bounds must be two numbers"),
        ({"bounds": (1j, 2)}, "bounds must be two numbers"),
        ({"bounds": ("a", "b")}, "bounds must be two numbers"),
    ],
)
def test_refused_settings(arguments, words):
    with pytest.raises(ValueError, match=words):
        NuclearNorm(**arguments)


def test_a_ball_far_larger_than_the_values_is_no_trouble():
    # The fit of nothing lies within it: what the first assessment squares overflows.
    rng = np.random.default_rng(0)
    stars = rng.integers(1, 6, (60, 60)).astype(float)
    stars[rng.random(stars.shape) < 0.5] = np.nan
    problem = rw.Completion.from_dense(stars)
    solution = rw.solve(problem, NuclearNorm(delta=1e3, bounds=(1, 5)))
    assert solution.result is RESULTS.optimal
    matrix = np.asarray(solution.matrix)
    assert 1 - 1e-6 <= matrix.min() <= matrix.max() <= 5 + 1e-6


def test_refused_problems():
    with pytest.raises(ValueError, match="only a square matrix"):
        rw.solve(PARTIAL, NuclearNorm(semidefinite=True))
    with pytest.raises(ValueError, match=r"the value at \(row 0, column 1\) is 7.0, outside the bounds"):
        rw.solve(rw.Completion((2, 2), [0, 0], [0, 1], [1.0, 7.0]), NuclearNorm(bounds=(1, 5)))


@pytest.mark.parametrize("share", [1e-17, 1e17])
def test_weights_that_hardly_count_and_that_leave_nothing(share):
    truth = rw.low_rank((12, 10), 2, key=0)
    for problem in (rw.sense(truth, 60, key=1), rw.observe(truth, 60, key=1)):
        run = rw.solve(problem, rw.NuclearNorm(weight=share))
        assert run.result.name == "optimal"
        assert run.rank == 0 if share > 1 else run.rank > 0
        with pytest.raises(ValueError, match=r"weight must be .* for these values"):
            rw.solve(problem, rw.NuclearNorm(weight=share**2))


def test_single_precision_has_no_ranks_of_rounding():
    problem = rw.observe(rw.low_rank((20, 15), 1, key=0), 200, key=1, dtype=np.float32)
    assert rw.solve(problem, rw.NuclearNorm()).rank == 1
