"""Synthetic ground truths and observations of them, NumPy throughout."""

from __future__ import annotations

from typing import Any

import numpy as np

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, dense
from rankwise.problems import Completion, Sensing


def low_rank(
    shape: tuple[int, int], rank: int, *, key: Any, kappa: float | None = None, symmetric: bool = False
) -> LowRank:
    """A random matrix of the given rank, scaled to mean square entry 1 (|W|_F^2 = d1 d2).

    Gaussian factors, W ~ U V^T (symmetric: U U^T), unless kappa is given: then singular values spread
    geometrically from kappa down to 1, with uniformly distributed singular vectors.

    Raises:
        ValueError: if the rank does not fit the shape, kappa is below 1, or a symmetric matrix is not square.

    Source: the generator of Arora et al. 2019 (`arora2019implicit`).
    """
    if not 1 <= rank <= min(shape):
        raise ValueError(f"rank must lie between 1 and {min(shape)}, not {rank}")
    if kappa is not None and not kappa >= 1:
        raise ValueError(f"kappa must be at least 1, not {kappa}")
    if symmetric and shape[0] != shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {shape}")
    rng = as_generator(key)
    left = rng.standard_normal((shape[0], rank))
    right = left if symmetric else rng.standard_normal((shape[1], rank))
    if kappa is not None:
        root = np.sqrt(np.geomspace(kappa, 1, rank))
        left = np.linalg.qr(left)[0] * root
        right = left if symmetric else np.linalg.qr(right)[0] * root
    norm = np.linalg.norm(LowRank(left, right).singular_values())
    root = ((shape[0] * shape[1]) ** 0.5 / norm) ** 0.5
    return LowRank(left * root, right * root)


def observe(
    truth: Any, count: int, *, key: Any, min_degree: int = 0, noise: float = 0.0, dtype: Any = np.float64
) -> Completion:
    """Uniformly chosen distinct entries of a matrix, optionally noisy.

    min_degree: every row and column gets at least so many entries: the mask is uniform, and each short row or
    column takes an entry from one that can spare it.
    noise: standard deviation of independent Gaussian noise on each observation.

    Raises:
        ValueError: if count does not fit the shape or the degrees.
    """
    d1, d2 = truth.shape
    if not 1 <= count <= d1 * d2:
        raise ValueError(f"count must lie between 1 and {d1 * d2}, not {count}")
    if min_degree * max(d1, d2) > count or min_degree > min(d1, d2):
        raise ValueError(f"{count} entries cannot give every row and column {min_degree}")
    rng = as_generator(key)
    mask = np.zeros(d1 * d2, bool)
    mask[rng.choice(d1 * d2, count, replace=False)] = True
    mask = mask.reshape(d1, d2)
    if min_degree:
        _raise_degrees(mask, min_degree, rng)
    rows, cols = np.nonzero(mask)
    values = truth.entries(rows, cols) if isinstance(truth, LowRank) else np.asarray(truth)[rows, cols]
    values = values + noise * rng.standard_normal(count)
    return Completion((d1, d2), rows, cols, values.astype(dtype))


def sense(
    truth: Any, count: int, *, key: Any, symmetric: bool = False, noise: float = 0.0, dtype: Any = np.float64
) -> Sensing:
    """Gaussian measurements <A_i, W>, entries of A_i of variance 1 / (d1 d2), optionally symmetrized or noisy.

    Raises:
        ValueError: if count is not positive, or symmetric sensors are asked for a matrix that is not square.

    Source: the generator of Arora et al. 2019 (`arora2019implicit`), appendix.
    """
    d1, d2 = truth.shape
    if count < 1:
        raise ValueError(f"count must be positive, not {count}")
    if symmetric and d1 != d2:
        raise ValueError(f"symmetric sensors need a square matrix, not one of shape {(d1, d2)}")
    rng = as_generator(key)
    sensors = rng.standard_normal((count, d1, d2)) / (d1 * d2) ** 0.5
    if symmetric:
        sensors = (sensors + sensors.transpose(0, 2, 1)) / 2
    values = sensors.reshape(count, -1) @ np.asarray(dense(truth)).ravel() + noise * rng.standard_normal(count)
    return Sensing(sensors.astype(dtype), values.astype(dtype))


def _raise_degrees(mask: np.ndarray, least: int, rng: np.random.Generator) -> None:
    """Move entries, within rows then within columns' reach, until every row and column has `least`."""
    for view in (mask, mask.T):
        for short in np.nonzero(view.sum(axis=1) < least)[0]:
            while view[short].sum() < least:
                _move_one(view, int(short), least, rng)


def _move_one(view: np.ndarray, short: int, least: int, rng: np.random.Generator) -> None:
    """Give the row `short` an entry taken from a row with more than enough, in a column that both allow."""
    for donor in rng.permutation(np.nonzero(view.sum(axis=1) > least)[0]):
        movable = np.nonzero(view[donor] & ~view[short])[0]
        if len(movable):
            column = rng.choice(movable)
            view[donor, column], view[short, column] = False, True
            return
    raise ValueError(f"no mask with at least {least} entries in every row and column was found")
