"""Greedy learning by gradient flow: the exact phases, at every depth."""

import math
from itertools import pairwise

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.results import RESULTS
from rankwise.solvers import Greedy
from rankwise.solvers.factor_flow import factors, saddle_layers, thinned

# Two phases with drives 3 and 1; every phase is a scalar equation.
TARGET = np.diag([3.0, 1.0, 0.0])
DIAGONAL = rw.Completion.from_dense(TARGET)


def logistic_time(value: float, goal: float, epsilon: float, depth: int) -> float:
    """The time of sigma' = N sigma^(2 - 2/N) (value - sigma) from epsilon to goal, by quadrature."""
    x = np.linspace(math.log(epsilon), math.log(goal), 200_001)
    sigma = np.exp(x)
    return float(np.trapezoid(1 / (depth * sigma ** (1 - 2 / depth) * (value - sigma)), x))


@pytest.mark.parametrize("factorization", [rw.Symmetric(), rw.Deep(3)], ids=["symmetric", "deep"])
def test_every_phase_reaches_the_next_singular_value(factorization):
    solution = rw.solve(DIAGONAL, Greedy(factorization, inner="flow", epsilon=1e-6))
    assert (solution.result, solution.rank) == (RESULTS.explained, 2)
    np.testing.assert_allclose(solution.history["leading"], [3, 1, 0], atol=1e-6)
    np.testing.assert_allclose(solution.history["loss"], [5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(solution.history["train_rmse"], [math.sqrt(10) / 3, 1 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(solution.matrix, TARGET, atol=1e-6)
    assert math.isnan(solution.history["time"][0])
    assert (solution.history["time"][1:] > 0).all()


def test_the_trajectory_of_a_phase_is_the_closed_form_and_its_time_the_flow_s_own():
    solver = Greedy(rw.Deep(3), inner="flow", epsilon=1e-6)
    state = solver.init(DIAGONAL, 0)
    phase = solver.phase(state)
    sigma = phase.matrices[:, 0, 0]
    np.testing.assert_allclose(phase.matrices[:, 1, 1], 0, atol=1e-12)
    assert (np.diff(sigma) >= -1e-9).all()
    for share in (0.1, 0.5, 0.9):
        reached = np.interp(3 * share, sigma, phase.times)
        assert reached == pytest.approx(logistic_time(3.0, 3 * share, 1e-6, 3), rel=1e-4)
    stepped, arrived = solver.step(DIAGONAL, state), solver.arrive(state, phase)
    np.testing.assert_allclose(stepped.matrix, arrived.matrix, atol=1e-7)


def test_it_finds_what_the_newton_fit_finds():
    truth = np.asarray(rw.low_rank((3, 3), 1, key=0))
    problem = rw.observe(truth, 7, key=1)
    flow = rw.solve(problem, Greedy(inner="flow"))
    assert (flow.result, flow.rank) == (RESULTS.explained, 1)
    newton = rw.solve(problem, Greedy())
    np.testing.assert_allclose(flow.matrix, newton.matrix, atol=1e-5)
    assert np.isnan(newton.history["time"]).all()


def test_a_run_continues_to_the_same_bits():
    solver = Greedy(rw.Deep(3), inner="flow", epsilon=1e-6)
    whole = rw.solve(DIAGONAL, solver)
    half = rw.solve(DIAGONAL, solver, max_steps=1)
    rest = rw.solve(DIAGONAL, solver, state=half.state)
    np.testing.assert_array_equal(np.asarray(rest.matrix), np.asarray(whole.matrix))
    assert str(rest.state[0].path) == str(whole.state[0].path)


def test_a_semidefinite_deep_phase_keeps_the_matrix_symmetric():
    truth = rw.low_rank((5, 5), 1, key=3, symmetric=True)
    problem = rw.sense(truth, 12, key=4, symmetric=True)
    solution = rw.solve(problem, Greedy(rw.Deep(3), inner="flow", semidefinite=True))
    assert (solution.result, solution.rank) == (RESULTS.explained, 1)
    matrix = np.asarray(solution.matrix)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    np.testing.assert_allclose(matrix, truth, atol=1e-5)


def test_a_ridge_lowers_each_singular_value():
    solution = rw.solve(DIAGONAL, Greedy(inner="flow", ridge=0.5, epsilon=1e-6))
    assert solution.result is RESULTS.converged
    np.testing.assert_allclose(solution.matrix, np.diag([2.5, 0.5, 0.0]), atol=1e-6)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_saddle_layers_are_balanced_and_multiply_to_the_matrix(depth):
    rng = np.random.default_rng(0)
    u, _, vt = np.linalg.svd(rng.standard_normal((4, 3)))
    matrix = LowRank(2.0 * u[:, :1], vt[:1].T)
    layers = saddle_layers(matrix, (u[:, 1], vt[1]), 1e-3, rw.Deep(depth))
    expected = 2 * np.outer(u[:, 0], vt[0]) + 1e-3 * np.outer(u[:, 1], vt[1])
    np.testing.assert_allclose(factors(layers), expected, atol=1e-14)
    for below, above in pairwise(layers):
        np.testing.assert_allclose(above.T @ above, below @ below.T, atol=1e-14)


def test_a_thinned_trajectory_keeps_its_ends_and_its_length():
    matrices = np.linspace(0, 1, 1001)[:, None, None]
    times, kept = thinned(np.arange(1001.0), matrices, 0.1)
    assert 10 <= len(kept) <= 12
    np.testing.assert_array_equal(kept[[0, -1]], matrices[[0, -1]])
    np.testing.assert_allclose(times, 1000 * kept.ravel())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"factorization": rw.Deep(1), "inner": "flow"}, "Deep of depth 2 or more"),
        ({"factorization": rw.Deep(3), "inner": "flow", "ridge": 1.0}, "ridge must be 0"),
        ({"inner": "flow", "epsilon": 0.0}, "epsilon must be positive"),
        ({"semidefinite": True}, "semidefinite needs"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        Greedy(**arguments)


def test_refusals_of_data_and_of_other_inner_methods():
    solver = Greedy(rw.Deep(3), inner="flow", semidefinite=True)
    with pytest.raises(ValueError, match="square"):
        rw.solve(rw.Completion((2, 3), [0], [1], [1.0]), solver)
    with pytest.raises(ValueError, match="float64"):
        rw.solve(rw.Completion((2, 2), [0], [1], np.ones(1, np.float32)), solver)
    with pytest.raises(ValueError, match="trajectory"):
        Greedy().phase(Greedy().init(DIAGONAL, 0))
