"""The 2 x 2 completion whose norms grow without bound."""

import numpy as np
import pytest

from rankwise.spectrum import effective_rank
from rankwise.theory.proved import unbounded_norm as theory


def test_every_claim_holds_at_depth_three():
    finding = theory.unbounded_norm(depth=3, loss=5e-2)
    assert finding.holds, finding.table()
    level = abs(finding.details[3]["negative"][-1, 2])
    assert level == pytest.approx(3.18, rel=0.01)
    assert f"Depth 3, |W_11|: 1.84 (bound 0.683; negative determinant 1.64) at loss 0.1, {level:.3g}" in finding.table()
    assert finding.figure().axes


def test_a_level_that_is_not_reached_is_told():
    rows = theory.trajectory(3, theory.generic_start(False, 1e-2, 0), 1e-1)
    reached, growth, _ = theory._negative_checks(3, rows, 1e-1)
    assert not reached.holds
    assert not growth.holds


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


def test_steps_change_the_sign_of_the_determinant_at_depth_two():
    finding = theory.unbounded_norm_steps(rates=(6e-3, 6e-4))
    assert finding.holds, finding.table()
    assert finding.figure().axes


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="depth must"):
        theory.unbounded_norm(depth=1)
    with pytest.raises(ValueError, match="depth must"):
        theory.unbounded_norm(depth=())
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
    print("\n" + finding.notes[0])
    for loss in (1e-1, 1e-2, 1e-3, 1e-4):
        assert theory.entry_at(finding.details[depth]["positive"], loss) >= theory.entry_bound(loss)
    assert finding.holds, finding.table()
