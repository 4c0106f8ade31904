"""Independent observations: counted alike by a few of them and by all, in closed form and one after the other."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.identifiability import determined, identifiability
from rankwise.lowrank import degrees_of_freedom
from rankwise.problems import base
from rankwise.problems.independence import gram_matrix, highest_rank, independent_at_least, spare_observations

TRUTH = rw.low_rank((6, 6), 1, key=0)
SIGNAL = np.array([1.0, -2.0, 0.5, 3.0])


def dependent(count, more, key=0):
    """`count` independent sensors and `more` combinations of them, no two multiples of one another."""
    rng = np.random.default_rng(key)
    sensors = rng.standard_normal((count, 6, 6))
    sensors = np.concatenate([sensors, np.tensordot(rng.standard_normal((more, count)), sensors, axes=1)])
    return rw.Sensing(sensors, np.einsum("mij,ij->m", sensors, TRUTH.dense()))


@pytest.mark.parametrize(
    "problem",
    [
        rw.sense(TRUTH, 9, key=1),
        rw.sense_rank_one(TRUTH, 9, key=1),
        rw.diffract(SIGNAL, 9, key=2),
        rw.diffract(SIGNAL + 1j, 9, key=2),
        rw.CodedDiffraction(np.exp(1j * np.arange(15.0).reshape(3, 5) ** 2), np.ones((3, 5))),
    ],
    ids=["sensing", "rank one", "phase", "complex phase", "diffraction"],
)
@pytest.mark.parametrize("symmetric", [False, True])
def test_gram_matrices_in_closed_form_are_those_of_measure_and_adjoint(problem, symmetric):
    np.testing.assert_allclose(problem.gram(symmetric), base.Problem.gram(problem, symmetric), rtol=1e-12, atol=1e-12)


def test_measurements_that_are_combinations_of_others_count_for_nothing():
    degrees = degrees_of_freedom(1, (6, 6))
    for count in (degrees, degrees + 1):
        problem = dependent(count, 8)
        assert problem.distinct() == count + 8
        assert highest_rank(problem) == 1
        assert independent_at_least(problem, count)
        assert not independent_at_least(problem, count + 1)
        assert spare_observations(problem, 1) == determined(problem, TRUTH) == (count > degrees)
        assert identifiability(problem, TRUTH).observations == count


@pytest.mark.parametrize("count", [30, 35, 36, 40])
def test_as_many_as_entries_determine_every_rank(count):
    problem = rw.sense(TRUTH, count, key=3)
    assert [spare_observations(problem, rank) for rank in (1, 5, 6)] == [True, count > 35, count > 35]
    # Ranks 1 to 6 have 11, 20, 27, 32, 35 and 36 parameters.
    assert highest_rank(problem) == {30: 3, 35: 4, 36: 6, 40: 6}[count]


def test_entries_are_independent_as_they_are():
    problem = rw.observe(TRUTH, 12, key=0)
    assert [spare_observations(problem, rank) for rank in (1, 2)] == [True, False]
    assert highest_rank(rw.observe(TRUTH, 11, key=0)) == 0
    mirrored = rw.Completion((3, 3), [0, 1, 0, 2], [1, 0, 2, 0], np.ones(4))
    assert [independent_at_least(mirrored, count, symmetric=True) for count in (2, 3)] == [True, False]


def test_a_measurement_too_faint_to_count_is_not_counted_by_a_few_either():
    # Next to a sensor 1e8 times as large the others are rounding, whichever are drawn.
    problem = rw.sense(TRUTH, 20, key=1)
    loud = problem.replace(sensors=problem.sensors * np.where(np.arange(20) == 7, 1e8, 1.0)[:, None, None])
    assert not independent_at_least(loud, 12)
    assert np.linalg.matrix_rank(gram_matrix(loud)[0], tol=1e4) == 1


@pytest.mark.parametrize("make", [rw.sense, rw.sense_rank_one, rw.sense_fourier])
def test_single_precision_counts_alike(make):
    problem = make(rw.low_rank((8, 8), 1, key=0), 30, key=1, dtype=np.float32)
    assert independent_at_least(problem, 30)
    assert not independent_at_least(problem, 31)
