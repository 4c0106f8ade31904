"""Problems by name and number: synthetic ones with their truth, and tables from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rankwise.data.synthetic import GENERATORS, low_rank
from rankwise.data.tables import FORMATS, read_table
from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.problems import MISFITS, PROBLEMS, Completion, Misfit, Problem
from rankwise.spec.derived import COUNTS, resolved
from rankwise.spec.reading import call, check_kind, known, named, parameters, refuse_unknown, section, table, words

KEYS = ("name", "loss", "misfit", "holdout", "holdout_key", "center", "dtype")
NOTATION = ("decimal", "thousands", "holes")


def build_problem(given: Any, folder: Path = Path()) -> tuple[Problem, LowRank | None, Problem | None]:
    """The training problem, its truth if it is synthetic, and what was held out of it.

    Raises:
        ValueError: with the path of the key that is missing, unknown or wrong.
    """
    given = table(given, "problem")
    name = given.pop("name", "completion")
    known(name, PROBLEMS, "problem.name")
    loss, dtype = given.pop("loss", "half_sum"), given.pop("dtype", "float64")
    holdout, holdout_key = given.pop("holdout", 0), given.pop("holdout_key", 0)
    center = given.pop("center", False)
    misfit = _misfit(given.pop("misfit", "squared"))
    if loss not in ("half_sum", "mean", "sum"):
        raise ValueError(f"problem.loss must be 'half_sum', 'mean' or 'sum', not {loss!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"problem.dtype must be 'float32' or 'float64', not {dtype!r}")
    if isinstance(holdout, bool) or not isinstance(holdout, int | float) or not 0 <= holdout < 1:
        raise ValueError(f"problem.holdout must be a number at least 0 and below 1, not {holdout!r}")
    check_kind(holdout_key, {"int"}, "problem.holdout_key")
    check_kind(center, {"bool"}, "problem.center")
    if center and "file" not in given:
        raise ValueError("problem.center is for tables in a file: a synthetic truth would not be centered with them")
    count = given.get("count") if "file" in given else None
    if "file" in given:
        problem, truth = _from_file(given, name, folder, dtype), None
    else:
        problem, truth = _synthetic(given, name, dtype)
    problem, heldout = problem.replace(misfit=misfit), None
    if count is not None:
        if holdout:
            raise ValueError("problem.count of a table holds all other cells out: leave problem.holdout out")
        problem, heldout = _drawn(problem, count, holdout_key)
    elif holdout:
        problem, heldout = problem.split(holdout, holdout_key)
    if center:
        problem, heldout = _centered(problem, heldout)
    return getattr(problem, loss)(), truth, heldout


def _from_file(given: dict[str, Any], name: str, folder: Path, dtype: str) -> Problem:
    if not isinstance(given["file"], str):
        raise ValueError(f"problem.file must be a file name, not {given['file']!r}")
    refuse_unknown(given, ("file", "long", "format", "header", *NOTATION, "count", *KEYS), "problem.")
    if name != "completion":
        raise ValueError(f"problem.file holds a table to complete; problem {name!r} cannot be read from one")
    long = words(given["long"], "problem.long") if "long" in given else None
    if long is not None and len(long) != 3:
        raise ValueError(f"problem.long must be three column names, for row, column and value, not {given['long']!r}")
    if "format" in given:
        known(given["format"], dict.fromkeys(FORMATS.values()), "problem.format")
    if "header" in given:
        check_kind(given["header"], {"bool"}, "problem.header")
    for key in ("decimal", "thousands"):
        if key in given:
            known(given[key], dict.fromkeys(",."), f"problem.{key}")
    holes = given.get("holes", ())
    if not isinstance(holes, list | tuple) or not all(isinstance(one, str | int | float) for one in holes):
        raise ValueError(f"problem.holes must be a list of words and numbers, not {holes!r}")
    read = read_table(
        folder / given["file"],
        long=None if long is None else (long[0], long[1], long[2]),
        format=given.get("format"),
        header=given.get("header"),
        decimal=given.get("decimal"),
        thousands=given.get("thousands"),
        holes=holes,
    )
    return Completion.from_dense(read.values.astype(dtype))


def _drawn(problem: Problem, count: Any, key: int) -> tuple[Problem, Problem]:
    """So many observations, uniformly chosen, and all others."""
    check_kind(count, {"int"}, "problem.count")
    if not 1 <= count < problem.size:
        raise ValueError(f"problem.count must lie between 1 and {problem.size - 1}, to leave some of the table's cells")
    order = as_generator(key).permutation(problem.size)
    return problem.subset(np.sort(order[:count])), problem.subset(np.sort(order[count:]))


def _centered(problem: Problem, heldout: Problem | None) -> tuple[Problem, Problem | None]:
    """Both less the mean of what is trained on, so that zeros stand for the best constant."""
    mean = problem.values.mean()
    return (
        problem.replace(values=problem.values - mean),
        None if heldout is None else heldout.replace(values=heldout.values - mean),
    )


def _synthetic(given: dict[str, Any], name: str, dtype: str) -> tuple[Problem, LowRank]:
    if name not in GENERATORS:
        raise ValueError(
            f"problem.name: a {PROBLEMS[name].__name__} is made of arrays, which only Python can hand over"
        )
    make = GENERATORS[name]
    settings = {key: value for key, value in resolved(given).items() if key != "truth"}
    written = table(section(given, "truth", "problem."), "problem.truth")
    exact = _truth(written)  # from which observations are drawn, to be exactly what the rows say
    truth = _narrow(exact) if "matrix" in written else exact
    if "observed" in settings:
        return _chosen(settings, name, exact, dtype), truth
    refuse_unknown(settings, [*parameters(make), "file", "observed", *COUNTS, *KEYS], "problem.")
    if "count" not in settings:
        raise ValueError("problem.count, the number of observations, is missing; rho or share may stand for it")
    return call(make, {"key": 1, **settings, "truth": exact, "dtype": np.dtype(dtype)}, "problem"), truth


def _truth(given: dict[str, Any]) -> LowRank:
    """The random matrix of these settings, or the one whose rows are given."""
    if "matrix" in given:
        refuse_unknown(given, ("matrix",), "problem.truth.")
        try:
            matrix = np.asarray(given["matrix"], float)
        except (TypeError, ValueError):
            matrix = np.zeros((0, 0))
        if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
            raise ValueError("problem.truth.matrix must be a list of rows, equally long lists of finite numbers")
        return LowRank(matrix, np.eye(matrix.shape[1]))
    refuse_unknown(given, (*parameters(low_rank), "matrix"), "problem.truth.")
    for key in ("shape", "rank"):
        if key not in given:
            raise ValueError(f"problem.truth.{key} is missing")
    shape = given["shape"]
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise ValueError(f"problem.truth.shape must be two numbers, not {shape!r}")
    for number in shape:
        check_kind(number, {"int"}, "problem.truth.shape")
    return call(low_rank, {"key": 0, **given, "shape": tuple(shape)}, "problem.truth")


def _narrow(truth: LowRank) -> LowRank:
    """Given rows in factors no wider than their numerical rank; they differ from the rows by rounding."""
    rank = int(np.linalg.matrix_rank(truth.left))
    return truth if rank == truth.rank else truth.truncate(rank)


def _chosen(settings: dict[str, Any], name: str, truth: LowRank, dtype: str) -> Completion:
    """The completion whose observed entries are listed: [row, column] each, counted from 0."""
    refuse_unknown(settings, ("observed", *KEYS), "problem.")
    if name != "completion":
        raise ValueError(f"problem.observed lists entries of a completion, not of {name!r}")
    places = settings["observed"]
    if not isinstance(places, list | tuple) or not places:
        raise ValueError("problem.observed must be a list of entries, [row, column] each")
    for place in places:
        numbers = list(place) if isinstance(place, list | tuple) else [place]
        if len(numbers) != 2 or any(type(number) is not int for number in numbers):
            raise ValueError(f"problem.observed: an entry is [row, column], not {place!r}")
        if not all(0 <= number < side for number, side in zip(numbers, truth.shape, strict=True)):
            raise ValueError(
                f"problem.observed: {place!r} lies outside a matrix of shape {truth.shape}, from [0, 0] on"
            )
    rows, cols = np.array(places).T
    values = truth.entries(rows, cols).astype(dtype)
    return call(Completion, {"shape": truth.shape, "rows": rows, "cols": cols, "values": values}, "problem.observed")


def _misfit(given: Any) -> Misfit:
    path = "problem.misfit"
    settings = named(given, path, MISFITS)
    cls = known(settings.pop("name"), MISFITS, f"{path}.name")
    numbers = parameters(cls)
    refuse_unknown(settings, numbers, f"{path}.")
    for key in numbers:
        check_kind(section(settings, key, f"{path}."), {"float"}, f"{path}.{key}")
    return call(cls, settings, path)
