"""The graph of the observed entries and what it predicts."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved import connectivity as theory


def test_components_of_small_masks():
    path = rw.Completion((2, 2), np.array([0, 0, 1]), np.array([0, 1, 1]), np.ones(3))
    assert len(set(theory.observation_components(path))) == 1
    diagonal = rw.Completion((2, 3), np.array([0, 1]), np.array([0, 1]), np.ones(2))
    labels = theory.observation_components(diagonal)
    assert labels.shape == (5,)
    assert labels[0] == labels[2]
    assert labels[1] == labels[3]
    assert len(set(labels)) == 3


def test_components_follow_a_permutation_of_rows():
    block = theory.block_masks(np.ones((3, 3)))[4].problem
    turned = rw.Completion((3, 3), 2 - block.rows, block.cols, block.values)
    before, after = theory.observation_components(block), theory.observation_components(turned)
    assert (before[:3, None] == before[3:]).tolist() == (after[:3, None] == after[3:])[::-1].tolist()


def test_the_nine_masks_have_five_entries_in_two_components():
    blocks = theory.block_masks(theory.rank_one_truth())
    assert len(blocks) == 9
    assert {block.problem.size for block in blocks} == {5}
    assert {int(theory.observation_components(block.problem).max()) for block in blocks} == {1}


def test_every_minor_of_the_spread_truth_has_the_same_size():
    truth = theory.spread_truth(1)
    minors = [np.linalg.det(np.delete(np.delete(truth, i, 0), j, 1)) for i in range(4) for j in range(4)]
    assert np.abs(minors) == pytest.approx(np.full(16, 1.5))
    assert np.linalg.svd(truth, compute_uv=False) == pytest.approx([3, 2, 1, 0], abs=1e-12)


def test_blocks_take_the_least_norm_at_the_predicted_entries():
    finding = theory.disconnected_masks((1.0, 1e-16), seed=3)
    assert finding.holds, finding.table()


def test_the_learned_rank_falls_with_the_start():
    finding = theory.connected_masks((1.0, 1e-16))
    assert finding.holds, finding.table()
    assert finding.figure().axes


def test_bad_variances_are_named():
    with pytest.raises(ValueError, match="variances must"):
        theory.connectivity((1e-4, 1.0))


@pytest.mark.reproduction
def test_masks_learned_at_rank_three_by_variance():
    variances = tuple(10.0**-k for k in range(0, 25, 4))
    for seed in range(3):
        shares = theory.connected_masks(variances, seed).details
        for name, share in shares.items():
            low = (share < 1e-3).sum(axis=1)
            print(f"\nseed {seed}, {name}: masks with sigma_4 below 1e-3 sigma_1: {low.tolist()}", end="")
            assert low[-1] >= low[0]
