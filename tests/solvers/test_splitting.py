"""The splitting: derivatives agree with differences, Newton's steps converge."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.solvers import NuclearNorm
from rankwise.solvers.data_term import DataTerm
from rankwise.solvers.nuclear_parts import SoftThreshold
from rankwise.solvers.splitting import Splitting, SplittingDerivative

TRUTH = rw.low_rank((12, 9), 2, key=0)
RNG = np.random.default_rng(0)
ENTRIES = rw.observe(TRUTH, 60, key=1, noise=0.1)
SENSED = rw.sense(TRUTH, 50, key=2, noise=0.1)
FORMS = [(0.0, None), (0.4, None), (0.0, 3.0)]


def difference(function, point, direction, step=1e-6):
    """The central difference of a function along a direction."""
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)


@pytest.mark.parametrize(
    ("shape", "step", "semidefinite"),
    [((12, 9), 3.0, False), ((9, 12), 3.0, False), ((9, 9), 2.0, False), ((12, 9), 100.0, False), ((9, 9), 2.0, True)],
)
def test_the_derivative_of_the_threshold(shape, step, semidefinite):
    point, direction = RNG.standard_normal((2, *shape)) * 2
    parts = SoftThreshold.of(point, step, semidefinite)
    expected = difference(lambda z: SoftThreshold.of(z, step, semidefinite).low_rank().dense(), point, direction)
    np.testing.assert_allclose(parts.derivative(float)(direction), expected, atol=1e-7)


def test_a_short_threshold_beside_large_singular_values():
    left, right = np.linalg.qr(RNG.standard_normal((12, 9)))[0], np.linalg.qr(RNG.standard_normal((9, 9)))[0]
    sigma = np.array([50.0, 20.0, 3e-6, 1e-6, 5e-7, 0, 0, 0, 0])
    point = left * sigma @ right.T
    found = SoftThreshold.of(point, 8e-7, False)
    expected = left * np.maximum(sigma - 8e-7, 0) @ right.T
    np.testing.assert_allclose(found.low_rank().dense(), expected, atol=1e-13)
    assert found.low_rank().rank == 4
    direction = np.outer(left[:, 2], right[:, 2]) + np.outer(left[:, 5], right[:, 6])
    np.testing.assert_allclose(found.derivative(float)(direction), np.outer(left[:, 2], right[:, 2]), atol=1e-6)


def test_the_diagonal_of_the_threshold_is_near():
    point = RNG.standard_normal((12, 9))
    derivative = SoftThreshold.of(point, 1.5, False).derivative(float)
    units = np.eye(108).reshape(108, 12, 9)
    exact = np.array([(unit * derivative(unit)).sum() for unit in units]).reshape(12, 9)
    assert np.linalg.norm(derivative.diagonal() - exact) < 0.2 * np.linalg.norm(exact)


@pytest.mark.parametrize(("radius", "curvature"), FORMS)
@pytest.mark.parametrize("problem", [ENTRIES, SENSED], ids=["entries", "sensed"])
def test_the_derivative_of_the_data_term(problem, radius, curvature):
    term = DataTerm.of(problem, radius, curvature)
    point, direction = RNG.standard_normal((2, 12, 9))
    along, diagonal = term.derivative(point, 0.7)
    expected = difference(lambda z: term.prox(z, 0.7)[0], point, direction)
    np.testing.assert_allclose(along(direction), expected, atol=1e-8)
    trace = sum((unit * along(unit)).sum() for unit in np.eye(108).reshape(108, 12, 9))
    # Of a ball's normal direction the diagonal knows nothing: one of the 108 at most.
    assert trace == pytest.approx(diagonal.sum(), abs=1.0 if radius else 1e-9)


@pytest.mark.parametrize("bounds", [None, (-0.8, 1.1)])
def test_the_derivative_of_the_splitting(bounds):
    splitting = Splitting(DataTerm.of(ENTRIES, 0.4, None), 0.9, False, bounds)
    point, direction = RNG.standard_normal((2, 1 if bounds is None else 2, 12, 9))
    expected = difference(lambda z: splitting.at(z).residual, point, direction)
    found = SplittingDerivative.of(splitting.at(point), 0.0)
    np.testing.assert_allclose(found(direction), expected, atol=1e-5)
    shifted = SplittingDerivative.of(splitting.at(point), 0.5)
    np.testing.assert_allclose(shifted(direction), expected + 0.5 * direction, atol=1e-5)
    assert found.diagonal.min() > 0


def test_another_parameter_keeps_matrix_and_multipliers():
    point = rw.solve(ENTRIES, NuclearNorm(delta=0.5)).state[0].point
    other = point.under(point.splitting.step / 3)
    np.testing.assert_allclose(other.multipliers, point.multipliers, atol=1e-7)
    np.testing.assert_allclose(other.moved, point.moved, atol=1e-7)


@pytest.mark.parametrize(
    "solver",
    [
        NuclearNorm(), NuclearNorm(delta=0.5), NuclearNorm(weight=0.3), NuclearNorm(weight=0.3, bounds=(-1.0, 1.5)),
    ],
    ids=["exact", "constrained", "penalized", "bounds"],
)  # fmt: skip
@pytest.mark.parametrize("problem", [ENTRIES, SENSED], ids=["entries", "sensed"])
def test_a_newton_step_near_the_solution_takes_the_digits_asked_for(problem, solver):
    point = rw.solve(problem, solver.replace(gap=1e-6)).state[0].point
    first = np.linalg.norm(point.residual)
    assert np.linalg.norm(point.newton(1e-3, 100).residual) < 0.01 * first
