"""Success of the ratio penalty over learning rate and weight: scaling laws of the optimizers on hidden entries."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.results import RESULTS
from rankwise.theory.finding import Chart
from rankwise.theory.proved.ratio_map import Sweep, ratio_map
from rankwise.theory.ratio_tools import completion_instance, hidden_error

SMALL = {"size": 12, "rank": 1, "count": 80, "steps": 200}


def region(name, **given):
    return ratio_map(**{**SMALL, **given}).details["regions"][name]


def test_gradient_descent_depends_on_rate_times_weight_and_a_first_step_too_large_is_named():
    found = ratio_map(**SMALL, sweeps={"gradient_descent": Sweep((1.0, 10.0))}, weights=(1e-3, 1e-2, 1.0))
    assert found.details["results"] == {"gradient_descent": {"max_steps": 4, "diverging_norm": 2}}
    descent = found.details["regions"]["gradient_descent"]
    assert (descent.results[:, 2] == RESULTS.diverging_norm.name).all()
    slow, same, other, fast = descent.errors[:, :2].ravel()
    assert same == pytest.approx(other, rel=0.05)
    assert slow > 1.05 * same > 1.3 * fast


def test_the_floor_of_rmsprop_makes_it_gradient_descent_on_small_gradients():
    given = completion_instance(12, 1, 80, 0)
    optimizers = [rw.Optimizer("rmsprop", 1e-3, eps=1e-8), rw.Optimizer("gradient_descent", 10.0)]
    moved = []
    for optimizer in optimizers:
        solver = rw.GradientDescent(rw.Full(rw.Gaussian(1e-2)), optimizer, rw.Ratio(1e-4, resolution=1e-4))
        moved.append(1 - hidden_error(rw.solve(given.problem, solver, max_steps=1500).matrix, given))
    assert moved[0] - moved[1] == pytest.approx(0, abs=0.1)


def test_charts_have_a_cell_for_every_run():
    found = ratio_map(**SMALL, sweeps={"adam": Sweep((1e-3, 1e-2, 1e-1))}, weights=(1e-3, 1e-2), scale=None)
    chart = found.panels[0]
    assert isinstance(chart, Chart)
    assert np.shape(chart.z) == (3, 2)
    assert sum(found.details["results"]["adam"].values()) == 6


@pytest.mark.parametrize("bad", [{"sweeps": {}}, {"weights": ()}])
def test_an_empty_map_is_refused(bad):
    with pytest.raises(ValueError, match="empty"):
        ratio_map(**bad)


def show(finding):
    print("\n" + finding.table())
    for name, found in finding.details["regions"].items():
        for rate, errors, results in zip(found.rates, found.errors, found.results, strict=True):
            cells = (f"{e:.1e} {r}" for e, r in zip(errors, results, strict=True))
            print(f"  {name} {rate:g}: {', '.join(cells)}")


FULL = {"size": 100, "rank": 5, "count": 2000}


@pytest.mark.reproduction
def test_the_map_of_the_small_instance():
    finding = ratio_map()
    show(finding)
    assert finding.holds


@pytest.mark.reproduction
def test_the_floor_of_optax_and_that_of_other_libraries():
    rates = (1e-3, 3e-3, 1e-2, 3e-2, 0.1)
    found = [
        region("rmsprop", size=30, rank=2, count=350, steps=5000, sweeps={"rmsprop": Sweep(rates, {"eps": eps})})
        for eps in (1e-8, 1e-16)
    ]
    for eps, each in zip((1e-8, 1e-16), found, strict=True):
        print(f"\n  rmsprop, eps {eps:g}, weight 1e-4: {each.errors[:, 0]}", end="")
    assert found[0].errors[0, 0] > 0.5 > 1e-3 > found[1].errors[0, 0]


@pytest.mark.reproduction
def test_a_hundred_by_a_hundred_from_noise():
    """20,000 steps at 100 x 100, start 1e-3; gradient descent has not got far."""
    sweeps = {
        "gradient_descent": Sweep((10.0, 100.0)),
        "adam": Sweep((1e-3, 3e-3)),
        "rmsprop": Sweep((1e-3,), {"eps": 1e-16}),
        "group_rmsprop": Sweep((0.3, 1.0), {"eps": 1e-8}),
    }
    finding = ratio_map(**FULL, scale=1e-3, steps=20_000, sweeps=sweeps, weights=(1e-3, 1e-2))
    show(finding)
    regions = finding.details["regions"]
    assert regions["adam"].recovered[0].all()
    assert regions["rmsprop"].recovered.any()
    assert not regions["gradient_descent"].recovered.any()


@pytest.mark.reproduction
def test_a_hundred_by_a_hundred_from_the_zero_filled_observations():
    """From there gradient descent takes a rate * weight of 1, and is done after 20,000 steps."""
    sweeps = {"gradient_descent": Sweep((10.0, 100.0))}
    finding = ratio_map(**FULL, scale=None, steps=20_000, sweeps=sweeps, weights=(1e-3, 1e-2))
    show(finding)
    assert finding.details["regions"]["gradient_descent"].recovered[1, 1]


@pytest.mark.reproduction
def test_gradient_descent_recovers_at_a_rate_of_100():
    """Rate 100, weight 1e-3, 100,000 steps from a start of 1e-3; about a minute and a half."""
    given = completion_instance(**FULL, key=0)
    optimizer = rw.Optimizer("gradient_descent", 100.0)
    solver = rw.GradientDescent(rw.Full(rw.Gaussian(1e-3)), optimizer, rw.Ratio(1e-3, resolution=1e-4))
    solution = rw.solve(
        given.problem, solver, max_steps=100_000, checkpoints=10, heldout=given.hidden, track=["heldout_loss"]
    )
    errors = solution.history["heldout_loss"]
    print("\n  hidden error every 10,000 steps:", " ".join(f"{e:.1e}" for e in errors))
    assert errors[-1] < 0.01
    assert (np.diff(errors[2:]) < 0).all()


@pytest.mark.reproduction
@pytest.mark.parametrize("rate", [3e-3, 1e-2])
def test_adam_at_larger_rates_runs_away_on_some_instances_or_all(rate):
    instances = [completion_instance(**FULL, key=key) for key in range(3)]
    solver = rw.GradientDescent(rw.Full(), rw.Optimizer("adam", rate), rw.Ratio(1e-3, resolution=1e-4))
    problems = [given.problem for given in instances]
    solutions = rw.solve_batch(problems, solver, keys=range(3), max_steps=20_000)
    for solution, given in zip(solutions, instances, strict=True):
        print(f"\n  {rate:g}: {hidden_error(solution.matrix, given):.1e} {solution}", end="")
    assert any(solution.result is RESULTS.diverging_norm for solution in solutions)
