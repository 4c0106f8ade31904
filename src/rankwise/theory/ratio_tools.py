"""Instances and instruments for the ratio penalty: completions, rotated bases, and steps to compare a run's with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rankwise.data.synthetic import low_rank, observe
from rankwise.factorizations import Full, Gaussian, Given
from rankwise.factorizations.base import Factorization
from rankwise.loop import solve
from rankwise.lowrank import dense
from rankwise.penalties import Ratio
from rankwise.problems import Completion
from rankwise.solvers import Greedy

# Smoothing of the penalty in compiled runs: matrix products instead of a decomposition per step.
RESOLUTION = 1e-4


class Instance(NamedTuple):
    """A truth (d1, d2), its observed entries under the mean-square loss, and all its other entries."""

    truth: np.ndarray
    problem: Completion
    hidden: Completion


@dataclass(frozen=True)
class Rotated(Factorization):
    """W = left X right^T with orthogonal left and right, X the parameter; the start of W is that of `Full(start)`.

    An optimizer that treats all entries alike moves W as it would without the rotation; an element-wise one does not.
    """

    left: Any
    right: Any
    start: Gaussian = Gaussian(1e-2)

    def init(self, shape: tuple[int, int], *, key: Any, dtype: Any) -> tuple[Any, ...]:
        """X = left^T W_0 right."""
        (matrix,) = self.start.layers((shape[1], shape[0]), key=key, dtype=dtype)
        return (self.left.T @ matrix @ self.right,)

    @property
    def products(self) -> int:
        """Two."""
        return 2

    def matrix(self, params: tuple[Any, ...]) -> Any:
        """Left X right^T."""
        return self.left @ params[0] @ self.right.T


def completion_instance(
    size: int, rank: int, count: int, key: int, noise: float = 0.0, dtype: Any = np.float32
) -> Instance:
    """A random square truth of mean square 1 and `count` entries of it, drawn uniformly; the hidden ones are exact.

    Raises:
        ValueError: if the rank or the count does not fit the size, or nothing is hidden.
    """
    if not 1 <= count < size * size:
        raise ValueError(f"count must leave an entry of the {size} x {size} matrix hidden, not {count}")
    truth = dense(low_rank((size, size), rank, key=key))
    problem = observe(truth, count, key=1000 + key, noise=noise, dtype=dtype)
    rows, cols = np.nonzero(~observed(problem))
    return Instance(truth, problem.mean(), Completion((size, size), rows, cols, truth[rows, cols].astype(dtype)))


def observed(problem: Completion) -> np.ndarray:
    """The mask of the observed entries, shape (d1, d2)."""
    return problem.adjoint(np.ones(problem.size)) > 0


def hidden_error(matrix: Any, given: Instance) -> float:
    """The mean square error over the entries that were not observed."""
    return float(np.mean(given.hidden.residual(np.asarray(matrix, np.float64)) ** 2))


def zero_filled(problem: Completion) -> Full:
    """The matrix itself (depth 1), started at the observations, zero elsewhere."""
    return Full(Given(problem.adjoint(problem.values)))


def outside_span(matrix: np.ndarray, step: np.ndarray) -> float:
    """The share of |step|_F outside the column and row space of a matrix: |D - U U^T D V V^T|_F / |D|_F."""
    u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
    kept = sigma > 1e-10 * sigma[0]
    u, vt = u[:, kept], vt[kept]
    return float(np.linalg.norm(step - u @ (u.T @ step @ vt.T) @ vt) / np.linalg.norm(step))


def alternating_sweep(problem: Completion, matrix: np.ndarray, rank: int) -> np.ndarray:
    """One sweep of alternating least squares from the truncated decomposition: right factor given left, then left."""
    u, sigma, _ = np.linalg.svd(matrix, full_matrices=False)
    mask, values = observed(problem), problem.adjoint(problem.values).astype(np.float64)
    right = _fit(mask, values, u[:, :rank] * sigma[:rank])
    left = _fit(mask.T, values.T, right)
    return left @ right.T


def _fit(mask: np.ndarray, values: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The right factor, row by row, that fits the observed entries best."""
    return np.stack(
        [
            np.linalg.lstsq(left[seen], column[seen], rcond=None)[0]
            for seen, column in zip(mask.T, values.T, strict=True)
        ]
    )


def cosines_of_movement(given: Instance, rank: int, matrix: np.ndarray, after: np.ndarray) -> tuple[float, ...]:
    """Between the movement and an alternating sweep, a projection, -grad R; and the first without the truth's part."""
    u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
    projected = (u[:, :rank] * sigma[:rank]) @ vt[:rank]
    others = (alternating_sweep(given.problem, matrix, rank) - matrix, projected - matrix, -Ratio(1.0).gradient(matrix))
    hidden = ~observed(given.problem)
    moved, sweep, projection, descent = ((step[hidden]) for step in (after - matrix, *others))
    truth = (given.truth - matrix)[hidden]
    return (
        _cosine(moved, sweep),
        _cosine(moved, projection),
        _cosine(moved, descent),
        _cosine(_without(moved, truth), _without(sweep, truth)),
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _without(a: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The part of a vector orthogonal to a direction."""
    return a - (a @ direction) / (direction @ direction) * direction


def error_told_rank(given: Instance, rank: int) -> float:
    """The hidden error of least squares on the factors, told the rank."""
    double = given.problem.replace(values=given.problem.values.astype(np.float64))
    return hidden_error(solve(double, Greedy(max_rank=rank)).matrix, given)
