"""The portfolio: a certificate ends it, and what is certified is right."""

import math
import time

import numpy as np
import pytest

import rankwise as rw
from rankwise import RESULTS
from rankwise.identifiability import completable, identifiability
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.portfolio import certify, solve_until
from rankwise.solvers.data_term import refuse_contradictions
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.symmetric_part import folded, mirrored, symmetrized


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
    assert not rw.recover(problem, budget=1.0, compare=False).certified


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
    found = rw.recover(problem, budget=1.0)
    assert not found.certified
    assert found.seconds < 10  # what has begun is finished
    tested = [member.holdout_rmse for member in found.members if member.holdout_rmse is not None]
    assert found.winner.holdout_rmse == min(tested)


def test_sensing_is_certified_too():
    truth = rw.low_rank((12, 10), 2, key=0)
    found = rw.recover(rw.sense(truth, 60, key=1))
    assert found.certified
    assert error(found, truth) < 1e-9


def test_what_cannot_be_recovered_is_refused_in_one_sentence(monkeypatch):
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
    monkeypatch.setattr("rankwise.portfolio.solve", lambda *_, **__: pytest.fail("a member has run"))
    with pytest.raises(ValueError, match="key must be a non-negative int"):
        rw.recover(sensing, key="a")
    with pytest.raises(ValueError, match="RobustGreedy"):
        rw.recover(sensing.replace(misfit=rw.Huber(1.0)))


def test_a_matrix_seen_whole_is_certified_whatever_its_rank():
    table = np.random.default_rng(0).standard_normal((7, 5))
    found = rw.recover(rw.Completion.from_dense(table))
    assert found.certified
    np.testing.assert_allclose(found.matrix.dense(), table, atol=1e-12)


def short_row():
    """A 20 x 20 completion of rank 3 whose first row holds exactly 3 entries."""
    truth = rw.low_rank((20, 20), 3, key=0)
    mask = np.random.default_rng(0).random((20, 20)) < 0.8
    mask[0] = False
    mask[0, :3] = True
    rows, cols = np.nonzero(mask)
    return truth, rw.Completion((20, 20), rows, cols, truth.entries(rows, cols))


def test_observations_that_nothing_tests_are_counted_and_told():
    truth, problem = short_row()
    found = rw.recover(problem)
    assert found.certified
    assert found.certificate.untested == 3
    assert "3 of the observations are tested by no others" in found.reason
    # What the certificate does not cover: another value there is fitted just as well.
    wrong = problem.replace(values=problem.values + (problem.rows == 0))
    assert rw.recover(wrong).certified
    assert np.abs(rw.recover(wrong).matrix.dense() - truth.dense())[1:].max() < 1e-9
    # One entry more tests them all.
    more = rw.recover(rw.observe(truth, 330, key=1, min_degree=4))
    assert more.certificate.untested == 0
    assert "tested" not in more.reason


def test_a_rank_too_high_for_the_noise_is_no_certificate():
    for key, (side, count, noise) in enumerate([(60, 1400, 0.01), (60, 900, 0.3), (120, 2400, 0.1)]):
        truth = rw.low_rank((side, side), 3, key=key, kappa=5)
        problem = rw.observe(truth, count, key=key + 50, min_degree=5, noise=noise)
        extra = 0.1 * np.random.default_rng(key).standard_normal((side, 1))
        starts = {3: truth, 4: LowRank(np.hstack([truth.left, extra]), np.hstack([truth.right, extra]))}
        fits = {rank: fit_factors(problem, one.left, one.right, stationary=1e-6) for rank, one in starts.items()}
        right, high = (certify(problem, LowRank(fits[rank].left, fits[rank].right), noise) for rank in (3, 4))
        assert right.holds
        assert high.held.holds  # all that would be asked of an exact fit
        assert high.held.overdetermined
        assert not high.holds
        assert "rank 3 fits them as well" in high.sentence


def test_a_singular_value_of_the_size_of_rounding_is_no_certificate():
    truth, problem = instance((30, 30), 2, 2.5, 0)
    u, s, v = rw.low_rank((30, 30), 3, key=5, kappa=1).svd()
    spurious = 1e-12 * s[0] * u[:, :1]
    high = LowRank(np.hstack([truth.left, spurious]), np.hstack([truth.right, v[:, :1]]))
    assert certify(problem, truth).holds
    assert certify(problem, high).lower


