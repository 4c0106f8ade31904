"""Completion by gradient-trained models: a deep linear network, or one matrix with the ratio penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rankwise.factorizations import Deep, Full, Gaussian
from rankwise.loop import solve
from rankwise.optimizers import Optimizer
from rankwise.penalties import Ratio
from rankwise.problems import Completion
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent

MAX_STEPS = 20_000
CHECKPOINTS = 100

TRAINED: dict[str, GradientDescent] = {
    "deep": GradientDescent(
        Deep(3, Gaussian(1e-3)), Optimizer("group_rmsprop", 1e-3, beta=0.99, eps=1e-4), tolerance=1e-10
    ),
    "ratio": GradientDescent(Full(Gaussian(1e-3)), Optimizer("adam", 1e-3), Ratio(1e-3, resolution=1e-4)),
}


def best_stop(
    problem: Completion, method: str, key: int, share: float, progress: Callable[[int, int], None] | None
) -> int:
    """The step of least held-out error on a part of the observations set aside."""
    kept, held = problem.split(share, key)
    solution = solve(
        kept.mean(), TRAINED[method], key=key, max_steps=MAX_STEPS, checkpoints=CHECKPOINTS,
        track=["heldout_loss"], heldout=held, progress=progress,
    )  # fmt: skip
    losses = solution.history["heldout_loss"]
    return int(solution.history.steps[np.argmin(np.where(np.isfinite(losses), losses, np.inf))])


def train(problem: Completion, method: str, key: Any, steps: int, progress: Any = None) -> Solution:
    """The method on all observations, stopped at the given step."""
    return solve(problem.mean(), TRAINED[method], key=key, max_steps=steps, checkpoints=CHECKPOINTS, progress=progress)
