"""The one loop: stopping, resuming, tracking, batching, and what it refuses."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.loop import checkpoint_steps
from rankwise.measures import MEASURES
from rankwise.results import RESULTS
from rankwise.solvers import Solver

TRUTH = rw.low_rank((12, 10), 2, key=0)
PROBLEM = rw.observe(TRUTH, 80, key=1).mean()
DEEP = rw.GradientDescent(rw.Deep(2, rw.Gaussian(0.1)), rw.Optimizer("adam", 1e-2))


def test_same_key_same_bits_and_a_jax_key_equals_its_seed():
    one, two = (rw.solve(PROBLEM, DEEP, key=3, max_steps=50) for _ in range(2))
    np.testing.assert_array_equal(one.matrix, two.matrix)
    np.testing.assert_array_equal(one.matrix, rw.solve(PROBLEM, DEEP, key=jax.random.key(3), max_steps=50).matrix)
    assert np.abs(one.matrix - rw.solve(PROBLEM, DEEP, key=4, max_steps=50).matrix).max() > 1e-4


@pytest.mark.parametrize("optimizer", ["adam", "group_rmsprop", "momentum", "lbfgs"])
def test_going_on_is_the_uninterrupted_run_bit_for_bit(optimizer):
    solver = DEEP.replace(optimizer=rw.Optimizer(optimizer, 1e-2))
    whole = rw.solve(PROBLEM, solver, max_steps=70)
    part = rw.solve(PROBLEM, solver, max_steps=33, checkpoints=5)
    rest = rw.solve(PROBLEM, solver, max_steps=70, state=part.state, checkpoints=[40, 61])
    np.testing.assert_array_equal(whole.matrix, rest.matrix)
    assert rest.steps == 70
    assert list(rest.history.steps) == [40, 61, 70]


def test_greedy_goes_on_too():
    whole = rw.solve(PROBLEM, rw.Greedy())
    rest = rw.solve(PROBLEM, rw.Greedy(), state=rw.solve(PROBLEM, rw.Greedy(), max_steps=1).state)
    np.testing.assert_array_equal(np.asarray(whole.matrix), np.asarray(rest.matrix))
    assert rest.result is whole.result is RESULTS.explained


@pytest.mark.parametrize("solver", [DEEP, rw.Greedy()], ids=["compiled", "host"])
def test_every_measure_can_be_tracked(solver):
    names = [name for name in MEASURES if solver.layered or "layers" not in MEASURES[name].needs]
    solution = rw.solve(PROBLEM, solver, max_steps=2, track=names, heldout=PROBLEM, truth=TRUTH, checkpoints=2)
    for name in names:
        assert len(solution.history[name]) == len(solution.history.steps)
        assert np.isfinite(solution.history[name]).all()
    # The mean of squared residuals, from the loss of the problem's own scale and from the held-out measure.
    np.testing.assert_allclose(solution.history["train_loss"], solution.history["heldout_loss"], rtol=1e-12)


def test_tracked_values_are_those_of_the_matrix():
    solution = rw.solve(PROBLEM, DEEP, max_steps=40, track=["singular_values"], checkpoints=[10, 20])
    np.testing.assert_allclose(solution.history["singular_values"][-1], np.linalg.svdvals(solution.matrix), rtol=1e-10)
    np.testing.assert_array_equal(solution.history.steps, [10, 20, 40])


def test_the_run_stops_at_a_multiple_of_check_every_and_history_ends_there():
    solver = DEEP.replace(tolerance=0.1, check_every=7)
    solution = rw.solve(PROBLEM, solver, max_steps=3000, checkpoints=10)
    assert solution.result is RESULTS.explained
    assert solution.steps % 7 == 0
    assert solution.history.steps[-1] == solution.steps
    assert solution.history["train_loss"][-1] <= 0.1
    assert float(PROBLEM.loss(rw.solve(PROBLEM, solver, max_steps=solution.steps - 7).matrix)) > 0.1


def test_trouble_is_a_result():
    blown = rw.solve(PROBLEM, DEEP.replace(optimizer=rw.Optimizer("gradient_descent", 1e6)), max_steps=100)
    assert blown.result is RESULTS.non_finite
    large = rw.solve(PROBLEM, DEEP.replace(norm_limit=0.5), max_steps=1000)
    assert large.result is RESULTS.diverging_norm
    still = rw.solve(PROBLEM, DEEP.replace(factorization=rw.Deep(2, rw.Gaussian(0.0)), stationary=0.0), max_steps=100)
    assert still.result is RESULTS.converged
    assert rw.solve(PROBLEM, DEEP, max_steps=5).result is RESULTS.max_steps


@dataclass(frozen=True)
class Runaway(Solver):
    """A matrix that grows without end, or nan where nothing is observed; says that it has converged at any infinity."""

    hole: bool = False
    driver = "host"
    default_steps = 2000

    def init(self, problem, key):
        return np.ones(problem.shape)

    def step(self, problem, state):
        return np.where(problem.adjoint(np.ones(problem.size)) == 0, np.nan, 1.0) if self.hole else 1e50 * state

    def outcome(self, problem, state):
        with np.errstate(over="ignore"):
            return RESULTS.converged if np.linalg.norm(state) == np.inf else RESULTS.running

    def matrix(self, state):
        return state


def test_a_run_that_left_the_floats_is_no_success_whatever_its_solver_says():
    run = rw.solve(PROBLEM, Runaway())
    assert (run.result, run.steps) == (RESULTS.non_finite, 4)
    assert np.isfinite(run.matrix).all()
    assert rw.solve(PROBLEM, Runaway(hole=True), max_steps=2).result is RESULTS.non_finite
    assert rw.solve(PROBLEM, Runaway(), max_steps=2).result is RESULTS.max_steps
    large = PROBLEM.replace(values=1e160 * PROBLEM.values)
    assert rw.solve(large, Runaway(), max_steps=2).result is RESULTS.max_steps


def test_more_checkpoints_than_steps_are_all_the_steps():
    np.testing.assert_array_equal(checkpoint_steps(10**12, 3, 20), np.arange(3, 21))
    np.testing.assert_array_equal(checkpoint_steps(10**12, 5, 5), [5])


def test_the_last_state_is_judged_between_two_checks():
    wild = DEEP.replace(optimizer=rw.Optimizer("gradient_descent", 1e6))
    assert rw.solve(PROBLEM, wild, max_steps=8).result is RESULTS.non_finite
    done = rw.solve(PROBLEM, DEEP.replace(tolerance=0.5, check_every=1000), max_steps=300)
    assert (done.result, done.steps) == (RESULTS.explained, 300)


def test_zero_data_do_not_diverge():
    zero = rw.Completion.from_dense(np.zeros((4, 4)))
    assert rw.solve(zero, DEEP, max_steps=20).result is RESULTS.max_steps


def test_runs_that_stopped_at_different_steps_go_on():
    solvers = [DEEP.replace(tolerance=t) for t in (0.5, 1e-9)]
    first = rw.solve_batch(PROBLEM, solvers, keys=[0, 1], max_steps=100)
    assert first[0].steps < first[1].steps == 100
    on = rw.solve_batch(PROBLEM, DEEP, states=[one.state for one in first], max_steps=150)
    for key, member in enumerate(on):
        np.testing.assert_allclose(member.matrix, rw.solve(PROBLEM, DEEP, key=key, max_steps=150).matrix, atol=1e-12)


def test_keys_may_be_an_array():
    keys = jax.random.split(jax.random.key(0), 3)
    members = rw.solve_batch(PROBLEM, DEEP, keys=keys, max_steps=5)
    np.testing.assert_allclose(members[1].matrix, rw.solve(PROBLEM, DEEP, key=keys[1], max_steps=5).matrix, atol=1e-12)
    assert len(rw.solve_batch(PROBLEM, DEEP, keys=np.arange(3), max_steps=5)) == 3


def test_a_problem_may_hold_index_arrays():
    @dataclass(frozen=True, eq=False)
    class Diagonal(rw.Completion):
        def compiled(self):
            return self

    problem = Diagonal((3, 3), np.arange(3), np.arange(3), np.ones(3))
    solution = rw.solve(problem, DEEP.replace(factorization=rw.Full()), max_steps=2000)
    np.testing.assert_allclose(np.diag(solution.matrix), 1, atol=1e-3)


def test_a_batch_is_its_members():
    starts = [rw.Gaussian(scale) for scale in (0.05, 0.1, 0.2)]
    solvers = [DEEP.replace(factorization=rw.Deep(2, start), tolerance=0.2) for start in starts]
    batch = rw.solve_batch(PROBLEM, solvers, keys=[0, 1, 2], max_steps=400, track=["effective_rank"], truth=TRUTH)
    for solver, key, member in zip(solvers, range(3), batch, strict=True):
        alone = rw.solve(PROBLEM, solver, key=key, max_steps=400, track=["effective_rank"])
        assert (member.result, member.steps) == (alone.result, alone.steps)
        np.testing.assert_allclose(member.matrix, alone.matrix, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(member.history["effective_rank"], alone.history["effective_rank"], rtol=1e-9)


def test_a_batch_over_rates_weights_problems_and_states():
    problems = [rw.observe(TRUTH, 70, key=k).mean() for k in (5, 6)]
    solvers = [
        rw.GradientDescent(rw.Full(), rw.Optimizer("adam", rate), rw.Ratio(weight))
        for rate, weight in ((1e-3, 1e-2), (2e-3, 1e-3))
    ]
    batch = rw.solve_batch(problems, solvers, max_steps=30)
    again = rw.solve_batch(problems, solvers, states=[s.state for s in batch], max_steps=60)
    for i in range(2):
        alone = rw.solve(problems[i], solvers[i], max_steps=60)
        np.testing.assert_allclose(again[i].matrix, alone.matrix, rtol=1e-8, atol=1e-11)


def test_precision_follows_the_problem_and_nothing_is_switched_on():
    for dtype in (np.float32, np.float64):
        problem = rw.observe(TRUTH, 60, key=1, dtype=dtype)
        assert rw.solve(problem, DEEP, max_steps=3).matrix.dtype == dtype
    assert jax.numpy.ones(1).dtype == np.float32


def test_new_numbers_do_not_compile_again():
    from rankwise.compiled import advance

    rw.solve(PROBLEM, DEEP, max_steps=20)
    before = advance._cache_size()
    rw.solve(
        rw.observe(TRUTH, 61, key=9).mean(),
        DEEP.replace(optimizer=rw.Optimizer("adam", 3e-3)),
        key=5,
        max_steps=40,
    )
    assert advance._cache_size() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"key": -1}, "key must be"),
        ({"max_steps": -1}, "max_steps must be"),
        ({"checkpoints": 0}, "checkpoints must be"),
        ({"checkpoints": [5], "max_steps": 3}, "must lie between 0 and max_steps"),
        ({"checkpoints": 5.5}, "checkpoints must be"),
        ({"checkpoints": [1.5]}, "checkpoints must be"),
        ({"max_steps": 2**32}, r"below 2\^31"),
        ({"state": "old"}, "state must be the state of a solution"),
        ({"state": rw.solve(PROBLEM, DEEP.replace(factorization=rw.Deep(3)), max_steps=1).state}, "another solver"),
        ({"truth": np.ones(10), "track": ["relative_error"]}, r"truth has shape \(10,\), the problem"),
        ({"truth": np.full(PROBLEM.shape, 1j), "track": ["relative_error"]}, "truth is complex"),
        ({"heldout": rw.Completion((3, 3), [0], [0], [1.0])}, r"heldout has shape \(3, 3\)"),
        ({"track": "effective_rank"}, "must be a list of names"),
        ({"track": ["efective_rank"]}, "did you mean 'effective_rank'"),
        ({"track": ["relative_error"]}, r"needs solve\(..., truth=...\)"),
        ({"track": ["heldout_loss"]}, r"needs solve\(..., heldout=...\)"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        rw.solve(PROBLEM, DEEP, **arguments)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.solve(np.ones((3, 3)), DEEP), "problem must be a rankwise problem, not ndarray"),
        (lambda: rw.solve(PROBLEM, "greedy"), "solver must be a rankwise solver, not str"),
        (lambda: rw.solve(PROBLEM, rw.Greedy(), key="abc"), "key must be"),
        (lambda: rw.solve_batch(PROBLEM, DEEP, keys=3), "keys must be a sequence"),
        (lambda: rw.solve_batch(PROBLEM, [rw.Greedy(), DEEP]), "may differ in numbers only"),
        (lambda: rw.GradientDescent(optimizer="adam"), "optimizer must be a rankwise optimizer, not 'adam'"),
        (lambda: rw.GradientDescent(penalty=1e-3), "penalty must be a rankwise penalty"),
    ],
)
def test_what_is_no_setting_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_batches_that_differ_in_kind_are_refused():
    with pytest.raises(ValueError, match="numbers only"):
        rw.solve_batch(PROBLEM, [DEEP, DEEP.replace(factorization=rw.Deep(3))], max_steps=1)
    with pytest.raises(ValueError, match="one item or the same number"):
        rw.solve_batch([PROBLEM, PROBLEM], DEEP, keys=[1, 2, 3], max_steps=1)
    with pytest.raises(ValueError, match="square"):
        rw.solve(PROBLEM, DEEP.replace(factorization=rw.Symmetric()))
