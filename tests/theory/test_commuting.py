"""Commuting measurements: least nuclear norm, the explicit solution, and where it is lost."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory import commuting_flow as flow
from rankwise.theory.proved import commuting as theory
from rankwise.theory.proved import commuting_instability, schatten

INSTANCE = flow.draw_commuting(5, 2, seed=3)


def test_the_linear_program_finds_a_fit_and_its_slacks_measure_the_excess_of_any_other():
    least, slacks = flow.minimum_trace(INSTANCE)
    assert INSTANCE.levels @ least == pytest.approx(INSTANCE.values)
    assert (least >= 0).all()
    assert (slacks > -1e-9).all()
    assert slacks @ least == pytest.approx(0, abs=1e-9)
    kernel = np.linalg.svd(INSTANCE.levels)[2][2:]
    other = least + 0.1 * kernel.sum(axis=0)
    assert other.sum() - least.sum() == pytest.approx(slacks @ other)


def test_values_that_no_positive_semidefinite_matrix_fits():
    with pytest.raises(ValueError, match="no positive semidefinite matrix fits"):
        flow.minimum_trace(flow.Commuting(np.eye(2), np.ones((1, 2)), np.array([-1.0])))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_explicit_eigenvalues_undo_the_dual_coordinate(depth):
    values = np.geomspace(1e-5, 2, 7)
    pull = -flow.dual_coordinate(values, 1e-3, depth)
    assert flow.explicit_eigenvalues(pull, 1e-3, depth) == pytest.approx(values)
    assert flow.explicit_eigenvalues(0.0, 1e-3, depth) == pytest.approx(1e-3)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_explicit_limit_approaches_the_minimum_as_predicted(depth):
    least = flow.minimum_trace(INSTANCE)[0].sum()
    starts = [1e-3, 1e-5]
    excess = [flow.explicit_flow(INSTANCE, depth, start)[1][-1].sum() - least for start in starts]
    assert excess == pytest.approx(flow.limit_excess(INSTANCE, depth, starts), rel=0.1)
    assert 0 < excess[1] < excess[0]


def test_the_flow_of_layers_of_the_product_and_of_a_square_agree_with_the_explicit_solution():
    times, eigenvalues = flow.explicit_flow(INSTANCE, 2, 1e-2, points=8)
    start, expected = rw.Identity(1e-2), INSTANCE.matrix(eigenvalues)
    product = rw.EndToEndFlow(depth=2, start=start, times=times, tolerance=1e-10)
    # Z Z^T has one factor for two layers, and moves twice as fast.
    square = rw.GradientFlow(rw.Symmetric(start), times=times / 2, tolerance=1e-10)
    for solver in (product, square):
        measured = rw.solve(INSTANCE.problem, solver, track=["matrix"]).history["matrix"]
        assert np.abs(measured - expected).max() < 1e-8


def test_the_finding_holds_and_draws():
    found = theory.commuting(depth=3, alphas=(1e-2, 1e-4, 1e-5), size=5, measurements=2, seed=3, tolerance=1e-10)
    assert found.holds, found.table()
    assert len(found.figure().axes) == 3


def test_rates_off_the_diagonal_are_those_of_the_end_to_end_flow():
    from rankwise.dynamics import end_to_end_velocity

    levels, gradient, small = np.array([0.9, 0.2, 0.05]), np.array([0.3, -1.0, 0.7]), 1e-7
    moved = np.diag(levels)
    moved[0, 1] = moved[1, 0] = small
    velocity = end_to_end_velocity(moved, np.diag(gradient), 3)
    rates = commuting_instability.offdiagonal_rates(levels, gradient, 3)
    assert velocity[0, 1] / small == pytest.approx(rates[0, 1], rel=1e-5)
    assert rates == pytest.approx(rates.T)


def test_departures_from_commuting_grow_as_the_linearized_flow_says():
    found = commuting_instability.commuting_instability(depth=3)
    assert found.holds, found.table()
    (grown,) = found.details["perturbed"]
    assert grown.measured[-1] > 1e3 * grown.measured[0]
    assert len(found.figure().axes) == 2


def test_schatten_quasi_norms_fall_along_the_direction():
    found = schatten.schatten_not_minimal(size=3, depths=(2,), alphas=(1e-1, 1e-2), powers=(0.3,))
    assert found.holds, found.table()
    assert schatten.schatten_change(found.details["limit"], 1.0, 0.3) == pytest.approx(2**0.3 - 2)
    # The nuclear norm, p = 1, stays, and it alone: beyond it the sum grows.
    assert schatten.schatten_change(found.details["limit"], 0.5, 1.0) == pytest.approx(0)
    assert schatten.schatten_change(found.details["limit"], 0.5, 1.5) > 0
    assert len(found.figure().axes) == 3


def test_the_shift_of_the_limit_has_its_leading_order():
    assert schatten.shift_of_limit(5, 2, 1e-4) == pytest.approx(1e-4 ** (5 / 3), rel=1e-3)
    assert schatten.shift_of_limit(5, 4, 1e-6) == pytest.approx(1e-6 * (3 / 5) ** 2, rel=1e-2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theory.commuting(depth=1), "depth must be an integer of at least 2"),
        (lambda: theory.commuting(alphas=(1e-3, 1e-2)), "alphas must be at least two falling"),
        (lambda: theory.commuting(measurements=7), "measurements must lie between"),
        (lambda: commuting_instability.commuting_instability(perturbation=0.0), "perturbation must be positive"),
        (lambda: schatten.schatten_not_minimal(size=2), "size must be at least 3"),
        (lambda: schatten.schatten_not_minimal(powers=(1.0,)), "powers must lie strictly between 0 and 1"),
        (lambda: schatten.schatten_not_minimal(steps=(2.0,)), "steps must lie between 0"),
    ],
)
def test_bad_arguments(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.reproduction
def test_rounding_ends_the_commuting_trajectory_at_depth_three_and_more():
    instance, starts = flow.draw_commuting(7, 3, seed=17), (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    least = flow.minimum_trace(instance)[0].sum()
    print("\ndepth  alpha  distance from explicit  nuclear norm less minimum, from a random eigenbasis / explicit")
    lost = {}
    for depth in (2, 3, 4):
        for start in starts:
            times, eigenvalues = flow.explicit_flow(instance, depth, start)
            solver = rw.GradientFlow(rw.Deep(depth, rw.Identity(start)), times=times, tolerance=1e-11)
            matrix = np.asarray(rw.solve(instance.problem, solver).matrix)
            proved = instance.matrix(eigenvalues[-1])
            lost[depth, start] = np.linalg.norm(matrix - proved) / np.linalg.norm(proved)
            nuclear = np.linalg.svd(matrix, compute_uv=False).sum() - least
            print(
                f"{depth}  {start:.0e}  {lost[depth, start]:.2e}  {nuclear:.3e} / {eigenvalues[-1].sum() - least:.3e}  "
                f"least eigenvalue {np.linalg.eigvalsh((matrix + matrix.T) / 2)[0]:.2e}"
            )
    assert all(lost[2, start] < 1e-8 for start in starts)
    assert min(lost[3, 1e-6], lost[4, 1e-6]) > 0.1
