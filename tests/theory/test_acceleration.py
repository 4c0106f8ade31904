"""Depth as preconditioning: the eigenvectors of P_W, the rule of one output, loops, and l_p regression."""

import numpy as np
import pytest

from rankwise.dynamics import end_to_end_velocity
from rankwise.theory.proved.acceleration import acceleration
from rankwise.theory.proved.preconditioning import (
    BOWLS,
    around,
    circulation,
    preconditioner,
    preconditioner_modes,
    preconditioning,
)

RNG = np.random.default_rng(0)


def show(line):
    print(line)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (1, 5), (3, 3)])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_preconditioner_is_that_of_the_flow_and_its_modes_are_singular_vectors(shape, depth):
    matrix, gradient = RNG.standard_normal((2, *shape))
    dense = preconditioner(matrix, depth)
    np.testing.assert_allclose(
        (dense @ gradient.ravel()).reshape(shape), -end_to_end_velocity(matrix, gradient, depth), atol=1e-11
    )
    u, gains, v = preconditioner_modes(matrix, depth)
    for r, s in np.ndindex(shape):
        mode = np.outer(u[:, r], v[:, s]).ravel()
        np.testing.assert_allclose(dense @ mode, gains[r, s] * mode, atol=1e-12)


def test_the_preconditioner_follows_transposition_and_scale():
    matrix, gradient = RNG.standard_normal((2, 4, 3))
    there = preconditioner(matrix, 3) @ gradient.ravel()
    back = preconditioner(matrix.T, 3) @ gradient.T.ravel()
    np.testing.assert_allclose(there.reshape(4, 3), back.reshape(3, 4).T, atol=1e-12)
    np.testing.assert_allclose(preconditioner(8 * matrix, 3), 8 ** (4 / 3) * preconditioner(matrix, 3), atol=1e-12)


def test_every_statement_about_the_update_holds():
    finding = preconditioning((3, 2), (2, 3), key=1)
    assert finding.holds, finding.table()
    assert len(finding.panels) == 3


def test_two_layers_on_equal_curvatures_descend_a_function_and_no_others_do():
    equal, unequal = BOWLS.values()
    assert circulation(equal, 1) == circulation(unequal, 1) == circulation(equal, 2) == 0
    assert abs(around(equal, 2)) < 1e-10
    for bowl, depth in ((unequal, 2), (equal, 3), (unequal, 3)):
        assert abs(around(bowl, depth)) > 0.1
        assert around(bowl, depth) == pytest.approx(circulation(bowl, depth), rel=1e-8)


def test_depth_speeds_up_the_fourth_power_and_not_the_square():
    finding = acceleration(depths=(2,), sets=2, rates=np.geomspace(0.1, 60, 36))
    steps, speed = finding.details["steps"], finding.details["speed_up"]
    assert speed["p = 4"][0] > 1.5 > 1.2 > speed["p = 2"][0]
    assert set(steps[2]) == set(steps[4]) >= {"momentum", "Adagrad", "Adadelta", "Adam", "depth 2"}
    near = next(check for check in finding.checks if "near the solution" in check.label)
    assert near.holds, near


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depths": (1,)}, "depths must be integers of at least 2"),
        ({"powers": (2.5,)}, "powers must be integers"),
        ({"noise": 0.0}, "noise must be positive"),
        ({"rates": (0.1, -1.0)}, "rates must be positive"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        acceleration(**settings)


def test_rates_are_needed_to_see_an_order():
    with pytest.raises(ValueError, match="rates must be at least two"):
        preconditioning(rates=(0.1,))


@pytest.mark.reproduction
def test_lp_regression_over_scales_and_conditions():
    """Steps at the best rates, geometric means over four data sets."""
    show("\np = 2 and 4: steps of gradient descent over those of depth 2, 3, 4, and steps of each")
    for condition, noise, scale in ((1e2, 0.1, 0.1), (1e2, 0.3, 0.1), (1e2, 0.1, 0.01)):
        finding = acceleration(condition=condition, noise=noise, scale=scale, sets=4, max_steps=6000)
        show(f"condition {condition:g}, noise {noise:g}, scale {scale:g}")
        for name, gains in finding.details["speed_up"].items():
            show(f"  {name}: " + ", ".join(f"{gain:.2f}" for gain in gains))
        show("  p = 2, near the solution (predicted): " + ", ".join(f"{x:.2f}" for x in finding.details["local"]))
        for p, named in finding.details["steps"].items():
            means = {name: np.exp(np.mean(np.log(steps))) for name, steps in named.items()}
            show(f"  p = {p}: " + ", ".join(f"{name} {mean:.0f}" for name, mean in means.items()))
        assert min(finding.details["speed_up"]["p = 4"]) > 1.5
        assert max(finding.details["speed_up"]["p = 2"]) < 1.2
