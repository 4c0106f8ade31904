"""The tangent kernel, the linearized flow in closed form, and the lazy regime of large starts."""

from itertools import pairwise

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved.lazy import lazy_regime, linearized, tangent_kernel

TRUTH = rw.low_rank((4, 3), 1, key=0)
PROBLEM = rw.observe(TRUTH, 8, key=1).mean()


def layers(widths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((b, a)) for a, b in pairwise(widths)]


def product(factors):
    out = factors[0]
    for factor in factors[1:]:
        out = factor @ out
    return out


def test_another_misfit_is_refused_where_only_squares_are_linear():
    with pytest.raises(ValueError, match="squared misfit, not Huber"):
        linearized(PROBLEM.replace(misfit=rw.Huber(0.5)), layers((3, 4, 4)), [1.0])


@pytest.mark.parametrize("widths", [(3, 4), (3, 5, 4), (3, 2, 5, 4)])
def test_the_kernel_is_the_square_of_the_jacobian(widths):
    factors = layers(widths)
    columns = []
    for j, factor in enumerate(factors):
        for place in np.ndindex(factor.shape):
            moved = np.zeros(factor.shape)
            moved[place] = 1
            # W is linear in each layer by itself.
            columns.append(product([*factors[:j], moved, *factors[j + 1 :]]).ravel())
    jacobian = np.stack(columns, axis=1)
    np.testing.assert_allclose(tangent_kernel(factors), jacobian @ jacobian.T, atol=1e-10)


def test_at_depth_1_the_kernel_is_the_identity_and_the_model_its_own_linearization():
    factors = layers((3, 4))
    np.testing.assert_array_equal(tangent_kernel(factors), np.eye(12))
    line = linearized(PROBLEM, factors, [0.0, 2.0, np.inf])
    np.testing.assert_allclose(line[0], factors[0], atol=1e-14)
    # Each observed entry decays by exp(-scale t), the others stay.
    seen = PROBLEM.adjoint(np.ones(8)) != 0
    target = np.where(seen, np.asarray(TRUTH.left @ TRUTH.right.T), factors[0])
    decay = np.exp(-PROBLEM.scale * 2.0)
    np.testing.assert_allclose(line[1], target + decay * (factors[0] - target), atol=1e-12)
    np.testing.assert_allclose(line[2], target, atol=1e-12)


def test_the_linearized_flow_starts_as_the_flow_does_and_ends_with_least_movement():
    factors = layers((3, 3, 4), 1)
    start, kernel = product(factors), tangent_kernel(factors)
    line = linearized(PROBLEM, factors, [0.0, 1e-6, np.inf])
    speed = -(kernel @ PROBLEM.gradient(start).ravel()).reshape(start.shape)
    np.testing.assert_allclose((line[1] - line[0]) / 1e-6, speed, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(PROBLEM.residual(line[2]), 0, atol=1e-9)
    # Least movement: the motion lies in the range of the kernel applied to the measurements.
    measurements = np.stack([PROBLEM.adjoint(row).ravel() for row in np.eye(8)])
    motion = (line[2] - start).ravel()
    spanned = kernel @ measurements.T
    rest = motion - spanned @ np.linalg.lstsq(spanned, motion, rcond=None)[0]
    assert np.linalg.norm(rest) < 1e-8 * np.linalg.norm(motion)


def test_layers_that_cannot_move_an_observation_leave_it():
    stuck = linearized(PROBLEM, [np.zeros((3, 3)), np.zeros((4, 3))], [0.0, np.inf])
    np.testing.assert_array_equal(stuck, 0)


def test_large_starts_are_lazy():
    found = lazy_regime(size=6, count=18, depths=(2,), scales=(0.1, 10.0, 100.0, 1000.0), start="orthogonal")
    assert found.holds, found.table()
    centered, plain = (found.details["runs"][2, side] for side in (True, False))
    assert centered[-1].movement < 0.01 < 0.1 < plain[-1].movement
    assert centered[-1].distance < 0.01 < 0.05 < plain[-1].distance
    assert {panel.title for panel in found.panels} >= {"Movement of the layers", "Error on hidden entries"}


def test_bad_arguments_are_refused():
    for scales in ((1.0, 2.0), (1.0, 3.0, 2.0), (0.0, 1.0, 2.0)):
        with pytest.raises(ValueError, match="scales must be at least 3 positive numbers"):
            lazy_regime(scales=scales)
    for depths in ((), (1, 2)):
        with pytest.raises(ValueError, match="depths must be integers of at least 2"):
            lazy_regime(depths=depths)
    with pytest.raises(ValueError, match="did you mean 'gaussian'"):
        lazy_regime(start="gausian")
