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


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rw.sense_rank_one(TRUTH, 0, key=0), "count must be positive"),
        (lambda: rw.sense_fourier(TRUTH, 145, key=0), "count must lie between 1 and 144"),
        (lambda: rw.diffract(SIGNAL, 0, key=0), "count must be positive"),
        (lambda: rw.diffract(np.ones((2, 2)), 3, key=0), "a signal"),
        (lambda: rw.diffract_coded(SIGNAL, 0, key=0), "masks, their number"),
        (lambda: rw.diffract_coded(3.0, 1, key=0), "a signal or an image"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
