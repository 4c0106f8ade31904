"""The polar factor in matrix products: its promise at every singular value, scale, shape and precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

from rankwise import polar
from rankwise.polar import polar_factor, response, schedule, slope


def with_spectrum(sigma, rows, columns, seed=0):
    """U, a matrix U diag(sigma) V^T, and V^T."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(rows, len(sigma))))[0]
    right = np.linalg.qr(rng.normal(size=(columns, len(sigma))))[0].T
    return left, (left * sigma) @ right, right


@pytest.mark.parametrize("resolution", [1e-2, 1e-4, 1e-5, 1e-6, 1e-12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_response_keeps_its_promise(resolution, dtype):
    resolution = max(resolution, 2 * float(np.finfo(dtype).eps))
    above = np.union1d(np.geomspace(resolution, 1, 50_001), np.linspace(resolution, 1, 50_001))
    assert np.abs(response(above, resolution, dtype=dtype) - 1).max() <= polar.ACCURACY[dtype]
    below = response(np.geomspace(resolution * 1e-6, resolution, 5_001), resolution, dtype=dtype)
    assert below[0] > 0
    assert (np.diff(below) > -1e-13).all()
    tiny, steepness = resolution * 1e-6, slope(resolution, dtype=dtype)
    assert response(tiny, resolution, dtype=dtype) == pytest.approx(tiny * steepness, rel=1e-6)
    assert 2 < steepness * resolution < 9


@pytest.mark.parametrize(("low", "terms"), [(1e-12, 5), (1e-4, 3), (1e-2, 5), (0.3, 3), (0.9, 5)])
def test_minimax_equioscillates(low, terms):
    coefficients, smallest, largest = polar._minimax(low, 1.0, terms)
    x = np.union1d(np.geomspace(low, 1, 20_001), np.linspace(low, 1, 20_001))
    values = x * Polynomial(coefficients)(x**2)
    assert values.min() == pytest.approx(smallest, rel=1e-4, abs=1e-14)
    assert 1 - values.min() == pytest.approx(values.max() - 1, rel=1e-6)
    assert largest == pytest.approx(values.max(), rel=1e-8)


def test_the_products_stay_few():
    products = sum(polar.PRODUCTS[len(step)] for step in schedule(1e-4, None, "float32"))
    assert products == 24
    assert sum(polar.PRODUCTS[len(step)] for step in schedule(1e-5, None, "float32")) == 28


@pytest.mark.parametrize("shape", [(40, 40), (60, 30), (30, 60), (5, 1), (1, 1)])
def test_matches_the_decomposition_in_double(shape):
    k = min(shape)
    left, matrix, right = with_spectrum(np.geomspace(1, 1e-9, k), *shape)
    with jax.enable_x64(True):
        factor = polar_factor(jnp.asarray(matrix), 1e-10)
        assert factor.dtype == "float64"
    # rounding acts like a change of the matrix by epsilon, which a singular value of 1e-9 feels as 1e-7
    np.testing.assert_allclose(np.asarray(factor), left @ right, atol=1e-6)


def test_smooths_small_singular_values_as_documented():
    sigma = np.concatenate([[3, 2, 2, 2, 1], np.geomspace(1e-2, 1e-7, 35)])
    left, matrix, right = with_spectrum(sigma, 40, 50)
    expected = (left * response(sigma / (sigma**8).sum() ** 0.125, 1e-4, dtype="float32")) @ right
    factor = polar_factor(jnp.asarray(matrix, jnp.float32), 1e-4)
    assert factor.dtype == "float32"
    np.testing.assert_allclose(np.asarray(factor), expected, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e30])
def test_blind_to_scale(scale):
    matrix = jnp.asarray(np.random.default_rng(1).normal(size=(20, 20)), jnp.float32)
    np.testing.assert_allclose(polar_factor(scale * matrix, 1e-4), polar_factor(matrix, 1e-4), atol=1e-4)


def test_repeated_and_zero_singular_values():
    identity = jnp.eye(7, dtype=jnp.float32)
    np.testing.assert_allclose(polar_factor(3 * identity, 1e-4), identity, atol=1e-6)
    left, matrix, right = with_spectrum(np.array([1.0, 1.0]), 30, 20)
    np.testing.assert_allclose(polar_factor(jnp.asarray(matrix, jnp.float32), 1e-4), left @ right, atol=1e-3)
    for zero in (jnp.zeros((4, 6), jnp.float32), jnp.full((4, 6), 1e-42, jnp.float32)):
        assert not np.isnan(polar_factor(zero, 1e-4)).any()
    assert not np.any(polar_factor(jnp.zeros((6, 4), jnp.float32), 1e-4))


def test_under_jit_and_vmap():
    batch = jnp.asarray(np.random.default_rng(2).normal(size=(3, 12, 8)), jnp.float32)
    together = jax.jit(jax.vmap(lambda matrix: polar_factor(matrix, 1e-4)))(batch)
    for one, matrix in zip(together, batch, strict=True):
        np.testing.assert_allclose(one, polar_factor(matrix, 1e-4), atol=1e-4)


@pytest.mark.parametrize("resolution", [0.0, 1.0, 1e-9, -1.0, float("nan")])
def test_resolution_out_of_reach(resolution):
    with pytest.raises(ValueError, match="resolution must lie between"):
        polar_factor(jnp.eye(3, dtype=jnp.float32), resolution)


def test_other_bad_input():
    with pytest.raises(ValueError, match="accuracy must lie between"):
        polar_factor(jnp.eye(3, dtype=jnp.float32), 1e-4, accuracy=0.0)
    for shape, dtype in (((2, 2, 2), jnp.float32), ((3, 3), jnp.int32), ((3, 3), jnp.float16)):
        with pytest.raises(ValueError, match="float32 or float64 matrix"):
            polar_factor(jnp.ones(shape, dtype), 1e-4)
    with jax.enable_x64(False), pytest.raises(ValueError, match="64-bit"):
        polar_factor(np.eye(3), 1e-4)
