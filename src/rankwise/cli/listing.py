"""`rankwise list`: what exists, from the registries."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "List what exists, by registry: problems, solvers, penalties, optimizers, measures, methods, theory and others."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise list`."""
    parser.add_argument("what", nargs="?", help="only this registry")


def registries() -> dict[str, Any]:
    """Every registry by name."""
    from rankwise.estimators import METHODS
    from rankwise.factorizations import FACTORIZATIONS, INITIALIZATIONS
    from rankwise.measures import MEASURES
    from rankwise.optimizers import OPTIMIZERS, SETTINGS
    from rankwise.penalties import PENALTIES
    from rankwise.problems import PROBLEMS
    from rankwise.solvers import SOLVERS
    from rankwise.theory import RESULTS_PROVED

    return {
        "problems": PROBLEMS,
        "factorizations": FACTORIZATIONS,
        "initializations": INITIALIZATIONS,
        "penalties": PENALTIES,
        "optimizers": {name: ", ".join(("learning_rate", *SETTINGS[name])) for name in OPTIMIZERS},
        "solvers": SOLVERS,
        "measures": MEASURES,
        "methods": METHODS,
        "theory": RESULTS_PROVED,
    }


def run(options: argparse.Namespace) -> int:
    """Print the registries' names, each with a line of description."""
    from rankwise.registry import describe, look_up

    known = registries()
    chosen = known if options.what is None else {options.what: look_up(options.what, known, "registry")}
    for title, registry in chosen.items():
        print(title)  # noqa: T201
        for name, words in describe(registry):
            print(f"  {name:24} {words}")  # noqa: T201
    return 0
