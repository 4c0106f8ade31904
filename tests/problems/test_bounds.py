"""A box for all entries, and the gross errors that a matrix leaves."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.estimators import METHODS
from rankwise.problems import checked_bounds


def test_clipping_never_moves_an_entry_away_from_a_truth_within_the_bounds():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (20, 30))
    guess = rw.LowRank(rng.standard_normal((20, 3)) * 2, rng.standard_normal((30, 3)))
    inside = rw.within(guess, (1, 5))
    assert inside.min() >= 1
    assert inside.max() <= 5
    assert np.all(np.abs(inside - truth) <= np.abs(guess.dense() - truth))
    assert np.array_equal(rw.within(truth, (0, np.inf)), truth)
    assert rw.within(truth.astype(np.float32), (2, 3)).dtype == np.float32


# "ratio" is trained and clipped as "deep" is.
@pytest.mark.parametrize("method", [name for name in METHODS if name != "ratio"])
def test_every_method_of_complete_keeps_the_bounds(method, monkeypatch):
    monkeypatch.setattr("rankwise.estimators.trained.MAX_STEPS", 500)
    rng = np.random.default_rng(1)
    stars = np.clip(np.round(3 + 1.5 * rng.standard_normal((14, 1)) * rng.standard_normal((1, 8))), 1, 5)
    stars[rng.random(stars.shape) < 0.3] = np.nan
    filled = rw.complete(stars, method=method, bounds=(1, 5), denoise=True).matrix
    assert filled.min() >= 1
    assert filled.max() <= 5


@pytest.mark.parametrize("bounds", [(5, 1), (1, 1), (np.nan, 2), 3, (1, 2, 3), ("a", 2)])
def test_bounds_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds must be two numbers"):
        rw.within(np.zeros((2, 2)), bounds)


def test_a_complex_matrix_lies_in_no_box():
    with pytest.raises(ValueError, match="the matrix's entries are complex; real numbers are needed"):
        rw.within(np.full((2, 2), 3 + 4j), (0, 2))


def test_an_observation_outside_is_named():
    problem = rw.Completion.from_dense([[1.0, np.nan], [7.0, 2.0]])
    assert checked_bounds((1, 7), problem) == (1.0, 7.0)
    with pytest.raises(ValueError, match=r"the value at \(row 1, column 0\) is 7, outside the bounds 1 to 5"):
        checked_bounds((1, 5), problem)
    sensed = rw.Sensing(np.ones((2, 2, 2)), [1.0, -1.0])
    with pytest.raises(ValueError, match="value 1 is -1, outside the bounds 0 to inf"):
        checked_bounds((0, np.inf), sensed)


def test_outliers_are_what_is_left_of_the_values():
    truth = rw.low_rank((20, 20), 1, key=0)
    clean = rw.observe(truth, 300, key=1, noise=1e-3)
    problem = rw.corrupt(clean, 0.05, key=2, size=(0.1, 10))
    found = rw.outliers(problem, truth)
    wrong = problem.values != clean.values
    assert wrong.sum() == 15
    assert np.array_equal(found.toarray()[problem.rows, problem.cols] != 0, wrong)
    assert np.allclose(
        found.toarray()[problem.rows, problem.cols][wrong], (problem.values - clean.measure(truth))[wrong]
    )
    assert rw.outliers(problem, truth, threshold=1e9).nnz == 0
    with pytest.raises(ValueError, match="threshold must be finite and not negative"):
        rw.outliers(problem, truth, threshold=-1)
    with pytest.raises(ValueError, match="threshold must be a number, not 'x'"):
        rw.outliers(problem, truth, threshold="x")
    with pytest.raises(ValueError, match="matrix has shape"):
        rw.outliers(problem, np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.full((4, 3), np.nan), "the residual of the value at .row 0, column 1. is not finite"),
        (rw.LowRank(np.full((4, 1), 1e200), np.full((3, 1), 1e200)), "is not finite"),
        (np.zeros((4, 3)) + 1j, "complex"),
        (None, "not numbers"),
        ("a", "not numbers"),
    ],
)
def test_outliers_of_no_matrix_are_refused(matrix, words):
    with pytest.raises(ValueError, match=words):
        rw.outliers(rw.Completion((4, 3), [0, 2], [1, 2], [1.0, 2.0]), matrix)


def test_outliers_of_measurements_stand_at_their_numbers():
    clean = rw.sense(rw.low_rank((12, 12), 1, key=0), 150, key=1)
    problem = rw.corrupt(clean, 0.1, key=2, size=30.0)
    found = rw.outliers(problem, rw.solve(problem, rw.RobustGreedy()).matrix)
    assert (found.shape, found.nnz) == ((150,), 15)
    np.testing.assert_allclose(found.toarray(), problem.values - clean.values, atol=1e-12)


def test_errors_added_are_of_the_size_and_sign_asked_for():
    clean = rw.observe(rw.low_rank((20, 20), 1, key=0), 300, key=1)
    rms = np.sqrt(np.mean(clean.values**2))
    added = rw.corrupt(clean, 0.5, key=2, size=(0.1, 10), positive=True).values - clean.values
    assert (added != 0).sum() == 150
    assert added.min() == 0
    assert 0.1 * rms * (1 - 1e-9) <= added[added > 0].min() <= added.max() <= 10 * rms
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        rw.corrupt(clean, 1.5, key=0)
    with pytest.raises(ValueError, match="share must be a number"):
        rw.corrupt(clean, "x", key=0)


@pytest.mark.parametrize("size", [(2.0, 1.0), [1, 2], (1, 2, 3), (), "x", 1j, 0.0, np.inf, np.nan])
def test_sizes_of_errors_that_are_none_are_refused(size):
    clean = rw.observe(rw.low_rank((4, 4), 1, key=0), 8, key=1)
    with pytest.raises(ValueError, match="size must be a positive number or an ascending pair"):
        rw.corrupt(clean, 0.5, key=0, size=size)
