"""What is known of a symmetric matrix: an entry and its mirror image are one, and no answer need be asymmetric."""

from __future__ import annotations

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems import Completion, Problem
from rankwise.solvers.noise_level import exact_tolerance
from rankwise.spectrum import root_mean_square


def folded(problem: Problem, exact: bool) -> Problem:
    """The problem with entries and mirror images that hold the same number counted once; other problems as they are.

    exact: there is no noise, so that they must agree.

    Raises:
        ValueError: if the matrix is not square, or an entry and its mirror image do not agree where they must.
    """
    if problem.shape[0] != problem.shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {tuple(problem.shape)}")
    if not isinstance(problem, Completion):
        return problem
    order, first = _mirror_images(problem)
    one, other = order[first], order[first + 1]
    apart = np.abs(problem.values[one] - problem.values[other])
    if exact and apart.size and apart.max() > exact_tolerance(problem.dtype) * root_mean_square(problem.values):
        worst = int(np.argmax(apart))
        row, col = problem.rows[one[worst]], problem.cols[one[worst]]
        raise ValueError(
            f"the entries at ({row}, {col}) and ({col}, {row}) differ, so no symmetric matrix has both: say how large "
            "the noise is"
        )
    return problem.subset(np.setdiff1d(np.arange(problem.size), other if exact else other[apart == 0]))


def mirrored(problem: Problem) -> Problem:
    """The completion with the mirror image of every entry, means where both are seen; other problems as they are."""
    if not isinstance(problem, Completion):
        return problem
    off = problem.rows != problem.cols
    rows = np.concatenate([problem.rows, problem.cols[off]])
    cols = np.concatenate([problem.cols, problem.rows[off]])
    values = np.concatenate([problem.values, problem.values[off]])
    return Completion.from_triples(rows, cols, values, problem.shape, problem.scale, duplicates="mean")


def symmetrized(matrix: LowRank) -> LowRank:
    """The symmetric part (W + W^T) / 2, cut to the rank of W."""
    basis = np.linalg.qr(np.hstack([matrix.left, matrix.right]))[0]
    half = (basis.T @ matrix.left) @ (matrix.right.T @ basis)
    values, vectors = np.linalg.eigh((half + half.T) / 2)
    kept = np.argsort(-np.abs(values))[: matrix.rank]
    factor = basis @ vectors[:, kept] * np.sqrt(np.abs(values[kept]))
    return LowRank(factor * np.sign(values[kept]), factor).astype(matrix.dtype)


def asymmetry(matrix: LowRank) -> float:
    """|W - W^T|_F / |W|_F, infinite if the matrix is not square, 0 for a zero matrix."""
    if matrix.shape[0] != matrix.shape[1]:
        return float("inf")
    left, right = np.hstack([matrix.left, matrix.right]), np.hstack([matrix.right, -matrix.left])
    norm = matrix.norm()
    return LowRank(left, right).norm() / norm if norm else 0.0


def _mirror_images(problem: Completion) -> tuple[np.ndarray, np.ndarray]:
    """An order in which mirror images are neighbors, and where in it the first of each two stands."""
    pairs = np.minimum(problem.rows, problem.cols) * problem.shape[0] + np.maximum(problem.rows, problem.cols)
    order = np.argsort(pairs, kind="stable")
    return order, np.nonzero(np.diff(pairs[order]) == 0)[0]
