"""Synthetic observations: every generator is exact without noise, follows its key, and refuses what makes no sense."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.data.synthetic import GENERATORS

TRUTH = rw.low_rank((12, 12), 2, key=0, symmetric=True)
SIGNAL = np.arange(1.0, 9) * 1j + 1


def made(name, key, **settings):
    if name in GENERATORS:
        return GENERATORS[name](TRUTH, 60, key=key, **settings), TRUTH
    make, count = (rw.diffract, 60) if name == "diffract" else (rw.diffract_coded, 7)
    problem = make(SIGNAL, count, key=key, **settings)
    return problem, problem.lift(SIGNAL)


@pytest.mark.parametrize("name", [*GENERATORS, "diffract", "coded"])
def test_every_generator(name):
    problem, truth = made(name, 3)
    assert np.abs(problem.residual(truth)).max() < 1e-12 * np.abs(problem.values).max()
    np.testing.assert_array_equal(problem.values, made(name, 3)[0].values)
    assert not np.array_equal(problem.values, made(name, 4)[0].values)
    noisy = made(name, 3, noise=1e-3)[0]
    assert 3e-4 < np.sqrt(np.mean((noisy.values - problem.values) ** 2)) < 2e-3
    assert made(name, 3, dtype=np.float32)[0].dtype == np.float32


@pytest.mark.parametrize("make", [rw.sense, rw.sense_rank_one])
def test_sensors_may_be_symmetric(make):
    assert make(TRUTH, 5, key=0, symmetric=True).adjoint(np.arange(5.0)) == pytest.approx(
        make(TRUTH, 5, key=0, symmetric=True).adjoint(np.arange(5.0)).T
    )
    with pytest.raises(ValueError, match="square"):
        make(rw.low_rank((4, 5), 1, key=0), 5, key=0, symmetric=True)


@pytest.mark.parametrize("vectors", ["random", "identity"])
def test_singular_values_may_be_given(vectors):
    truth = rw.low_rank((7, 5), 3, key=0, singular_values=[6, 12, 3], vectors=vectors)
    assert truth.singular_values() == pytest.approx([12, 6, 3])
    assert (truth.dense() == pytest.approx(np.eye(7, 5) * [6, 12, 3, 0, 0])) is (vectors == "identity")
    assert np.linalg.eigvalsh(
        rw.low_rank((5, 5), 2, key=0, singular_values=[2, 1], symmetric=True).dense()
    ) == pytest.approx([0, 0, 0, 1, 2])


def test_the_factor_of_sensors():
    plain, unscaled = rw.sense(TRUTH, 9, key=0), rw.sense(TRUTH, 9, key=0, factor=12.0)
    assert unscaled.sensors == pytest.approx(12 * plain.sensors)
    assert unscaled.values == pytest.approx(12 * plain.values)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rw.low_rank((4, 4), 2, key=0, singular_values=[1]), "as many positive numbers as the rank, 2"),
        (lambda: rw.low_rank((4, 4), 1, key=0, singular_values=[0]), "as many positive numbers"),
        (lambda: rw.low_rank((4, 4), 1, key=0, singular_values=["a"]), "as many positive numbers"),
        (lambda: rw.low_rank((4, 4), 1, key=0, singular_values=[1], kappa=2.0), "not both"),
        (lambda: rw.low_rank((4, 4), 1, key=0, vectors="identity"), "needs singular_values"),
        (lambda: rw.low_rank("x", 1, key=0), "shape must be two positive integers, not 'x'"),
        (lambda: rw.low_rank((4, 4), "x", key=0), "rank must be an integer of at least 1, not 'x'"),
        (lambda: rw.low_rank((4, 4), 1, key=0, kappa="x"), "kappa must be a number, not 'x'"),
        (lambda: rw.observe(TRUTH, 9.5, key=0), "count must be an integer of at least 1, not 9.5"),
        (lambda: rw.low_rank((4, 4), 1, key=0, vectors="unit"), "vectors must be 'random' or 'identity'"),
        (lambda: rw.sense(TRUTH, 5, key=0, factor=0.0), "factor must be"),
        (lambda: rw.sense_rank_one(TRUTH, 0, key=0), "count must be an integer of at least 1"),
        (lambda: rw.sense_fourier(TRUTH, 145, key=0), "count must lie between 1 and 144"),
        (lambda: rw.diffract(SIGNAL, 0, key=0), "count must be an integer of at least 1"),
        (lambda: rw.diffract(np.ones((2, 2)), 3, key=0), "a signal"),
        (lambda: rw.diffract_coded(SIGNAL, 0, key=0), "masks, their number"),
        (lambda: rw.diffract_coded(3.0, 1, key=0), "a signal or an image"),
        (lambda: rw.observe(TRUTH, 9, key=0, min_degree="a"), "min_degree must be an integer of at least 0, not 'a'"),
        (lambda: rw.observe(TRUTH, 9, key=0, min_degree=None), "min_degree must be an integer"),
        (lambda: rw.diffract(["a"], 5, key=0), "signal must be made of numbers"),
        (lambda: rw.diffract_coded([np.inf, 1.0], 5, key=0), "image has an entry that is not finite"),
        (lambda: rw.diffract([1e200, 1.0], 5, key=0), "not finite"),
        (lambda: rw.diffract_coded([1e200, 1.0], 5, key=0), "not finite"),
        (lambda: rw.sense(TRUTH, 50, key=0, noise=1.7e308), "not finite"),
        (lambda: rw.observe(TRUTH, 50, key=0).split("a", 0), "fraction must be a number"),
        (lambda: rw.observe(TRUTH, 50, key=0).split(None, 0), "fraction must be a number"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("draw", [rw.observe, rw.sense, rw.sense_rank_one, rw.sense_fourier])
def test_truths_that_are_no_real_matrix_are_refused(draw):
    real = rw.low_rank((4, 4), 1, key=0).dense()
    with pytest.raises(ValueError, match="truth must be a matrix of real numbers, not of complex128"):
        draw(real + 1j, 8, key=1)
    with pytest.raises(ValueError, match=r"truth must be a matrix \(d1, d2\), not an array of shape \(4,\)"):
        draw(real[0], 8, key=1)
    with pytest.raises(ValueError, match="truth has an entry that is not finite"):
        draw(np.full((4, 4), np.inf), 8, key=1)
    assert (draw(real.tolist(), 8, key=1).values == draw(real, 8, key=1).values).all()


@pytest.mark.parametrize("count", [40, 700, 2500])
def test_the_entries_that_a_key_draws_are_those_of_a_mask(count):
    rng, mask = np.random.default_rng(3), np.zeros(60 * 50, bool)
    mask[rng.choice(60 * 50, count, replace=False)] = True
    drawn = rw.observe(rw.low_rank((60, 50), 1, key=0), count, key=3)
    np.testing.assert_array_equal(np.nonzero(mask.reshape(60, 50)), (drawn.rows, drawn.cols))


def test_few_entries_are_drawn_without_the_matrix():
    drawn = rw.observe(rw.LowRank(np.ones((10**6, 1)), np.ones((10**6, 1))), 5, key=0)
    assert len(set(zip(drawn.rows.tolist(), drawn.cols.tolist(), strict=True))) == 5
    with pytest.raises(ValueError, match=r"kappa must be at least 1 and finite, not 0\.5"):
        rw.low_rank((4, 4), 2, key=0, kappa=0.5)


@pytest.mark.parametrize("kappa", [1e200, 1e308])
def test_any_condition_number_gives_mean_square_one(kappa):
    assert np.mean(rw.low_rank((6, 5), 2, key=0, kappa=kappa).dense() ** 2) == pytest.approx(1)


def test_factors_are_real():
    real = np.ones((3, 1))
    for left, right, name in ((1j * real, real, "left"), (real, 1j * real, "right")):
        with pytest.raises(ValueError, match=f"{name} is complex; real numbers are needed"):
            rw.LowRank(left, right)
    with pytest.raises(ValueError, match="right must be an array, not a list"):
        rw.LowRank(real, [[1.0]])


@pytest.mark.parametrize("draw", [rw.observe, rw.sense])
@pytest.mark.parametrize("noise", [-1.0, float("nan"), "x"])
def test_noise_that_is_no_standard_deviation_is_refused(draw, noise):
    with pytest.raises(ValueError, match=r"noise must be (finite and not negative|a number)"):
        draw(rw.low_rank((4, 4), 1, key=0), 8, key=1, noise=noise)
