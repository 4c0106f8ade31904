"""Riemannian conjugate gradients: projection, gradient and retraction against their definitions, and descent."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.solvers.riemannian import Conjugate, RiemannianCG, Tangent, _along, _project, _retract

TRUTH = rw.low_rank((30, 24), 2, key=0, kappa=10)
PROBLEM = rw.observe(TRUTH, 400, key=1, min_degree=4)


@pytest.fixture
def point():
    rng = np.random.default_rng(2)
    return Conjugate(*LowRank(rng.standard_normal((30, 2)), rng.standard_normal((24, 2))).svd())


def dense(point):
    return (point.u * point.s) @ point.v.T


def random_tangent(point, seed=3):
    return _project(point.u, point.v, np.random.default_rng(seed).standard_normal((30, 24)))


def test_the_projection_is_that_of_the_formula(point):
    matrix = np.random.default_rng(3).standard_normal((30, 24))
    onto_u, onto_v = point.u @ point.u.T, point.v @ point.v.T
    expected = onto_u @ matrix + matrix @ onto_v - onto_u @ matrix @ onto_v
    tangent = _project(point.u, point.v, matrix)
    np.testing.assert_allclose(_along(point, tangent).dense(), expected, atol=1e-12)
    assert tangent.inner(tangent) == pytest.approx((expected**2).sum())
    again = _project(point.u, point.v, _along(point, tangent))
    np.testing.assert_allclose(_along(point, again).dense(), expected, atol=1e-12)


def test_the_gradient_is_the_slope_along_retracted_tangents(point):
    tangent = random_tangent(point)
    matrix = LowRank(point.u * point.s, point.v)
    gradient = _project(point.u, point.v, PROBLEM.adjoint_operator(PROBLEM.residual(matrix)))
    step = 1e-6
    ahead, behind = (_retract(point, tangent, t) for t in (step, -step))
    losses = [PROBLEM.loss(LowRank(u * s, v)) for u, s, v in (ahead, behind)]
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient.inner(tangent), rel=1e-6)


def test_the_retraction_is_second_order(point):
    tangent = random_tangent(point)
    line = _along(point, tangent).dense()

    def gap(t):
        u, s, v = _retract(point, tangent, t)
        return np.linalg.norm((u * s) @ v.T - dense(point) - t * line)

    assert gap(1e-3) / gap(1e-4) == pytest.approx(100, rel=0.05)


def test_the_loss_never_rises():
    rmse = rw.solve(PROBLEM, RiemannianCG(rank=2)).history["train_rmse"]
    assert (np.diff(rmse) <= 1e-12 * rmse[0]).all()


def test_conjugate_directions_beat_steepest_descent():
    solver = RiemannianCG(rank=2)
    rng = np.random.default_rng(4)
    shaken = TRUTH.left + 0.1 * rng.standard_normal(TRUTH.left.shape)
    matrix, memory = solver.begin(PROBLEM, LowRank(shaken, TRUTH.right))
    steepest, bare = matrix, memory
    for _ in range(60):
        matrix, memory = solver.iterate(PROBLEM, matrix, memory)
        steepest, bare = solver.iterate(PROBLEM, steepest, Conjugate(bare.u, bare.s, bare.v))
    assert PROBLEM.loss(matrix) < 1e-3 * PROBLEM.loss(steepest)


def test_a_point_that_fits_stays():
    u, s, v = TRUTH.svd()
    problem = PROBLEM.replace(values=PROBLEM.measure(LowRank(u * np.sqrt(s), v * np.sqrt(s))))
    matrix, _ = RiemannianCG(rank=2).iterate(problem, LowRank(u * np.sqrt(s), v * np.sqrt(s)), Conjugate(u, s, v))
    np.testing.assert_allclose(matrix.dense(), TRUTH.dense(), atol=1e-12)
    assert isinstance(_project(u, v, matrix), Tangent)
