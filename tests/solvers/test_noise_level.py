"""Stopping at the noise: the rank is found whether the level is known or not, and noise alone has none."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.noise_level import exact_tolerance, expected_rmse, gain


def noisy(key, noise, kappa=10.0, shape=(80, 90), rank=3, count=3000):
    truth = rw.low_rank(shape, rank, key=key, kappa=kappa)
    return truth, rw.observe(truth, count, key=key + 50, min_degree=rank + 1, noise=noise)


@pytest.mark.parametrize("key", range(3))
@pytest.mark.parametrize("noise", [0.02, "estimate"])
def test_the_rank_is_found_and_the_fit_is_the_least_squares_one(key, noise):
    truth, problem = noisy(key, 0.02)
    run = rw.solve(problem, rw.Greedy(noise=noise))
    assert (run.rank, run.result) == (3, rw.RESULTS.noise_level)
    best = fit_factors(problem, truth.left, truth.right, stationary=1e-12)
    assert np.linalg.norm(run.matrix.dense() - best.left @ best.right.T) < 1e-5 * np.linalg.norm(truth.dense())


def test_a_weak_singular_value_is_not_taken_for_noise():
    # The fit of rank 2 leaves less than the noise level itself, for it has fitted noise too.
    _, problem = noisy(0, 0.3, shape=(300, 300), count=7000)
    path = rw.solve(problem, rw.Greedy(max_rank=3, polish=False)).history["train_rmse"]
    assert path[2] < 0.3
    assert rw.solve(problem, rw.Greedy(noise=0.3, polish=False)).rank == 3


def test_noise_alone_has_rank_zero():
    rng = np.random.default_rng(0)
    problem = rw.observe(rng.standard_normal((60, 60)), 1500, key=0)
    for noise in (1.0, "estimate"):
        run = rw.solve(problem, rw.Greedy(noise=noise))
        assert (run.rank, run.result) == (0, rw.RESULTS.noise_level)


def test_a_run_continued_with_an_estimated_level_is_the_uninterrupted_one():
    _, problem = noisy(0, 0.02)
    whole = rw.solve(problem, rw.Greedy(noise="estimate"))
    part = rw.solve(problem, rw.Greedy(noise="estimate"), max_steps=2)
    rest = rw.solve(problem, rw.Greedy(noise="estimate"), state=part.state)
    assert rest.result is whole.result
    assert np.array_equal(rest.matrix.left, whole.matrix.left)


def test_the_expectation_is_that_of_chi_square():
    assert expected_rmse(2.0, 1000, 1000) == 0
    assert expected_rmse(2.0, 10**8, 0) == pytest.approx(2.0, rel=1e-3)
    draws = np.sqrt(np.random.default_rng(0).chisquare(300, 4000) / 400)
    assert 0.99 < np.mean(draws < expected_rmse(1.0, 400, 100)) < 1


def test_gain_is_the_ratio_it_says():
    # Squares fall from 4 to 1 per observation, 10 parameters more, 80 of 100 degrees of freedom left.
    assert gain(2.0, 1.0, 100, (10, 20)) == pytest.approx((300 / 10) / (100 / 80) * np.sqrt(0.8))
    assert gain(1.0, 0.0, 100, (10, 20)) == np.inf
    assert gain(1.0, 1.0, 100, (10, 20)) == 0


def test_settings_that_contradict_are_refused():
    with pytest.raises(ValueError, match="noise must be a number or 'estimate', not 'auto'"):
        rw.Greedy(noise="auto")
    for other in ({"holdout": 0.1}, {"ridge": 0.1}):
        with pytest.raises(ValueError, match="no holdout, no ridge"):
            rw.Greedy(noise="estimate", **other)


@pytest.mark.parametrize(("dtype", "share"), [(np.float64, 7e-11), (np.float32, 3.2e-5)])
def test_exact_means_the_same_everywhere(dtype, share):
    assert exact_tolerance(dtype) == pytest.approx(share, rel=0.1)
    _, problem = noisy(0, 0.0)
    problem = problem.replace(values=problem.values.astype(dtype))
    size = np.sqrt((problem.values**2).mean())
    for solver in (rw.Greedy(), rw.LogDet(), rw.GaussNewton()):
        run = rw.solve(problem, solver)
        assert run.result is rw.RESULTS.explained
        assert np.sqrt((problem.residual(run.matrix) ** 2).mean()) <= 2 * exact_tolerance(dtype) * size


@pytest.mark.parametrize("solver", [rw.Greedy, rw.GaussNewton, rw.R2RILS])
def test_one_bound_tells_the_noise_for_every_method_whose_rank_grows(solver):
    # The level itself would stop at rank 2 of 3, which fits noise too.
    _, problem = noisy(0, 0.3, shape=(150, 150), count=3500)
    run = rw.solve(problem, solver(noise=0.3))
    rmse = np.sqrt((problem.residual(run.matrix) ** 2).mean())
    assert (run.result, run.rank) == (rw.RESULTS.noise_level, 3)
    assert rmse <= expected_rmse(0.3, problem.size, degrees_of_freedom(3, problem.shape))
