"""Riemannian conjugate gradients: projection, gradient and retraction against their definitions, and descent."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.results import RESULTS
from rankwise.solvers.riemannian import Conjugate, RiemannianCG, _along, _carried, _direction, _project, _retract

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
    again = _project(point.u, point.v, _along(point, tangent).dense())
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


def test_tangents_are_carried_block_by_block(point):
    rng = np.random.default_rng(5)
    tangent = random_tangent(point)
    u, _, v = LowRank(rng.standard_normal((30, 2)), rng.standard_normal((24, 2))).svd()
    carried = _carried(point, u, v, tangent)
    core = u @ u.T @ point.u @ tangent.core @ point.v.T @ v @ v.T
    left = (np.eye(30) - u @ u.T) @ tangent.left @ point.v.T @ v @ v.T
    right = u @ u.T @ point.u @ tangent.right.T @ (np.eye(24) - v @ v.T)
    np.testing.assert_allclose(_along(Conjugate(u, point.s, v), carried).dense(), core + left + right, atol=1e-12)
    stayed = _carried(point, point.u, point.v, tangent)
    np.testing.assert_allclose(_along(point, stayed).dense(), _along(point, tangent).dense(), atol=1e-12)


def test_gradients_far_from_orthogonal_restart(point):
    gradient, last = random_tangent(point, 3), random_tangent(point, 4)
    square = gradient.inner(gradient)
    orthogonal = last.plus(-last.inner(gradient) / square, gradient)
    for share, restarts in ((0.0, False), (0.09, False), (0.11, True), (-0.11, True)):
        before = orthogonal.plus(share, gradient)
        memory = Conjugate(point.u, point.s, point.v, before, before.times(-1.0), before.inner(before))
        direction = _direction(memory, gradient)
        np.testing.assert_equal(np.allclose(direction.core, -gradient.core), restarts)


def test_an_ascending_direction_restarts(point):
    gradient, last = random_tangent(point, 3), random_tangent(point, 4)
    orthogonal = last.plus(-last.inner(gradient) / gradient.inner(gradient), gradient)
    memory = Conjugate(point.u, point.s, point.v, orthogonal, gradient.times(2.0), gradient.inner(gradient))
    np.testing.assert_allclose(_direction(memory, gradient).left, -gradient.left)


@pytest.mark.parametrize("seed", [0, 4, 6])
def test_recovers_where_full_transport_without_restarts_stalls(seed):
    truth = rw.low_rank((150, 150), 3, key=seed, kappa=10)
    problem = rw.observe(truth, 5 * 3 * 297, key=seed + 1, min_degree=4)
    assert rw.solve(problem, RiemannianCG(rank=3)).result is RESULTS.explained


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
