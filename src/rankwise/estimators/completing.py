"""`complete`: a table with holes in; the filled table, its rank, and how wrong it is out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rankwise.data.tables import Table, fill_like, filling_losses, table_from
from rankwise.estimators.fitting import METHODS, Outcome, Task
from rankwise.estimators.holdout import ColumnError, Holdout
from rankwise.estimators.scaling import Scaling
from rankwise.estimators.selection import Candidate
from rankwise.keys import as_generator
from rankwise.plain import checked, positive_integer
from rankwise.portfolio import Certificate
from rankwise.problems.bounds import checked_bounds
from rankwise.registry import look_up
from rankwise.results import RESULTS
from rankwise.solution import Solution

# Sums over a column and differences of its numbers stay below the largest double by at least this factor.
ROOM = 4
# The methods that try one rank after another.
RANKED = ("auto", "greedy")
ONLY_EMPTY = "The only holes lie in rows or columns without any observed cell, about which nothing can be known."


@dataclass(frozen=True, eq=False)
class Completed:
    """What `complete` returns.

    matrix: the filled (n, p) array; observed cells as they were (unless denoised), NaN where nothing can be known.
    frame: the same as the kind of object that was given (array, pandas or polars frame, ...).
    rank: of the low-rank part, 0 if there is none. method: what was used in the end; asked: what was asked for.
    holdout_rmse and its kin: errors on observations that had no part in fitting, nor in choosing scaling, ridge, rank
    and step; with method "auto" they decide between the low-rank fit and the two simple fillings. None with too few.
    model: the low-rank part, standardized as `scaling` says. outcome: everything else that was found on the way.
    untested: which filled cells, shape (n, p), a certificate does not cover, since they hang on observed cells that no
    others test; all False without a certificate.
    empty_rows, empty_columns: labels of those without an observed cell, kept as holes unless asked otherwise.
    """

    table: Table
    matrix: np.ndarray
    untested: np.ndarray
    asked: str
    empty_rows: tuple[str, ...]
    empty_columns: tuple[str, ...]
    settings: dict[str, Any]
    seconds: float
    outcome: Outcome

    @property
    def frame(self) -> Any:
        """The filled table as the kind of object that was given; whole-number columns get whole numbers."""
        return fill_like(self.table, self.matrix)

    @property
    def method(self) -> str:
        """What was used in the end."""
        return self.outcome.method

    @property
    def rank(self) -> int:
        """The rank of the low-rank part."""
        return self.outcome.fitted.rank if self.outcome.fitted else 0

    @property
    def low_rank(self) -> bool:
        """Whether the low-rank part predicts held-out cells better than means and effects do."""
        return self.outcome.low_rank

    @property
    def verdict(self) -> str:
        """One plain sentence on that."""
        return self.outcome.verdict

    @property
    def result(self) -> RESULTS:
        """Why the fit stopped."""
        return self.outcome.result

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know besides."""
        return (*self.table.notes, *self.outcome.warnings)

    @property
    def members(self) -> tuple[Candidate, ...]:
        """What was tried, best first: each with rank, error, result, seconds and whether it is certified."""
        return self.outcome.members

    @property
    def certificate(self) -> Certificate | None:
        """Whether the low-rank part fits all observed cells exactly, and these hold it: see `rankwise.recover`."""
        return self.outcome.certificate

    @property
    def certified(self) -> bool:
        """Whether the low-rank part is a certified answer."""
        return self.certificate is not None and self.certificate.holds

    @property
    def scaling(self) -> Scaling | None:
        """What was taken off the table before the low-rank part was sought."""
        return self.outcome.fitted and self.outcome.fitted.scaling

    @property
    def model(self) -> Solution | None:
        """The low-rank part."""
        return self.outcome.fitted and self.outcome.fitted.model

    @property
    def holdout(self) -> Holdout | None:
        """The held-out observations and their predictions."""
        return self.outcome.holdout

    @property
    def holdout_rmse(self) -> float | None:
        """Root mean square error on the held-out observations, in the table's units."""
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
    def holdout_rmse_error(self) -> float | None:
        """The standard error of `holdout_rmse`; None with a single held-out observation too."""
        return self.holdout and self.holdout.rmse_error(self.holdout.predicted)

    @property
    def units_matter(self) -> bool:
        """Whether errors in the table's units may tell another story than those in column standard deviations."""
        return bool(self.holdout and self.holdout.units_matter())

    @property
    def column_errors(self) -> tuple[ColumnError, ...]:
        """The held-out error of every numeric column in its own units; empty without held-out observations."""
        if self.holdout is None:
            return ()
        errors = iter(self.holdout.by_column())  # which knows nothing of empty columns
        return tuple(
            ColumnError.of(name, column, next(errors) if not np.isnan(column).all() else np.empty(0))
            for name, column in zip(self.table.column_names, self.table.values.T, strict=True)
        )

    @property
    def filled(self) -> int:
        """How many holes were filled."""
        return int(np.count_nonzero(np.isnan(self.table.values) & ~np.isnan(self.matrix)))

    def __repr__(self) -> str:
        n, p = self.matrix.shape
        error = "unknown" if self.holdout_rmse is None else f"{self.holdout_rmse:.4g}"
        how = f"filled by {self.method}, rank {self.rank}, {'certified' if self.certified else 'uncertified'}"
        return f"Completed({n} x {p}, {self.filled} holes {how}, held-out RMSE {error})"


