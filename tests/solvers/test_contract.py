"""What every host-driven solver keeps to, through the registry: settings, states, extremes of the data, refusals."""

from dataclasses import FrozenInstanceError, fields

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.results import RESULTS
from rankwise.solvers import SOLVERS

TRUTH = rw.low_rank((12, 9), 2, key=0)
PROBLEM = rw.observe(TRUTH, 90, key=1, min_degree=4)
INTENSITIES = rw.diffract(np.array([1.0, -2.0, 0.5, 3.0]), 24, key=2)
HOST = {name: kind for name, kind in SOLVERS.items() if kind.driver == "host"}


def takes(kind, problem):
    """Whether a solver of default settings takes the problem."""
    try:
        kind().check(problem)
    except ValueError:
        return False
    return True


COMPLETING = [name for name, kind in HOST.items() if takes(kind, PROBLEM)]

every = pytest.mark.parametrize("name", HOST)
completing = pytest.mark.parametrize("name", COMPLETING)


def suited(name):
    """A tiny problem that the solver takes."""
    return PROBLEM if name in COMPLETING else INTENSITIES


def solved(problem, name, **arguments):
    """The solution, which says in a word why it ended and is finite."""
    solution = rw.solve(problem, HOST[name](), **arguments)
    assert solution.result in list(RESULTS)
    assert solution.result not in (RESULTS.running, RESULTS.non_finite)
    assert np.isfinite(np.asarray(solution.matrix)).all()
    assert solution.matrix.shape == problem.shape
    return solution


def test_only_phase_retrieval_is_apart():
    assert set(HOST) - set(COMPLETING) == {"amplitude_flow"}


@every
def test_settings_are_frozen_and_spelled_out(name):
    solver = HOST[name]()
    first = fields(solver)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(solver, first, 1)
    assert repr(solver).startswith(f"{type(solver).__name__}({first}=")
    assert solver == HOST[name]()
    assert solver.default_steps >= 1


@pytest.mark.parametrize("name", SOLVERS)
def test_what_is_recorded_is_named(name):
    solver, problem = SOLVERS[name](), INTENSITIES if name == "amplitude_flow" else PROBLEM
    with jax.enable_x64(True):
        key = jax.random.key(0) if solver.driver == "compiled" else 0
        assert tuple(solver.record(solver.init(problem, key))) == solver.recorded


def test_a_solver_that_records_must_name_what():
    with pytest.raises(TypeError, match="Silent has `record`"):

        class Silent(rw.Greedy):
            def record(self, state):
                return {"secret": 1.0}


@every
def test_the_same_key_gives_the_same_bits(name):
    once, again = (solved(suited(name), name, key=3) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(once.matrix), np.asarray(again.matrix))
    assert once.history["train_loss"].tolist() == again.history["train_loss"].tolist()


@every
def test_a_state_goes_on_to_the_same_bits(name):
    whole = solved(suited(name), name)
    part = rw.solve(suited(name), HOST[name](), max_steps=max(whole.steps // 2, 1))
    rest = rw.solve(suited(name), HOST[name](), state=part.state)
    np.testing.assert_array_equal(np.asarray(rest.matrix), np.asarray(whole.matrix))
    assert (rest.steps, rest.result) == (whole.steps, whole.result)


@completing
def test_a_small_completion_is_recovered_to_its_values(name):
    solution = solved(PROBLEM, name)
    assert solution.result.successful
    # Robust methods may take some values for outliers.
    assert np.median(np.abs(PROBLEM.residual(solution.matrix))) < 3e-3


@completing
@pytest.mark.parametrize("power", [-660, 660])
def test_a_power_of_two_in_the_values_comes_out_of_the_matrix(name, power):
    # 2^660 is 5e198: its square is no number any more.
    plain, scaled = solved(PROBLEM, name), solved(PROBLEM.replace(values=PROBLEM.values * 2.0**power), name)
    assert (scaled.result, scaled.steps) == (plain.result, plain.steps)
    np.testing.assert_allclose(np.asarray(scaled.matrix) / 2.0**power, np.asarray(plain.matrix), rtol=1e-6, atol=1e-6)


@completing
def test_bounds_hold_at_the_end_and_cost_nothing(name):
    box = (float(TRUTH.dense().min()) / 2, float(TRUTH.dense().max()) / 2)
    truth = rw.within(TRUTH, box)
    matrix = solved(rw.observe(truth, 60, key=1, min_degree=4), name).matrix
    inside = rw.within(matrix, box)
    assert box[0] <= inside.min() <= inside.max() <= box[1]
    assert (np.abs(inside - truth) <= np.abs(np.asarray(matrix) - truth)).all()


@completing
def test_single_precision_stays(name):
    single = PROBLEM.replace(values=PROBLEM.values.astype(np.float32))
    solution = solved(single, name)
    assert solution.matrix.dtype == np.float32
    double = np.asarray(solved(PROBLEM, name).matrix)
    assert np.linalg.norm(solution.matrix - double) < 2e-3 * np.linalg.norm(double)


@completing
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (5, 4)])
def test_zeros_give_zero(name, shape):
    solution = solved(rw.Completion.from_dense(np.zeros(shape)), name)
    assert not np.asarray(solution.matrix).any()
    assert solution.rank == 0
    assert solution.result.successful


@completing
@pytest.mark.parametrize(
    "table",
    [
        [[1.0, np.nan, 3.0]],
        [[1.0], [2.0], [np.nan]],
        [[np.nan, np.nan], [np.nan, -2.0]],
        [[7.0]],
        [[1.0, 2.0, np.nan], [2.0, 4.0, np.nan], [np.nan, np.nan, np.nan]],
    ],
    ids=["row", "column", "one observation", "one entry", "nothing in a row"],
)
def test_the_smallest_tables_end_with_a_word(name, table):
    solved(rw.Completion.from_dense(np.asarray(table)), name)


@every
@pytest.mark.parametrize(
    "problem",
    [PROBLEM, INTENSITIES, PROBLEM.replace(misfit=rw.Huber(1.0)), rw.sense(TRUTH, 60, key=1)],
    ids=["completion", "intensities", "Huber", "sensing"],
)
def test_another_problem_is_taken_or_refused_in_one_line(name, problem):
    told = ""
    try:
        assert rw.solve(problem, HOST[name](), max_steps=1).matrix.shape == problem.shape
    except ValueError as error:
        told = str(error)
    assert told == "" or (HOST[name].__name__ in told and "\n" not in told)