@pytest.mark.parametrize("signs", [[1, 1], [1, -1]])
def test_a_symmetric_matrix_is_certified_from_symmetric_entries(signs):
    left = np.random.default_rng(0).standard_normal((40, 2))
    truth = LowRank(left * signs, left)
    problem = rw.observe(truth, 200, key=1, min_degree=4)
    found = rw.recover(problem, symmetric=True)
    assert found.certified
    assert found.certificate.held.degrees == 79
    assert error(found, truth) < 1e-9
    np.testing.assert_allclose(found.matrix.dense(), found.matrix.dense().T, atol=1e-12)
    # The same entries are too few where nothing is known of symmetry.
    upper = problem.subset(np.nonzero(problem.rows <= problem.cols)[0])
    assert not rw.recover(upper, tries=1, compare=False).certified


def test_symmetric_measurements_certify_only_what_is_known_to_be_symmetric():
    truth = rw.low_rank((12, 12), 2, key=4, symmetric=True)
    problem = rw.sense(truth, 40, key=5, symmetric=True)
    known, unknown = (rw.recover(problem, symmetric=one, tries=1, compare=False) for one in (True, False))
    assert known.certified
    assert known.certificate.held.degrees == 23
    assert error(known, truth) < 1e-9
    assert not unknown.certified


def test_noise_on_a_symmetric_matrix():
    truth = rw.low_rank((60, 60), 3, key=1, symmetric=True)
    found = rw.recover(rw.observe(truth, 900, key=2, noise=0.01), symmetric=True, noise=0.01)
    assert found.certified
    assert found.rank == 3
    assert error(found, truth) < 0.02


def test_mirror_images_are_one_observation_and_must_agree():
    truth = rw.low_rank((6, 6), 1, key=0, symmetric=True)
    whole = rw.Completion.from_dense(truth.dense())
    assert folded(whole, exact=True).size == 21
    noisy = whole.replace(values=whole.values + 0.1 * np.arange(36))
    assert folded(noisy, exact=False).size == 36
    np.testing.assert_allclose(mirrored(folded(whole, exact=True)).compiled().target, truth.dense())
    with pytest.raises(
        ValueError, match=r"the entries at \(\d, \d\) and \(\d, \d\) differ, so no symmetric matrix has both"
    ):
        rw.recover(noisy, symmetric=True)


def test_the_symmetric_part_is_the_nearest_symmetric_matrix():
    rng = np.random.default_rng(0)
    matrix = LowRank(rng.standard_normal((8, 5)), rng.standard_normal((8, 5)))
    wide = LowRank(np.hstack([matrix.left, 0 * matrix.left]), np.hstack([matrix.right, 0 * matrix.right]))
    np.testing.assert_allclose(symmetrized(wide).dense(), (matrix.dense() + matrix.dense().T) / 2, atol=1e-12)


def test_a_run_cut_into_steps_is_the_whole_run():
    _, problem = instance((30, 30), 2, 1.5, 0)
    whole, cut = (
        solve_until(problem, rw.LogDet(), math.inf),
        solve_until(problem, rw.LogDet(), time.perf_counter() + 60),
    )
    assert cut.steps == whole.steps
    for name in whole.history:
        np.testing.assert_array_equal(cut.history[name], whole.history[name])
    np.testing.assert_array_equal(cut.matrix.left, whole.matrix.left)
    assert solve_until(problem, rw.LogDet(), time.perf_counter()).steps == 1


def test_a_member_can_be_carried_on_and_a_restart_keeps_no_state():
    # A row with two entries cannot be completed at rank 3, so that every member runs.
    truth, problem = short_row()
    loose = problem.subset(np.nonzero((problem.rows > 0) | (problem.cols > 0))[0])
    found = rw.recover(loose, compare=False)
    assert not found.certified
    assert [member.solution.state is None for member in found.members] == [False] * 6 + [True] * 2
    for member in found.members[:2]:
        begun = rw.solve(member.given(loose), member.solver, max_steps=2)
        ended = rw.solve(member.given(loose), member.solver, state=begun.state)
        np.testing.assert_array_equal(ended.matrix.left, member.solution.matrix.left)
    assert truth.shape == found.matrix.shape


def test_what_cannot_be_certified_is_refused_in_one_sentence():
    truth, problem = instance((20, 30), 2, 2.0, 0)
    with pytest.raises(ValueError, match=r"the matrix has shape \(30, 20\), the problem \(20, 30\)"):
        certify(problem, truth.T)
    with pytest.raises(ValueError, match="must be a LowRank"):
        certify(problem, truth.dense())
    for ask in (lambda: rw.recover(problem, symmetric=True), lambda: certify(problem, truth, symmetric=True)):
        with pytest.raises(ValueError, match="symmetric"):
            ask()
    square, asymmetric = instance((20, 20), 2, 2.0, 0)[1], rw.low_rank((20, 20), 2, key=9)
    with pytest.raises(ValueError, match="the matrix is not symmetric"):
        certify(square, asymmetric, symmetric=True)
    bad = LowRank(np.full((20, 1), np.nan), np.ones((30, 1)))
    assert not certify(problem, bad).holds


