"""A matrix by its factors: its norm."""

import numpy as np
import pytest

from rankwise.lowrank import LowRank

RNG = np.random.default_rng(0)
MATRIX = LowRank(RNG.standard_normal((7, 3)), RNG.standard_normal((5, 3)))


def test_the_norm_is_that_of_the_dense_matrix():
    assert MATRIX.norm() == pytest.approx(np.linalg.norm(MATRIX.dense()), rel=1e-14)
    assert LowRank.zeros((4, 3)).norm() == LowRank(MATRIX.left, 0 * MATRIX.right).norm() == 0


@pytest.mark.parametrize("size", [1e-250, 1e250])
def test_no_square_in_the_norm_leaves_the_range_of_floats(size):
    for factors in ((MATRIX.left * size, MATRIX.right), (MATRIX.left * size, MATRIX.right / size)):
        whole = size if factors[1] is MATRIX.right else 1.0
        assert LowRank(*factors).norm() == pytest.approx(whole * MATRIX.norm(), rel=1e-14)


def test_the_norm_of_a_difference_is_as_exact_as_its_factors():
    # The Gram matrices of the factors would leave an error of the root of rounding, 1e-8.
    moved = MATRIX.left + 1e-10 * RNG.standard_normal(MATRIX.left.shape)
    gap = LowRank(np.hstack([moved, -MATRIX.left]), np.hstack([MATRIX.right, MATRIX.right]))
    assert gap.norm() == pytest.approx(np.linalg.norm((moved - MATRIX.left) @ MATRIX.right.T), rel=1e-4)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_norm_that_is_no_number_is_none(bad):
    assert not np.isfinite(LowRank(MATRIX.left * bad, MATRIX.right).norm())
