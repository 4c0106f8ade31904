"""The ratio of nuclear to Frobenius norm: its symmetries, and the explicit family towards its infimum."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved.ratio import (
    escape_constant,
    escaping_family,
    first_state,
    hidden_cell,
    largest_minor,
    ratio,
    ratio_infimum,
)
from rankwise.theory.ratio_tools import completion_instance, zero_filled


def orthogonal(n, key):
    return np.linalg.qr(np.random.default_rng(key).standard_normal((n, n)))[0]


def test_the_ratio_is_blind_to_scale_sign_transposition_and_rotation():
    matrix = np.random.default_rng(0).standard_normal((5, 7))
    same = [-matrix, 1e6 * matrix, matrix.T, orthogonal(5, 1) @ matrix @ orthogonal(7, 2)]
    assert [ratio(other) for other in same] == pytest.approx([ratio(matrix)] * 4, rel=1e-12)


@pytest.mark.parametrize(("sigma", "expected"), [((5.0, 0, 0), 1), ((3.0, 4, 0), 1.4), ((2.0, 2, 2), 3**0.5)])
def test_known_ratios(sigma, expected):
    assert ratio(orthogonal(3, 0) @ np.diag(sigma) @ orthogonal(3, 1)) == pytest.approx(expected, rel=1e-12)


def test_the_family_of_a_diagonal_matrix_escapes_as_computed_by_hand():
    # R(diag(3 + t, 4)) = (7 + t) / sqrt((3 + t)^2 + 16), so t (R - 1) tends to 4.
    problem = rw.Completion((2, 2), [0, 1, 1], [1, 0, 1], [0.0, 0, 4])
    family = escaping_family(problem, np.diag([3.0, 4]), [0, 1e6])
    assert hidden_cell(problem) == (0, 0)
    assert escape_constant(np.diag([3.0, 4]), 0, 0) == 4
    assert 1e6 * (ratio(family[1]) - 1) == pytest.approx(4, rel=1e-5)
    assert [problem.loss(matrix) for matrix in family] == [0, 0]


def test_an_observed_minor_rules_out_interpolants_of_rank_one():
    everything = [0, 0, 1, 1], [0, 1, 0, 1]
    assert largest_minor(rw.Completion((2, 2), *everything, [1.0, 2, 3, 4])) == 2
    assert largest_minor(rw.Completion((2, 2), *everything, [1.0, 2, 3, 6])) == 0
    assert largest_minor(rw.Completion((2, 2), [0, 1], [0, 1], [1.0, 1])) == 0


def test_a_fully_observed_matrix_has_no_family():
    with pytest.raises(ValueError, match="unobserved"):
        hidden_cell(rw.Completion((1, 1), [0], [0], [1.0]))


def test_the_zero_filled_start_is_at_the_observations():
    problem = completion_instance(6, 1, 20, 0).problem
    solver = rw.GradientDescent(zero_filled(problem), rw.Optimizer("gradient_descent", 1.0))
    start, later = (rw.solve(problem, solver, max_steps=k) for k in (0, 20))
    np.testing.assert_array_equal(start.matrix, problem.adjoint(problem.values))
    np.testing.assert_array_equal(later.matrix, start.matrix)  # a perfect fit stands still without penalty


def test_the_first_state_is_where_solve_starts():
    problem = completion_instance(6, 1, 20, 0).problem
    solver = rw.GradientDescent(rw.Full(), rw.Optimizer("gradient_descent", 1.0))
    params = first_state(problem, solver, 3)[0].params
    np.testing.assert_allclose(params[0], rw.solve(problem, solver, key=3, max_steps=0).matrix, rtol=1e-5)


def test_the_finding_holds_apart_from_the_runs_and_sees_when_the_infimum_is_reached():
    found = {}
    for rank in (1, 2):
        finding = ratio_infimum(size=12, rank=rank, count=90, steps=20)
        found[rank] = {check.label: check.holds for check in finding.checks[:12]}
    minor = next(label for label in found[1] if "minor" in label)
    assert all(found[2].values())
    assert not found[1].pop(minor)  # a truth of rank one is itself an interpolant with R = 1
    assert all(found[1].values())


def test_nothing_hidden_is_refused():
    with pytest.raises(ValueError, match="count"):
        ratio_infimum(size=5, count=25)


@pytest.mark.reproduction
def test_ratio_infimum_in_full():
    finding = ratio_infimum()
    print("\n" + finding.table())
    assert finding.holds
