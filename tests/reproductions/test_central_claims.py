"""The published and measured figures of the three central methods, at full size: `make reproduce` prints them.

100 x 100, rank 5, Gaussian factors, mean square entry 1, 2,000 entries observed uniformly.
"""

from itertools import pairwise

import numpy as np
import pytest

import rankwise as rw
from rankwise.measures import effective_rank, mean_square_error, relative_error
from rankwise.results import RESULTS

pytestmark = pytest.mark.reproduction
SEEDS = range(5)


def instance(seed, dtype=np.float64, kappa=None, count=2000, min_degree=0):
    truth = rw.low_rank((100, 100), 5, key=seed, kappa=kappa)
    return truth, rw.observe(truth, count, key=100 + seed, min_degree=min_degree, dtype=dtype).mean()


def report(name, **numbers):
    shown = (f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in numbers.items())
    print(f"\n{name}: {', '.join(shown)}", end="")


def hidden_error(solution, truth, problem):
    """The mean square error over the entries that were not observed."""
    error = (np.asarray(solution.matrix) - truth.dense()) ** 2
    error[problem.rows, problem.cols] = 0
    return float(error.sum() / (error.size - problem.size))


def ratio_runs(optimizer, weight, steps=20_000, seeds=SEEDS):
    penalty = rw.Ratio(weight, resolution=1e-5) if weight else None
    solver = rw.GradientDescent(rw.Full(rw.Gaussian(1e-3)), optimizer, penalty)
    pairs = [instance(seed, np.float32) for seed in seeds]
    solutions = rw.solve_batch([problem for _, problem in pairs], solver, keys=list(seeds), max_steps=steps)
    return [
        (solution, hidden_error(solution, truth, problem))
        for solution, (truth, problem) in zip(solutions, pairs, strict=True)
    ]


@pytest.mark.parametrize("weight", [1e-3, 1e-2])
def test_ratio_penalty_with_adam_recovers_at_depth_one(weight):
    recovered = 0
    for seed, (solution, error) in enumerate(ratio_runs(rw.Optimizer("adam", 1e-3), weight)):
        report(f"ratio {weight:g}, Adam 1e-3, seed {seed}", hidden=error, rank=solution.rank)
        recovered += error < 1e-3 and solution.rank == 5
    assert recovered >= 4


@pytest.mark.parametrize(
    ("name", "rate", "weight"),
    [("adam", 1e-3, 0), ("gradient_descent", 0.5, 1e-3), ("gradient_descent", 0.1, 1e-2)],
)
def test_without_the_penalty_or_with_small_gradient_steps_nothing_is_learned(name, rate, weight):
    for seed, (_, error) in enumerate(ratio_runs(rw.Optimizer(name, rate), weight, seeds=range(2))):
        report(f"{name} {rate:g}, ratio {weight:g}, seed {seed}", hidden=error)
        assert error > 0.5


def test_adam_at_a_large_step_ends_as_a_diverging_norm():
    for seed, (solution, _) in enumerate(ratio_runs(rw.Optimizer("adam", 1e-2), 1e-2, seeds=range(2))):
        report(f"ratio 1e-2, Adam 1e-2, seed {seed}", result=solution.result.name, steps=solution.steps)
        assert solution.result is RESULTS.diverging_norm


@pytest.mark.parametrize(
    ("depth", "low", "high", "rank"), [(2, 0.03, 0.15, 10), (3, 1e-5, 1e-4, 5), (4, 5e-6, 6e-5, 5)]
)
def test_group_rmsprop_at_depth(depth, low, high, rank):
    pairs = [instance(seed) for seed in range(4)]
    solver = rw.GradientDescent(
        rw.Deep(depth, rw.Gaussian(1e-3)), rw.Optimizer("group_rmsprop", 1e-3, beta=0.99, eps=1e-4), tolerance=1e-6
    )
    solutions = rw.solve_batch([problem for _, problem in pairs], solver, keys=range(4), max_steps=100_000)
    errors = [float(mean_square_error(s.matrix, truth)) for s, (truth, _) in zip(solutions, pairs, strict=True)]
    ranks = [float(effective_rank(solution.matrix)) for solution in solutions]
    for seed, solution in enumerate(solutions):
        report(
            f"group RMSprop, depth {depth}, seed {seed}", steps=solution.steps, error=errors[seed], erank=ranks[seed]
        )
        assert solution.result is RESULTS.explained
    assert low < np.median(errors) < high
    assert abs(np.median(ranks) - rank) < 0.2 * rank


@pytest.mark.parametrize(("depth", "low", "high"), [(1, 0.7, 0.9), (2, 0.03, 0.12), (3, 1e-6, 1e-4)])
def test_gradient_descent_from_the_identity(depth, low, high):
    truth, problem = instance(0)
    solver = rw.GradientDescent(rw.Deep(depth, rw.Identity(1e-3)), rw.Optimizer("gradient_descent", 0.1))
    solution = rw.solve(
        problem, solver, key=0, max_steps=60_000, track=["singular_values"], checkpoints=range(0, 60_001, 100)
    )
    error = float(mean_square_error(solution.matrix, truth))
    sigma, steps = solution.history["singular_values"], solution.history.steps
    takeoff = [int(steps[np.argmax(sigma[:, k] > 5)]) if (sigma[:, k] > 5).any() else None for k in range(6)]
    report(f"gradient descent 0.1, depth {depth}", error=error, takeoff=takeoff)
    assert low < error < high
    if depth == 3:
        five = takeoff[:5]
        assert takeoff[5] is None
        assert all(later - earlier > 200 for earlier, later in pairwise(five))


@pytest.mark.parametrize(("kappa", "count", "min_degree", "needed"), [(None, 2000, 0, 4), (1e5, int(1.25 * 975), 6, 5)])
def test_greedy_is_not_told_the_rank(kappa, count, min_degree, needed):
    recovered = 0
    for seed in SEEDS:
        truth, problem = instance(seed, kappa=kappa, count=count, min_degree=min_degree)
        solution = rw.solve(problem, rw.Greedy(), key=0)
        error = float(relative_error(solution.matrix, truth))
        report(f"greedy, kappa {kappa or 'Gaussian'}, m {count}, seed {seed}", rank=solution.rank, error=error,
               seconds=solution.seconds, result=solution.result.name)  # fmt: skip
        recovered += error < 1e-6 and solution.rank == 5
    assert recovered >= needed
