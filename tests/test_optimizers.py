"""Every optimizer by name: the contract, the direction of group RMSprop, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rankwise as rw
from rankwise.optimizers import OPTIMIZERS, SETTINGS

RATES = {
    "adadelta": 10.0,
    "adagrad": 0.5,
    "lbfgs": 1.0,
    "gradient_descent": 0.1,
    "momentum": 0.02,
    "nesterov": 0.02,
}


def objective(params):
    return sum(jnp.sum((p - 1) ** 2) for p in params)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_minimum_of_a_bowl(name):
    transformation = rw.Optimizer(name, RATES.get(name, 0.05)).transformation()
    params = (jnp.zeros((2, 2)), jnp.full((3,), 3.0))
    state = transformation.init(params)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(objective)(params)
        updates, state = transformation.update(grads, state, params, value=value, grad=grads, value_fn=objective)
        return optax.apply_updates(params, updates), state

    start = float(objective(params))
    for _ in range(300):
        params, state = step(params, state)
    assert float(objective(params)) < 0.1 * start


def test_names_and_settings_stand_in_one_table():
    assert set(OPTIMIZERS) == set(SETTINGS)


def test_group_rmsprop_keeps_the_direction_and_follows_the_formula():
    transformation = rw.Optimizer("group_rmsprop", 0.1, beta=0.9, eps=0.0).transformation()
    grads = (jnp.array([3.0, 0.0]), jnp.array([[4.0]]))
    state = transformation.init(grads)
    first, state = transformation.update(grads, state)
    for update, grad in zip(first, grads, strict=True):
        np.testing.assert_allclose(update, -0.1 * grad / 5, rtol=1e-6)
    second, _ = transformation.update(tuple(2 * g for g in grads), state)
    mean_square = (0.9 * 0.1 * 25 + 0.1 * 100) / (1 - 0.9**2)
    np.testing.assert_allclose(second[1], -0.1 * 8 / mean_square**0.5, rtol=1e-6)


def test_comparable_and_printable():
    assert rw.Optimizer("adam", 1e-3, b1=0.8) == rw.Optimizer("adam", 1e-3, settings={"b1": 0.8})
    assert str(rw.Optimizer("adam", 1e-3, b1=0.8)) == "adam(0.001, b1=0.8)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.Optimizer("adm"), "unknown optimizer 'adm'; did you mean 'adam'"),
        (lambda: rw.Optimizer("adam", 0.0), "learning_rate must be positive"),
        (lambda: rw.Optimizer("adam", 1e-3, beta=0.9), "has no setting 'beta'; it has: b1, b2, eps"),
        (lambda: rw.Optimizer("adam", 1e-3, b1=float("nan")), "must be finite"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
