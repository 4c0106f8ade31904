"""The cap on the norm, and sums of penalties: closed forms, limits, refusals, and the runaway that the cap stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rankwise as rw
from rankwise.penalties import Total
from rankwise.penalties.base import closed_form
from rankwise.plain import register

MATRIX = np.diag([3.0, 4.0, 0.0])
BOTH = rw.Ratio(0.3) + rw.NormCap(2.0, 4.0)


def test_known_values():
    cap = rw.NormCap(2.0, 4.0)
    assert cap(MATRIX) == pytest.approx(2 * 0.25**2)
    np.testing.assert_allclose(cap.gradient(MATRIX), 2 * 2 * 0.25 / 4 * MATRIX / 5)
    assert BOTH(MATRIX) == pytest.approx(0.3 * 7 / 5 + 2 * 0.25**2)


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), 0.79 * MATRIX, 1e-310 * np.ones((2, 2))], ids=str)
def test_nothing_below_the_norm(matrix):
    assert rw.NormCap(1.0, 4.0)(matrix) == 0
    assert not rw.NormCap(1.0, 4.0).gradient(matrix).any()


@pytest.mark.parametrize(
    "penalty", [rw.NormCap(1.3, 1.7), BOTH, Total(0.5, BOTH.terms)], ids=["cap", "sum", "weighted"]
)
def test_gradient_against_differences(penalty):
    matrix, direction = np.random.default_rng(0).standard_normal((2, 5, 4))
    matrix, h = 3 * matrix, 1e-6
    slope = (penalty(matrix + h * direction) - penalty(matrix - h * direction)) / (2 * h)
    assert slope == pytest.approx((penalty.gradient(matrix) * direction).sum(), rel=1e-6)


def test_jax_agrees():
    register()
    with jax.enable_x64(True):
        value, grad = jax.value_and_grad(lambda w: closed_form()(BOTH, w))(jnp.asarray(MATRIX))
    assert float(value) == pytest.approx(float(BOTH(MATRIX)))
    np.testing.assert_allclose(grad, BOTH.gradient(MATRIX), atol=1e-12)


def test_it_stops_the_runaway_of_a_large_step():
    truth = rw.low_rank((12, 12), 2, key=0)
    problem = rw.observe(truth, 60, key=1, min_degree=3).mean()
    norm, sizes = float(problem.norm_estimate()), []
    for weight in (0.0, 1.0):
        penalty = rw.Ratio(1e-3) + rw.NormCap(weight, norm)
        solver = rw.GradientDescent(optimizer=rw.Optimizer("adam", 0.3), penalty=penalty)
        sizes.append(np.linalg.norm(rw.solve(problem, solver, max_steps=1000, checkpoints=1).matrix))
    assert sizes[0] > 2 * norm
    assert sizes[1] < 1.2 * norm


def test_refusals():
    with pytest.raises(ValueError, match="norm must be positive"):
        rw.NormCap(1.0, 0.0)
    with pytest.raises(ValueError, match="terms of a Total"):
        Total(1.0, (1.0,))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        _ = rw.Ratio(1.0) + 1  # pyright: ignore[reportOperatorIssue]


def test_the_largest_matrices():
    large = np.full((2, 2), 1e200)
    np.testing.assert_allclose(rw.Frobenius(1.0).gradient(large), 0.5)
    np.testing.assert_allclose(rw.NormCap(1.0, 1e200).gradient(large), 1e-200)
    assert rw.NormCap(1.0, 1.0)(large) == np.inf
    for beyond in (1e308, np.inf):
        matrix = np.full((2, 2), beyond)
        assert rw.Frobenius(1.0)(matrix) == rw.NormCap(1.0, 4.0)(matrix) == np.inf
        assert rw.NormCap(1.0, 4.0).gradient(matrix).shape == rw.Frobenius(1.0).gradient(matrix).shape == (2, 2)
