"""Runs on disk: every solver goes on from a file to the same bits, and nothing else is taken from one."""

import functools
import json
import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.checkpoint import RefusedCheckpoint, container, resuming
from rankwise.checkpoint.identity import described, difference
from rankwise.checkpoint.packing import Packer, Unpacker
from rankwise.compiled import precision
from rankwise.plain import Plain
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solvers import SOLVERS, Solver

TRUTH = rw.low_rank((12, 9), 2, key=0)
PROBLEM = rw.observe(TRUTH, 90, key=1, min_degree=4)
INTENSITIES = rw.diffract(np.array([1.0, -2.0, 0.5, 3.0]), 24, key=2)
SENSING = rw.sense(TRUTH, 60, key=1)
DEEP = rw.GradientDescent(rw.Deep(2, rw.Gaussian(0.1)), rw.Optimizer("adam", 1e-2), tolerance=1e-4, check_every=7)
# Integrators take seconds to compile: one flow is followed, of the others the state is looked at.
QUICK = {"gradient_flow": {"times": np.array([0.0, 0.5, 1.0, 1.5]), "method": "tsit5"}}
COMPILED_LONG = ("end_to_end_flow", "spectral_flow")


def assert_same(one, other):
    """Two solutions of equal bits."""
    np.testing.assert_array_equal(np.asarray(one.matrix), np.asarray(other.matrix))
    assert (type(one.matrix), one.steps, one.result) == (type(other.matrix), other.steps, other.result)
    assert list(one.history) == list(other.history)
    for name in one.history:
        np.testing.assert_array_equal(one.history[name], other.history[name])


def interrupted_at(last):
    """A progress callback that raises KeyboardInterrupt once that step is reached."""

    def progress(step, limit):
        if step >= last:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("name", [name for name in SOLVERS if name not in COMPILED_LONG])
def test_a_loaded_state_goes_on_to_the_same_bits(name, tmp_path):
    solver, problem = SOLVERS[name](**QUICK.get(name, {})), INTENSITIES if name == "amplitude_flow" else PROBLEM
    limit = 60 if name == "gradient_descent" else None
    checkpoints = 3 if solver.driver == "compiled" else None
    whole = rw.solve(problem, solver, key=3, max_steps=limit, checkpoints=checkpoints)
    part = rw.solve(problem, solver, key=3, max_steps=whole.steps // 3, checkpoints=1)
    rw.save_state(tmp_path / "run", part, problem, solver)
    loaded = rw.load_state(tmp_path / "run", problem, solver)
    assert_same(loaded, part)
    rest = rw.solve(problem, solver, state=loaded.state, max_steps=limit, checkpoints=checkpoints)
    np.testing.assert_array_equal(np.asarray(rest.matrix), np.asarray(whole.matrix))
    assert (rest.steps, rest.result) == (whole.steps, whole.result)
    if solver.driver == "host":
        joined = loaded.history.then(rest.history)
        for measure in whole.history:
            np.testing.assert_array_equal(joined[measure], whole.history[measure])


@pytest.mark.parametrize("name", COMPILED_LONG)
def test_every_other_state_comes_back_as_it_was(name, tmp_path):
    solver = SOLVERS[name]()
    with precision(PROBLEM.dtype):
        state = jax.device_get(solver.init(PROBLEM.compiled(), jax.random.key(1)))
        history = rw.History(np.array([0]), {"train_loss": np.ones(1)})
        start = rw.Solution(np.asarray(solver.matrix(state)), RESULTS.max_steps, 0, history, (state, 0), 0.0)
    rw.save_state(tmp_path / "run", start, PROBLEM, solver)
    loaded, steps = rw.load_state(tmp_path / "run", PROBLEM, solver).state
    assert steps == 0
    assert jax.tree.structure(loaded) == jax.tree.structure(state)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(state), strict=True):
        assert (np.asarray(one).tobytes(), one.dtype) == (np.asarray(other).tobytes(), other.dtype)


