"""R2RILS: unit columns, a fixed point at the truth, ill-conditioned recovery."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import LowRank
from rankwise.measures import relative_error
from rankwise.results import RESULTS
from rankwise.solvers.r2rils import R2RILS

TRUTH = rw.low_rank((40, 30), 3, key=0, kappa=10)
PROBLEM = rw.observe(TRUTH, 600, key=1, min_degree=5)


def test_the_bases_keep_columns_of_length_one():
    solution = rw.solve(PROBLEM, R2RILS(rank=3), max_steps=3)
    bases = solution.state[0].memory
    for basis in (bases.left, bases.right):
        np.testing.assert_allclose((basis**2).sum(axis=0), 1)


def test_the_bases_of_the_truth_give_the_truth_in_one_step():
    u, _, v = TRUTH.svd()
    matrix, bases = R2RILS(rank=3).iterate(PROBLEM, TRUTH, LowRank(u, v))
    np.testing.assert_allclose(matrix.dense(), TRUTH.dense(), atol=1e-10)
    for moved, basis in ((bases.left, u), (bases.right, v)):
        np.testing.assert_allclose(basis @ (basis.T @ moved), moved, atol=1e-10)


def test_five_decades_of_singular_values():
    truth = rw.low_rank((60, 60), 4, key=1, kappa=1e5)
    problem = rw.observe(truth, 1400, key=2, min_degree=6)
    solution = rw.solve(problem, R2RILS(rank=4))
    assert solution.result is RESULTS.explained
    assert relative_error(solution.matrix, truth) < 1e-6


@pytest.mark.parametrize(("setting", "value"), [("inner_steps", 0), ("accuracy", 2.0)])
def test_bad_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=setting):
        R2RILS(**{setting: value})
