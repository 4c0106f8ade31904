"""Settings that follow from those of a synthetic truth: how many observations, and what a solver is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rankwise.lowrank import degrees_of_freedom
from rankwise.spec.reading import check_kind, table

# The ways to say how many observations there are.
COUNTS = ("count", "rho", "share")
# What these settings of a solver, or of `recover`, say to be told the truth.
TRUTH, TOLD = "truth", ("rank", "noise", "delta", "tolerance")


def concrete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run with numbers in place of all that its synthetic problem decides.

    Raises:
        ValueError: with the path of the key that is missing, wrong or one too many.
    """
    made, problem = dict(settings), settings.get("problem")
    if isinstance(problem, Mapping) and "truth" in problem:
        made["problem"] = resolved(problem)
    if "solver" in made:
        made["solver"] = told(made["solver"], problem)
    # What `recover` is told stands beside the problem.
    return told(made, problem, "")


def resolved(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a synthetic problem with numbers for what its truth decides.

    `rho` becomes a count of rho r (d1 + d2 - r), `share` one of share d1 d2; a min_degree of "rank" or "rank + 1" (any
    number) becomes that many.

    Raises:
        ValueError: with the path of the key that is missing, wrong or one too many.
    """
    made = dict(problem)
    given = [key for key in COUNTS if key in made]
    if len(given) > 1:
        raise ValueError(f"problem.{given[0]} and problem.{given[1]} both say how many observations there are")
    if given in (["rho"], ["share"]):
        value = made.pop(given[0])
        check_kind(value, {"float"}, f"problem.{given[0]}")
        if not value > 0:
            raise ValueError(f"problem.{given[0]} must be positive, not {value}")
        d1, d2 = _shape(made, given[0])
        whole = d1 * d2 if given == ["share"] else degrees_of_freedom(_rank(made, "problem.rho"), (d1, d2))
        made["count"] = round(min(value, 2.0**31) * whole)
    if isinstance(made.get("min_degree"), str):
        found = re.fullmatch(r"rank(?:\s*\+\s*(\d{1,9}))?", made["min_degree"])
        if found is None:
            raise ValueError(f"problem.min_degree must be a number, 'rank' or 'rank + 1', not {made['min_degree']!r}")
        made["min_degree"] = _rank(made, "problem.min_degree") + int(found[1] or 0)
    return made


def told(given: Any, problem: Any, path: str = "solver.") -> Any:
    """Settings with the truth where they say "truth".

    rank: that of the truth. noise: the level of the problem's noise. delta: the norm that this noise has, sqrt(m) times
    as much. tolerance: the loss that it has, in the problem's own scale. Without noise the last three are left out.

    Raises:
        ValueError: with the path of the key that cannot be told.
    """
    asked = [key for key in TOLD if given.get(key) == TRUTH] if isinstance(given, Mapping) else []
    if not asked:
        return given
    problem = table(problem, "problem")
    if "truth" not in problem:
        raise ValueError(f"{path}{asked[0]}: there is no problem.truth to be told of")
    problem = resolved(problem)
    truths = {key: _rank(problem, path + key) if key == "rank" else _noise(problem, path + key) for key in asked}
    made = {key: truths.get(key, value) for key, value in given.items()}
    return {key: value for key, value in made.items() if value is not None}


def _noise(problem: Mapping[str, Any], path: str) -> float | None:
    """The noise as a standard deviation, a norm over all observations, or a loss."""
    noise, count, loss = problem.get("noise", 0.0), problem.get("count"), problem.get("loss", "half_sum")
    check_kind(noise, {"float"}, "problem.noise")
    if noise == 0:
        return None
    if path.endswith("noise"):
        return float(noise)
    if type(count) is not int or problem.get("holdout"):
        raise ValueError(f"{path} cannot be told: that needs problem.count, rho or share, and nothing held out")
    if path.endswith("delta"):
        return float(noise) * count**0.5
    return float(noise) ** 2 * {"mean": 1.0, "sum": count}.get(loss, count / 2)


def _shape(problem: Mapping[str, Any], key: str) -> tuple[int, int]:
    shape = table(problem.get("truth", {}), "problem.truth").get("shape")
    if not isinstance(shape, list | tuple) or len(shape) != 2 or any(type(side) is not int for side in shape):
        raise ValueError(f"problem.{key} needs problem.truth.shape, two numbers, not {shape!r}")
    return shape[0], shape[1]


def _rank(problem: Mapping[str, Any], key: str) -> int:
    rank = table(problem.get("truth", {}), "problem.truth").get("rank")
    if type(rank) is not int:
        raise ValueError(f"{key} needs problem.truth.rank, a whole number, not {rank!r}")
    return rank
