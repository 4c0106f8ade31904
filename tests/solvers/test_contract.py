"""What every solver keeps to, through the registry: settings, states, refusals; those on the host, extremes too."""

from dataclasses import FrozenInstanceError, fields

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.loop import check
from rankwise.results import RESULTS
from rankwise.solvers import SOLVERS
from rankwise.solvers.ranked import Ranked

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


@pytest.mark.parametrize("name", SOLVERS)
def test_settings_are_frozen_and_spelled_out(name):
    solver = SOLVERS[name]()
    first = fields(solver)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(solver, first, 1)
    assert repr(solver).startswith(f"{type(solver).__name__}({first}=")
    assert repr(solver) == repr(SOLVERS[name]())
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


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in HOST])
def test_compiled_runs_repeat_and_go_on_to_the_same_bits(name):
    whole, again = (rw.solve(PROBLEM, SOLVERS[name](), key=3, max_steps=4) for _ in range(2))
    part = rw.solve(PROBLEM, SOLVERS[name](), key=3, max_steps=2)
    rest = rw.solve(PROBLEM, SOLVERS[name](), state=part.state, max_steps=4)
    assert (part.steps, whole.steps, whole.matrix.shape) == (2, 4, PROBLEM.shape)
    for other in (again, rest):
        np.testing.assert_array_equal(other.matrix, whole.matrix)
        assert (other.steps, other.result) == (whole.steps, whole.result)


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


@pytest.mark.parametrize("name", SOLVERS)
def test_the_interval_of_the_stopping_tests_is_a_setting_only_where_it_is_read(name):
    kind = SOLVERS[name]
    if any(field.name == "check_every" for field in fields(kind)):
        for value in (0, -3, 2.5, "x"):
            with pytest.raises(ValueError, match="check_every must be an integer of at least 1"):
                kind(check_every=value)
    else:
        assert kind.driver == "host"
        assert kind.check_every == 1


@completing
def test_combinations_of_measurements_explain_nothing(name):
    # 19 sensors, no two multiples of one another, of which 11 are independent: as many as parameters of rank one.
    rng, truth = np.random.default_rng(0), rw.low_rank((6, 6), 1, key=1)
    sensors = rng.standard_normal((11, 6, 6))
    sensors = np.concatenate([sensors, np.tensordot(rng.standard_normal((8, 11)), sensors, axes=1)])
    problem = rw.Sensing(sensors, np.einsum("mij,ij->m", sensors, truth.dense()))
    if takes(HOST[name], problem):
        assert rw.solve(problem, HOST[name](), max_steps=300).result is not RESULTS.explained


@completing
@pytest.mark.parametrize("second", [-1.0, 3.0], ids=["no drive", "a mean"])
def test_contradictions_are_not_said_to_be_explained(name, second):
    # 40 sensors, each given twice with other values: -1 times the first leave nothing that lowers the loss.
    once = rw.sense(TRUTH, 40, key=1)
    problem = rw.Sensing(np.tile(once.sensors, (2, 1, 1)), np.concatenate([once.values, second * once.values]))
    try:
        found = rw.solve(problem, HOST[name](), max_steps=300).result
    except ValueError:
        return
    assert found not in (RESULTS.explained, RESULTS.optimal)


@pytest.mark.parametrize("name", [name for name, kind in HOST.items() if issubclass(kind, Ranked)])
@pytest.mark.parametrize("rank", [1, None])
@pytest.mark.parametrize(
    ("table", "result"),
    [
        (np.zeros((4, 5)), RESULTS.explained),
        (np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 0.5, 2.0]), RESULTS.explained),
        (np.where(np.arange(20).reshape(4, 5) == 7, 3.0, np.nan), RESULTS.underdetermined),
        (np.where(np.arange(50)[None] % 2, 1.0, np.nan), RESULTS.underdetermined),
    ],
    ids=["zeros", "a product", "one entry", "half a row"],
)
def test_a_rank_given_or_grown_ends_in_the_same_word(table, result, rank, name):
    solution = rw.solve(rw.Completion.from_dense(table), HOST[name](rank=rank))
    assert solution.result is result
    assert np.isfinite(solution.matrix.dense()).all()


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    "problem",
    [PROBLEM, INTENSITIES, PROBLEM.replace(misfit=rw.Huber(1.0)), rw.sense(TRUTH, 60, key=1)],
    ids=["completion", "intensities", "Huber", "sensing"],
)
def test_another_problem_is_taken_or_refused_in_one_line(name, problem):
    told = ""
    try:
        check(problem, SOLVERS[name](), max_steps=1)
        if name in HOST:  # a program per problem would take seconds
            assert rw.solve(problem, HOST[name](), max_steps=1).matrix.shape == problem.shape
    except ValueError as error:
        told = str(error)
    assert told == "" or (SOLVERS[name].__name__ in told and "\n" not in told)