def test_what_is_not_completable_is_not_certified_in_single_precision():
    # A row and a column of one entry that meet nothing else: an exact fit of rank one, and it can move.
    rng = np.random.default_rng(5)
    shape, rank = (int(rng.integers(5, 14)), int(rng.integers(5, 14))), int(rng.integers(1, 4))
    truth = rw.low_rank(shape, rank, key=5, kappa=float(rng.choice([1, 10, 100])))
    count = int(degrees_of_freedom(rank, shape) * rng.uniform(1.02, 1.5))
    cells = rng.permutation(shape[0] * shape[1])[:count]
    table = truth.dense().astype(np.float32)
    problem = rw.Completion(shape, cells // shape[1], cells % shape[1], table.ravel()[cells])
    assert not completable(problem, rank)
    found = rw.recover(problem, tries=1, compare=False)
    assert found.certificate.fits
    assert error(found, truth) > 1
    assert not found.certified


@pytest.mark.parametrize("key", range(4))
def test_single_precision_is_certified_where_double_precision_is(key):
    truth, problem = instance((20, 24), 2, 1.5, key)
    rounded = problem.replace(values=problem.values.astype(np.float32))
    double, single = rw.recover(problem, tries=1, compare=False), rw.recover(rounded, tries=1, compare=False)
    assert double.certified
    assert single.certified
    assert error(single, truth) < 1e-3


def test_a_truth_whose_derivative_is_singular_is_not_certified_by_the_rounding_of_the_answer():
    # The pattern is completable almost everywhere, but not at this truth of many zeros.
    rng = np.random.default_rng(37)
    shape, rank = (int(rng.integers(5, 14)), int(rng.integers(5, 14))), int(rng.integers(1, 4))
    factors = [rng.standard_normal((d, rank)) * (rng.random((d, rank)) < 0.6) for d in shape]
    truth = LowRank(*factors)
    count = int(degrees_of_freedom(rank, shape) * rng.uniform(1.02, 1.6)) + 1
    cells = rng.permutation(shape[0] * shape[1])[:count]
    problem = rw.Completion(shape, *np.divmod(cells, shape[1]), truth.dense().ravel()[cells].astype(np.float32))
    assert completable(problem, rank)
    assert identifiability(problem, truth).stiffness < 1e-14
    found = rw.recover(problem, tries=1, compare=False)
    assert found.certificate.fits
    assert error(found, truth) > 0.1
    assert not found.certified


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [64, 80, 200])
def test_exact_measurements_do_not_contradict_one_another_in_their_precision(dtype, count):
    truth = rw.low_rank((8, 8), 2, key=0)
    problem = rw.sense(truth, count, key=1, dtype=dtype)
    found = rw.recover(problem)
    assert found.certified
    assert error(found, truth) < (1e-5 if dtype is np.float32 else 1e-9)
    if count > 64:  # more than entries
        off = problem.values + np.eye(1, count, dtype=dtype)[0] * np.linalg.norm(problem.values) / 100
        with pytest.raises(ValueError, match="contradict"):
            rw.recover(problem.replace(values=off))


def test_parts_of_a_symmetric_matrix_that_may_be_reflected_are_not_certified():
    factor, seen = np.random.default_rng(1).standard_normal((11, 2)), np.zeros((11, 11), bool)
    seen[:6, :6] = seen[5:, 5:] = True
    truth = factor @ factor.T
    one = rw.recover(rw.Completion.from_dense(np.where(seen, truth, np.nan)), symmetric=True, compare=False, tries=2)
    assert one.certificate.held.holds
    assert not one.certified
    assert "another matrix of this rank may fit as well" in one.certificate.sentence
    seen[4:, 4:] = True
    two = rw.recover(rw.Completion.from_dense(np.where(seen, truth, np.nan)), symmetric=True)
    assert two.certified
    np.testing.assert_allclose(two.matrix.dense(), truth, atol=1e-9)


def test_an_answer_that_predicts_no_better_than_zeros_says_so():
    # 66 noisy entries, for 54 parameters at rank 2.
    told = {}
    for key in (2, 4):
        problem = rw.observe(rw.low_rank((14, 15), 2, key=key), 66, key=key, noise=0.5, min_degree=3)
        found = rw.recover(problem, tries=1)
        assert not found.certified
        told[key] = found.winner.holdout_rmse < 1.2, "no better than zeros" in found.reason
    assert told == {2: (False, True), 4: (True, False)}


