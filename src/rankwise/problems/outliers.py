"""Gross errors among the observations: which they are, given a matrix that fits the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from rankwise.lowrank import LowRank
from rankwise.plain import checked
from rankwise.problems.base import Problem, working_precision
from rankwise.problems.completion import Completion

# The standard deviation of a Gaussian over the median of its absolute value.
DEVIATIONS = 1.482602218505602
CUT = 4.0


def residual_scale(residual: np.ndarray) -> float:
    """1.4826 times the median |residual|: the standard deviation of Gaussian noise, whatever some residuals are."""
    return DEVIATIONS * float(np.median(np.abs(residual)))


def outliers(
    problem: Problem, matrix: Any, threshold: float | None = None, *, resolution: float = 1e-5
) -> scipy.sparse.coo_array:
    """S = values - measure(W) where that exceeds the threshold, as a sparse array; the sparse part of L + S.

    Of a `Completion` it is (d1, d2), each error at its entry; of other measurements (m,), each at its number.

    matrix: W, the low-rank part, a dense (d1, d2) array or a `LowRank`.
    threshold: in the units of the values; None means max(4 s, resolution * t), with 1.4826 times the median absolute
    value of the residuals for s and of the observed values for t. It takes one inlier in 16,000 for an outlier where
    the noise is Gaussian, and nothing for one that is small only beside rounding errors.

    Raises:
        ValueError: if threshold or resolution is negative or no finite number, or the matrix has another shape, is not
            one of real numbers, or has a residual that is not finite.
    """
    if threshold is not None:
        checked(threshold, "threshold", least=0)
    checked(resolution, "resolution", least=0)
    if not isinstance(matrix, LowRank):
        matrix = working_precision(matrix, "the matrix's entries")
    if tuple(matrix.shape) != tuple(problem.shape):
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}, the problem {tuple(problem.shape)}")
    with np.errstate(over="ignore", invalid="ignore"):
        excess = -problem.residual(matrix)
    if not np.isfinite(excess).all():
        raise ValueError(f"the residual of {problem.place(int(np.argmin(np.isfinite(excess))))} is not finite")
    if threshold is None:
        threshold = max(CUT * residual_scale(excess), resolution * residual_scale(problem.values))
    found = np.nonzero(np.abs(excess) > threshold)[0]
    if isinstance(problem, Completion):
        return scipy.sparse.coo_array((excess[found], (problem.rows[found], problem.cols[found])), shape=problem.shape)
    return scipy.sparse.coo_array((excess[found], (found,)), shape=(problem.size,))
