"""Problems by name and number: synthetic ones with their truth, and tables from files."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.data.synthetic import GENERATORS, low_rank
from rankwise.data.tables import read_table
from rankwise.lowrank import LowRank
from rankwise.problems import MISFITS, PROBLEMS, Completion, Misfit, Problem
from rankwise.spec.reading import call, check_kind, known, named, refuse_unknown, section, table, words

KEYS = ("name", "loss", "misfit", "holdout", "holdout_key", "dtype")


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
    misfit = _misfit(given.pop("misfit", "squared"))
    if loss not in ("half_sum", "mean", "sum"):
        raise ValueError(f"problem.loss must be 'half_sum', 'mean' or 'sum', not {loss!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"problem.dtype must be 'float32' or 'float64', not {dtype!r}")
    if isinstance(holdout, bool) or not isinstance(holdout, int | float) or not 0 <= holdout < 1:
        raise ValueError(f"problem.holdout must be a number at least 0 and below 1, not {holdout!r}")
    check_kind(holdout_key, {"int"}, "problem.holdout_key")
    if "file" in given:
        problem, truth = _from_file(given, name, folder, dtype), None
    else:
        problem, truth = _synthetic(given, name, dtype)
    problem, heldout = problem.replace(misfit=misfit), None
    if holdout:
        problem, heldout = problem.split(holdout, holdout_key)
    return getattr(problem, loss)(), truth, heldout


def _from_file(given: dict[str, Any], name: str, folder: Path, dtype: str) -> Problem:
    if not isinstance(given["file"], str):
        raise ValueError(f"problem.file must be a file name, not {given['file']!r}")
    refuse_unknown(given, ("file", "long", *KEYS), "problem.")
    if name != "completion":
        raise ValueError(f"problem.file holds a table to complete; problem {name!r} cannot be read from one")
    long = words(given["long"], "problem.long") if "long" in given else None
    if long is not None and len(long) != 3:
        raise ValueError(f"problem.long must be three column names, for row, column and value, not {given['long']!r}")
    read = read_table(folder / given["file"], long=None if long is None else (long[0], long[1], long[2]))
    return Completion.from_dense(read.values.astype(dtype))


def _synthetic(given: dict[str, Any], name: str, dtype: str) -> tuple[Problem, LowRank]:
    if name not in GENERATORS:
        raise ValueError(
            f"problem.name: a {PROBLEMS[name].__name__} is made of arrays, which only Python can hand over"
        )
    make = GENERATORS[name]
    settings = {key: value for key, value in given.items() if key != "truth"}
    truth_given = table(section(given, "truth", "problem."), "problem.truth")
    refuse_unknown(truth_given, tuple(inspect.signature(low_rank).parameters), "problem.truth.")
    refuse_unknown(settings, [*inspect.signature(make).parameters, "file", *KEYS], "problem.")
    for key in ("shape", "rank"):
        if key not in truth_given:
            raise ValueError(f"problem.truth.{key} is missing")
    if "count" not in settings:
        raise ValueError("problem.count, the number of observations, is missing")
    shape = truth_given["shape"]
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise ValueError(f"problem.truth.shape must be two numbers, not {shape!r}")
    for number in shape:
        check_kind(number, {"int"}, "problem.truth.shape")
    truth = call(low_rank, {"key": 0, **truth_given, "shape": tuple(shape)}, "problem.truth")
    return call(make, {"key": 1, **settings, "truth": truth, "dtype": np.dtype(dtype)}, "problem"), truth


def _misfit(given: Any) -> Misfit:
    path = "problem.misfit"
    settings = named(given, path, MISFITS)
    cls = known(settings.pop("name"), MISFITS, f"{path}.name")
    numbers = inspect.signature(cls).parameters
    refuse_unknown(settings, numbers, f"{path}.")
    for key in numbers:
        check_kind(section(settings, key, f"{path}."), {"float"}, f"{path}.{key}")
    return call(cls, settings, path)
