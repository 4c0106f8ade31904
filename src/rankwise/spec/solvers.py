"""Solvers by name and number, with their factorizations, starts, optimizers and penalties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rankwise.factorizations import FACTORIZATIONS, INITIALIZATIONS
from rankwise.optimizers import OPTIMIZERS, Optimizer
from rankwise.penalties import PENALTIES, Total
from rankwise.solvers import SOLVERS, Solver
from rankwise.spec.reading import call, check_kind, known, named, parameters, refuse_unknown

# Settings that are themselves made from names and numbers, and where their names are looked up.
PARTS: dict[str, Mapping[str, Any]] = {
    "factorization": FACTORIZATIONS,
    "start": INITIALIZATIONS,
    "penalty": PENALTIES,
}


def build_solver(given: Any) -> Solver:
    """The solver; a list of penalties stands for their sum.

    Raises:
        ValueError: with the path of the key that is missing, unknown or wrong.
    """
    return _from_registry(given, SOLVERS, "solver")


def _from_registry(given: Any, registry: Mapping[str, Any], path: str) -> Any:
    """The registry's class of that name, its nested parts built likewise."""
    settings = named(given, path, registry)
    cls = known(settings.pop("name"), registry, f"{path}.name")
    taken = parameters(cls)
    if needed := [name for name, one in taken.items() if one.default is one.empty]:
        raise ValueError(f"{path}: {cls.__name__} needs a {needed[0]}, which only Python can hand over, not a file")
    refuse_unknown(settings, taken, f"{path}.")
    for key, value in settings.items():
        here = f"{path}.{key}"
        if key == "optimizer":
            settings[key] = _optimizer(value, here)
        elif key == "penalty" and isinstance(value, list):
            terms = (_from_registry(one, PENALTIES, f"{here}[{i}]") for i, one in enumerate(value))
            settings[key] = Total(terms=tuple(terms))
        elif key in PARTS:
            settings[key] = _from_registry(value, PARTS[key], here)
    return call(cls, settings, path, built=(*PARTS, "optimizer"))


def _optimizer(given: Any, path: str) -> Optimizer:
    settings = named(given, path, OPTIMIZERS)
    known(settings["name"], OPTIMIZERS, f"{path}.name")
    for key in settings.keys() - {"name"}:
        check_kind(settings[key], {"float"}, f"{path}.{key}")
    return call(Optimizer, settings, path)
