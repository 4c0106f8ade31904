"""Misfits: values, slopes and weights agree; the loss of every layout follows; who cannot take them says so."""

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.solvers.robust_fit import squared

EDGES = np.array([-3.0, -0.5, -0.4999, 0.0, 0.2, 0.5, 0.7, 1e3])


def contaminated(key=0):
    truth = rw.low_rank((20, 16), 2, key=key)
    return truth, rw.corrupt(rw.observe(truth, 240, key=key + 1, noise=0.01), 0.08, key=key + 2, size=20.0)


@pytest.mark.parametrize("misfit", [rw.Squared(), rw.Huber(0.5)])
def test_slope_is_the_derivative_and_weight_times_residual(misfit):
    step = 1e-6
    difference = (misfit.value(EDGES + step) - misfit.value(EDGES - step)) / (2 * step)
    assert np.allclose(misfit.slope(EDGES), difference, atol=1e-6)
    assert np.allclose(misfit.weight(EDGES) * EDGES, misfit.slope(EDGES), rtol=1e-15)
    assert misfit.weight(EDGES)[3] == 1


def test_jax_differentiates_huber_as_its_slope_says():
    misfit = rw.Huber(0.5)
    with jax.enable_x64(True):
        slopes = jax.vmap(jax.grad(misfit.value))(EDGES)
    assert np.allclose(slopes, misfit.slope(EDGES), rtol=1e-15)


def test_the_compiled_layout_and_subsets_have_the_same_loss():
    truth, problem = contaminated()
    problem = problem.replace(misfit=rw.Huber(0.05), scale=3.0)
    matrix = 0.9 * truth.dense()
    assert np.isclose(problem.compiled().loss(matrix), problem.loss(matrix), rtol=1e-13)
    first, second = (problem.subset(np.arange(*ends)) for ends in ((0, 100), (100, problem.size)))
    assert np.isclose(first.loss(matrix) + second.loss(matrix), problem.loss(matrix), rtol=1e-13)
    assert np.isclose(rw.measures.heldout_loss(matrix, problem), 2 * problem.loss(matrix) / (3 * problem.size))


def test_huber_far_out_is_least_squares():
    truth, problem = contaminated()
    matrix = 0.5 * truth.dense()
    assert problem.replace(misfit=rw.Huber(1e6)).loss(matrix) == pytest.approx(problem.loss(matrix), rel=1e-14)


def test_the_touching_squares_touch_and_lie_above():
    truth, problem = contaminated()
    rng = np.random.default_rng(0)
    problem = problem.replace(misfit=rw.Huber(0.3))
    above = squared(problem, truth)
    offset = problem.loss(truth) - above.loss(truth)
    assert np.allclose(above.gradient(truth.dense()), problem.gradient(truth.dense()), atol=1e-12)
    for size in (0.01, 0.3, 10.0):
        other = truth.dense() + size * rng.standard_normal(truth.shape)
        assert problem.loss(other) <= above.loss(other) + offset + 1e-9


def test_gradient_descent_under_huber_is_nearer_than_under_squares():
    truth, problem = contaminated()
    descent = rw.GradientDescent(rw.Deep(2, rw.Gaussian(1e-2)), rw.Optimizer("adam", 1e-2))
    errors = []
    for each in (problem, problem.replace(misfit=rw.Huber(0.02))):
        run = rw.solve(each.mean(), descent, max_steps=300, truth=truth, track=["relative_error"], checkpoints=10)
        errors.append(run.history["relative_error"].min())
    assert errors[1] < 0.2 * errors[0]


def test_greedy_under_huber_is_stationary_for_the_clipped_residuals():
    truth, problem = contaminated()
    problem = problem.replace(misfit=rw.Huber(0.02))
    run = rw.solve(problem, rw.Greedy(max_rank=2), truth=truth, track=["relative_error"])
    assert run.history["relative_error"][-1] < 0.02
    gradient = problem.gradient(run.matrix.dense())
    size = np.linalg.norm(problem.gradient(np.zeros(problem.shape)))
    assert np.linalg.norm(gradient @ run.matrix.right) < 1e-4 * size * np.linalg.norm(run.matrix.right, 2)
    assert np.all(np.diff(run.history["train_loss"]) < 0)


def test_a_solver_made_for_squares_refuses_and_nonsense_is_refused():
    _, problem = contaminated()
    with pytest.raises(ValueError, match="ScaledGD works with a misfit Squared, not Huber"):
        rw.solve(problem.replace(misfit=rw.Huber(1.0)), rw.ScaledGD())
    with pytest.raises(ValueError, match="Greedy works with a misfit Misfit, not 'huber'"):
        rw.solve(problem.replace(misfit="huber"), rw.Greedy())
    for delta in (0, -1, np.nan, "1"):
        with pytest.raises(ValueError, match="delta must be"):
            rw.Huber(delta)
