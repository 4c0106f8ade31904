"""The velocities of a product under gradient flow, against fractional powers of W W^T and W^T W by brute force."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankwise.dynamics import (
    check_depth,
    end_to_end_velocity,
    mode_products,
    singular_speeds,
    spectral_velocity,
    symmetric_velocity,
)

SHAPES = [(4, 4), (5, 3), (3, 5)]
DEPTHS = [1, 2, 3, 4]


def pair(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal(shape)


def power(symmetric, exponent):
    """A fractional power by eigendecomposition; the zeroth power is the identity."""
    values, vectors = np.linalg.eigh(symmetric)
    # A zero that rounding has made 1e-16 would have the fourth root 1e-4.
    values = np.where(values > 1e-12 * values.max(), values, 0)
    return (vectors * values**exponent) @ vectors.T


def brute(w, g, depth):
    left, right = w @ w.T, w.T @ w
    return -sum(power(left, (j - 1) / depth) @ g @ power(right, (depth - j) / depth) for j in range(1, depth + 1))


def orthogonal(n, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_velocity_is_the_sum_of_matrix_powers(shape, depth):
    w, g = pair(shape)
    np.testing.assert_allclose(end_to_end_velocity(w, g, depth), brute(w, g, depth), rtol=0, atol=1e-11)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_it_is_the_velocity_of_the_product_of_balanced_layers(depth):
    w, g = pair((4, 4), 1)
    u, s, vt = np.linalg.svd(w)
    root = np.diag(s ** (1 / depth))
    layers = [root @ vt, *[root] * (depth - 2), u @ root]

    def before(j):
        return np.linalg.multi_dot([np.eye(4), np.eye(4), *layers[:j][::-1]])

    def after(j):
        return np.linalg.multi_dot([np.eye(4), np.eye(4), *layers[j + 1 :][::-1]])

    # Layer j moves by -(layers above)^T G (layers below)^T, which moves the product through its neighbours.
    moved = -sum(after(j) @ after(j).T @ g @ before(j).T @ before(j) for j in range(depth))
    np.testing.assert_allclose(end_to_end_velocity(w, g, depth), moved, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_infinite_depth_is_the_limit_per_layer(shape):
    w, g = pair(shape, 2)
    limit = end_to_end_velocity(w, g, math.inf)
    errors = [np.abs(end_to_end_velocity(w, g, n) / n - limit).max() for n in (10_000, 20_000)]
    assert errors[0] < 1e-2 * np.abs(limit).max()
    # The first correction is of order 1 / N.
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.01)


@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
def test_the_speeds_are_the_rate_of_the_singular_values(depth):
    w, g = pair((5, 3), 3)
    velocity = end_to_end_velocity(w, g, depth)
    h = 1e-6
    rate = (np.linalg.svdvals(w + h * velocity) - np.linalg.svdvals(w - h * velocity)) / (2 * h)
    np.testing.assert_allclose(singular_speeds(w, g, depth), rate, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
def test_spectral_velocities_reassemble_to_that_of_the_matrix(shape, depth):
    w, g = pair(shape, 4)
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    du, ds, dv = spectral_velocity(u, s, vt.T, g, depth)
    moved = (du * s) @ vt + (u * ds) @ vt + (u * s) @ dv.T
    np.testing.assert_allclose(moved, end_to_end_velocity(w, g, depth), rtol=0, atol=1e-10)
    for frame, motion in ((u, du), (vt.T, dv)):
        np.testing.assert_allclose(frame.T @ motion + motion.T @ frame, 0, atol=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 3, math.inf])
def test_numpy_and_jax_agree(depth):
    w, g = pair((5, 3), 5)
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    with jax.enable_x64(True):
        x, h = jnp.asarray(w), jnp.asarray(g)
        np.testing.assert_allclose(end_to_end_velocity(x, h, depth), end_to_end_velocity(w, g, depth), atol=1e-11)
        np.testing.assert_allclose(singular_speeds(x, h, depth), singular_speeds(w, g, depth), atol=1e-11)
        ours = spectral_velocity(jnp.asarray(u), jnp.asarray(s), jnp.asarray(vt.T), h, depth)
    for a, b in zip(ours, spectral_velocity(u, s, vt.T, g, depth), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
def test_orthogonal_changes_of_basis_and_transposition(shape, depth):
    w, g = pair(shape, 6)
    p, q = orthogonal(shape[0], 7), orthogonal(shape[1], 8)
    plain = end_to_end_velocity(w, g, depth)
    turned = end_to_end_velocity(p @ w @ q.T, p @ g @ q.T, depth)
    np.testing.assert_allclose(turned, p @ plain @ q.T, atol=1e-10)
    np.testing.assert_allclose(end_to_end_velocity(w.T, g.T, depth), plain.T, atol=1e-10)


@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
def test_the_loss_never_rises(depth):
    for seed in range(5):
        w, g = pair((4, 3), seed)
        assert np.sum(g * end_to_end_velocity(w, g, depth)) <= 0


def test_the_symmetric_velocity_is_that_of_its_factor():
    rng = np.random.default_rng(9)
    z, g = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    moved = -(g + g.T) @ z
    np.testing.assert_allclose(symmetric_velocity(z @ z.T, g), moved @ z.T + z @ moved.T, atol=1e-12)
    # Two tied layers with a symmetric gradient move the product twice as fast as two free ones.
    both = g + g.T
    np.testing.assert_allclose(symmetric_velocity(z @ z.T, both), 2 * end_to_end_velocity(z @ z.T, both, 2), atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, math.inf])
def test_zero_singular_values_stay_where_they_are(depth):
    rng = np.random.default_rng(10)
    w = rng.standard_normal((5, 2)) @ rng.standard_normal((2, 4))
    g = rng.standard_normal((5, 4))
    if depth < math.inf:
        np.testing.assert_allclose(end_to_end_velocity(w, g, depth), brute(w, g, depth), atol=1e-6)
    np.testing.assert_allclose(singular_speeds(w, g, depth)[2:], 0, atol=1e-10)
    at_zero = end_to_end_velocity(np.zeros((5, 4)), g, depth)
    np.testing.assert_array_equal(at_zero, 0)


@pytest.mark.parametrize("depth", [*DEPTHS, math.inf])
def test_repeated_singular_values_need_no_gap(depth):
    _, g = pair((4, 4), 11)
    per_layer = 1 if depth == math.inf else depth
    scale = 0.09 if depth == math.inf else 0.3 ** (2 - 2 / depth)
    # At a multiple of the identity all powers commute with everything.
    np.testing.assert_allclose(end_to_end_velocity(0.3 * np.eye(4), g, depth), -per_layer * scale * g, atol=1e-13)
    w = orthogonal(4, 12) @ np.diag([2.0, 2.0, 1.0, 1.0]) @ orthogonal(4, 13)
    near = w + 1e-9 * pair((4, 4), 14)[0]
    np.testing.assert_allclose(end_to_end_velocity(w, g, depth), end_to_end_velocity(near, g, depth), atol=1e-6)


def test_the_logarithmic_mean_is_smooth_where_values_meet():
    # The log-mean of x and x e^h is x (1 + h / 2 + h^2 / 6 + ...): both formulas give it on either side of the switch.
    for h in (1e-3, 3e-4, 1e-4, 1e-6, 0.0):
        x = np.array([1.0, np.exp(h)])
        assert mode_products(np.sqrt(x), math.inf)[0, 1] == pytest.approx(1 + h / 2 + h**2 / 6, abs=1e-10)


@pytest.mark.parametrize("depth", [0, -1, 2.0, 2.5, True, math.nan, -math.inf, "2"])
def test_a_depth_is_a_positive_integer_or_infinity(depth):
    with pytest.raises(ValueError, match="depth must be an integer of at least 1 or infinity"):
        check_depth(depth)


def test_good_depths_pass():
    for depth in (1, 2, 7, math.inf):
        check_depth(depth)
