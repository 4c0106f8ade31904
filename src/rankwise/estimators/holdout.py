"""Observations set aside before anything was fitted, how well they were predicted, and what that can decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy

from rankwise.estimators.scaling import Scaling
from rankwise.estimators.selection import EXACT
from rankwise.problems import Completion
from rankwise.spectrum import root_mean_square

# Fewer held-out cells than this can show nothing; of more, the gain must be this sure not to be chance.
LEAST_HELD_OUT, CONFIDENCE = 10, 0.95
# Columns whose scales differ by more than this factor weigh unlike in an error in the table's units.
UNLIKE_SCALES = 3.0


@dataclass(frozen=True)
class ColumnError:
    """How well the held-out cells of one column were predicted, in the column's own units.

    deviation: the standard deviation of its observed cells, None without any. rmse: the root mean square error on
    `count` held-out cells, None where there are none.
    """

    name: str
    holes: int
    deviation: float | None
    rmse: float | None
    count: int

    @classmethod
    def of(cls, name: str, values: np.ndarray, errors: np.ndarray) -> ColumnError:
        """From a column with NaN for holes, and the errors on its held-out cells."""
        seen = values[~np.isnan(values)].astype(float)
        spread = root_mean_square(seen - seen.mean()) if seen.size else None
        rmse = root_mean_square(errors) if errors.size else None
        return cls(name, values.size - seen.size, spread, rmse, errors.size)


@dataclass(frozen=True, eq=False)
class Holdout:
    """Observations set aside before anything was fitted, and what was predicted for them, in the table's units.

    scales: the standard deviation of each one's column among the fitted observations (1 for constant columns).
    rejected: what a low-rank fit predicted, of rank `rejected_rank`, where a simple filling was taken instead.
    unlike: whether the scales of any two columns differ by more than `UNLIKE_SCALES`.
    """

    problem: Completion
    predicted: np.ndarray
    column_means: np.ndarray
    effects: np.ndarray
    scales: np.ndarray
    rejected: np.ndarray | None = None
    rejected_rank: int | None = None
    unlike: bool = False

    @classmethod
    def of(
        cls,
        problem: Completion,
        predicted: np.ndarray,
        means: np.ndarray,
        effects: np.ndarray,
        scaling: Scaling,
    ) -> Holdout:
        """The held-out observations with predictions; `scaling` has the columns' standard deviations."""
        scales, varying = scaling.scales[problem.cols], scaling.scales[scaling.scales > 0]
        unlike = bool(varying.size and varying.max() > UNLIKE_SCALES * varying.min())
        return cls(problem, predicted, means, effects, np.where(scales > 0, scales, 1.0), unlike=unlike)

    def without_low_rank(self, method: str, rank: int) -> Holdout:
        """The same with the predictions of "means" or "effects"; those of the low-rank fit, if any, as rejected."""
        rejected, rejected_rank = (self.predicted, rank) if rank else (None, None)
        return replace(self, predicted=self.baseline(method), rejected=rejected, rejected_rank=rejected_rank)

    def rmse(self, predicted: np.ndarray, standardized: bool = False) -> float:
        """Root mean square error, in the table's units or in column standard deviations."""
        return root_mean_square(self._errors(predicted, standardized))

    def by_column(self) -> list[np.ndarray]:
        """The errors of what was taken, in the table's units, column by column."""
        order = np.argsort(self.problem.cols, kind="stable")
        count = np.bincount(self.problem.cols, minlength=self.problem.shape[1])
        return np.split(self._errors(self.predicted, False)[order], np.cumsum(count)[:-1])

    def rmse_error(self, predicted: np.ndarray, standardized: bool = False) -> float | None:
        """The standard error of `rmse`, None for a single cell.

        By the delta method: the standard deviation of squared errors / (2 RMSE sqrt(n)).
        """
        errors = self._errors(predicted, standardized)
        if len(errors) < 2:
            return None
        top = np.abs(errors).max()  # squares shall not overflow
        if top == 0:
            return 0.0
        squares = (errors / top) ** 2
        return float(top * squares.std(ddof=1) / (2 * np.sqrt(squares.mean() * len(squares))))

    def units_matter(self) -> bool:
        """Whether errors in the table's units may tell another story than those in column standard deviations.

        They may where the columns' scales differ by more than `UNLIKE_SCALES`, and they do where the order of the
        guesses is another.
        """
        if self.unlike:
            return True
        guesses = [one for one in (self.predicted, self.column_means, self.effects, self.rejected) if one is not None]
        pairs = [(self.rmse(one), self.rmse(one, standardized=True)) for one in guesses]
        return any((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))

    def tells(self) -> bool:
        """Whether there are cells enough to say anything about low-rank structure."""
        return self.problem.size >= LEAST_HELD_OUT

    def better_baseline(self) -> str:
        """ "means" or "effects", whichever predicts better in column standard deviations, beyond rounding."""
        means, effects = self.rmse(self.column_means, True), self.rmse(self.effects, True)
        return "means" if means <= effects * (1 + EXACT) else "effects"

    def baseline(self, method: str) -> np.ndarray:
        """The predictions of "means" or "effects"."""
        return self.column_means if method == "means" else self.effects

    def ahead(self) -> bool:
        """Whether the squared error lies below the better baseline's by more than the difference's standard error.

        Enough to prefer the predictions, not to claim anything.
        """
        return self._leads(1.0)

    def beaten(self) -> bool:
        """Whether the squared error lies below the better baseline's, by a one-sided paired t-test.

        It never does with fewer than `LEAST_HELD_OUT` cells.
        """
        return self.tells() and self._leads(float(scipy.special.stdtrit(self.problem.size - 1, CONFIDENCE)))

    def _leads(self, errors: float) -> bool:
        """Whether the mean gain over the better baseline exceeds so many standard errors."""
        baseline = self.baseline(self.better_baseline())
        theirs, own = self._errors(baseline, True), self._errors(self.predicted, True)
        top = max(np.abs(theirs).max(), np.abs(own).max(), np.finfo(float).tiny)  # squares shall not overflow
        gain = (theirs / top) ** 2 - (own / top) ** 2
        return bool(len(gain) > 1 and gain.mean() > errors * gain.std(ddof=1) / np.sqrt(len(gain)))

    def exact(self) -> bool:
        """Whether every prediction is right up to rounding, in column standard deviations."""
        return self.rmse(self.predicted, standardized=True) <= EXACT

    def _errors(self, predicted: np.ndarray, standardized: bool) -> np.ndarray:
        errors = predicted - self.problem.values.astype(float)
        return errors / self.scales if standardized else errors
