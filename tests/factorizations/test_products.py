"""The product of two layers and all its derivatives are those of a plain product, in either precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankwise.factorizations.products import product

LEFT, RIGHT, AT = (np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate([(4, 3), (3, 5), (4, 5)]))


def loss(multiply):
    return lambda left, right: (jnp.sin(multiply(left, right)) * AT).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_derivatives_are_those_of_the_plain_product(dtype):
    with jax.enable_x64(dtype == "float64"):
        left, right = jnp.asarray(LEFT, dtype), jnp.asarray(RIGHT, dtype)
        close = 1e-5 if dtype == "float32" else 1e-13
        for derivative in (jax.grad, jax.jacfwd, jax.jacrev, jax.hessian):
            ours = derivative(loss(product), (0, 1))(left, right)
            plain = derivative(loss(jnp.matmul), (0, 1))(left, right)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=close, atol=close), ours, plain)


def test_a_batch_is_mapped_as_one():
    with jax.enable_x64(True):
        many = jnp.asarray(np.stack([LEFT, 2 * LEFT]))
        ours = jax.vmap(jax.grad(loss(product)), (0, None))(many, jnp.asarray(RIGHT))
        plain = jax.vmap(jax.grad(loss(jnp.matmul)), (0, None))(many, jnp.asarray(RIGHT))
    np.testing.assert_allclose(ours, plain, rtol=1e-13)


def test_arrays_of_numpy_stay_in_their_precision():
    assert product(LEFT, RIGHT).dtype == np.float64
    assert isinstance(product(LEFT, RIGHT), np.ndarray)
