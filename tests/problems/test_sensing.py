"""Matrix sensing: measurements, adjoint, symmetry and refusals."""

import numpy as np
import pytest

import rankwise as rw

RNG = np.random.default_rng(0)
SENSORS = RNG.standard_normal((7, 3, 4))
PROBLEM = rw.Sensing(SENSORS, RNG.standard_normal(7))


def test_measure_and_adjoint_are_adjoint():
    matrix, vector = RNG.standard_normal((3, 4)), RNG.standard_normal(7)
    assert PROBLEM.measure(matrix) @ vector == pytest.approx((PROBLEM.adjoint(vector) * matrix).sum())


def test_factor_jacobian_is_the_derivative_of_the_measurements():
    left, right, dl, dr = (RNG.standard_normal(shape) for shape in ((3, 2), (4, 2), (3, 2), (4, 2)))
    change = PROBLEM.factor_jacobian(left, right) @ np.concatenate([dl.ravel(), dr.ravel()])
    np.testing.assert_allclose(change, PROBLEM.measure(dl @ right.T + left @ dr.T))


def test_symmetric_parts_measure_symmetric_matrices_alike():
    square = rw.Sensing(RNG.standard_normal((5, 3, 3)), np.ones(5))
    matrix = RNG.standard_normal((3, 3))
    matrix += matrix.T
    np.testing.assert_allclose(square.symmetrized().measure(matrix), square.measure(matrix))
    with pytest.raises(ValueError, match="square"):
        PROBLEM.symmetrized()


def test_norm_estimate_is_near_the_norm():
    truth = rw.low_rank((40, 40), 3, key=0)
    assert rw.sense(truth, 1500, key=1).norm_estimate() == pytest.approx(40, rel=0.05)
    assert rw.observe(truth, 800, key=1).norm_estimate() == pytest.approx(40, rel=0.15)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_norm_estimate_is_in_the_unit_of_the_values(unit):
    for large in (PROBLEM, rw.observe(rw.low_rank((6, 6), 1, key=0), 20, key=1)):
        moved = large.replace(values=large.values * unit)
        assert moved.norm_estimate() == pytest.approx(large.norm_estimate() * unit)
    assert PROBLEM.replace(values=PROBLEM.values * 0).norm_estimate() == 0


@pytest.mark.parametrize(
    ("sensors", "values", "words"),
    [
        (SENSORS, np.ones(6), "needed, not"),
        (SENSORS[0], np.ones(3), "needed, not"),
        (np.where(SENSORS[2, 1, 1] == SENSORS, np.nan, SENSORS), np.ones(7), "sensor 2 is not finite"),
        (SENSORS, np.r_[np.ones(6), np.inf], "value 6 is not finite"),
        (np.zeros((0, 2, 2)), np.zeros(0), "at least one"),
        # Sums of finite numbers that overflow are no numbers that are not finite.
        (np.full((1, 2, 2), 1e308), [1.0], r"sensors must have an energy, .*, from 2.2e-308 to 1.8e\+308, not inf"),
    ],
)
def test_refusals(sensors, values, words):
    with pytest.raises(ValueError, match=words):
        rw.Sensing(sensors, values)
