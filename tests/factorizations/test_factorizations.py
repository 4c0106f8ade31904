"""Every factorization and initialization: shapes, scales, balance."""

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.factorizations import FACTORIZATIONS, INITIALIZATIONS
from rankwise.measures import balancedness

KEY = jax.random.key(0)
SHAPES = [(12, 12), (9, 14), (14, 9)]


def layers(start, shape, depth=3, width=None):
    return rw.Deep(depth, start, width).init(shape, key=KEY, dtype=np.float32)


@pytest.mark.parametrize("kind", INITIALIZATIONS)
@pytest.mark.parametrize("name", FACTORIZATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_has_the_shape_and_precision_asked_for(name, kind, shape):
    factorization = FACTORIZATIONS[name](start=INITIALIZATIONS[kind](0.1))
    if name == "symmetric" and shape[0] != shape[1]:
        with pytest.raises(ValueError, match="square"):
            factorization.check(shape)
        return
    matrix = factorization.matrix(factorization.init(shape, key=KEY, dtype=np.float32))
    assert matrix.shape == shape
    assert matrix.dtype == np.float32


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_layers_multiply_in_order(shape, depth):
    params = layers(rw.Gaussian(1.0), shape, depth)
    product = np.eye(shape[1])
    for layer in params:
        product = np.asarray(layer) @ product
    np.testing.assert_allclose(rw.Deep(depth).matrix(params), product, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
@pytest.mark.parametrize("shape", [(60, 60), (40, 90)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_independent_kinds_have_the_scale_as_root_mean_square_singular_value(kind, shape, depth):
    start = INITIALIZATIONS[kind](1e-2)
    squares = []
    for seed in range(20):
        params = rw.Deep(depth, start).init(shape, key=jax.random.key(seed), dtype=np.float32)
        squares.append(float((rw.Deep(depth).matrix(params) ** 2).sum()))
    assert np.mean(squares) == pytest.approx(1e-4 * min(shape), rel=0.1)


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_symmetric_start_has_the_same_scale(kind):
    matrices = [
        rw.Symmetric(INITIALIZATIONS[kind](1e-2)).init((50, 50), key=jax.random.key(seed), dtype=np.float32)[0]
        for seed in range(20)
    ]
    assert np.mean([float(((z @ z.T) ** 2).sum()) for z in matrices]) == pytest.approx(1e-4 * 50, rel=0.1)


@pytest.mark.parametrize("kind", ["orthogonal", "identity"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [None, 5, 20])
def test_balanced_kinds_are_balanced_with_all_singular_values_at_the_scale(kind, shape, width):
    with jax.enable_x64(True):
        params = rw.Deep(3, INITIALIZATIONS[kind](0.3), width).init(shape, key=KEY, dtype=np.float64)
        assert float(balancedness(params)) < 1e-14
        sigma = np.linalg.svdvals(np.asarray(rw.Deep(3).matrix(params)))
    k = min(*shape, width or min(shape))
    np.testing.assert_allclose(sigma[:k], 0.3, rtol=1e-13)
    np.testing.assert_allclose(sigma[k:], 0, atol=1e-15)


def test_identity_start_is_a_multiple_of_the_identity():
    np.testing.assert_allclose(rw.Deep(2).matrix(layers(rw.Identity(0.04), (6, 8), 2)), 0.04 * np.eye(6, 8), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.Deep(0), "depth must be an integer of at least 1"),
        (lambda: rw.Deep(2.0), "depth must be an integer"),
        (lambda: rw.Deep(2, width=0), "width must be an integer"),
        (lambda: rw.Gaussian(-1.0), "scale must be finite"),
        (lambda: rw.Identity(float("nan")), "scale must be finite"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