def complete(
    X: Any,
    *,
    method: str = "auto",
    holdout: float = 0.1,
    key: int = 0,
    max_rank: int | None = None,
    denoise: bool = False,
    fill_empty: bool = False,
    bounds: tuple[float, float] | None = None,
    budget: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Completed:
    """Fill the holes of a table: NaN in an array or list, the mask of a masked array, missing values of a frame,
    entries not stored in a sparse matrix.

    method: one of `METHODS`. holdout: share of the observed cells set aside for the error estimate, and
    again of the rest for choices; nothing is set aside at 0 (then `auto` cannot choose and is refused).
    denoise: also replace observed cells by the model's values. fill_empty: fill rows and columns without any
    observed cell (rows with column means, columns with the table's mean) instead of leaving them holes.
    bounds: (least, greatest) that any cell can be, as (1, 5) for ratings; either may be infinite. Completed cells, and
    the predictions that errors are estimated from, are moved into them, which brings none further from the truth.
    budget: seconds for the search. No preparation is tried later, and no step of one, nor of a member of the portfolio,
    begins that would end later if it took as long as the one before. The two last fits, to the cells kept and then to
    all, or the training of `deep` and `ratio`, come on top.
    progress: called with a few words at each stage.

    Raises:
        ValueError: on an unknown method (the nearest is named), a setting out of range, a cell outside the bounds, a
            table without observed or without numeric cells, infinite cells, numbers so large that a column's sum
            overflows, or too few observed cells for a method other than `auto`, `means` and `effects`.
    """
    look_up(method, METHODS, "method")
    if not 0 <= checked(holdout, "holdout") < 1:
        raise ValueError(f"holdout must be at least 0 and below 1, not {holdout}")
    if holdout == 0 and method not in ("means", "effects"):
        raise ValueError(f"method {method!r} chooses by held-out error: holdout must be above 0")
    if max_rank is not None:
        positive_integer(max_rank, "max_rank")
        if method not in RANKED:
            raise ValueError(f"max_rank bounds the rank that auto and greedy try; method {method!r} tries none")
    if budget is not None:
        checked(budget, "budget", above=0)
    box = checked_bounds((-math.inf, math.inf) if bounds is None else bounds)
    as_generator(key)
    begun = time.perf_counter()
    table = X if isinstance(X, Table) else table_from(X)
    settings = {"method": method, "holdout": holdout, "seed": key, "max_rank": max_rank, "denoise": denoise}
    settings |= {} if bounds is None else {"bounds": list(box)}
    settings |= {} if budget is None else {"budget": budget}
    seen = ~np.isnan(table.values)
    if not seen.any():
        raise ValueError(f"{table.name} has no observed cell: nothing can be learned from it")
    if denoise or not seen.all():
        _refuse_overflow(table)
    _refuse_outside(table, box)
    rows, cols = np.nonzero(seen.any(axis=1))[0], np.nonzero(seen.any(axis=0))[0]
    task = Task(method, holdout, key, max_rank, denoise, progress or (lambda words: None), box, budget)
    outcome = task.run(table.values[np.ix_(rows, cols)])
    if outcome.result is RESULTS.no_holes and not seen.all():
        outcome = replace(outcome, verdict=ONLY_EMPTY)
    matrix = np.full(table.values.shape, np.nan, table.values.dtype)
    matrix[np.ix_(rows, cols)] = outcome.values
    untested = np.zeros(matrix.shape, bool)
    if outcome.hanging is not None:
        untested[np.ix_(rows, cols)] = outcome.hanging
    if fill_empty:
        _fill_empty(matrix, rows, cols)
    if not denoise:
        matrix[seen] = table.values[seen]
    if not isinstance(X, Table):  # of a table from a file, the command says what its output's format rounds
        table = replace(table, notes=(*table.notes, *filling_losses(table, matrix)))
    return Completed(
        table, matrix, untested, method,
        _unseen(table.row_labels, rows),
        _unseen(table.column_names, cols),
        {**settings, "fill_empty": fill_empty}, time.perf_counter() - begun, outcome,
    )  # fmt: skip


def _refuse_overflow(table: Table) -> None:
    """Raise a ValueError naming the first column whose numbers are too large to be added up."""
    limit = float(np.finfo(table.values.dtype).max) / ROOM
    with np.errstate(over="ignore"):
        sums = np.nansum(np.abs(table.values), axis=0, dtype=float)
    if (sums > limit).any():
        name = table.column_names[int(np.argmax(sums > limit))]
        raise ValueError(f"{table.name}: the numbers in column {name!r} are too large to compute with: rescale it")


def _refuse_outside(table: Table, box: tuple[float, float]) -> None:
    """Raise a ValueError naming the first observed cell outside the bounds."""
    values = table.values.astype(float)  # a bound may lie beyond single precision
    rows, cols = np.nonzero((values < box[0]) | (values > box[1]))
    if rows.size:
        row, col = table.row_labels[rows[0]], table.column_names[cols[0]]
        value = table.values[rows[0], cols[0]]
        raise ValueError(
            f"{table.name}: row {row!r}, column {col!r} holds {value:g}, outside the bounds {box[0]:g} to {box[1]:g}"
        )


def _unseen(labels: tuple[str, ...], seen: np.ndarray) -> tuple[str, ...]:
    """The labels of the rows or columns that are not among the seen ones."""
    return tuple(labels[i] for i in np.setdiff1d(np.arange(len(labels)), seen))


def _fill_empty(matrix: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> None:
    means = matrix[np.ix_(rows, cols)].mean(axis=0)
    empty_rows = np.setdiff1d(np.arange(matrix.shape[0]), rows)
    empty_columns = np.setdiff1d(np.arange(matrix.shape[1]), cols)
    matrix[np.ix_(empty_rows, cols)] = means
    matrix[:, empty_columns] = means.mean()
