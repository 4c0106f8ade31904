"""`rankwise list`: what exists, from the registries."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from rankwise.registry import describe, look_up

HELP = "List what exists, by registry: problems, solvers, penalties, optimizers, measures, methods, theory and others."

# Where each registry is: imported when it is listed, since one alone comes much faster than all of them.
PLACES = {
    "problems": "rankwise.problems:PROBLEMS",
    "factorizations": "rankwise.factorizations:FACTORIZATIONS",
    "initializations": "rankwise.factorizations:INITIALIZATIONS",
    "penalties": "rankwise.penalties:PENALTIES",
    "optimizers": "rankwise.optimizers:OPTIMIZERS",
    "solvers": "rankwise.solvers:SOLVERS",
    "measures": "rankwise.measures:MEASURES",
    "methods": "rankwise.estimators:METHODS",
    "theory": "rankwise.theory:RESULTS_PROVED",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise list`."""
    parser.add_argument("what", nargs="?", metavar="REGISTRY", help="only this registry")


def registry(name: str) -> Mapping[str, Any]:
    """The registry of that name; optimizers with the names of their settings.

    Raises:
        ValueError: if there is none; it names the nearest.
    """
    found = resolve_name(look_up(name, PLACES, "registry"))
    if name != "optimizers":
        return found
    from rankwise.optimizers import SETTINGS

    return {one: ", ".join(("learning_rate", *SETTINGS[one])) for one in found}


def run(options: argparse.Namespace) -> int:
    """Print the registries' names, each with a line of description."""
    for title in PLACES if options.what is None else [options.what]:
        entries = describe(registry(title))
        print(title)  # noqa: T201
        for name, words in entries:
            print(f"  {name:24} {words}")  # noqa: T201
    return 0
