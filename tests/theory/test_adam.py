"""Adam's implied preconditioner, and how it compares with that of depth."""

import numpy as np
import optax
import pytest

from rankwise.theory.proved.adam import ADAM, RATIO, adam_directions, adam_preconditioner, preconditioner_diagonal
from rankwise.theory.proved.preconditioning import preconditioner

RNG = np.random.default_rng(0)


def show(line):
    print(line)


def test_directions_are_those_of_optax():
    gradients = RNG.standard_normal((5, 3, 2))
    directions, diagonals = adam_directions(gradients)
    rule = optax.scale_by_adam()
    state = rule.init(gradients[0])
    for gradient, direction in zip(gradients, directions, strict=True):
        expected, state = rule.update(gradient, state)
        np.testing.assert_allclose(direction, expected, rtol=1e-4)
    np.testing.assert_allclose(diagonals[0], 1 / (np.abs(gradients[0]) + 1e-8))


def test_the_first_direction_is_the_sign_and_blind_to_scale():
    gradients = RNG.standard_normal((4, 3, 2))
    np.testing.assert_allclose(adam_directions(gradients)[0][0], np.sign(gradients[0]), atol=1e-6)
    np.testing.assert_allclose(adam_directions(1e3 * gradients)[0], adam_directions(gradients)[0], atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_diagonal_is_that_of_the_preconditioner(depth):
    matrix = RNG.standard_normal((4, 3))
    expected = np.diag(preconditioner(matrix, depth)).reshape(4, 3)
    np.testing.assert_allclose(preconditioner_diagonal(matrix, depth), expected, atol=1e-12)


@pytest.fixture(scope="module")
def finding():
    return adam_preconditioner(size=12, count=90, max_steps=2000, adam_steps=1500, adam_rate=5e-3)


def test_runs_on_the_matrix_are_replayed_and_adam_leaves_the_unobserved_entries_alone(finding):
    alike = finding.details
    assert max(alike[ADAM].replayed, alike[RATIO].replayed) < 1e-9
    assert alike[ADAM].adam_unobserved.max() == 0
    assert alike[ADAM].unobserved.min() > 0


def test_where_depth_is_large_adam_is_small(finding):
    run = finding.details["gradient descent, depth 3"]
    assert run.error[-1] < 0.1
    assert run.diagonals[-1] < -0.3
    assert run.preconditioned[-1] < run.plain[-1]
    for each in finding.details.values():
        assert (np.abs(each.preconditioned) <= 1 + 1e-12).all()
        assert ((each.share > 0) & (each.share <= 1 + 1e-12)).all()


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="depth must be an integer of at least 2"):
        adam_preconditioner(1)
    with pytest.raises(ValueError, match="b1 must lie"):
        adam_directions(np.ones((1, 2)), b1=1.0)
    with pytest.raises(ValueError, match="eps must be positive"):
        adam_directions(np.ones((1, 2)), eps=0.0)


@pytest.mark.reproduction
def test_likeness_over_seeds_and_depths():
    """Medians over a run and values at its end, per seed and depth."""
    show("\ncos(Adam, P_W g) and cos(Adam, g): medians; at the end: both, and the correlation of the log diagonals")
    for depth in (2, 3, 4):
        for key in range(0, 6, 2):
            run = adam_preconditioner(depth, key=key, max_steps=6000, scale=1e-3 if depth < 4 else 1e-2)
            for name, each in run.details.items():
                middle = f"{np.median(each.preconditioned):.2f} {np.median(each.plain):.2f}"
                last = f"{each.preconditioned[-1]:.2f} {each.plain[-1]:.2f} {each.diagonals[-1]:.2f}"
                show(f"depth {depth}, key {key}, {name}: {middle}; {last}; error {each.error[-1]:.4f}")
                if each.error[-1] < 0.1:
                    assert each.diagonals[-1] < 0
                    assert each.preconditioned[-1] < each.plain[-1]
