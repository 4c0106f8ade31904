"""A completion as plain numbers and words, for the report page and for JSON."""

from __future__ import annotations

import datetime
import math
from importlib.metadata import version
from typing import Any

import numpy as np

from rankwise.estimators.completing import Completed
from rankwise.estimators.fitting import BASELINES
from rankwise.estimators.holdout import ColumnError
from rankwise.estimators.selection import Candidate
from rankwise.lowrank import singular_values
from rankwise.results import RESULTS

# The page shows at most so many rows and columns of a matrix, and so many held-out points.
SHOWN = 200
POINTS = 5000
SPECTRUM = 60
# Names of held-out errors, and the predictions of a `Holdout` that they are of.
GUESSES = {
    "rmse": "predicted",
    "rmse_column_means": "column_means",
    "rmse_effects": "effects",
    "rmse_rejected": "rejected",
}
# Why the fit of a table stopped, where the advice of `RESULTS` is for someone who set the solver up.
STOPPED = {
    RESULTS.explained: "The observed cells are fitted to rounding.",
    RESULTS.converged: "Nothing more lowers the error on the observed cells under the preparation that was chosen.",
    RESULTS.max_rank: "The largest rank allowed (max_rank) was reached; a higher one may predict better.",
    RESULTS.underdetermined: (
        "A higher rank would have as many parameters as there are observed cells, so its guesses could not be trusted."
    ),
    RESULTS.stalled: "No further rank that the search found fits the observed cells better.",
    RESULTS.flat: "The fit of the rank that was chosen gained no more.",
    RESULTS.inner_limit: "The fit of the last rank did not come to its end, so no higher one was tried.",
    RESULTS.diverging_norm: (
        "The fit ran off to far larger numbers than the table holds: too few cells are observed for it. Set a lower "
        "max_rank, or bounds, or take another method."
    ),
    RESULTS.non_finite: "The fit ran off beyond all numbers: take another method.",
}


def summary(done: Completed, output: str, command: str) -> dict[str, Any]:
    """What the command prints, under stable names."""
    n, p = done.matrix.shape
    seen = int(np.count_nonzero(~np.isnan(done.table.values)))
    return {
        "name": readable(done.table.name),
        "command": readable(command),
        "version": version("rankwise"),
        "shape": [n, p],
        "observed": seen,
        "observed_share": seen / (n * p),
        "holes": n * p - seen,
        "holes_filled": done.filled,
        "method": done.method,
        "rank": done.rank,
        "low_rank": done.low_rank,
        "verdict": done.verdict,
        "certified": done.certified,
        "certificate": _certificate(done),
        "untested": int(np.count_nonzero(done.untested)),
        "members": [_member(one) for one in done.members],
        "result": {"name": done.result.name, "sentence": STOPPED.get(done.result, done.result.value)},
        **{f"holdout_{name}": error for name, error in _errors(done).items()},
        "units_matter": done.units_matter,
        "rejected_rank": done.holdout and done.holdout.rejected_rank,
        "holdout_count": done.holdout.problem.size if done.holdout else 0,
        "column_errors": [_column(one) for one in done.column_errors],
        "preprocessing": [done.scaling.sentence] if done.scaling else [],
        "empty_rows": list(done.empty_rows),
        "empty_columns": list(done.empty_columns),
        "warnings": [*done.warnings],
        "settings": done.settings,
        "seconds": done.seconds,
        "output": readable(output),
    }


def _certificate(done: Completed) -> str | None:
    """The certificate in words; None where there was nothing to do."""
    if done.result is RESULTS.no_holes:
        return None
    if done.certificate is None:
        if done.model is None or not done.rank:
            return "uncertified: no low-rank part was taken, so what was filled in is an estimate"
        return "uncertified: what was filled in is an estimate"
    if done.certificate.holds:
        return f"certified: {done.certificate.sentence}"
    if done.certificate.held is None:
        return "uncertified: the low-rank part does not fit exactly, so what was filled in is an estimate"
    return f"uncertified: {done.certificate.sentence}"


def _member(one: Candidate) -> dict[str, Any]:
    """What was tried, as numbers and words; errors are in column standard deviations."""
    return {
        "name": one.name,
        "rank": one.rank,
        "train_rmse": _finite(one.train_rmse),
        "validation_rmse": _finite(one.holdout_rmse),
        "result": one.result.name,
        "seconds": one.seconds,
        "certified": one.certified,
        "certificate": one.certificate and one.certificate.sentence,
    }


