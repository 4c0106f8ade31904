"""How many observations differ in more than value and scale."""

import numpy as np
import pytest

import rankwise as rw
from rankwise import RESULTS

TRUTH = rw.low_rank((6, 5), 2, key=0)
FACTORS = np.repeat([1.0, 3.0, -0.7, -1e-5], 15)


def repeated(problem, names):
    """The problem four times over, its measurements multiplied by FACTORS."""
    every = {name: np.concatenate([getattr(problem, name)] * 4) for name in names}
    first = every[names[0]]
    factors = FACTORS.astype(problem.dtype)
    scaled = first * factors.reshape(-1, *[1] * (first.ndim - 1))
    values = np.tile(problem.values, 4)
    return problem.replace(**every | {names[0]: scaled, "values": values * factors})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("make", "names"), [(rw.sense, ["sensors"]), (rw.sense_rank_one, ["lefts", "rights"])], ids=["sensing", "rank_one"]
)
def test_multiples_count_once(dtype, make, names):
    once = make(TRUTH, 15, key=1, dtype=dtype)
    many = repeated(once, names)
    assert (once.distinct(), many.size, many.distinct()) == (15, 60, 15)
    assert rw.solve(many, rw.Greedy()).result is RESULTS.underdetermined


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("real", [True, False])
def test_intensities_count_once_whatever_the_phase_of_their_vector(dtype, real):
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(4) if real else rng.standard_normal(4) + 1j * rng.standard_normal(4)
    once = rw.diffract(signal, 5, key=0, dtype=dtype)
    turns = np.exp(1j * np.arange(100))[:, None] if not real else np.where(np.arange(100) % 2, 1, -1)[:, None]
    many = once.replace(vectors=np.tile(once.vectors, (20, 1)) * turns, values=np.tile(once.values, 20))
    assert (once.distinct(), many.distinct()) == (5, 5)


def test_frequencies_and_their_negatives_are_one_where_signal_and_masks_are_real():
    masks = np.random.default_rng(0).standard_normal((2, 7))
    problem = rw.CodedDiffraction(masks, np.ones((2, 7)), real=True)
    assert problem.distinct() == 2 * 4
    assert rw.CodedDiffraction(masks, np.ones((2, 7))).distinct() == 2 * 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_different_measurements_all_count(dtype):
    assert rw.sense(rw.low_rank((20, 20), 1, key=0), 1500, key=1, dtype=dtype).distinct() == 1500
    assert rw.sense_fourier(rw.low_rank((20, 20), 1, key=0), 350, key=1, dtype=dtype).distinct() == 350
    assert rw.observe(TRUTH, 20, key=0, dtype=dtype).distinct() == 20


def test_mirrored_sensors_are_one_of_a_symmetric_matrix_and_zero_is_none():
    sensors = np.random.default_rng(0).standard_normal((5, 4, 4))
    both = rw.Sensing(np.concatenate([sensors, sensors.transpose(0, 2, 1), np.zeros((1, 4, 4))]), np.ones(11))
    assert both.distinct() == 10
    assert both.distinct(symmetric=True) == 5


def test_the_entries_of_a_mask_are_counted():
    problem = rw.Completion((4, 4), [0, 1, 2, 2], [1, 0, 2, 3], np.ones(4))
    assert problem.compiled().distinct() == problem.distinct() == 4
    assert problem.compiled().distinct(symmetric=True) == problem.distinct(symmetric=True) == 3


def test_a_share_of_all_observations_is_held_out_also_where_they_are_repeated():
    kept, held = repeated(rw.sense(TRUTH, 15, key=1), ["sensors"]).split(0.1, 0)
    assert (kept.size, held.size) == (54, 6)


@pytest.mark.parametrize("unit", [1e-160, 1.0, 1e155])
def test_measurements_of_any_size_are_told_apart(unit):
    rows = np.random.default_rng(0).standard_normal((50, 36))
    problem = rw.Operator(
        (6, 6),
        lambda w: unit * (rows @ w.ravel()),
        lambda z: unit * (rows.T @ z).reshape(6, 6),
        np.ones(50),
        squares=1.0,
    )
    assert problem.distinct() == problem.distinct(symmetric=True) == 50


def test_antisymmetric_measurements_see_nothing_of_symmetric_matrices():
    sensors = np.random.default_rng(0).standard_normal((30, 6, 6))
    problem = rw.Sensing(sensors - sensors.transpose(0, 2, 1), np.ones(30))
    assert (problem.distinct(), problem.distinct(symmetric=True)) == (30, 0)


def test_what_mirrors_a_held_out_measurement_is_held_out_too():
    sensors = np.random.default_rng(0).standard_normal((20, 6, 6))
    problem = rw.Sensing(np.concatenate([sensors, 2 * sensors.transpose(0, 2, 1)]), np.arange(40.0))
    for part in problem.split(0.2, 0, symmetric=True):
        assert np.array_equal(np.sort(part.values % 20), np.repeat(np.unique(part.values % 20), 2))
