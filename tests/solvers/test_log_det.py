"""Log-det continuation: the rank is found, and few observations suffice."""

import numpy as np
import pytest

import rankwise as rw
from rankwise import RESULTS
from rankwise.lowrank import degrees_of_freedom


def error(solution, truth):
    return np.linalg.norm(np.asarray(solution.matrix) - truth.dense()) / np.linalg.norm(truth.dense())


def instance(shape, rank, rho, key, kappa=None):
    truth = rw.low_rank(shape, rank, key=key, kappa=kappa)
    count = round(rho * degrees_of_freedom(rank, shape))
    return truth, rw.observe(truth, count, key=key + 100, min_degree=rank + 1)


@pytest.mark.parametrize("kappa", [None, 1, 1e4])
def test_few_entries_give_the_matrix_and_its_rank(kappa):
    truth, problem = instance((50, 60), 3, 1.5, 0, kappa)
    solution = rw.solve(problem, rw.LogDet())
    assert solution.result is RESULTS.explained
    assert solution.rank == 3
    assert error(solution, truth) < 1e-9


def test_where_greedy_fails_the_path_may_not():
    truth, problem = instance((40, 40), 4, 1.15, 13, 1)
    greedy = rw.solve(problem, rw.Greedy(inner_steps=60, polish=False))
    assert error(greedy, truth) > 1e-2
    assert error(rw.solve(problem, rw.LogDet()), truth) < 1e-9


def test_sensing_and_float32():
    truth = rw.low_rank((12, 10), 2, key=0)
    solution = rw.solve(rw.sense(truth, 60, key=1), rw.LogDet())
    assert solution.result is RESULTS.explained
    assert error(solution, truth) < 1e-9
    single = rw.solve(rw.observe(truth, 90, key=1, min_degree=3, dtype=np.float32), rw.LogDet())
    assert single.result is RESULTS.explained
    assert single.matrix.dtype == np.float32


def test_known_noise_is_where_it_stops():
    truth = rw.low_rank((60, 60), 3, key=0, kappa=5)
    problem = rw.observe(truth, 1400, key=1, noise=0.01)
    solution = rw.solve(problem, rw.LogDet(noise=0.01))
    assert solution.result is RESULTS.noise_level
    assert solution.rank == 3


def test_the_spectrum_is_that_of_a_transposed_problem():
    _, problem = instance((30, 45), 2, 1.6, 3)
    turned = rw.Completion((45, 30), problem.cols, problem.rows, problem.values)
    one, other = rw.solve(problem, rw.LogDet()), rw.solve(turned, rw.LogDet())
    assert one.steps == other.steps
    np.testing.assert_allclose(np.asarray(one.matrix), np.asarray(other.matrix).T, atol=1e-9)


def test_a_stage_solves_the_weighted_problem():
    # Where nothing is spared, a stage's minimizer is that of the nuclear norm with weight mu e.
    _, problem = instance((14, 12), 2, 2.0, 1)
    state = rw.solve(problem, rw.LogDet(first=0.5, spared=1e12), max_steps=1).state[0]
    convex = rw.solve(problem, rw.NuclearNorm(weight=0.5 * state.top))
    assert np.linalg.norm(np.asarray(state.matrix) - np.asarray(convex.matrix)) < 1e-2 * np.linalg.norm(convex.matrix)


def test_an_uninterrupted_run_is_what_a_continued_one_gives():
    _, problem = instance((30, 30), 2, 1.5, 0)
    whole = rw.solve(problem, rw.LogDet())
    part = rw.solve(problem, rw.LogDet(), max_steps=3)
    rest = rw.solve(problem, rw.LogDet(), state=part.state)
    assert (np.asarray(rest.matrix) == np.asarray(whole.matrix)).all()
    assert rest.steps == whole.steps


def test_too_few_observations_are_said_to_be():
    _, problem = instance((20, 20), 3, 1.05, 2)
    solution = rw.solve(problem.subset(np.arange(90)), rw.LogDet())
    assert solution.result in (RESULTS.underdetermined, RESULTS.stalled)
    assert not solution.result.successful


def test_a_bound_on_the_rank_is_kept():
    _, problem = instance((30, 30), 3, 2.0, 0)
    solution = rw.solve(problem, rw.LogDet(max_rank=2))
    assert solution.result is RESULTS.max_rank
    assert solution.rank <= 2


def test_values_that_no_matrix_comes_near_are_not_explained():
    problem = rw.Sensing(np.stack([np.eye(3), np.zeros((3, 3))]), [0.0, 1.0])
    run = rw.solve(problem, rw.LogDet())
    assert (run.rank, run.result) == (0, RESULTS.converged)


def test_zero_data_and_bad_settings():
    problem = rw.Completion((4, 3), [0, 1], [0, 1], [0.0, 0.0])
    solution = rw.solve(problem, rw.LogDet())
    assert solution.result is RESULTS.explained
    assert solution.rank == 0
    for bad in ({"ratio": 1.0}, {"first": 0}, {"spared": 0}, {"reach": 1.0}, {"max_rank": 0}, {"noise": -1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            rw.LogDet(**bad)
