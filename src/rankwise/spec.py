"""From names and numbers, as in a TOML file, to problems and solvers; and from a solution to a record on disk."""

from __future__ import annotations

import inspect
import io
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.data.synthetic import GENERATORS, low_rank
from rankwise.data.tables import read_table, write_together
from rankwise.factorizations import FACTORIZATIONS, INITIALIZATIONS
from rankwise.loop import solve
from rankwise.lowrank import LowRank
from rankwise.measures import MEASURES
from rankwise.optimizers import OPTIMIZERS, Optimizer
from rankwise.penalties import PENALTIES
from rankwise.problems import MISFITS, PROBLEMS, Completion, Misfit, Problem
from rankwise.registry import look_up, nearest
from rankwise.solution import Solution
from rankwise.solvers import SOLVERS, Solver

PROBLEM_KEYS = ("name", "loss", "misfit", "holdout", "dtype")
RUN_KEYS = ("key", "max_steps", "track", "checkpoints")


@dataclass(frozen=True)
class Spec:
    """One run: the training problem, what measures may look at besides, the solver, and `solve`'s arguments."""

    problem: Problem
    solver: Solver
    truth: LowRank | None = None
    heldout: Problem | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)

    def solve(self, progress: Any = None) -> Solution:
        """Run it."""
        return solve(
            self.problem,
            self.solver,
            truth=self.truth,
            heldout=self.heldout,
            progress=progress,
            **self.arguments,
        )


def read_spec(path: str | Path) -> Spec:
    """The run that a TOML file describes.

    Raises:
        ValueError: naming the file and the key's path, on broken TOML, unknown keys or names, or wrong values.
        OSError: if the file cannot be read.
    """
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return build_spec(given, Path(path).parent)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: it is not UTF-8 text") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def build_spec(given: Mapping[str, Any], folder: Path = Path()) -> Spec:
    """The run that nested names and numbers describe; file names are relative to `folder`."""
    _refuse_unknown(given, ("problem", "solver", *RUN_KEYS), "")
    problem, truth, heldout = _problem(_table(_section(given, "problem", ""), "problem"), folder)
    solver = _from_registry(_section(given, "solver", ""), SOLVERS, "solver")
    arguments = {key: given[key] for key in RUN_KEYS if key in given}
    steps = arguments.get("checkpoints", [])
    for number, path in ((arguments.get("max_steps", 0), "max_steps"), *_each(steps, "checkpoints")):
        _check_kind(number, {"int"}, path)
    for name in _words(arguments.get("track", []), "track"):
        _known(name, {"train_loss": None, **MEASURES}, "track")
    return Spec(problem, solver, truth, heldout, arguments, dict(given))


