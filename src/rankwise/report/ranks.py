"""How the rank was found: error against rank, the spectrum, the fit rank by rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blocks import Figure, Table
from .figures import ROUNDING, error_by_rank, spectrum
from .wording import count, finite, percent, plural, seconds, significant

Record = Mapping[str, Any]

COLUMNS = {
    "rank": ("rank", count),
    "train_rmse": ("training RMSE", significant),
    "holdout_rmse": ("held-out RMSE", significant),
    "seconds": ("time", seconds),
}


def error_figure(record: Record) -> Figure | None:
    """Training and held-out error against rank; None when the fit recorded neither.

    Level lines are `path_baselines` (name to error, in the path's units), else the held-out error at rank 0.
    """
    path, rank = _path(record), _rank(record)
    if all(finite(entry.get(key)) is None for entry in path for key in ("train_rmse", "holdout_rmse")):
        return None
    at_zero = [entry.get("holdout_rmse") for entry in path if entry["rank"] == 0]
    baselines = record.get("path_baselines") or ({"rank 0, no structure": at_zero[0]} if at_zero else {})
    caption = (
        "Error at each rank, in standardized units: on the entries the fit saw (training)"
        " and on those hidden from it (held out). Where the held-out error turns up while the training"
        " error goes on falling, the fit has begun to follow noise."
    )
    description = f"Error against rank for {plural(len(path), 'rank')}; chosen rank {count(rank)}."
    return Figure("Error against rank", error_by_rank(path, rank, baselines), caption, description)


def spectrum_figure(record: Record) -> Figure | None:
    """Singular values with the chosen rank; None when there is none above zero."""
    values = [number for value in record.get("spectrum") or [] if (number := finite(value)) is not None]
    largest, rank = max(values, default=0.0), _rank(record)
    if largest <= 0:
        return None
    caption = "Singular values of the completed, standardized matrix, on a log scale."
    if rank and len(values) <= rank:
        caption += " The fit has this rank and so no others."
    elif rank:
        share = sum((value / largest) ** 2 for value in values[:rank])
        share /= sum((value / largest) ** 2 for value in values)
        subject = "The first one carries" if rank == 1 else f"The first {rank} carry"
        caption += f" {subject} {percent(share)} of its sum of squares."
    rounding = sum(value <= ROUNDING * largest for value in values)
    if rounding:
        caption += f" Not drawn, being zero up to rounding: {plural(rounding, 'value')}."
    description = f"Spectrum of {plural(len(values), 'singular value')}; chosen rank {count(rank)}."
    return Figure("Spectrum", spectrum(values, rank), caption, description)


def path_table(record: Record) -> Table | None:
    """One line per rank the fit passed through, the chosen one marked; None when it recorded no path."""
    path = _path(record)
    if not path:
        return None
    keys = [key for key in COLUMNS if any(finite(entry.get(key)) is not None for entry in path)]
    rows = [[COLUMNS[key][1](entry.get(key)) for key in keys] for entry in path]
    marked = next((index for index, entry in enumerate(path) if entry["rank"] == record.get("rank")), None)
    caption = "Each rank the fit passed through, errors in standardized units"
    if marked is not None:
        caption += f"; rank {count(record['rank'])}, marked, was chosen"
    return Table(caption, [COLUMNS[key][0] for key in keys], rows, marked, ())


def _path(record: Record) -> list[Record]:
    return [entry for entry in record.get("path") or [] if finite(entry.get("rank")) is not None]


def _rank(record: Record) -> int | None:
    rank = finite(record.get("rank"))
    return None if rank is None else int(rank)
