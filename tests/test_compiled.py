"""What the compiled driver makes of a function for many runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankwise.compiled import DECOMPOSITIONS, Axes, cores, lift, operations, threads

MANY = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
SHIFT = np.arange(4, dtype=np.float32)
BATCH = Axes(0, None, None)


def decomposed(matrix, shift):
    return jnp.linalg.svd(matrix + shift, compute_uv=False)


def inside(matrix, shift):
    return jax.lax.fori_loop(0, 2, lambda _, sigma: 0.5 * sigma + decomposed(matrix, shift), jnp.zeros(4))


def solved(matrix, shift):
    return jnp.linalg.solve(matrix.T @ matrix + jnp.eye(4), shift)


def multiplied(matrix, shift):
    return matrix.T @ (matrix + shift)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an accelerator decomposes all matrices at once")
@pytest.mark.parametrize("function", [decomposed, inside, solved])
def test_no_more_than_one_matrix_is_decomposed_at_a_time(function):
    # Several at once wait for threads that wait themselves when two groups of a batch do so: for ever.
    program = jax.make_jaxpr(lift(function, BATCH, 0, None))(MANY, SHIFT)
    found = [step for step in operations(program.jaxpr) if step.primitive.name in DECOMPOSITIONS]
    assert found
    assert all(given.aval.ndim <= 2 for step in found for given in step.invars)
    mapped = lift(function, BATCH, 0, None)(MANY, SHIFT)
    assert np.allclose(mapped, [function(one, SHIFT) for one in MANY], rtol=1e-5)


def test_products_of_a_batch_are_made_at_once():
    program = jax.make_jaxpr(lift(multiplied, BATCH, 0, None))(MANY, SHIFT)
    assert "scan" not in {step.primitive.name for step in operations(program.jaxpr)}


def test_groups_and_threads_are_numbers_of_cores_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("RANKWISE_CORES", "5")
    monkeypatch.setenv("RANKWISE_THREADS", "3")
    assert (cores(), threads()) == (5, 3)
    monkeypatch.setenv("RANKWISE_THREADS", "none")
    with pytest.raises(ValueError, match="RANKWISE_THREADS must be a positive number, not 'none'"):
        threads()
    monkeypatch.delenv("RANKWISE_THREADS")
    monkeypatch.delenv("RANKWISE_CORES")
    assert threads() == cores() >= 1
