"""The portfolio: a certificate ends it, and what is certified is right."""

import numpy as np
import pytest

import rankwise as rw
from rankwise import RESULTS
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.portfolio import certify


def instance(shape, rank, rho, key, kappa=1.0):
    truth = rw.low_rank(shape, rank, key=key, kappa=kappa)
    count = round(rho * degrees_of_freedom(rank, shape))
    return truth, rw.observe(truth, count, key=key + 100, min_degree=rank + 1)


def error(found, truth):
    return np.linalg.norm(np.asarray(found.matrix) - truth.dense()) / np.linalg.norm(truth.dense())


def test_an_easy_problem_is_certified_by_the_first_member():
    truth, problem = instance((40, 30), 3, 2.0, 0)
    found = rw.recover(problem)
    assert found.certified
    assert [member.name for member in found.members] == ["greedy"]
    assert found.rank == 3
    assert error(found, truth) < 1e-9


def test_where_the_first_member_fails_another_is_certified():
    truth, problem = instance((40, 40), 4, 1.15, 13)
    found = rw.recover(problem)
    assert found.certified
    assert not found.members[0].certified
    assert error(found, truth) < 1e-9
    assert found.method in found.reason


def test_an_exact_fit_with_as_many_parameters_as_observations_is_no_certificate():
    _, problem = instance((12, 12), 2, 2.0, 0)
    matrix = LowRank(np.eye(12), np.where(problem.compiled().mask > 0, problem.compiled().target, 0.0).T)
    certificate = certify(problem, matrix)
    assert certificate.fits
    assert not certificate.holds
    assert "enough to fit anything" in certificate.sentence


def test_an_exact_fit_that_can_move_is_no_certificate():
    # A row with two entries does not hold its three coordinates, however many entries the others have.
    truth = rw.low_rank((20, 20), 3, key=0)
    mask = np.random.default_rng(0).random((20, 20)) < 0.8
    mask[0] = False
    mask[0, :2] = True
    rows, cols = np.nonzero(mask)
    problem = rw.Completion((20, 20), rows, cols, truth.entries(rows, cols))
    certificate = certify(problem, truth)
    assert certificate.fits
    assert certificate.held.overdetermined
    assert not certificate.holds
    assert not rw.recover(problem, budget=3.0, compare=False).certified


def test_known_noise_is_certified_and_unknown_noise_is_not():
    truth = rw.low_rank((60, 60), 3, key=0, kappa=5)
    problem = rw.observe(truth, 1400, key=1, noise=0.01)
    known, guessed = rw.recover(problem, noise=0.01), rw.recover(problem, noise="estimate")
    assert known.certified
    assert known.result is RESULTS.noise_level
    assert known.rank == guessed.rank == 3
    assert not guessed.certified
    assert "uncertified" in guessed.reason


def test_a_budget_ends_the_search_and_the_winner_predicts_best():
    rng = np.random.default_rng(0)
    problem = rw.Completion.from_dense(np.where(rng.random((30, 30)) < 0.5, rng.standard_normal((30, 30)), np.nan))
    found = rw.recover(problem, budget=2.0)
    assert not found.certified
    assert found.seconds < 20  # steps that have begun are finished
    tested = [member.holdout_rmse for member in found.members if member.holdout_rmse is not None]
    assert found.winner.holdout_rmse == min(tested)


def test_sensing_is_certified_too():
    truth = rw.low_rank((12, 10), 2, key=0)
    found = rw.recover(rw.sense(truth, 60, key=1))
    assert found.certified
    assert error(found, truth) < 1e-9


def test_what_cannot_be_recovered_is_refused_in_one_sentence():
    truth = rw.low_rank((10, 10), 1, key=0)
    with pytest.raises(ValueError, match="even rank 1 has 19 parameters"):
        rw.recover(rw.observe(truth, 18, key=0))
    sensing = rw.sense(truth, 30, key=0)
    twice = rw.Sensing(np.concatenate([sensing.sensors] * 2), np.concatenate([sensing.values, sensing.values + 1]))
    with pytest.raises(ValueError, match="contradict"):
        rw.recover(twice)
    with pytest.raises(ValueError, match="budget"):
        rw.recover(sensing, budget=0)
    with pytest.raises(ValueError, match="noise"):
        rw.recover(sensing, noise="unknown")
    with pytest.raises(ValueError, match="AmplitudeFlow"):
        rw.recover(rw.PhaseRetrieval(np.ones((5, 2)), np.ones(5)))
    with pytest.raises(ValueError, match="RobustGreedy"):
        rw.recover(sensing.replace(misfit=rw.Huber(1.0)))


def test_a_matrix_seen_whole_is_certified_whatever_its_rank():
    table = np.random.default_rng(0).standard_normal((7, 5))
    found = rw.recover(rw.Completion.from_dense(table))
    assert found.certified
    np.testing.assert_allclose(found.matrix.dense(), table, atol=1e-12)
