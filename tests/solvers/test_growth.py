"""Leading singular triples: known ones, clusters of equal ones, and what happens where Lanczos' method gives up."""

import numpy as np
import pytest
import scipy

import rankwise as rw
from rankwise.solvers.growth import leading_pair, leading_svd, leading_triples

D1, D2 = 230, 210


@pytest.fixture
def clustered():
    """A matrix with 30 singular values within 1e-7 of 1, and the others below 0.9."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((d, D2)))[0] for d in (D1, D2))
    sigma = np.concatenate([1 + 1e-7 * rng.random(30), 0.9 * rng.random(D2 - 30)])
    return (u * sigma) @ v.T, np.sort(sigma)[::-1]


@pytest.mark.parametrize(
    "solver", [rw.Greedy(), rw.LogDet(), rw.RobustGreedy()], ids=lambda solver: type(solver).__name__
)
def test_a_drive_beyond_the_floats_is_non_finite(solver):
    table = np.full((6, 5), 1.7e308)
    table[0, 0] = np.nan
    assert rw.solve(rw.Completion.from_dense(table), solver).result.name == "non_finite"


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
def test_leading_triples_whatever_the_matrix_is_given_as(clustered, form):
    matrix, sigma = clustered
    u, s, v = leading_svd(form(matrix), 3, cluster=30)
    np.testing.assert_allclose(s, sigma[:3], rtol=1e-8)
    np.testing.assert_allclose(matrix @ v, u * s, atol=1e-6)
    assert np.all(np.diff(s) <= 0)


def test_a_cluster_as_wide_as_told_needs_no_wider_space(clustered, monkeypatch):
    calls, solve = [], scipy.sparse.linalg.svds
    monkeypatch.setattr(scipy.sparse.linalg, "svds", lambda *a, **more: calls.append(more["ncv"]) or solve(*a, **more))
    leading_svd(scipy.sparse.csr_array(clustered[0]), 1, tolerance=1e-12, cluster=30)
    assert calls == [61]


@pytest.mark.parametrize("d", [30, 250])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_leading_pair_is_in_the_unit_of_the_residual(d, symmetric):
    problem = rw.observe(rw.low_rank((d, d), 2, key=0), 6 * d, key=1)
    value, u, v = leading_pair(problem, problem.values, symmetric)
    for unit in (1e-200, 1e200):
        other = leading_pair(problem, problem.values * unit, symmetric)
        assert other[0] == pytest.approx(value * unit)
        np.testing.assert_allclose(np.abs([other[1] @ u, other[2] @ v]), 1, atol=1e-8)
    for nothing in (0.0, np.inf, np.nan):
        value, u, v = leading_pair(problem, problem.values * nothing, symmetric)
        assert value == nothing or np.isnan([value, nothing]).all()
        assert np.linalg.norm(u) == np.linalg.norm(v) == 1
        assert leading_triples(problem, problem.values * nothing, 3)[1].shape == (3,)


@pytest.mark.parametrize("unit", [1e-200, 1e160, 1e200])
def test_growth_from_values_of_any_size(unit):
    problem = rw.observe(rw.low_rank((220, 210), 1, key=0), 4000, key=1)
    problem = problem.replace(values=problem.values * unit)
    for solver in (rw.Greedy(), rw.LogDet(), rw.RobustGreedy()):
        run = rw.solve(problem, solver)
        assert (run.result.name, run.rank) == ("explained", 1)


def test_steps_beyond_the_floats_are_non_finite_or_diverge():
    problem = rw.observe(rw.low_rank((12, 12), 2, key=0), 110, key=1)
    run = rw.solve(problem, rw.Greedy(inner="gradient", inner_rate=1e160))
    assert run.result.name in ("non_finite", "diverging_norm")


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
def test_a_cluster_that_is_too_wide_is_decomposed_as_a_whole(clustered, form, monkeypatch):
    def gives_up(*_, **__):
        raise scipy.sparse.linalg.ArpackNoConvergence("no convergence", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr(scipy.sparse.linalg, "svds", gives_up)
    matrix, sigma = clustered
    u, s, v = leading_svd(form(matrix), 2)
    np.testing.assert_allclose(s, sigma[:2], rtol=1e-12)
    np.testing.assert_allclose(matrix @ v, u * s, atol=1e-12)
