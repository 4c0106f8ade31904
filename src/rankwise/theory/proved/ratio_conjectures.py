"""The authors' conjectures about the ratio penalty as experiments: what scaling, starts and noise do to recovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rankwise.factorizations import Full, Gaussian
from rankwise.loop import solve, solve_batch
from rankwise.optimizers import Optimizer
from rankwise.penalties import Ratio
from rankwise.solution import Solution
from rankwise.solvers import GradientDescent
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.ratio_tools import (
    RESOLUTION,
    Instance,
    Rotated,
    completion_instance,
    cosines_of_movement,
    error_told_rank,
    hidden_error,
    outside_span,
    zero_filled,
)

# "Near the constraint set": a mean-square loss below this. "On the way": a hidden error above this.
NEAR, UNDERWAY = 1e-2, 1e-3
# Checkpoints between which the movement of a run is compared with a step of alternating minimization.
STRIDES = 80
# A cosine of 45 degrees: two steps closer than this have more in common than not.
ALIKE = 0.5**0.5
# "Breaks it": an error so many times that of least squares that is told the rank.
BROKEN = 10.0
# With noise a run can pass the truth and leave it again, so it is followed so many times as long.
LONGER = 2
# Noise levels, relative to entries of mean square 1.
LEVELS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3)


class Settings(NamedTuple):
    """What all experiments share."""

    rate: float
    weight: float
    scale: float
    steps: int
    key: int

    def solver(self, weight: float | None = None) -> GradientDescent:
        """Adam on the matrix itself with the ratio penalty."""
        penalty = Ratio(self.weight if weight is None else weight, RESOLUTION)
        return GradientDescent(Full(Gaussian(self.scale)), Optimizer("adam", self.rate), penalty)


class Movement(NamedTuple):
    """Cosines on hidden entries, one per checkpoint: a run's movement against other steps from the same matrix."""

    steps: np.ndarray
    alternating: np.ndarray
    projection: np.ndarray
    descent: np.ndarray
    beyond: np.ndarray


