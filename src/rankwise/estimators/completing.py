"""`complete`: a table with holes in; the filled table, its rank, and how wrong it is out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rankwise.data.tables import Table, fill_like, table_from
from rankwise.estimators import trained
from rankwise.estimators.scaling import SCALINGS, Scaling
from rankwise.estimators.selection import Candidate, choose, fit
from rankwise.keys import as_generator
from rankwise.problems import Completion
from rankwise.registry import look_up
from rankwise.results import RESULTS
from rankwise.solution import Solution

METHODS: dict[str, str] = {
    "auto": "greedy, unless held-out error says that means or row and column effects do as well",
    "greedy": "greedy low-rank learning; scaling, ridge and rank chosen by held-out error",
    "deep": "a linear network of depth 3 trained by gradients, stopped by held-out error",
    "ratio": "one matrix trained by Adam with the nuclear/Frobenius ratio penalty, stopped by held-out error",
    "means": "column means",
    "effects": "row and column effects, no low-rank part",
}
# Fewer observations than this leave none to spare for an error estimate.
LEAST_OBSERVED = 10


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

    def rmse(self, predicted: np.ndarray, standardized: bool = False) -> float:
        """Root mean square error, in the table's units or in column standard deviations."""
        return float(np.sqrt(np.mean(self._errors(predicted, standardized) ** 2)))

    def better_baseline(self) -> str:
        """"means" or "effects", whichever predicts better in column standard deviations."""
        means, effects = self.rmse(self.column_means, True), self.rmse(self.effects, True)
        return "means" if means <= effects else "effects"

    def beaten(self) -> bool:
        """Whether the squared error lies below the better baseline's by more than the difference's standard error."""
        baseline = self.column_means if self.better_baseline() == "means" else self.effects
        gain = self._errors(baseline, True) ** 2 - self._errors(self.predicted, True) ** 2
        return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))

    def _errors(self, predicted: np.ndarray, standardized: bool) -> np.ndarray:
        errors = predicted - self.problem.values.astype(float)
        return errors / self.scales if standardized else errors


@dataclass(frozen=True, eq=False)
class Completed:
    """What `complete` returns.

    matrix: the filled (n, p) array; observed cells as they were (unless denoised), NaN where nothing can be known.
    frame: the same in the kind of object that was given (array, pandas or polars frame, ...).
    model: Z of the low-rank part, standardized as `scaling` says; None if method is means or effects.
    rank: of the low-rank part (0 if there is none). method: what was used in the end; asked: what was asked for.
    holdout_rmse, and the same for column means and for row and column effects: errors on observations that
    had no part in fitting or choosing, in the table's units; None with too few observations.
    low_rank: whether the low-rank part predicts held-out observations better than the effects do.
    """

    table: Table
    matrix: np.ndarray
    method: str
    asked: str
    rank: int
    low_rank: bool
    verdict: str
    result: RESULTS
    scaling: Scaling | None
    model: Solution | None
    holdout: Holdout | None
    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...]
    empty_rows: tuple[str, ...]
    empty_columns: tuple[str, ...]
    settings: dict[str, Any]
    seconds: float
    steps_tried: tuple[np.ndarray, np.ndarray] | None = field(default=None)

    @property
    def frame(self) -> Any:
        """The filled table as the kind of object that was given."""
        return fill_like(self.table, self.matrix)

    @property
    def holdout_rmse(self) -> float | None:
        """Root mean square error on the held-out observations."""
        return self.holdout and self.holdout.rmse(self.holdout.predicted)

    @property
    def holdout_rmse_column_means(self) -> float | None:
        """The same when holes are filled with column means."""
        return self.holdout and self.holdout.rmse(self.holdout.column_means)

    @property
    def holdout_rmse_effects(self) -> float | None:
        """The same when holes are filled from row and column effects."""
        return self.holdout and self.holdout.rmse(self.holdout.effects)

    @property
    def holdout_rmse_standardized(self) -> float | None:
        """Root mean square error on the held-out observations, in column standard deviations."""
        return self.holdout and self.holdout.rmse(self.holdout.predicted, standardized=True)

    @property
    def filled(self) -> int:
        """How many holes were filled."""
        return int(np.count_nonzero(np.isnan(self.table.values) & ~np.isnan(self.matrix)))

    def __repr__(self) -> str:
        n, p = self.matrix.shape
        error = "unknown" if self.holdout_rmse is None else f"{self.holdout_rmse:.4g}"
        return f"Completed({n} x {p}, {self.filled} holes filled by {self.method}, rank {self.rank}, held-out RMSE {error})"


