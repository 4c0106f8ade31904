"""Predicted speeds and take-offs beside measured ones: known answers, and what cannot be predicted."""

import math

import numpy as np
import pytest

import rankwise as rw
from rankwise.report import write_theory
from rankwise.theory import TRACK, half_times, neighbors, predict, takeoff_times

TARGETS = np.array([4.0, 2.0, 1.0])
PROBLEM = rw.Completion.from_dense(np.diag(TARGETS))


def test_neighbors_stay_inside():
    assert neighbors([0, 5, 6, 9], 9) == [0, 1, 4, 5, 6, 7, 8, 9]


def test_takeoff_times_of_decoupled_modes():
    scale = 1e-3
    np.testing.assert_allclose(takeoff_times(PROBLEM, 2, scale), math.log(1 / scale) / (2 * TARGETS))
    np.testing.assert_allclose(takeoff_times(PROBLEM, 4, scale), scale**-0.5 / (2 * TARGETS))
    np.testing.assert_allclose(takeoff_times(PROBLEM, math.inf, scale), 1 / (scale * TARGETS))
    assert np.isnan(takeoff_times(PROBLEM, 1, scale)).all()


@pytest.mark.parametrize("depth", [2, 4, math.inf])
def test_half_times_are_those_of_the_closed_forms(depth):
    from rankwise.theory import mode_time

    factor = 1 if depth == math.inf else depth
    expected = [mode_time(depth, s, 1e-3, np.array([s / 2]))[0] / factor for s in TARGETS]
    np.testing.assert_allclose(half_times(PROBLEM, depth, 1e-3), expected, rtol=1e-8)


def test_half_times_know_the_height_under_squares_alone():
    robust = PROBLEM.replace(misfit=rw.Huber(0.5))
    with pytest.raises(ValueError, match="squared misfit, not Huber"):
        half_times(robust, 3, 1e-3)
    flow = rw.GradientFlow(rw.Deep(3, rw.Identity(1e-2)), times=10.0)
    found = predict(robust, flow, rw.solve(robust, flow, track=TRACK))
    assert np.isnan(found.half_predicted).all()
    np.testing.assert_allclose(found.takeoff_predicted, takeoff_times(robust, 3, 1e-2, semidefinite=True)[:6])
    assert found.median_error < 0.01


@pytest.mark.parametrize(
    "solver",
    [
        rw.GradientDescent(rw.Deep(3, rw.Identity(1e-2)), rw.Optimizer("gradient_descent", 1e-3)),
        rw.GradientFlow(rw.Deep(3, rw.Identity(1e-2)), times=10.0),
        rw.GradientFlow(rw.Symmetric(rw.Identity(1e-2)), times=3.0),
    ],
    ids=["descent", "flow", "symmetric"],
)
def test_predicted_speeds_are_the_measured_ones(solver):
    steps = 10_000 if isinstance(solver, rw.GradientDescent) else None
    solution = rw.solve(PROBLEM, solver, max_steps=steps, track=TRACK, checkpoints=None if steps is None else 200)
    found = predict(PROBLEM, solver, solution)
    assert found.median_error < 0.01
    np.testing.assert_allclose(found.takeoff_measured, found.half_predicted, rtol=0.05)
    assert found.table().count("\n") == 4 + len(found.notes)
    assert found.imbalance.max() < 0.01
    assert len(found.panels) == 5
    assert found.finding().holds


def test_the_product_alone_is_enough():
    flow = rw.EndToEndFlow(3, rw.Identity(1e-2), times=10.0)
    solution = rw.solve(PROBLEM, flow, track=["singular_values", "matrix"])
    assert predict(PROBLEM, flow, solution).median_error < 0.01


SIGNED = (np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0], np.array([3.0, -2.0, 1.5]))


@pytest.mark.parametrize(
    ("solver", "faster"),
    [
        (rw.GradientFlow(rw.Deep(2, rw.Identity(1e-4)), times=np.linspace(0, 6, 601)), 1),
        (rw.GradientFlow(rw.Deep(2, rw.Given(np.eye(3), 1e-4)), times=np.linspace(0, 6, 601)), 1),
        (rw.GradientFlow(rw.Deep(3, rw.Identity(1e-3)), times=np.linspace(0, 10, 601)), 1),
        (rw.GradientFlow(rw.Symmetric(rw.Orthogonal(1e-4)), times=np.linspace(0, 3, 601)), 2),
    ],
    ids=["identity", "given", "depth 3", "Z Z^T"],
)
def test_only_positive_eigenvalues_take_off(solver, faster):
    basis, values = SIGNED
    problem = rw.Completion.from_dense((basis * values) @ basis.T)
    found = predict(problem, solver, rw.solve(problem, solver, track=TRACK))
    np.testing.assert_allclose(found.takeoff_measured[:2], found.half_predicted[:2], rtol=0.01)
    assert np.isnan(found.takeoff_measured[2])
    assert found.takeoff_predicted[2] == found.half_predicted[2] == math.inf
    assert found.takeoff_predicted[1] == pytest.approx(2 * found.takeoff_predicted[0])
    if faster == 2:
        assert found.takeoff_predicted[0] == pytest.approx(math.log(1e4) / 12)


