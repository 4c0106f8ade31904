"""Low rank plus sparse: both routes find the errors and the matrix; the gap proves what it says."""

import numpy as np
import pytest

import rankwise as rw

SOLVERS = [rw.RobustGreedy(), rw.PrincipalComponentPursuit()]
names = [type(solver).__name__ for solver in SOLVERS]
both = pytest.mark.parametrize("solver", SOLVERS, ids=names)


def robust(key=0, shape=(70, 60), rank=2, seen=0.7, share=0.1, size=(1e-2, 1e3), positive=False, scale=1.0):
    truth = rw.low_rank(shape, rank, key=key)
    clean = rw.observe(truth, round(seen * shape[0] * shape[1]), key=key + 1)
    problem = rw.corrupt(clean, share, key=key + 2, size=size, positive=positive)
    return truth.dense() * scale, clean, problem.replace(values=problem.values * scale)


def wrong_places(clean, problem):
    wrong = problem.values != clean.values
    return set(zip(problem.rows[wrong].tolist(), problem.cols[wrong].tolist(), strict=True))


def found_places(problem, run):
    rows, cols = rw.outliers(problem, run.matrix).coords
    return set(zip(rows.tolist(), cols.tolist(), strict=True))


@both
@pytest.mark.parametrize("positive", [False, True])
def test_errors_of_any_size_are_found_and_the_matrix_too(solver, positive):
    truth, clean, problem = robust(positive=positive)
    run = rw.solve(problem, solver)
    assert run.rank == 2
    assert run.result.successful
    error = np.linalg.norm(run.matrix.dense() - truth) / np.linalg.norm(truth)
    assert error < (1e-12 if isinstance(solver, rw.RobustGreedy) else 1e-5)
    assert found_places(problem, run) == wrong_places(clean, problem)


@both
@pytest.mark.parametrize("size", [1e4, 1e8, 1e200, (1e-2, 1e6)])
def test_outliers_beyond_every_scale_are_found(solver, size):
    truth, clean, problem = robust(size=size, positive=size == 1e8)
    run = rw.solve(problem, solver)
    assert run.result.successful
    assert np.linalg.norm(run.matrix.dense() - truth) < 1e-6 * np.linalg.norm(truth)
    assert found_places(problem, run) == wrong_places(clean, problem)


@both
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_unit_does_not_matter(solver, scale):
    truth, _, problem = robust(scale=scale, size=3.0)
    run = rw.solve(problem, solver)
    assert run.rank == 2
    assert np.max(np.abs(run.matrix.dense() - truth)) < 1e-4 * scale


@both
def test_float32_stays_and_is_recovered(solver):
    truth, _, problem = robust(size=3.0)
    run = rw.solve(problem.replace(values=problem.values.astype(np.float32)), solver)
    assert run.matrix.dtype == np.float32
    assert run.rank == 2
    assert np.linalg.norm(run.matrix.dense() - truth) < 1e-4 * np.linalg.norm(truth)


@both
def test_a_run_goes_on_as_if_it_had_not_stopped(solver):
    _, _, problem = robust()
    whole, part = rw.solve(problem, solver), rw.solve(problem, solver, max_steps=1)
    rest = rw.solve(problem, solver, state=part.state)
    assert (rest.result, rest.steps) == (whole.result, whole.steps)
    assert np.array_equal(rest.matrix.left, whole.matrix.left)


@both
@pytest.mark.parametrize(
    ("table", "rank"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], 0),
        ([[2.0]], None),
        ([[1.0, 2.0, 3.0, 4.0]], None),
        ([[np.nan, 5.0], [np.nan, np.nan]], None),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 7.0]], 0),
    ],
)
def test_the_smallest_problems_end_with_a_word(solver, table, rank):
    run = rw.solve(rw.Completion.from_dense(np.array(table)), solver)
    assert np.isfinite(np.asarray(run.matrix)).all()
    assert run.result is not rw.RESULTS.max_steps
    assert rank is None or run.rank == rank


def test_what_fits_with_as_many_parameters_as_observations_is_not_explained():
    # Numbers without structure: in three of these a matrix of rank 1 with 9 parameters meets at least half of 12.
    for key in range(10):
        problem = rw.observe(np.random.default_rng(key).standard_normal((5, 5)), 12, key=key)
        assert rw.solve(problem, rw.RobustGreedy()).result in (rw.RESULTS.noise_level, rw.RESULTS.underdetermined)