@pytest.mark.parametrize("name", ["greedy", "irls", "nuclear_norm"])
def test_states_of_dense_and_implicit_measurements_too(name, tmp_path):
    for problem in (SENSING, rw.sense_fourier(TRUTH, 60, key=1)):
        solver = SOLVERS[name]()
        whole, part = (rw.solve(problem, solver, max_steps=steps) for steps in (None, 1))
        rw.save_state(tmp_path / "run", part, problem, solver)
        rest = rw.solve(problem, solver, state=rw.load_state(tmp_path / "run", problem, solver).state)
        np.testing.assert_array_equal(np.asarray(rest.matrix), np.asarray(whole.matrix))


@pytest.mark.parametrize(
    ("solver", "arguments"),
    [
        (DEEP, {"max_steps": 900, "checkpoints": [0, 1, 2, 3, 5, 8, 13, 100, 101, 450]}),
        (DEEP, {"max_steps": 120, "checkpoints": 40}),
        (rw.ScaledGD(), {}),
    ],
    ids=["log-spaced", "dense", "host"],
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(solver, arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "SECONDS", 0.01)
    place, arguments = tmp_path / "run", {**arguments, "track": ["nuclear_norm"], "key": 5}
    whole = rw.solve(PROBLEM.mean(), solver, **arguments)
    assert_same(rw.solve_resumable(PROBLEM.mean(), solver, place, **arguments), whole)
    assert not place.exists()  # it was through long before a minute
    with pytest.raises(KeyboardInterrupt):
        rw.solve_resumable(PROBLEM.mean(), solver, place, progress=interrupted_at(60), **arguments)
    assert 0 < rw.load_state(place, PROBLEM.mean(), solver).steps < whole.steps
    assert_same(rw.solve_resumable(PROBLEM.mean(), solver, place, every=0.01, **arguments), whole)


def test_a_batch_goes_on_whole_though_some_have_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(resuming, "SECONDS", 0.01)
    problems = [rw.observe(TRUTH, 90, key=i, min_degree=2).mean() for i in range(4)]
    solvers = [DEEP.replace(optimizer=rw.Optimizer("adam", rate)) for rate in (0.01, 0.02, 0.03, 0.1)]
    arguments = {"keys": range(4), "max_steps": 600, "track": ["mean_square_error"], "truth": TRUTH, "checkpoints": 9}
    whole = rw.solve_batch(problems, solvers, **arguments)
    assert len({run.steps for run in whole}) == 4
    for last in (60, 140, 601):
        try:
            found = rw.solve_batch_resumable(
                problems, solvers, tmp_path / "runs", progress=interrupted_at(last), **arguments
            )
        except KeyboardInterrupt:
            assert (tmp_path / "runs").exists()
    for one, other in zip(found, whole, strict=True):
        assert_same(one, other)


def test_a_batch_may_have_an_array_of_keys_and_no_two_lengths(tmp_path):
    keys = jax.random.split(jax.random.key(0), 3)
    assert len(rw.solve_batch_resumable(PROBLEM, rw.Greedy(), tmp_path / "run", keys=keys, max_steps=1)) == 3
    with pytest.raises(ValueError, match="must have one item or the same number"):
        rw.solve_batch_resumable([PROBLEM] * 2, rw.Greedy(), tmp_path / "other", keys=keys)


@pytest.fixture
def saved(tmp_path):
    """A file, and the arguments it was made with."""
    solver = rw.Greedy(ridge=1e-3)
    rw.save_state(tmp_path / "run", rw.solve(PROBLEM, solver, max_steps=1), PROBLEM, solver)
    return tmp_path / "run", PROBLEM, solver


def told(place, problem, solver):
    """The one line in which a checkpoint is refused."""
    with pytest.raises(RefusedCheckpoint, match="run") as caught:
        rw.load_state(place, problem, solver)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_damaged_file_is_refused_wherever_the_damage_is(saved):
    place, *rest = saved
    content = place.read_bytes()
    for at in [0, 19, 20, 21, 40, 90, 200, len(content) // 2, len(content) - 30, len(content) - 1]:
        place.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        told(place, *rest)
    for length in (0, 5, 21, 80, 200, len(content) - 1):
        place.write_bytes(content[:length])
        told(place, *rest)
    place.write_bytes(content + b"\0")
    assert "damaged" in told(place, *rest)
    place.write_bytes(content.replace(b"checkpoint 1", b"checkpoint 2", 1))
    assert "another format" in told(place, *rest)


@pytest.mark.parametrize(
    ("problem", "solver", "words"),
    [
        (PROBLEM.mean(), None, "problem.scale was 1.0 and is 0.02"),
        (PROBLEM.replace(values=PROBLEM.values + 1e-15), None, "problem.values was float64 (90,)"),
        (PROBLEM.replace(values=PROBLEM.values.astype(np.float32)), None, "and is float32 (90,)"),
        (PROBLEM.replace(misfit=rw.Huber(1.0)), None, "problem.misfit was Squared and is Huber"),
        (SENSING, None, "problem was Completion and is Sensing"),
        (None, rw.Greedy(ridge=2e-3), "solver.ridge was 0.001 and is 0.002"),
        (None, rw.IRLS(), "solver was Greedy and is IRLS"),
    ],
    ids=["scale", "values", "precision", "misfit", "problem", "setting", "solver"],
)
def test_another_run_is_told_by_name(saved, problem, solver, words):
    place, own, taken = saved
    assert words in told(place, problem or own, solver or taken)


def test_another_version_and_other_arguments_are_told(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("rankwise.checkpoint.identity.code", lambda: "elsewhen")
    assert "the code of rankwise was" in told(*saved)
    monkeypatch.undo()
    monkeypatch.setattr(resuming, "SECONDS", 0.01)
    place = tmp_path / "another run"
    with pytest.raises(KeyboardInterrupt):
        rw.solve_resumable(PROBLEM, rw.ScaledGD(), place, progress=interrupted_at(9))
    with pytest.raises(RefusedCheckpoint, match=r"run\.key\[0\] was 0 and is 1; delete it"):
        rw.solve_resumable(PROBLEM, rw.ScaledGD(), place, key=1)
    with pytest.raises(RefusedCheckpoint, match=r"run\.max_steps was \d+ and is 50"):
        rw.solve_resumable(PROBLEM, rw.ScaledGD(), place, max_steps=50)
    with pytest.raises(ValueError, match="every must be positive"):
        rw.solve_resumable(PROBLEM, rw.ScaledGD(), place, every=0)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("code from a file was run",)


def forged(saved, change):
    """The file with its structure changed, hash and all."""
    place, *rest = saved
    structure, arrays = container.read(place)
    change(structure, arrays)
    container.write(place, structure, arrays)
    return told(place, *rest)


def test_a_forged_file_names_no_class_and_runs_no_code(saved):
    def put(packed):
        return lambda structure, arrays: structure["runs"][0]["tuple"].__setitem__(5, packed)

    for packed in (
        {"class": "subprocess.Popen", "fields": [["args", "ls"]]},
        {"class": "builtins.eval", "items": []},
        {"given": "problem.__class__.__init__.__globals__"},
        {"sparse": "linalg", "shape": [1, 1], "pieces": []},
        {"array": 10**6, "strides": None},
        {"array": 0, "strides": [-(10**15)] * 2},
        {"unknown": 0},
        {},
    ):
        assert "no checkpoint that rankwise wrote" in forged(saved, put(packed))
    place, *rest = saved
    place.write_bytes(pickle.dumps(Trap()))
    assert "no checkpoint of rankwise" in told(place, *rest)


def test_objects_in_an_archive_are_refused(saved):
    def plant(structure, arrays):
        arrays[0] = np.array([Trap()], object)

    with pytest.raises(pytest.fail.Exception, match="code from a file"):
        pickle.loads(pickle.dumps(Trap()))  # the trap works
    assert "no checkpoint that rankwise wrote" in forged(saved, plant)


@dataclass(frozen=True, eq=False)
class Kept(Plain):
    """What a solver of one's own may keep."""

    anything: Any


def test_everything_a_state_may_hold_comes_back_bit_for_bit():
    rng, shared = np.random.default_rng(3), np.arange(12.0).reshape(3, 4)
    rng.standard_normal(5)
    values = (
        [0.1, float("nan"), -float("inf"), -0.0, 2**70, True, None, "word", np.float32(0.1), np.int64(3)],
        {"word": (1, ()), 2: np.dtype(np.float32)},
        shared, shared.T, shared[::-1, 1:3], np.zeros((0, 3)), np.array(7), np.broadcast_to(1.5, (2, 3)),
        RESULTS.explained, rng, jax.random.key(4), Kept((shared, TRUTH)), SENSING.sensors,
    )  # fmt: skip
    arrays: list[Any] = []
    given = {"problem.sensors": SENSING.sensors}
    text = json.dumps(Packer(given, arrays).pack(values), allow_nan=False)
    back = Unpacker(given, [np.array(array) for array in arrays]).unpack(json.loads(text))
    assert repr(back[:2]) == repr(values[:2])
    for one, other in zip(back[2:8], values[2:8], strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one.dtype, one.size == 0 or one.strides == other.strides) == (other.dtype, True)
    assert back[8] is RESULTS.explained
    assert back[9].standard_normal() == rng.standard_normal()
    np.testing.assert_array_equal(jax.random.key_data(back[10]), jax.random.key_data(values[10]))
    assert back[11].anything[0] is back[2]
    assert back[12] is SENSING.sensors
    assert sum(array.size == SENSING.sensors.size for array in arrays) == 0
    with pytest.raises(ValueError, match="cannot hold a Trap"):
        Packer({}, []).pack(Trap())


@dataclass(frozen=True)
class Own(Solver):
    """A solver of one's own: halves the distance to the measurements' adjoint."""

    rate: Any = 0.5
    driver: ClassVar = "host"
    default_steps: ClassVar[int] = 5

    def init(self, problem, key):
        return Kept(np.zeros(problem.shape))

    def step(self, problem, state):
        return Kept(state.anything - self.rate * problem.gradient(state.anything))

    def outcome(self, problem, state):
        return RESULTS.running

    def matrix(self, state):
        return state.anything


def test_a_solver_of_ones_own_is_saved_and_functions_are_told_apart(tmp_path):
    whole = rw.solve(PROBLEM, Own())
    rw.save_state(tmp_path / "run", rw.solve(PROBLEM, Own(), max_steps=2), PROBLEM, Own())
    state = rw.load_state(tmp_path / "run", PROBLEM, Own()).state
    np.testing.assert_array_equal(rw.solve(PROBLEM, Own(), state=state).matrix, whole.matrix)

    def scaled(factor):
        return lambda matrix: factor * matrix

    for one, other in ((scaled(2), scaled(3)), (functools.partial(max, 1), functools.partial(max, 2)), (len, max)):
        assert difference(described(one, "f"), described(one, "f")) is None
        assert difference(described(one, "f"), described(other, "f")) is not None
    with pytest.raises(ValueError, match=r"f\[0\] is a Trap, by which"):
        described((Trap(),), "f")
    with pytest.raises(ValueError, match="no state to go on from"):
        rw.save_state(
            tmp_path / "run", rw.Solution(whole.matrix, whole.result, 0, whole.history, None, 0.0), PROBLEM, Own()
        )
    assert issubclass(type(PROBLEM), Problem)
