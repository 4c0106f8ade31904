"""The 2 x 2 completion whose norms grow without bound."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.spectrum import effective_rank
from rankwise.theory.proved import unbounded_norm as theory


def test_every_claim_holds_at_depth_three():
    finding = theory.unbounded_norm(loss=5e-2)
    assert finding.holds, finding.table()
    assert finding.figure().axes


def test_the_bounds_hold_for_any_matrix_of_positive_determinant():
    rng = np.random.default_rng(0)
    problem, seen = theory.instance(), 0
    for _ in range(4000):
        matrix = np.array([[rng.normal(0, 30), 1.0], [1.0, 0.0]]) + rng.normal(0, 0.2, (2, 2))
        loss = problem.loss(matrix)
        if np.linalg.det(matrix) > 0 and loss < 0.4:
            seen += 1
            assert abs(matrix[0, 0]) >= theory.entry_bound(loss)
            assert effective_rank(np.linalg.svd(matrix, compute_uv=False)) <= theory.rank_bound(loss) + 1e-12
    assert seen > 100


def test_the_bound_at_known_losses_and_where_it_says_nothing():
    assert theory.entry_bound([1e-1, 1e-2, 1e-3, 1e-4]) == pytest.approx([0.683, 5.21, 20.4, 68.7], rel=0.01)
    assert theory.entry_bound(0.6) == 0
    assert theory.rank_bound(1e-12) == pytest.approx(1, abs=1e-9)


def test_layers_of_a_split_are_balanced_and_multiply_to_the_matrix():
    matrix = np.array([[1.0, 2.0], [3.0, -1.0]])
    solver = rw.GradientFlow(rw.Deep(4, theory.Split(matrix, 0.1)), times=[1.0])
    solution = rw.solve(theory.instance(), solver, max_steps=0, track=["balancedness"])
    assert np.allclose(solution.matrix, 0.1 * matrix, atol=1e-14)
    assert solution.history["balancedness"][0] < 1e-14


def test_steps_change_the_sign_of_the_determinant_at_depth_two():
    finding = theory.unbounded_norm_steps(rates=(6e-3, 6e-4))
    assert finding.holds, finding.table()
    assert finding.figure().axes


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="depth must"):
        theory.unbounded_norm(depth=1)
    with pytest.raises(ValueError, match="loss must"):
        theory.unbounded_norm(loss=0.5)
    with pytest.raises(ValueError, match="scale must"):
        theory.unbounded_norm(scale=0.0)
    with pytest.raises(ValueError, match="rates must"):
        theory.unbounded_norm_steps(rates=(1e-3,))


@pytest.mark.reproduction
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_table_by_loss_and_depth(depth):
    finding = theory.unbounded_norm(depth=depth, loss=1e-4)
    for loss in (1e-1, 1e-2, 1e-3, 1e-4):
        positive, negative = (theory.entry_at(finding.details[sign], loss) for sign in ("positive", "negative"))
        bound = float(theory.entry_bound(loss))
        print(
            f"\ndepth {depth}, loss {loss:g}: |W_11| {positive:.3g} (bound {bound:.3g}), negative {negative:.3g}",
            end="",
        )
        assert positive >= bound
    assert finding.holds, finding.table()
