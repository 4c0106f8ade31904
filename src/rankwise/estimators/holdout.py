"""Observations set aside before anything was fitted, and how well they were predicted: the honest error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rankwise.estimators.scaling import Scaling
from rankwise.problems import Completion
from rankwise.spectrum import root_mean_square


@dataclass(frozen=True, eq=False)
class Holdout:
    """Observations set aside before anything was fitted, and what was predicted for them, in the table's units.

    scales: the standard deviation of each one's column among the fitted observations (1 for constant columns).
    """

    problem: Completion
    predicted: np.ndarray
    column_means: np.ndarray
    effects: np.ndarray
    scales: np.ndarray

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
        scales = scaling.scales[problem.cols]
        return cls(problem, predicted, means, effects, np.where(scales > 0, scales, 1.0))

    def rmse(self, predicted: np.ndarray, standardized: bool = False) -> float:
        """Root mean square error, in the table's units or in column standard deviations."""
        return root_mean_square(self._errors(predicted, standardized))

    def better_baseline(self) -> str:
        """ "means" or "effects", whichever predicts better in column standard deviations."""
        means, effects = self.rmse(self.column_means, True), self.rmse(self.effects, True)
        return "means" if means <= effects else "effects"

    def baseline(self, method: str) -> np.ndarray:
        """The predictions of "means" or "effects"."""
        return self.column_means if method == "means" else self.effects

    def beaten(self) -> bool:
        """Whether the squared error lies below the better baseline's by more than the difference's standard error."""
        baseline = self.baseline(self.better_baseline())
        theirs, own = self._errors(baseline, True), self._errors(self.predicted, True)
        top = max(np.abs(theirs).max(), np.abs(own).max(), np.finfo(float).tiny)  # squares shall not overflow
        gain = (theirs / top) ** 2 - (own / top) ** 2
        return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))

    def _errors(self, predicted: np.ndarray, standardized: bool) -> np.ndarray:
        errors = predicted - self.problem.values.astype(float)
        return errors / self.scales if standardized else errors