@dataclass(frozen=True, eq=False)
class Fitted:
    """One method fitted to one set of observations."""

    scaling: Scaling
    model: Solution | None
    rank: int
    result: RESULTS

    def values(self) -> np.ndarray:
        """The completed matrix, in the table's units."""
        return self.scaling.restore(np.asarray(self.model.matrix) if self.model else np.zeros((1, 1)))

    def predict(self, problem: Completion) -> np.ndarray:
        """Predictions at the observed places of a problem."""
        if self.model is None:
            return self.scaling.predict(np.zeros(problem.shape), problem)
        return self.scaling.predict(self.model.matrix, problem)


def complete(
    X: Any,  # noqa: N803 (the name of a data table everywhere)
    *,
    method: str = "auto",
    holdout: float = 0.1,
    key: int = 0,
    max_rank: int | None = None,
    denoise: bool = False,
    fill_empty: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Completed:
    """Fill the holes of a table: NaN in an array or list, the mask of a masked array, missing values of a frame,
    entries not stored in a sparse matrix.

    method: one of `METHODS`. holdout: share of the observed cells set aside for the error estimate, and
    again of the rest for choices; nothing is set aside at 0 (then `auto` cannot choose and is refused).
    denoise: also replace observed cells by the model's values. fill_empty: fill rows and columns without any
    observed cell (rows with column means, columns with the table's mean) instead of leaving them holes.
    progress: called with a few words at each stage.

    Raises:
        ValueError: on an unknown method (the nearest is named), a setting out of range, a table without observed
            or without numeric cells, or infinite cells.
    """
    look_up(method, METHODS, "method")
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout must be at least 0 and below 1, not {holdout}")
    if holdout == 0 and method not in ("means", "effects"):
        raise ValueError(f"method {method!r} chooses by held-out error: holdout must be above 0")
    begun = time.perf_counter()
    table = X if isinstance(X, Table) else table_from(X)
    settings = {"method": method, "holdout": holdout, "seed": key, "max_rank": max_rank, "denoise": denoise}
    work = Work(method, holdout, key, max_rank, progress or (lambda words: None))
    seen = ~np.isnan(table.values)
    if not seen.any():
        raise ValueError("the table has no observed cell: nothing can be learned from it")
    rows, cols = np.nonzero(seen.any(axis=1))[0], np.nonzero(seen.any(axis=0))[0]
    empty_rows = tuple(table.row_labels[i] for i in np.setdiff1d(np.arange(seen.shape[0]), rows))
    empty_columns = tuple(table.column_names[j] for j in np.setdiff1d(np.arange(seen.shape[1]), cols))
    inner = table.values[np.ix_(rows, cols)]
    outcome = work.nothing_to_do(inner) if seen[np.ix_(rows, cols)].all() else work.run(inner)
    matrix = np.full(table.values.shape, np.nan, table.values.dtype)
    matrix[np.ix_(rows, cols)] = outcome.pop("values")
    if fill_empty:
        _fill_empty(matrix, rows, cols)
    if not denoise:
        matrix[seen] = table.values[seen]
    return Completed(
        table=table, matrix=matrix, asked=method, empty_rows=empty_rows, empty_columns=empty_columns,
        settings={**settings, "fill_empty": fill_empty}, seconds=time.perf_counter() - begun, **outcome,
    )  # fmt: skip


def _fill_empty(matrix: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> None:
    means = matrix[np.ix_(rows, cols)].mean(axis=0)
    empty_rows = np.setdiff1d(np.arange(matrix.shape[0]), rows)
    empty_columns = np.setdiff1d(np.arange(matrix.shape[1]), cols)
    matrix[np.ix_(empty_rows, cols)] = means
    matrix[:, empty_columns] = means.mean()


@dataclass(frozen=True)
class Work:
    """The way from a table without empty rows or columns to a fitted model and its error."""

    method: str
    holdout: float
    key: int
    max_rank: int | None
    step: Callable[[str], None]

    def nothing_to_do(self, values: np.ndarray) -> dict[str, Any]:
        """The outcome for a table without holes."""
        verdict = "There are no holes: nothing to do."
        return _outcome(values, "none", verdict, RESULTS.explained)

    def run(self, values: np.ndarray) -> dict[str, Any]:
        """Hold out, choose, estimate the error, refit on everything."""
        problem = Completion.from_dense(values)
        warnings: list[str] = []
        kept, held = problem, None
        if self.holdout and problem.size >= LEAST_OBSERVED:
            try:
                kept, held = problem.split(self.holdout, as_generator(self.key))
            except ValueError as error:
                warnings.append(f"no error estimate: {error}")
        elif self.holdout:
            warnings.append(f"no error estimate: only {problem.size} cells are observed")
        if held is None:
            method = "effects" if self.method in ("auto", "greedy", "deep", "ratio") else self.method
            if method != self.method:
                warnings.append("too few observed cells to choose a rank; row and column effects were used")
            final = _baseline(problem, method)
            return _outcome(final.values(), method, VERDICTS["few"], final.result, final, warnings=tuple(warnings))
        return self._estimate(problem, kept, held, warnings)

    def _estimate(
        self, problem: Completion, kept: Completion, held: Completion, warnings: list[str]
    ) -> dict[str, Any]:
        means, effects = _baseline(kept, "means"), _baseline(kept, "effects")
        candidates: tuple[Candidate, ...] = ()
        tried = None
        if self.method in ("auto", "greedy"):
            candidates = tuple(choose(kept, self.key, self.holdout, self.max_rank, self.step))
            trial = _greedy(kept, candidates[0], self.key)
        elif self.method in ("deep", "ratio"):
            trial, candidates, tried, steps = self._train(kept)
        else:
            trial = _baseline(kept, self.method)
        scales = means.scaling.scales[held.cols]
        report = Holdout(
            held, trial.predict(held), means.predict(held), effects.predict(held), np.where(scales > 0, scales, 1.0)
        )
        better, method = report.beaten(), self.method
        if self.method == "auto":
            method = "greedy" if better and trial.rank else report.better_baseline()
            if method != "greedy":
                report = replace(report, predicted=report.column_means if method == "means" else report.effects)
        self.step("refit on all observed cells")
        if method == "greedy":
            final = _greedy(problem, candidates[0], self.key)
        elif method in ("deep", "ratio"):
            scaling = SCALINGS[candidates[0].scaling](problem)
            model = trained.train(scaling.standardize(problem), method, self.key, steps)
            final = Fitted(scaling, model, model.rank, model.result)
        else:
            final = _baseline(problem, method)
        low_rank = better and final.rank > 0
        verdict = VERDICTS["low_rank" if low_rank else "means" if method == "means" else "none"]
        return _outcome(
            final.values(), method, verdict, final.result, final, report, candidates, tuple(warnings), low_rank, tried
        )

    def _train(self, kept: Completion) -> tuple[Fitted, tuple[Candidate, ...], Any, int]:
        candidates = tuple(choose(kept, self.key, self.holdout, self.max_rank, self.step))
        scaling = SCALINGS[candidates[0].scaling](kept)
        standardized = scaling.standardize(kept)
        self.step(f"train {self.method}")
        steps, times, errors = trained.best_stop(
            standardized, self.method, self.key, self.holdout,
            lambda now, limit: self.step(f"train {self.method}: step {now} of {limit}"),
        )  # fmt: skip
        model = trained.train(standardized, self.method, self.key, steps)
        return Fitted(scaling, model, model.rank, model.result), candidates, (times, errors), steps


VERDICTS = {
    "low_rank": "Held-out cells are predicted better than by row and column effects: the table has low-rank structure.",
    "none": "The data shows no low-rank structure beyond row and column effects: the completion is no better than these.",
    "means": "The data shows no low-rank structure: the completion is no better than column means.",
    "few": "Too few observed cells to tell whether there is low-rank structure.",
}


def _outcome(
    values: np.ndarray,
    method: str,
    verdict: str,
    result: RESULTS,
    fitted: Fitted | None = None,
    holdout: Holdout | None = None,
    candidates: tuple[Candidate, ...] = (),
    warnings: tuple[str, ...] = (),
    low_rank: bool = False,
    steps_tried: Any = None,
) -> dict[str, Any]:
    return {
        "values": values, "method": method, "verdict": verdict, "result": result,
        "scaling": fitted and fitted.scaling, "model": fitted and fitted.model, "rank": fitted.rank if fitted else 0,
        "holdout": holdout, "candidates": candidates, "warnings": warnings, "low_rank": low_rank,
        "steps_tried": steps_tried,
    }  # fmt: skip


def _greedy(problem: Completion, candidate: Candidate, key: int) -> Fitted:
    scaling, model = fit(problem, candidate, key)
    chosen = model.result in (RESULTS.max_rank, RESULTS.max_steps)
    return Fitted(scaling, model, model.rank, RESULTS.holdout_stopped if chosen else model.result)


def _baseline(problem: Completion, method: str) -> Fitted:
    scaling = SCALINGS["centred" if method == "means" else "effects"](problem)
    return Fitted(scaling, None, 0, RESULTS.converged)
