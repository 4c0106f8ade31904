"""Leading singular triples: known ones, clusters of equal ones, and what happens where Lanczos' method gives up."""

import numpy as np
import pytest
import scipy

from rankwise.solvers.growth import leading_svd

D1, D2 = 230, 210


@pytest.fixture
def clustered():
    """A matrix with 30 singular values within 1e-7 of 1, and the others below 0.9."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((d, D2)))[0] for d in (D1, D2))
    sigma = np.concatenate([1 + 1e-7 * rng.random(30), 0.9 * rng.random(D2 - 30)])
    return (u * sigma) @ v.T, np.sort(sigma)[::-1]


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
def test_leading_triples_whatever_the_matrix_is_given_as(clustered, form):
    matrix, sigma = clustered
    u, s, v = leading_svd(form(matrix), 3, cluster=30)
    np.testing.assert_allclose(s, sigma[:3], rtol=1e-8)
    np.testing.assert_allclose(matrix @ v, u * s, atol=1e-6)
    assert np.all(np.diff(s) <= 0)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
def test_a_cluster_that_is_too_wide_is_decomposed_as_a_whole(clustered, form, monkeypatch):
    def gives_up(*_, **__):
        raise scipy.sparse.linalg.ArpackNoConvergence("no convergence", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr(scipy.sparse.linalg, "svds", gives_up)
    matrix, sigma = clustered
    u, s, v = leading_svd(form(matrix), 2)
    np.testing.assert_allclose(s, sigma[:2], rtol=1e-12)
    np.testing.assert_allclose(matrix @ v, u * s, atol=1e-12)