def ratio_conjectures(
    *,
    size: int = 30,
    rank: int = 2,
    count: int = 350,
    rate: float = 3e-3,
    weight: float = 1e-3,
    scale: float = 1e-2,
    steps: int = 6000,
    seeds: int = 3,
    levels: Sequence[float] = LEVELS,
    key: int = 0,
) -> Finding:
    """Conjectures about why Adam with the ratio penalty recovers at depth 1; a check that does not hold is the verdict.

    1. The gradients of both norms lie in the row and column space of W (proved: both are U diag V^T), and element-wise
       scaling leaves it. So Adam in a rotated basis, W = Q1 X Q2^T, should behave differently, and an update that is
       equivariant to rotations (one scalar for all entries: group RMSprop) should fail.
    2. Near the constraint set Adam imitates alternating minimization: the cosine between its movement and one sweep of
       alternating least squares from the truncated decomposition, on hidden entries, also without their common
       direction to the truth.
    3. The zero-filled observations are as good a start as noise.
    4. Noise in the observations breaks recovery: the error relative to least squares that is told the rank, at the end
       of a run of twice the steps and at its best step.

    size, rank, count, key: of a random completion. rate, weight, scale, steps: of Adam, the penalty and the start.
    seeds: instances for 3. levels: the standard deviations of noise for 4.

    Raises:
        ValueError: if seeds is not positive, levels are empty or negative, or the rank or count does not fit the size.

    Source: notes of the author of Zhao 2022 (`zhao2022combining`).
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, not {seeds}")
    if not len(levels) or min(levels) < 0:
        raise ValueError(f"levels must be non-negative standard deviations, not {tuple(levels)}")
    given, shared = completion_instance(size, rank, count, key), Settings(rate, weight, scale, steps, key)
    parts = (
        _bases(given, shared),
        _movement(given, rank, shared),
        _starts((size, rank, count), seeds, shared),
        _noise((size, rank, count), levels, shared),
    )
    return Finding(
        name="ratio_conjectures",
        statement="Why Adam with the ratio penalty recovers: the author's conjectures, each holding or not as its "
        "line says.",
        source="zhao2022combining (author's notes)",
        kind="conjecture",
        checks=(*_span_checks(key), *(check for part in parts for check in part[0])),
        panels=tuple(part[1] for part in parts),
        details={name: part[2] for name, part in zip(("bases", "movement", "starts", "noise"), parts, strict=True)},
    )


def _span_checks(key: int) -> list[Check]:
    """The penalty's direction at a matrix of rank 3, as it is and divided by its entries' sizes (Adam's first step)."""
    rng = np.random.default_rng(key)
    matrix = rng.standard_normal((10, 3)) @ rng.standard_normal((3, 8))
    gradient = Ratio(1.0).gradient(matrix)
    inside, scaled = outside_span(matrix, gradient), outside_span(matrix, np.sign(gradient))
    return [
        Check("1. share of the penalty's gradient outside the span of W (proved)", inside, 0, "=", 1e-12),
        Check("1. element-wise scaling leaves the span: share outside", scaled, 0.1, ">="),
    ]


def _bases(given: Instance, shared: Settings) -> tuple[list[Check], Panel, Any]:
    """Adam and one scalar for all entries, each in the own basis and in a rotated one."""
    size = given.problem.shape[0]
    rng = np.random.default_rng(shared.key)
    start, plain = Gaussian(shared.scale), np.eye(size, dtype=np.float32)
    left, right = np.linalg.qr(rng.standard_normal((2, size, size)))[0].astype(np.float32)
    own, turned = Rotated(plain, plain, start), Rotated(left, right, start)
    adam = [Optimizer("adam", rate) for rate in (shared.rate, 10 * shared.rate)]
    scalar = Optimizer("group_rmsprop", 30 * shared.rate, eps=1e-8)
    runs = {
        **_batch(given, shared, {"Adam": (own, adam[0]), "Adam, rotated": (turned, adam[0]),
                                 "Adam, rotated, 10 × rate": (turned, adam[1])}),
        **_batch(given, shared, {"one scalar": (own, scalar), "one scalar, rotated": (turned, scalar)}),
    }  # fmt: skip
    errors = {name: hidden_error(run.matrix, given) for name, run in runs.items()}
    checks = [
        Check("1. Adam in a rotated basis: hidden error over that in the own", errors["Adam, rotated"] / errors["Adam"],
              10, ">="),
        Check("1. Adam in a rotated basis fails, also at 10 times the rate: hidden error",
              min(errors["Adam, rotated"], errors["Adam, rotated, 10 × rate"]), 0.1, ">="),
        Check("1. an equivariant update fails: hidden error with one scalar", errors["one scalar"], 0.1, ">="),
    ]  # fmt: skip
    return checks, Panel("1. Basis", "step", "hidden error", _error_curves(runs), "y"), errors


def _batch(given: Instance, shared: Settings, members: dict[str, tuple[Rotated, Optimizer]]) -> dict[str, Solution]:
    penalty = Ratio(shared.weight, RESOLUTION)
    solvers = [GradientDescent(factorization, optimizer, penalty) for factorization, optimizer in members.values()]
    solutions = solve_batch(
        given.problem, solvers, keys=[shared.key], max_steps=shared.steps, heldout=given.hidden, track=["heldout_loss"]
    )
    return dict(zip(members, solutions, strict=True))


def _error_curves(runs: dict[str, Solution]) -> tuple[Curve, ...]:
    return tuple(Curve(name, run.history.steps, run.history["heldout_loss"]) for name, run in runs.items())


def _movement(given: Instance, rank: int, shared: Settings) -> tuple[list[Check], Panel, Any]:
    """Where Adam goes between checkpoints, against what alternating minimization would do."""
    run = solve(
        given.problem, shared.solver(), key=shared.key, max_steps=shared.steps, checkpoints=STRIDES,
        heldout=given.hidden, track=["matrix", "heldout_loss"],
    )  # fmt: skip
    history = run.history
    chosen = np.flatnonzero((history["train_loss"] < NEAR) & (history["heldout_loss"] > UNDERWAY))
    chosen = chosen[chosen + 1 < len(history.steps)]
    cosines = [cosines_of_movement(given, rank, *history["matrix"][k : k + 2].astype(np.float64)) for k in chosen]
    moved = Movement(history.steps[chosen], *np.reshape(cosines, (-1, 4)).T)
    whole, beyond = (float(np.median(part)) if part.size else np.nan for part in (moved.alternating, moved.beyond))
    checks = [
        Check("2. near the constraints Adam moves like alternating minimization: median cosine", whole, ALIKE, ">="),
        Check("2. ... also beyond their common direction to the truth", beyond, ALIKE, ">="),
    ]
    curves = (
        Curve("alternating least squares", moved.steps, moved.alternating),
        Curve("projection on rank r", moved.steps, moved.projection),
        Curve("minus the gradient of R", moved.steps, moved.descent),
        Curve("alternating, beyond the truth", moved.steps, moved.beyond),
    )
    return checks, Panel("2. Movement of Adam", "step", "cosine", curves), moved


def _starts(of: tuple[int, int, int], seeds: int, shared: Settings) -> tuple[list[Check], Panel, Any]:
    """The same instances from noise and from the zero-filled observations."""
    instances = [completion_instance(*of, key=shared.key + seed) for seed in range(seeds)]
    solver = shared.solver()
    problems, hidden = [given.problem for given in instances], [given.hidden for given in instances]
    filled = [solver.replace(factorization=zero_filled(problem)) for problem in problems]
    keys = [shared.key + seed for seed in range(seeds)]
    runs = [
        run
        for start in (solver, filled)
        for run in solve_batch(
            problems, start, keys=keys, max_steps=shared.steps, heldout=hidden, track=["heldout_loss"]
        )
    ]
    paths = _aligned([run.history["heldout_loss"] for run in runs]).reshape(2, seeds, -1)
    middle = np.exp(np.log(paths).mean(axis=1))
    factor = float(middle[1, -1] / middle[0, -1])
    times = max((run.history.steps for run in runs), key=len)
    curves = tuple(Curve(name, times, path) for name, path in zip(("noise", "zero-filled"), middle, strict=True))
    checks = [Check("3. the zero-filled start against noise: ratio of hidden errors", factor, 2, "<=")]
    details = {"steps": times, "noise": paths[0], "zero-filled": paths[1]}
    return checks, Panel("3. Starts", "step", "hidden error", curves, "y"), details


def _aligned(paths: Sequence[np.ndarray]) -> np.ndarray:
    """Stacked; a run that stopped early keeps its last value."""
    longest = max(len(path) for path in paths)
    return np.stack([np.pad(path, (0, longest - len(path)), mode="edge") for path in paths])


def _noise(of: tuple[int, int, int], levels: Sequence[float], shared: Settings) -> tuple[list[Check], Panel, Any]:
    """The error against the truth at every level of noise, at the end of a long run and at its best moment."""
    instances = [completion_instance(*of, key=shared.key, noise=float(level)) for level in levels]
    runs = solve_batch(
        [given.problem for given in instances], shared.solver(), keys=[shared.key], max_steps=LONGER * shared.steps,
        heldout=[given.hidden for given in instances], track=["heldout_loss"],
    )  # fmt: skip
    paths = _aligned([run.history["heldout_loss"] for run in runs])
    told = np.array([error_told_rank(given, of[1]) for given in instances])
    x, noisy = np.asarray(levels, float), np.asarray(levels) > 0
    shares = (paths[noisy] / told[noisy, None]) if noisy.any() else np.full((1, 1), np.nan)
    checks = [
        Check("4. noise breaks it: largest error over that of least squares told the rank", float(shares[:, -1].max()),
              BROKEN, ">="),
        Check("4. ... also if stopped at the best step", float(shares.min(axis=1).max()), BROKEN, ">="),
    ]  # fmt: skip
    curves = (
        Curve("Adam, ratio penalty, at the end", x[noisy], paths[noisy, -1], "points"),
        Curve("at the best step", x[noisy], paths[noisy].min(axis=1), "points"),
        Curve("least squares told the rank", x[noisy], told[noisy]),
        Curve("variance of the noise", x[noisy], x[noisy] ** 2, "dotted"),
    )
    details = {"levels": x, "errors": paths[:, -1], "least": paths.min(axis=1), "told": told}
    return checks, Panel("4. Noise", "standard deviation of the noise", "hidden error", curves, "xy"), details
