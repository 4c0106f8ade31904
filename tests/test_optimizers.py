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


# The published rules by optax's own names: what each of our names must be.
OPTAX = {
    "gradient_descent": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.9),
    "nesterov": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adagrad": optax.adagrad(0.05),
    "adadelta": optax.adadelta(0.05),
    "rmsprop": optax.rmsprop(0.05, decay=0.99),
    "adam": optax.adam(0.05),
    "amsgrad": optax.amsgrad(0.05),
    "adamax": optax.adamax(0.05),
    "adamw": optax.adamw(0.05),
    "nadam": optax.nadam(0.05),
    "radam": optax.radam(0.05),
}


@pytest.mark.parametrize("name", OPTAX)
def test_every_name_is_the_rule_it_says(name):
    ours, theirs = rw.Optimizer(name, 0.05).transformation(), OPTAX[name]
    params = both = jnp.array([1.0, -2.0, 3.0])
    state, other = ours.init(params), theirs.init(params)
    for k in range(12):  # amsgrad differs from adam only where gradients fall, radam only after some steps
        grads = (2 - 0.2 * k) * jnp.array([1.0, 0.1, -0.5]) * params
        updates, state = ours.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        more, other = theirs.update((2 - 0.2 * k) * jnp.array([1.0, 0.1, -0.5]) * both, other, both)
        both = optax.apply_updates(both, more)
    np.testing.assert_array_equal(params, both)


def test_the_rules_differ():
    finals = {}
    for name, rule in OPTAX.items():
        params = jnp.array([1.0, -2.0, 3.0])
        state = rule.init(params)
        for k in range(12):
            updates, state = rule.update((2 - 0.2 * k) * jnp.array([1.0, 0.1, -0.5]) * params, state, params)
            params = optax.apply_updates(params, updates)
        finals[name] = np.asarray(params).tolist()
    assert len({tuple(final) for final in finals.values()}) == len(OPTAX)


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
        (lambda: rw.Optimizer("adam", np.float32(-1)), "learning_rate must be positive"),
        (lambda: rw.Optimizer("adam", "x"), "learning_rate must be a number, not 'x'"),
        (lambda: rw.Optimizer("adam", b1=2.0), "must be at least 0 and at most 1"),
        (lambda: rw.Optimizer("lbfgs", memory_size=2.5), "must be an integer of at least 1"),
        (lambda: rw.Optimizer("adam", 1e-3, beta=0.9), "has no setting 'beta'; it has: b1, b2, eps"),
        (lambda: rw.Optimizer("adam", 1e-3, b1=float("nan")), "must be at least 0 and at most 1, not nan"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