def test_contradictions_among_many_measurements_are_refused_too(monkeypatch):
    truth = rw.low_rank((12, 12), 2, key=0)
    problem = rw.sense(truth, 2_100, key=1)
    monkeypatch.setattr("rankwise.portfolio.solve", lambda *_, **__: pytest.fail("a member has run"))
    noisy = problem.values + 1e-6 * np.random.default_rng(0).standard_normal(problem.size)
    for units in (1.0, 1e-170, 1e170):
        with pytest.raises(ValueError, match="contradict"):
            rw.recover(problem.replace(values=units * noisy))
        refuse_contradictions(problem.replace(values=units * problem.values))


def test_a_matrix_that_noise_moves_far_is_no_certificate():
    # 76 entries for 68 parameters: the fit beside the truth is held, but not by much.
    truth = rw.low_rank((18, 18), 2, key=10, kappa=3)
    problem = rw.observe(truth, 76, key=11, noise=0.1, min_degree=3)
    fit = fit_factors(problem, truth.left, truth.right, stationary=1e-6)
    astray = certify(problem, LowRank(fit.left, fit.right), 0.1)
    assert (astray.fits, astray.rank, astray.held.holds, astray.holds) == (True, 2, True, False)
    assert astray.expected_error > 1
    assert "noise moves it by" in astray.sentence
    for bad, words in ((-1.0, "noise must be finite and not negative"), ("estimate", "noise must be a number")):
        with pytest.raises(ValueError, match=words):
            certify(problem, truth, bad)


def test_the_expected_error_is_about_the_error():
    truth = rw.low_rank((60, 50), 3, key=0)
    problem = rw.observe(truth, 900, key=1, noise=0.01)
    found = rw.recover(problem, noise=0.01)
    assert found.certified
    assert found.certificate.expected_error == pytest.approx(rw.measures.relative_error(found.matrix, truth), rel=0.3)


def test_many_measurements_that_are_combinations_of_few_are_counted_as_few():
    rng = np.random.default_rng(2)
    few, weights = rng.standard_normal((30, 12, 12)), rng.standard_normal((2001, 30))
    problem = rw.Sensing(np.tensordot(weights, few, 1), weights @ rng.standard_normal(30))
    truth = rw.low_rank((12, 12), 1, key=0)
    assert identifiability(problem, truth).observations == 30
    every = rw.sense(truth, 2001, key=1)
    assert identifiability(every, truth).observations == 2001
    assert identifiability(every, truth).whole


@pytest.mark.parametrize(("shape", "kappa", "noise", "key"), [((40, 40), 3, 0.02, 17), ((30, 60), 1, 0.05, 9)])
def test_a_runaway_fit_is_not_the_measure_of_its_own_error(shape, kappa, noise, key):
    truth = rw.low_rank(shape, 2, key=key, kappa=kappa)
    count = int(1.3 * 2 * 78) if shape == (40, 40) else round(1.15 * degrees_of_freedom(2, shape))
    level = noise * np.sqrt(np.mean(truth.dense() ** 2))
    found = rw.recover(rw.observe(truth, count, key=key + 100, min_degree=3, noise=level), noise=level)
    assert error(found, truth) < 1 or not found.certified


def test_where_noise_alone_explains_everything_nothing_is_certified():
    for values in (np.random.default_rng(0).standard_normal((20, 15)), np.zeros((20, 15))):
        found = rw.recover(rw.Completion.from_dense(values), noise=1.0)
        assert (found.certified, found.rank, len(found.members)) == (False, 0, 1)
        assert "noise of this level alone explains the 300 observations" in found.reason


def test_noise_of_unknown_level_on_a_symmetric_matrix():
    truth = rw.low_rank((20, 20), 2, key=0, symmetric=True)
    seen = rw.observe(truth, 300, key=1, noise=0.02)  # with mirror images whose noise is another
    for problem in (seen, rw.sense(truth, 90, key=0, noise=0.01, symmetric=True)):
        found = rw.recover(problem, symmetric=True, noise="estimate")
        assert found.rank == 2
        assert error(found, truth) < 0.1


def test_certificates_do_not_depend_on_the_unit():
    _, problem = instance((15, 12), 1, 2, 0)
    for unit in (1e-155, 1e155):
        assert rw.recover(problem.replace(values=problem.values * unit)).certified


def test_sensors_that_miss_some_dimensions_are_not_whole():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((2100, 2500))
    problem = rw.Sensing((rng.standard_normal((2600, 2100)) @ basis).reshape(2600, 50, 50), np.ones(2600))
    assert not identifiability(problem, rw.low_rank((50, 50), 1, key=0)).whole