def _problem(given: dict[str, Any], folder: Path) -> tuple[Problem, LowRank | None, Problem | None]:
    name = given.pop("name", "completion")
    _known(name, PROBLEMS, "problem.name")
    loss, holdout, dtype = given.pop("loss", "half_sum"), given.pop("holdout", 0), given.pop("dtype", "float64")
    misfit = _misfit(given.pop("misfit", "squared"), "problem.misfit")
    if loss not in ("half_sum", "mean", "sum"):
        raise ValueError(f"problem.loss must be 'half_sum', 'mean' or 'sum', not {loss!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"problem.dtype must be 'float32' or 'float64', not {dtype!r}")
    if "file" in given:
        problem, truth = _from_file(given, name, folder, dtype), None
    else:
        problem, truth = _synthetic(given, name, dtype)
    problem = problem.replace(misfit=misfit)
    if isinstance(holdout, bool) or not isinstance(holdout, int | float) or not 0 <= holdout < 1:
        raise ValueError(f"problem.holdout must be a number at least 0 and below 1, not {holdout!r}")
    heldout = None
    if holdout:
        problem, heldout = problem.split(holdout, 0)
    return getattr(problem, loss)(), truth, heldout


def _from_file(given: dict[str, Any], name: str, folder: Path, dtype: str) -> Problem:
    if not isinstance(given["file"], str):
        raise ValueError(f"problem.file must be a file name, not {given['file']!r}")
    _refuse_unknown(given, ("file", "long", *PROBLEM_KEYS), "problem.")
    if name != "completion":
        raise ValueError(f"problem.file holds a table to complete; problem {name!r} cannot be read from one")
    long = _words(given["long"], "problem.long") if "long" in given else None
    if long is not None and len(long) != 3:
        raise ValueError(f"problem.long must be three column names, for row, column and value, not {given['long']!r}")
    table = read_table(folder / given["file"], long=None if long is None else (long[0], long[1], long[2]))
    return Completion.from_dense(table.values.astype(dtype))


def _synthetic(given: dict[str, Any], name: str, dtype: str) -> tuple[Problem, LowRank]:
    if name not in GENERATORS:
        raise ValueError(
            f"problem.name: a {PROBLEMS[name].__name__} is made of arrays, which only Python can hand over"
        )
    make = GENERATORS[name]
    settings = {key: value for key, value in given.items() if key != "truth"}
    truth_given = _table(_section(given, "truth", "problem."), "problem.truth")
    _refuse_unknown(truth_given, ("shape", "rank", "key", "kappa", "symmetric"), "problem.truth.")
    allowed = [*inspect.signature(make).parameters, "file"]
    _refuse_unknown(settings, (*allowed, *PROBLEM_KEYS), "problem.")
    for key in ("shape", "rank"):
        if key not in truth_given:
            raise ValueError(f"problem.truth.{key} is missing")
    if "count" not in settings:
        raise ValueError("problem.count, the number of observations, is missing")
    shape = truth_given["shape"]
    if not isinstance(shape, list | tuple) or len(shape) != 2:
        raise ValueError(f"problem.truth.shape must be two numbers, not {shape!r}")
    for number in shape:
        _check_kind(number, {"int"}, "problem.truth.shape")
    truth = _call(low_rank, {"key": 0, **truth_given, "shape": tuple(shape)}, "problem.truth")
    return _call(make, {"key": 1, **settings, "truth": truth, "dtype": np.dtype(dtype)}, "problem"), truth


def _from_registry(given: Any, registry: Mapping[str, Any], path: str) -> Any:
    """The registry's class of that name, its nested parts built likewise."""
    settings: dict[str, Any] = {"name": given} if isinstance(given, str) else _table(given, path)
    if "name" not in settings:
        raise ValueError(f"{path}.name is missing{nearest('', registry)}")
    cls = _known(settings.pop("name"), registry, f"{path}.name")
    parameters = inspect.signature(cls).parameters
    if needed := [name for name, one in parameters.items() if one.default is one.empty]:
        raise ValueError(f"{path}: {cls.__name__} needs a {needed[0]}, which only Python can hand over, not a file")
    _refuse_unknown(settings, parameters, f"{path}.")
    for key in settings:
        if key == "optimizer":
            settings[key] = _optimizer(settings[key], f"{path}.optimizer")
        elif key in PARTS:
            settings[key] = _from_registry(settings[key], PARTS[key], f"{path}.{key}")
    return _call(cls, settings, path)


def _misfit(given: Any, path: str) -> Misfit:
    settings: dict[str, Any] = {"name": given} if isinstance(given, str) else _table(given, path)
    if "name" not in settings:
        raise ValueError(f"{path}.name is missing{nearest('', MISFITS)}")
    cls = _known(settings.pop("name"), MISFITS, f"{path}.name")
    numbers = inspect.signature(cls).parameters
    _refuse_unknown(settings, numbers, f"{path}.")
    for key in numbers:
        _check_kind(_section(settings, key, f"{path}."), {"float"}, f"{path}.{key}")
    return _call(cls, settings, path)


def _optimizer(given: Any, path: str) -> Optimizer:
    settings: dict[str, Any] = {"name": given} if isinstance(given, str) else _table(given, path)
    if "name" not in settings:
        raise ValueError(f"{path}.name is missing{nearest('', OPTIMIZERS)}")
    _known(settings["name"], OPTIMIZERS, f"{path}.name")
    for key in settings.keys() - {"name"}:
        _check_kind(settings[key], {"float"}, f"{path}.{key}")
    return _call(Optimizer, settings, path)


PARTS: dict[str, Mapping[str, Any]] = {
    "factorization": FACTORIZATIONS,
    "start": INITIALIZATIONS,
    "penalty": PENALTIES,
}


def _call(make: Any, settings: dict[str, Any], path: str) -> Any:
    for key, parameter in inspect.signature(make).parameters.items():
        if key in settings and key not in PARTS:
            kinds = {kind.strip() for kind in str(parameter.annotation).split("|")} - {"None"}
            if kinds == {"Any"}:  # a list (of times, say) is left to whom it is for
                kinds = set() if isinstance(settings[key], list) else {type(parameter.default).__name__}
            _check_kind(settings[key], kinds, f"{path}.{key}")
    try:
        return make(**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _section(given: Mapping[str, Any], key: str, path: str) -> Any:
    if key not in given:
        raise ValueError(f"{path}{key} is missing")
    return given[key]


def _table(given: Any, path: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{path} must be a table of keys, not {given!r}")
    return dict(given)


# What a setting may be whose annotation, or else default, is of a kind, and how that is called.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a word"),
}


def _check_kind(value: Any, kinds: set[str], path: str) -> None:
    """Refuse a value of another kind; kinds that are not in `KINDS` are left to whom the value is for."""
    if not kinds or not kinds <= KINDS.keys():
        return
    if not any(type(value) in KINDS[kind][0] for kind in kinds):
        raise ValueError(f"{path} must be {' or '.join(KINDS[kind][1] for kind in sorted(kinds))}, not {value!r}")
    if isinstance(value, int) and abs(value) >= 2**31:
        raise ValueError(f"{path} is too large: {value}")


def _each(given: Any, path: str) -> list[tuple[Any, str]]:
    return [(one, path) for one in given] if isinstance(given, list | tuple) else [(given, path)]


def _words(given: Any, path: str) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ValueError(f"{path} must be a list of names, not {given!r}")
    return list(given)


def _known(name: Any, registry: Mapping[str, Any], path: str) -> Any:
    """The registry's entry of that name; the error has the path of the key."""
    if not isinstance(name, str):
        raise ValueError(f"{path} must be a name, not {name!r}")
    try:
        return look_up(name, registry, path.removesuffix(".name").rpartition(".")[2])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _refuse_unknown(given: Mapping[str, Any], known: Any, path: str) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f"{path}{key} is not a key{nearest(key, known)}")


def write_record(spec: Spec, solution: Solution, folder: str | Path) -> None:
    """Write `record.json` (settings, result, versions, history) and `matrix.npz` (matrix, or left and right).

    Both are written, or none is, into the folder, which is made if only its last part is missing.
    """
    matrix = solution.matrix
    arrays = {"left": matrix.left, "right": matrix.right} if isinstance(matrix, LowRank) else {"matrix": matrix}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    text = json.dumps(record(spec, solution), indent=1, allow_nan=False)
    Path(folder).mkdir(exist_ok=True)
    write_together(
        {
            Path(folder) / "matrix.npz": lambda file: file.write(packed.getvalue()),
            Path(folder) / "record.json": lambda file: file.write(text.encode()),
        }
    )


def record(spec: Spec, solution: Solution) -> dict[str, Any]:
    """A run as plain numbers and words."""
    return {
        "spec": _spelled(spec.source),
        "result": {"name": solution.result.name, "sentence": solution.result.value},
        "steps": solution.steps,
        "rank": solution.rank if np.isfinite(np.asarray(solution.matrix)).all() else None,
        "seconds": solution.seconds,
        "versions": {name: version(name) for name in ("rankwise", "numpy", "scipy", "jax", "optax")},
        "history": {name: _finite(values) for name, values in solution.history.items()},
    }


def _spelled(value: Any) -> Any:
    """What TOML says, with its inf and nan, for which JSON has no number, as words."""
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _finite(values: np.ndarray) -> Any:
    """Nested lists with None for what is not finite: JSON has no NaN."""
    kept = values.astype(object)
    kept[~np.isfinite(values)] = None
    return kept.tolist()
