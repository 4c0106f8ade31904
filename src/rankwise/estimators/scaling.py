"""Column scales, column means and row effects: what is taken off a table before a low-rank matrix is sought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from rankwise.lowrank import LowRank, dense
from rankwise.problems import Completion
from rankwise.problems.outliers import residual_scale
from rankwise.spectrum import root_mean_square

# Weight, in observations, of the other columns' typical scale in a column's own.
SCALE_PRIOR = 3.0


@dataclass(frozen=True, eq=False)
class Scaling:
    """X_ij = means_j + scales_j (effects_i + Z_ij), Z being what a low-rank matrix is sought for.

    means, scales: shape (d2,); effects: shape (d1,), in units of a column's scale. A constant column has
    scale 0: its holes are the constant.
    """

    means: np.ndarray
    scales: np.ndarray
    effects: np.ndarray
    sentence: str

    def standardize(self, problem: Completion) -> Completion:
        """The observations of Z from those of X."""
        rows, cols = problem.rows, problem.cols
        scale = np.where(self.scales > 0, self.scales, 1.0)[cols]
        z = (problem.values - self.means[cols]) / scale - self.effects[rows]
        z = np.where(self.scales[cols] > 0, z, 0.0)
        return problem.replace(values=z.astype(problem.dtype))

    def kept(self, problem: Completion) -> np.ndarray:
        """Which columns, shape (d2,), `whole` keeps: constant ones are left out where they are seen whole."""
        return (self.scales > 0) | (np.bincount(problem.cols, minlength=problem.shape[1]) < problem.shape[0])

    def whole(self, problem: Completion, z: LowRank) -> tuple[Completion, LowRank] | None:
        """The observations X_ij / scales_j, and the matrix (means_j / scales_j + effects_i + Z_ij) that has them.

        In it the means and the effects, which were fitted to the same observations, are what they are of a table: one
        or two more ranks. So are the constants of columns that are constant where they are seen, in units of their own;
        such columns are left out where they are seen whole. None if no column varies.
        """
        varying = self.scales > 0
        if not varying.any():
            return None
        kept = self.kept(problem)
        units = np.where(varying, self.scales, np.where(self.means == 0, 1.0, np.abs(self.means)))[kept]
        seen, varying, means = kept[problem.cols], varying[kept], self.means[kept]
        rows, cols = problem.rows[seen], (np.cumsum(kept) - 1)[problem.cols[seen]]
        values = (problem.values[seen] / units[cols]).astype(problem.dtype)
        lefts, rights = [np.asarray(z.left, float)], [np.asarray(z.right, float)[kept] * varying[:, None]]
        if self.effects.any():
            lefts, rights = [*lefts, self.effects[:, None]], [*rights, varying[:, None].astype(float)]
        if means.any():
            lefts, rights = [*lefts, np.ones((problem.shape[0], 1))], [*rights, (means / units)[:, None]]
        matrix = LowRank(np.hstack(lefts), np.hstack(rights)).astype(problem.dtype)
        return Completion((problem.shape[0], len(units)), rows, cols, values), matrix

    def restore(self, z: np.ndarray | LowRank) -> np.ndarray:
        """X from Z, shape (d1, d2)."""
        return self.means + self.scales * (self.effects[:, None] + dense(z))

    def predict(self, z: np.ndarray | LowRank, problem: Completion) -> np.ndarray:
        """The entries of X at the observed places of a problem, from Z."""
        cols = problem.cols
        return self.means[cols] + self.scales[cols] * (self.effects[problem.rows] + problem.measure(z))


def scale_only(problem: Completion, alike: bool = False) -> Scaling:
    """Columns divided by their standard deviations, not centred: the rank of the table stays what it is."""
    columns = centre_columns(problem, alike)
    means = np.where(columns.scales > 0, 0.0, columns.means)
    words = "all columns divided by one number" if alike else "columns divided by their standard deviations"
    return Scaling(means, columns.scales, columns.effects, f"{words}, not centred")


def centre_columns(problem: Completion, alike: bool = False) -> Scaling:
    """Column means taken off, columns divided by their standard deviation.

    alike: all by one number, the root mean square of the standard deviations, so that even noise stays even.
    """
    means = averages(problem.values, problem.cols, problem.shape[1])
    scales = _scales(problem, means)
    if alike:
        each = scales[problem.cols]
        scales = np.where(scales > 0, root_mean_square(each[each > 0]), 0.0)
    words = "all divided by one number" if alike else "divided by their standard deviations"
    return Scaling(means, scales, np.zeros(problem.shape[0]), f"columns centred on their means and {words}")


def remove_effects(problem: Completion, alike: bool = False, rounds: int = 20) -> Scaling:
    """Columns centred and scaled, and row effects removed: the additive model, rows shrunk towards 0.

    The shrinkage is the empirical-Bayes one, n_i / (n_i + within / between), with the variances within and
    between rows by the method of moments.
    """
    columns = centre_columns(problem, alike)
    z = columns.standardize(problem).values.astype(float)
    rows, cols = problem.rows, problem.cols
    row_count = np.bincount(rows, minlength=problem.shape[0])
    effects, shift = np.zeros(problem.shape[0]), np.zeros(problem.shape[1])
    for _ in range(rounds):
        effects = _shrunk_means(z - shift[cols], rows, row_count)
        shift = averages(z - effects[rows], cols, problem.shape[1])
    shift = np.where(columns.scales > 0, shift, 0.0)
    sentence = columns.sentence + ("; row effects removed" if effects.any() else "")
    return Scaling(columns.means + columns.scales * shift, columns.scales, effects, sentence)


# Columns weighed alike by their standard deviations, and each time the same with one scale for all.
ONE_SCALE = {"scaled": "one scale", "centred": "centred, one scale", "effects": "effects, one scale"}
SCALINGS: dict[str, Callable[[Completion], Scaling]] = {
    "scaled": scale_only,
    "centred": centre_columns,
    "effects": remove_effects,
    "one scale": partial(scale_only, alike=True),
    "centred, one scale": partial(centre_columns, alike=True),
    "effects, one scale": partial(remove_effects, alike=True),
}


def averages(numbers: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """The mean of the numbers at each of `length` places, 0 where there are none."""
    return np.bincount(places, numbers, length) / np.maximum(np.bincount(places, minlength=length), 1)


def _scales(problem: Completion, means: np.ndarray) -> np.ndarray:
    """Root mean square deviations; those of short columns drawn (in the logarithm) towards the typical one.

    A scale's logarithm, estimated from n numbers, has variance 1 / (2 n): where the columns' own differ by more,
    the typical one says less, and weighs less.
    """
    count = np.bincount(problem.cols, minlength=problem.shape[1])
    deviation = problem.values - means[problem.cols]
    own, size = (root_mean_squares(numbers, problem.cols, problem.shape[1]) for numbers in (deviation, problem.values))
    varying = own > 1e-12 * size
    if not varying.any():
        return np.zeros_like(own)
    logs = np.log(np.where(varying, own, 1.0))
    typical = np.median(logs[varying])
    spread = residual_scale(logs[varying] - typical)
    weight = count / (count + SCALE_PRIOR / max(1.0, 2 * SCALE_PRIOR * spread**2))
    drawn = np.exp(weight * logs + (1 - weight) * typical)
    return np.where(varying, drawn, np.where(count > 1, 0.0, np.exp(typical)))


def root_mean_squares(numbers: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """Root mean squares of the numbers at each of `length` places, in units of its largest: none overflows."""
    largest = np.zeros(length)
    np.maximum.at(largest, places, np.abs(numbers))
    unit = np.where(largest > 0, largest, 1.0)
    return unit * np.sqrt(averages((numbers.astype(float) / unit[places]) ** 2, places, length))


def _shrunk_means(z: np.ndarray, rows: np.ndarray, count: np.ndarray) -> np.ndarray:
    filled = np.maximum(count, 1)
    means = np.bincount(rows, z, len(count)) / filled
    within = np.sum((z - means[rows]) ** 2) / max(len(z) - np.count_nonzero(count), 1)
    seen = count > 0
    between = np.mean(means[seen] ** 2) - within * np.mean(1 / filled[seen])
    if between <= 0:
        return np.zeros_like(means)
    return means * count / (count + within / between)
