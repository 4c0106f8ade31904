"""How many observations are linearly independent, and whether they are more than a rank has parameters."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
import scipy

from rankwise.lowrank import degrees_of_freedom
from rankwise.problems.base import Problem
from rankwise.problems.completion import Completion

# Up to so many measurements are compared; Gram eigenvalues below this share of the largest count as zero, or below
# the rounding of measurements that are computed in single precision.
MOST_COMPARED, DEPENDENT = 2_000, 1e-12
# Of more measurements, random combinations are compared where these take no more numbers than this.
MOST_SKETCHED = 10**8


def spare_observations(problem: Problem, rank: int, symmetric: bool = False) -> bool:
    """Whether more observations are independent than a matrix of the rank has parameters, or as many as it has entries.

    Else an exact fit of that rank is a matter of course. It is the count of `independent`, got at less cost.
    """
    every, degrees = (degrees_of_freedom(r, problem.shape, symmetric) for r in (min(problem.shape), rank))
    return independent_at_least(problem, min(degrees + 1, every), symmetric)


def highest_rank(problem: Problem, symmetric: bool = False) -> int:
    """The highest rank that could have spare observations, 0 if none could; the smaller side if all entries are seen.

    `distinct` observations are counted, at no cost: from above, where some depend on several others.
    """
    least, known = min(problem.shape), problem.distinct(symmetric)
    if known >= degrees_of_freedom(least, problem.shape, symmetric):
        return least
    return bisect_left(range(1, least), known, key=lambda rank: degrees_of_freedom(rank, problem.shape, symmetric))


def independent_at_least(problem: Problem, count: int, symmetric: bool = False) -> bool:
    """Whether so many observations are linearly independent, told by as few of them where that is possible."""
    known = problem.distinct(symmetric)
    if known < count or isinstance(problem, Completion):
        return known >= count
    if (problem.size <= MOST_COMPARED or _written_out(problem, count)) and _all_independent(problem, count, symmetric):
        return True
    return independent(problem, symmetric, count - 1) >= count


def independent(problem: Problem, symmetric: bool, degrees: int) -> int:
    """How many of the measurements are linearly independent, as far as they are compared.

    Entries always are, up to 2,000 other measurements are compared. Of more, up to 2,000 random combinations are, as
    many as tell whether there are more than `degrees` and whether they are as many as there are entries; where that
    would take more than 1e8 numbers, only multiples of one another are found.
    """
    if not isinstance(problem, Completion) and problem.size <= MOST_COMPARED:
        return _rank(*gram_matrix(problem, symmetric))
    known, every = problem.distinct(symmetric), degrees_of_freedom(min(problem.shape), problem.shape, symmetric)
    asked = min(every if known >= every else degrees + 1, known, MOST_COMPARED)
    if isinstance(problem, Completion) or not _written_out(problem, asked):
        return known
    found = _rank(*_sketch(problem, asked, symmetric))
    if found < asked:
        return found
    return known if asked >= min(every, known) else min(known, every - 1)


def gram_matrix(problem: Problem, symmetric: bool = False) -> tuple[np.ndarray, float]:
    """<A_i, A_j>, shape (m, m), in float64, and the share of its largest eigenvalue below which others count as zero.

    symmetric: of the symmetric parts of the A_i.
    """
    gram = np.asarray(problem.gram(symmetric))
    return np.asarray((gram + gram.T) / 2, float), _dependent(problem.size, gram.dtype)


def _written_out(problem: Problem, count: int) -> bool:
    """Whether so many matrices of the shape may be written out."""
    return count * problem.shape[0] * problem.shape[1] <= MOST_SKETCHED


def _all_independent(problem: Problem, count: int, symmetric: bool) -> bool:
    """Whether so many measurements drawn at random are independent, by the share that counts among all of them.

    The k-th eigenvalue of their Gram matrix is at most the k-th of the whole one (Cauchy's interlacing), the largest of
    which is at most its trace: so this never says more than `independent` would. It may say less.
    """
    drawn = np.random.default_rng(0).permutation(problem.representatives(symmetric))[:count]
    gram, dependent = gram_matrix(problem.subset(np.sort(drawn)), symmetric)
    gram[np.diag_indices(len(gram))] -= dependent * problem.size / count * float(problem.energy())
    return scipy.linalg.lapack.dpotrf(gram, lower=True, overwrite_a=True)[1] == 0


def _sketch(problem: Problem, count: int, symmetric: bool) -> tuple[np.ndarray, float]:
    """As `gram_matrix`, of so many random combinations of the measurements: of rank `count` if theirs is no lower."""
    weights = np.random.default_rng(0).standard_normal((count, problem.size)).astype(problem.dtype)
    combined = np.stack([np.asarray(problem.adjoint(one)) for one in weights])
    dependent = _dependent(problem.size, combined.dtype)
    combined = (combined + combined.transpose(0, 2, 1)) / 2 if symmetric else combined
    flat = np.asarray(combined.reshape(count, -1), float)
    return flat @ flat.T, dependent


def _rank(gram: np.ndarray, dependent: float) -> int:
    """How many eigenvalues of a Gram matrix lie above this share of the largest."""
    values = np.linalg.eigvalsh(gram)
    return int(np.count_nonzero(values > dependent * values[-1]))


def _dependent(size: int, dtype: Any) -> float:
    """The share below which eigenvalues of the Gram matrix of so many measurements, computed so, count as zero."""
    return max(DEPENDENT, size * float(np.finfo(dtype).eps))
