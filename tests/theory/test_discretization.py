"""Finite steps beside the flow: sharpness in closed form, the order of the error, the largest step in tolerance."""

import math
from itertools import pairwise

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved.discretization import discretization, largest_step, sharpness
from rankwise.theory.proved.lazy import tangent_kernel

TRUTH = rw.low_rank((5, 4), 1, key=0)
PROBLEM = rw.observe(TRUTH, 15, key=1).mean()


def test_at_depth_1_the_sharpness_is_the_scale_of_the_loss():
    assert sharpness(PROBLEM, rw.Full(), (np.zeros((5, 4)),)) == pytest.approx(PROBLEM.scale, rel=1e-10)
    assert sharpness(PROBLEM.sum(), rw.Deep(1), (np.ones((5, 4)),)) == pytest.approx(2, rel=1e-10)


@pytest.mark.parametrize("depth", [2, 3])
def test_at_a_minimum_the_sharpness_is_that_of_the_tangent_kernel(depth):
    rng = np.random.default_rng(depth)
    widths = (4, *[3] * (depth - 1), 5)
    layers = tuple(rng.standard_normal((b, a)) for a, b in pairwise(widths))
    factorization = rw.Deep(depth, width=3)
    fitted = PROBLEM.replace(values=PROBLEM.measure(factorization.matrix(layers)))
    measurements = np.stack([PROBLEM.adjoint(row).ravel() for row in np.eye(15)])
    values = np.linalg.eigvalsh(measurements @ tangent_kernel(layers) @ measurements.T)
    assert sharpness(fitted, factorization, layers) == pytest.approx(PROBLEM.scale * values[-1], rel=1e-8)


def test_at_the_saddle_of_depth_2_the_sharpness_is_the_drive_of_the_first_mode():
    # There the Hessian couples the layers by -G alone: its eigenvalues are plus and minus G's singular values.
    zero = (np.zeros((4, 4)), np.zeros((5, 4)))
    drive = np.linalg.svdvals(PROBLEM.gradient(np.zeros((5, 4))))[0]
    assert sharpness(PROBLEM, rw.Deep(2), zero) == pytest.approx(drive, rel=1e-8)


def test_one_parameter_needs_no_lanczos():
    single = rw.Completion((1, 1), [0], [0], [2.0])
    # loss = (a b - 2)^2 / 2 at a = b = sqrt 2: the Hessian is [[2, 2], [2, 2]].
    root = np.full((1, 1), math.sqrt(2))
    assert sharpness(single, rw.Deep(2), (root, root)) == pytest.approx(4, rel=1e-12)
    assert sharpness(single, rw.Full(), (root,)) == pytest.approx(1, rel=1e-12)


def test_the_largest_step_of_a_scalar_decay_is_that_of_its_closed_form():
    # dw/dt = -(w - 1) from 0: flow 1 - exp(-t), descent 1 - (1 - eta)^(t / eta).
    single = rw.Completion((1, 1), [0], [0], [1.0])
    time, tolerance = 2.0, 0.01

    def error(steps):
        times = time * np.arange(1, 17) / 16
        exact = 1 - np.exp(-times)
        return np.max(np.abs(1 - (1 - time / steps) ** (times * steps / time) - exact) / exact)

    eta = largest_step(single, rw.Full(rw.Identity(0.0)), time, tolerance)
    steps = round(time / eta)
    assert steps % 16 == 0
    assert steps == pytest.approx(time / eta)
    assert error(steps) <= tolerance
    assert error(steps - 16 * math.ceil(0.01 * steps / 16)) > tolerance


def test_the_order_is_one_and_the_edge_is_two():
    found = discretization(size=5, rank=1, count=15, depths=(2,), time=20.0, scale=0.1)
    assert found.holds, found.table()
    depth = found.details["depths"][2]
    assert (np.diff(depth.errors[np.isfinite(depth.errors)]) < 0).all()
    assert len(found.panels) == 2


def test_bad_arguments_are_refused():
    for name, settings in (("time", (0.0, 0.1)), ("time", (math.inf, 0.1)), ("tolerance", (1.0, 0.0))):
        with pytest.raises(ValueError, match=f"{name} must be positive and finite"):
            largest_step(PROBLEM, rw.Deep(2), *settings)
    with pytest.raises(ValueError, match="halvings must be at least 2"):
        discretization(halvings=1)
    for form, params in ((rw.Full(), (np.zeros((4, 4)),)), (rw.Full(), ()), (rw.Deep(2), (np.zeros((5, 4)),))):
        with pytest.raises(ValueError, match=r"params must be arrays of shapes \[\(., 4\)"):
            sharpness(PROBLEM, form, params)
