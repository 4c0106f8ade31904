"""Phase retrieval: lifting, signals up to phase, coded diffraction, and refusals."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.problems.phase import distance

RNG = np.random.default_rng(0)
REAL = RNG.standard_normal((12, 5))
COMPLEX = REAL + 1j * RNG.standard_normal((12, 5))
SIGNAL = RNG.standard_normal(5) + 1j * RNG.standard_normal(5)
IMAGE = RNG.standard_normal((4, 3))


def test_intensities_are_linear_in_the_lifted_signal():
    problem = rw.PhaseRetrieval(COMPLEX, np.abs(COMPLEX.conj() @ SIGNAL) ** 2)
    assert problem.shape == (10, 10)
    np.testing.assert_allclose(problem.measure(problem.lift(SIGNAL)), problem.values)
    np.testing.assert_allclose(problem.measure(problem.lift(1j * SIGNAL)), problem.values)
    real = rw.PhaseRetrieval(REAL, (REAL @ SIGNAL.real) ** 2)
    assert real.shape == (5, 5)
    np.testing.assert_allclose(real.residual(real.lift(SIGNAL.real)), 0, atol=1e-12)


@pytest.mark.parametrize("image", [IMAGE, IMAGE + 1j * IMAGE[::-1], IMAGE[0]])
def test_patterns_are_those_of_the_transform(image):
    problem = rw.diffract_coded(image, 3, key=0)
    assert problem.real == np.isrealobj(image)
    fields = np.fft.fftn(problem.masks * image, axes=range(1, problem.masks.ndim), norm="ortho")
    np.testing.assert_allclose(problem.values, np.abs(fields).ravel() ** 2)
    np.testing.assert_allclose(problem.residual(problem.lift(image)), 0, atol=1e-12)
    assert problem.signal(problem.lift(image)).shape == image.shape


@pytest.mark.parametrize("of", [lambda matrix: matrix, lambda matrix: matrix.dense()])
def test_the_signal_comes_back_up_to_its_phase(of):
    problem = rw.PhaseRetrieval(COMPLEX, np.ones(12))
    assert distance(problem.signal(of(problem.lift(SIGNAL))), SIGNAL) < 1e-12
    column = problem.lift(SIGNAL).left
    unbalanced = rw.LowRank(4 * column, column / 4)
    assert distance(problem.signal(unbalanced), SIGNAL) < 1e-12
    assert not problem.signal(rw.LowRank.zeros((10, 10), np.float64)).any()


def test_distance_ignores_the_phase_alone():
    assert distance(np.exp(0.7j) * SIGNAL, SIGNAL) < 1e-14
    assert distance(-SIGNAL.real, SIGNAL.real) < 1e-14
    assert distance(2 * SIGNAL, SIGNAL) == pytest.approx(1)
    assert distance(0 * SIGNAL, SIGNAL) == 1


def test_the_compiled_layout_measures_alike():
    for problem in (rw.PhaseRetrieval(COMPLEX, np.ones(12)), rw.diffract_coded(IMAGE, 3, key=0)):
        matrix = RNG.standard_normal(problem.shape)
        np.testing.assert_allclose(problem.compiled().measure(matrix), problem.measure(matrix), atol=1e-12)
        assert problem.compiled().energy() == pytest.approx(problem.energy())


@pytest.mark.parametrize("signal", [SIGNAL, SIGNAL.real])
def test_greedy_learning_lifted(signal):
    problem = rw.diffract(signal, 40, key=1)
    solution = rw.solve(problem, rw.Greedy(rw.Symmetric()))
    assert (solution.rank, solution.result.name) == (1, "explained")
    assert distance(problem.signal(solution.matrix), signal) < 1e-10


def test_greedy_learning_of_an_image_by_products_alone(monkeypatch):
    monkeypatch.setattr("rankwise.problems.implicit.DENSE_JACOBIAN", 0)
    monkeypatch.setattr("rankwise.problems.phase.DENSE_ADJOINT", 0)
    monkeypatch.setattr("rankwise.solvers.growth.DENSE_ENTRIES", 0)
    problem = rw.diffract_coded(IMAGE, 8, key=0)
    solution = rw.solve(problem, rw.Greedy(rw.Symmetric()))
    assert solution.rank == 1
    assert distance(problem.signal(solution.matrix), IMAGE) < 1e-9


def test_gradient_descent_lifted():
    problem = rw.diffract(SIGNAL, 40, key=1).mean()
    solver = rw.GradientDescent(rw.Symmetric(rw.Gaussian(1e-2), width=1), rw.Optimizer("adam", 3e-2), tolerance=1e-16)
    solution = rw.solve(problem, solver, max_steps=3000)
    assert distance(problem.signal(solution.matrix), SIGNAL) < 1e-6


def test_single_precision_stays():
    problem = rw.diffract(SIGNAL, 40, key=1, dtype=np.float32)
    assert (problem.dtype, problem.vectors.dtype) == (np.float32, np.complex64)
    coded = rw.diffract_coded(IMAGE, 3, key=1, dtype="float32")
    assert (coded.dtype, coded.masks.dtype) == (np.float32, np.complex64)


@pytest.mark.parametrize(
    ("vectors", "values", "words"),
    [
        (REAL, np.ones(11), "are needed, not"),
        (REAL[:0], np.ones(0), "at least one"),
        (np.where(np.arange(12)[:, None] == 3, np.nan, COMPLEX), np.ones(12), "vector 3 is not finite"),
        (REAL, np.r_[np.ones(11), np.nan], "value 11 is not finite"),
        (REAL, np.r_[1.0, -0.5, np.ones(10)], "value 1 is -0.5: an intensity cannot be negative"),
        (REAL, np.ones(12) + 0j, "values are complex"),
        (np.full((12, 2), "a"), np.ones(12), "not numbers"),
    ],
)
def test_refusals(vectors, values, words):
    with pytest.raises(ValueError, match=words):
        rw.PhaseRetrieval(vectors, values)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": np.ones(11)}, "are needed, not"),
        ({"values": -np.ones(12)}, "value 0 is -1"),
        ({"masks": np.full((2, 6), np.inf)}, "mask 0 is not finite"),
        ({"seen": np.arange(12) + 1}, "seen must be integers from 0 to 11"),
        ({"seen": np.ones(12, bool)}, "seen must be integers"),
    ],
)
def test_pattern_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        rw.CodedDiffraction(**({"masks": np.ones((2, 6)), "values": np.ones(12)} | changes))


def test_signals_of_another_kind_are_not_lifted():
    problem = rw.PhaseRetrieval(REAL, np.ones(12))
    with pytest.raises(ValueError, match="is real"):
        problem.lift(SIGNAL)
    with pytest.raises(ValueError, match=r"shape \(5,\), not \(4,\)"):
        problem.lift(SIGNAL[:4].real)
