"""Iteratively reweighted least squares: the step is the weighted fit of the formula, and few observations suffice."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.weighted_ridge import ridge_system

TRUTH = rw.low_rank((40, 30), 3, key=0)
DOF = 3 * (40 + 30 - 3)


def small_problem(kind, shape=(8, 6), count=30):
    truth = rw.low_rank(shape, 2, key=3)
    return rw.observe(truth, count, key=4, min_degree=3) if kind == "completion" else rw.sense(truth, count, key=4)


def smoothed(sigma, epsilon, p):
    """sum f(sigma), the objective of the docstring."""
    top = np.maximum(sigma, epsilon)
    value = np.log(top) if p == 0 else top**p / p
    return (value + (np.minimum(sigma, epsilon) ** 2 - epsilon**2) * epsilon ** (p - 2) / 2).sum()


def ridge_dense(system, residual):
    adjoint = system.adjoint(residual)
    return adjoint if isinstance(adjoint, np.ndarray) else adjoint.toarray()


@pytest.mark.parametrize("kind", ["completion", "sensing"])
@pytest.mark.parametrize("shape", [(8, 6), (6, 8)])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_a_step_is_the_weighted_least_squares_fit_of_the_formula(kind, shape, p):
    problem = small_problem(kind, shape)
    solver = rw.IRLS(rank=2, p=p, spare=0)
    unit = solver.init(problem, 0)
    state = solver.step(problem, unit)
    memory, rank = state.memory, 2
    fit = memory.system.fit(solver._ridge(memory, rank)._replace(tolerance=1e-15))
    found = fit.low.dense() + ridge_dense(memory.system, fit.residual)
    # The same by the full weight operator: sigma is epsilon beyond the rank, in any completion of the bases.
    u = np.linalg.svd(memory.leading.u[:, :rank])[0]
    v = np.linalg.svd(memory.leading.v[:, :rank])[0]
    u[:, :rank], v[:, :rank] = memory.leading.u[:, :rank], memory.leading.v[:, :rank]
    power = 2 - p
    ends = [np.full(d, memory.epsilon) for d in shape]
    for end in ends:
        end[:rank] = np.maximum(memory.leading.s[:rank], memory.epsilon)
    inverse_weight = (ends[0][:, None] ** power + ends[1][None, :] ** power) / 2
    basis = np.eye(unit.problem.size)
    rows = np.stack([unit.problem.adjoint(row) for row in basis])
    weighted = np.stack([u @ (inverse_weight * (u.T @ row @ v)) @ v.T for row in rows])
    gram = np.einsum("aij,bij->ab", rows, weighted)
    expected = np.tensordot(np.linalg.solve(gram, unit.problem.values), weighted, 1)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_the_smoothed_objective_never_rises(p, seed):
    problem = rw.observe(TRUTH, int(1.4 * DOF), key=seed, min_degree=4)
    solver = rw.IRLS(rank=3, p=p)
    state = solver.init(problem, 0)
    system, full = state.memory.system, min(problem.shape) - 1
    objective = np.inf
    while solver.outcome(problem, state) is RESULTS.running:
        memory, rank = state.memory, state.matrix.rank
        fit = system.fit(solver._ridge(memory, rank))
        sigma = system.decomposed(fit, full, None).s
        here = smoothed(sigma, memory.epsilon, p)
        assert here <= objective + 1e-9 * abs(objective)
        state = solver.step(problem, state)
        if solver.outcome(problem, state) is RESULTS.running:
            objective = smoothed(sigma, state.memory.epsilon, p)


@pytest.mark.parametrize("rank", [3, None])
@pytest.mark.parametrize("kappa", [None, 1e5])
def test_recovers_from_few_observations(rank, kappa):
    truth = rw.low_rank((40, 30), 3, key=1, kappa=kappa)
    problem = rw.observe(truth, int(1.5 * DOF), key=2, min_degree=4)
    solution = rw.solve(problem, rw.IRLS(rank=rank))
    assert (solution.result, solution.rank) == (RESULTS.explained, 3)
    assert relative_error(solution.matrix, truth) < 1e-9


def test_a_spare_singular_value_recovers_where_the_rank_alone_does_not():
    truth = rw.low_rank((100, 100), 5, key=0, kappa=10)
    problem = rw.observe(truth, int(1.25 * 975), key=1, min_degree=6)
    spared = rw.solve(problem, rw.IRLS(rank=5))
    assert (spared.result, spared.rank) == (RESULTS.explained, 5)
    assert relative_error(spared.matrix, truth) < 1e-9
    assert rw.solve(problem, rw.IRLS(rank=5, spare=0)).result is RESULTS.flat


@pytest.mark.parametrize("rank", [3, None])
def test_other_measurements(rank):
    for problem in (rw.sense(TRUTH, 300, key=3), rw.sense_fourier(TRUTH, 350, key=4)):
        solution = rw.solve(problem, rw.IRLS(rank=rank))
        assert (solution.result, solution.rank) == (RESULTS.explained, 3)
        assert relative_error(solution.matrix, TRUTH) < 1e-9


def test_repeated_measurements_count_once():
    problem = rw.sense(TRUTH, 300, key=3)
    twice = problem.subset(np.concatenate([np.arange(300), np.arange(50)]))
    assert relative_error(rw.solve(twice, rw.IRLS(rank=3)).matrix, TRUTH) < 1e-9


def test_a_rank_too_low_is_not_explained_by_the_spare_one():
    solution = rw.solve(rw.observe(TRUTH, 700, key=1), rw.IRLS(rank=2))
    assert (solution.result, solution.rank) == (RESULTS.flat, 2)


def test_known_noise_stops_at_its_level_with_the_rank_found():
    problem = rw.observe(TRUTH, 700, key=5, noise=0.01)
    for rank in (3, None):
        solution = rw.solve(problem, rw.IRLS(rank=rank, noise=0.01))
        assert (solution.result, solution.rank) == (RESULTS.noise_level, 3)
        # A least-squares fit that knows the column space errs by noise sqrt(d2 r / m) at least.
        assert relative_error(solution.matrix, TRUTH) < 3 * 0.01 * np.sqrt(DOF / 700)


def test_the_large_route_is_the_dense_one(monkeypatch):
    problem = rw.observe(rw.low_rank((70, 90), 2, key=7), 900, key=8, min_degree=3)
    dense = rw.solve(problem, rw.IRLS(rank=2), max_steps=3)
    monkeypatch.setattr("rankwise.solvers.weighted_ridge.DENSE_ENTRIES", 0)
    large = rw.solve(problem, rw.IRLS(rank=2), max_steps=3)
    assert relative_error(large.matrix, np.asarray(dense.matrix)) < 1e-2
    assert relative_error(rw.solve(problem, rw.IRLS()).matrix, rw.low_rank((70, 90), 2, key=7)) < 1e-9


def test_the_transposed_problem_has_the_transposed_solution():
    problem = rw.observe(TRUTH, 500, key=6, min_degree=4)
    other = rw.Completion((30, 40), problem.cols, problem.rows, problem.values)
    one, two = (rw.solve(each, rw.IRLS(rank=3), max_steps=4) for each in (problem, other))
    np.testing.assert_allclose(one.matrix.dense(), two.matrix.dense().T, atol=1e-3)


def test_what_is_observed_whole_is_explained_at_full_rank():
    matrix = np.random.default_rng(0).standard_normal((6, 4))
    solution = rw.solve(rw.Completion.from_dense(matrix), rw.IRLS())
    assert (solution.result, solution.rank) == (RESULTS.explained, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"p": 1.0}, "p must be below 1"), ({"p": -0.1}, "p must be"), ({"spare": -1}, "spare must be an integer")],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        rw.IRLS(**arguments)


def test_the_gram_of_whitened_measurements_is_the_identity():
    system = ridge_system(small_problem("sensing"))
    rows = np.stack([system.adjoint(row).ravel() for row in np.eye(system.values.size)])
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-100])
def test_noise_far_above_the_values_is_no_error(unit):
    problem = rw.observe(rw.low_rank((11, 9), 1, key=0), 60, key=1)
    for one in (problem, rw.sense_fourier(rw.low_rank((11, 9), 1, key=0), 60, key=1)):
        run = rw.solve(one.replace(values=one.values * unit), rw.IRLS(noise=1.0))
        assert np.isfinite(run.matrix.dense()).all()
        assert run.result.name in ("explained", "noise_level")