def test_pursuit_brackets_the_least_objective():
    _, _, problem = robust(size=3.0)
    run = rw.solve(problem, rw.PrincipalComponentPursuit(gap=1e-9))
    history = run.history
    weight = 1 / np.sqrt(problem.size / 4200 * 70)

    def objective(matrix):
        return np.linalg.norm(matrix, "nuc") + weight * np.abs(problem.residual(matrix)).sum()

    best = objective(run.matrix.dense())
    assert history["primal"][-1] == pytest.approx(best, rel=1e-12)
    assert 0 <= history["gap"][-1] <= 1e-9
    assert np.all(history["dual"] <= best * (1 + 1e-12))
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1, 1.0):
        assert objective(run.matrix.dense() + size * rng.standard_normal(problem.shape)) >= history["dual"][-1]


def test_how_far_an_outlier_lies_does_not_matter_to_pursuit():
    near, far = (robust(size=size)[2] for size in (1e3, 1e9))
    runs = [rw.solve(problem, rw.PrincipalComponentPursuit(gap=1e-9)) for problem in (near, far)]
    np.testing.assert_array_equal(runs[0].matrix.dense(), runs[1].matrix.dense())
    # The multiplier proves both: on every entry that L leaves it is the weight with the sign of S.
    seen, state = (far.rows, far.cols), runs[1].state[0]
    prices = state.strength * state.multiplier
    weight, left = 1 / np.sqrt(far.size / 4200 * 70), far.residual(runs[1].matrix) < -100
    assert np.linalg.norm(prices, 2) <= 1 + 1e-6
    np.testing.assert_allclose(prices[seen][left], weight, rtol=1e-12)


def test_large_entries_of_the_low_rank_part_are_not_taken_for_outliers():
    rng = np.random.default_rng(0)
    left = rng.standard_normal((40, 2))
    left[:10] *= 20  # a quarter of the rows lies beyond the bound that outliers are clipped at
    matrix = left @ rng.standard_normal((2, 30))
    # With a weight of 1 nothing is worth leaving to S: U V^T of the decomposition prices every entry lower.
    run = rw.solve(rw.Completion.from_dense(matrix), rw.PrincipalComponentPursuit(weight=1.0))
    assert (run.rank, run.result) == (2, rw.RESULTS.optimal)
    np.testing.assert_allclose(run.matrix.dense(), matrix, atol=1e-6)
    np.testing.assert_allclose(run.state[0].values * run.state[0].size, matrix.ravel())


def test_pursuit_without_sparse_part_is_zero_beyond_the_dual_norm():
    # L = 0 is optimal when the signs of the values, times the weight, have spectral norm at most 1.
    problem = rw.Completion.from_dense(np.array([[1.0, -2.0], [3.0, np.nan]]))
    norm = np.linalg.norm(np.array([[1.0, -1.0], [1.0, 0.0]]), 2)
    assert rw.solve(problem, rw.PrincipalComponentPursuit(0.99 / norm)).rank == 0
    assert rw.solve(problem, rw.PrincipalComponentPursuit(1.3 / norm)).rank > 0


def test_trimmed_fits_among_noise_find_the_rank_and_the_errors():
    truth = rw.low_rank((100, 80), 3, key=0)
    clean = rw.observe(truth, 5000, key=1, noise=1e-2)
    problem = rw.corrupt(clean, 0.1, key=2, size=(0.5, 100))
    run = rw.solve(problem, rw.RobustGreedy())
    assert (run.rank, run.result) == (3, rw.RESULTS.noise_level)
    assert np.linalg.norm(run.matrix.dense() - truth.dense()) < 8e-3 * np.linalg.norm(truth.dense())
    assert wrong_places(clean, problem) <= found_places(problem, run)


def test_gross_errors_of_general_measurements_are_set_aside():
    truth = rw.low_rank((12, 12), 1, key=0)
    problem = rw.corrupt(rw.sense(truth, 150, key=1), 0.1, key=2, size=30.0)
    run = rw.solve(problem, rw.RobustGreedy())
    assert run.rank == 1
    assert np.linalg.norm(run.matrix.dense() - truth.dense()) < 1e-10 * np.linalg.norm(truth.dense())


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="takes a Completion, not a Sensing"):
        rw.solve(rw.sense(rw.low_rank((4, 4), 1, key=0), 10, key=1), rw.PrincipalComponentPursuit())
    for solver, bad in ((rw.PrincipalComponentPursuit, {"weight": 0}), (rw.PrincipalComponentPursuit, {"gap": -1}),
                        (rw.RobustGreedy, {"cut": 1}), (rw.RobustGreedy, {"max_rank": 0})):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            solver(**bad)