def test_the_signs_are_read_only_where_the_matrix_stays_semidefinite():
    basis, values = SIGNED
    problem = rw.Completion.from_dense((basis * values) @ basis.T)
    for start in (rw.Orthogonal(1e-2), rw.Given(np.diag([1.0, -1.0, 1.0]), 1e-2)):
        solver = rw.GradientFlow(rw.Deep(2, start), times=np.linspace(0, 4, 11))
        found = predict(problem, solver, rw.solve(problem, solver, track=TRACK))
        np.testing.assert_allclose(found.takeoff_predicted, math.log(100) / (2 * np.array([3.0, 2.0, 1.5])))


def test_what_coarse_checkpoints_cannot_resolve_is_left_out_and_told():
    fine, coarse = (rw.GradientFlow(rw.Deep(3, rw.Identity(1e-2)), times=np.linspace(0, 6, n)) for n in (601, 7))
    kept, missed = (predict(PROBLEM, flow, rw.solve(PROBLEM, flow, track=TRACK)) for flow in (fine, coarse))
    assert np.nanmax(missed.relative_error) > 0.1
    assert missed.resolved.sum() < 3
    assert "change by more than a tenth from one checkpoint to the next" in missed.table()
    assert missed.notes == missed.finding().notes == tuple(missed.record()["notes"])
    assert kept.median_error < 1e-3
    assert kept.resolved.mean() > 0.5
    # The estimate is one from above.
    assert (kept.relative_error[kept.resolved] <= kept.sampling_error[kept.resolved] + 1e-4).all()


def test_layers_that_are_not_balanced_are_told():
    solver = rw.GradientFlow(rw.Deep(2, rw.Gaussian(0.3)), times=np.linspace(0, 1, 101))
    run = rw.solve(PROBLEM, solver, track=[*TRACK, "matrix"])
    found = predict(PROBLEM, solver, run)
    assert found.imbalance[0] == pytest.approx(
        run.history["balancedness"][0] / np.linalg.norm(np.linalg.svdvals(run.history["matrix"][0]))
    )
    assert f"not balanced, as the theorem assumes: they are off by {found.imbalance[0]:.2g}" in found.table()
    blind = rw.solve(PROBLEM, solver, track=["singular_values", "singular_speeds"])
    assert "'balancedness' was not tracked" in predict(PROBLEM, solver, blind).notes[-1]


def test_one_call_writes_the_page(tmp_path):
    solver = rw.GradientFlow(rw.Deep(2, rw.Identity(1e-2)), times=5.0)
    found = predict(PROBLEM, solver, rw.solve(PROBLEM, solver, track=TRACK))
    write_theory(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    assert "median relative error of the predicted speeds" in page
    assert "To make this page again" not in page
    with pytest.raises(ValueError, match="at least one finding"):
        write_theory(tmp_path / "none.html")


def test_what_cannot_be_predicted_is_refused():
    adam = rw.GradientDescent(rw.Deep(2), rw.Optimizer("adam", 1e-3))
    plain = rw.GradientDescent(rw.Deep(2), rw.Optimizer("gradient_descent", 1e-3))
    run = rw.solve(PROBLEM, plain, max_steps=3)
    for solver, words in (
        (adam, "plain gradient descent"),
        (plain.replace(penalty=rw.Nuclear(1e-3)), "without penalty"),
        (rw.Greedy(), "not of Greedy"),
        (plain, "must have tracked 'singular_values'"),
    ):
        with pytest.raises(ValueError, match=words):
            predict(PROBLEM, solver, run)
    few = rw.solve(PROBLEM, plain, max_steps=2, track=TRACK, checkpoints=1)
    with pytest.raises(ValueError, match="at least three checkpoints"):
        predict(PROBLEM, plain, few)
    with pytest.raises(ValueError, match="scale must lie"):
        takeoff_times(PROBLEM, 2, 2.0)
