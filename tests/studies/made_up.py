"""A study that is never run: every number in it follows from the axes by a formula."""

from __future__ import annotations

from typing import Any

from rankwise.studies.tasks import Outcome

STEPS = [0, 1, 10, 100]
GIVEN: dict[str, Any] = {
    "title": "Made up",
    "seeds": 3,
    "case": {
        "track": ["singular_values", "mean_square_error"],
        "problem": {"count": 12, "truth": {"shape": [4, 4], "rank": 1}},
        "solver": {"name": "gradient_descent", "factorization": {"name": "deep", "start": {"name": "gaussian"}}},
    },
    "axes": {
        "depth": {"key": "solver.factorization.depth", "values": [2, 3]},
        "scale": {"label": "start", "key": "solver.factorization.start.scale", "values": [0.1, 0.01]},
        "method": {"choices": {"hard_way": {"solver.name": "greedy"}, "easy_way": {"solver.name": "soft_impute"}}},
    },
    "grid": {
        "main": {"axes": ["depth", "scale"]},
        "rival": {"axes": ["method"], "case": {"solver": {"name": "greedy"}}},
    },
}


def error(labels: dict[str, Any]) -> float:
    """scale^depth times 1, 2 or 4 by seed."""
    return labels.get("scale", 0.5) ** labels.get("depth", 1) * 2.0 ** labels["seed"]


def outcome(labels: dict[str, Any]) -> Outcome:
    """A run whose error falls to `error` and whose singular values rise one after the other; seed 2 has no second."""
    last = error(labels)
    second = [0.0, 0.0, 4.0, 5.0] if labels["seed"] < 2 else [0.0] * 4
    return Outcome(
        "converged", "It converged.", 0.5, 100, 1, {"mean_square_error": last, "effective_rank": 1.5}, STEPS,
        {"mean_square_error": [1.0, 0.5, None, last]},
        {"singular_values": [[1.0 + step, value] for step, value in zip(STEPS, second, strict=True)]},
    )  # fmt: skip
