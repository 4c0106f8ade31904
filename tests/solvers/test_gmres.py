"""GMRES: exact in as many products as there are distinct eigenvalues, least residuals, what it does with nothing."""

import numpy as np
import pytest
import scipy

from rankwise.solvers.gmres import gmres

SKEWED = np.diag(np.arange(1.0, 31.0)) + np.triu(np.random.default_rng(0).standard_normal((30, 30)), 1)
TARGET = np.random.default_rng(1).standard_normal(30)


def test_three_distinct_eigenvalues_take_three_products():
    scale, calls = np.repeat([0.3, -1.0, 2.0], 10), []

    def product(vector):
        calls.append(vector)
        return scale * vector

    np.testing.assert_allclose(gmres(product, TARGET, 1e-12, 20), TARGET / scale, rtol=1e-10)
    assert len(calls) == 3


@pytest.mark.parametrize("most", [1, 4, 9])
def test_the_residual_is_the_least_of_the_krylov_space(most):
    found = gmres(lambda vector: SKEWED @ vector, TARGET, 0.0, most)
    powers = [np.linalg.matrix_power(SKEWED / 30, i) @ TARGET for i in range(most)]
    space = scipy.linalg.orth(np.stack(powers, axis=1), rcond=1e-14)
    least = np.linalg.lstsq(SKEWED @ space, TARGET)[1][0]
    assert np.linalg.norm(SKEWED @ found - TARGET) ** 2 == pytest.approx(least, rel=1e-6)


def test_it_stops_at_the_tolerance_in_the_precision_of_the_target():
    found = gmres(lambda vector: SKEWED.astype(np.float32) @ vector, TARGET.astype(np.float32), 1e-2, 30)
    assert found.dtype == np.float32
    assert 1e-4 < np.linalg.norm(SKEWED @ found - TARGET) / np.linalg.norm(TARGET) <= 1.01e-2


@pytest.mark.parametrize(("operator", "target"), [(lambda v: v, np.zeros(3)), (lambda v: 0 * v, np.ones(3))])
def test_nothing_to_solve_and_nothing_to_solve_with(operator, target):
    np.testing.assert_array_equal(gmres(operator, target, 1e-3, 5), np.zeros(3))