def _column(one: ColumnError) -> dict[str, Any]:
    """The held-out error of a column, in its units, beside its standard deviation."""
    return {
        "name": readable(one.name),
        "holes": one.holes,
        "deviation": _finite(one.deviation),
        "rmse": _finite(one.rmse),
        "count": one.count,
    }


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else number


def readable(name: str) -> str:
    """A name with what is no text in it, as in file names of another encoding, as escapes."""
    return name.encode(errors="backslashreplace").decode()


def _errors(done: Completed) -> dict[str, float | None]:
    """The held-out errors of every guess, in the table's units and in column standard deviations."""
    held = done.holdout
    errors: dict[str, float | None] = {}
    for units, standardized in (("", False), ("_standardized", True)):
        for name, guess in GUESSES.items():
            predicted = held and getattr(held, guess)
            errors[name + units] = held.rmse(predicted, standardized) if held and predicted is not None else None
        errors["rmse_error" + units] = held and held.rmse_error(held.predicted, standardized)
    return errors


def full(done: Completed, output: str, command: str) -> dict[str, Any]:
    """The summary and everything the page draws; matrices thinned to at most `SHOWN` rows and columns."""
    rows, cols = _thin(done.matrix.shape[0]), _thin(done.matrix.shape[1])
    pick = np.ix_(rows, cols)
    record = summary(done, output, command) | {
        "created": datetime.date.today().isoformat(),
        "row_labels": [done.table.row_labels[i] for i in rows],
        "column_names": [done.table.column_names[j] for j in cols],
        "before": _listed(done.table.values[pick]),
        "after": _listed(done.matrix[pick]),
        "spectrum": _spectrum(done),
        "path": _path(done),
        "path_baselines": _path_baselines(done),
        "holdout": _holdout(done),
        "candidates": [
            _member(one)
            | {
                "name": one.name + (", certified" if one.certified else ""),
                "chosen": i == 0 and done.method == "greedy",
            }
            for i, one in enumerate(done.members)
        ],
        "taken_instead": _taken_instead(done),
    }
    if len(rows) < done.matrix.shape[0] or len(cols) < done.matrix.shape[1]:
        record |= {"shown_rows": rows.tolist(), "shown_cols": cols.tolist()}
    return record


def _thin(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN)).round().astype(int))


def _listed(matrix: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(x) else float(x) for x in row] for row in matrix]


def _spectrum(done: Completed) -> list[float]:
    if done.model is None:
        return []
    return [float(s) for s in singular_values(done.model.matrix)[:SPECTRUM]]


def _path(done: Completed) -> list[dict[str, Any]]:
    if not done.members or done.method != "greedy":
        return []
    return [
        {
            "rank": fit.rank,
            "train_rmse": fit.train_rmse,
            "holdout_rmse": fit.holdout_rmse,
            "inner_steps": fit.inner_steps,
        }
        for fit in done.members[0].path
    ]


def _path_baselines(done: Completed) -> dict[str, float]:
    """The errors of no low-rank part at all, on the observations and in the units of the path."""
    names = {"centred": "column means", "effects": "row and column effects"}
    return {names[one.scaling]: one.path[0].holdout_rmse for one in done.members if one.path and one.scaling in names}


def _taken_instead(done: Completed) -> str | None:
    """What was taken where none of the candidates was."""
    if not done.members or done.method == "greedy":
        return None
    return BASELINES.get(done.method, f"method {done.method}, with the scaling of the first")


def _holdout(done: Completed) -> dict[str, Any] | None:
    if done.holdout is None:
        return None
    held = done.holdout.problem
    pick = np.unique(np.linspace(0, held.size - 1, min(held.size, POINTS)).round().astype(int))
    seen = ~np.isnan(done.table.values)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return {
        "actual": held.values[pick].astype(float).tolist(),
        "predicted": done.holdout.predicted[pick].astype(float).tolist(),
        "row": [done.table.row_labels[rows[i]] for i in held.rows[pick]],
        "column": [done.table.column_names[columns[j]] for j in held.cols[pick]],
        **_errors(done),
        "units_matter": done.units_matter,
        "rejected_rank": done.holdout.rejected_rank,
        "count": held.size,
    }
