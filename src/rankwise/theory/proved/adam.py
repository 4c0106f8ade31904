"""Adam's diagonal preconditioner beside the one that depth implies, on the same trajectories of a completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.data.synthetic import low_rank, observe
from rankwise.dynamics import end_to_end_velocity
from rankwise.factorizations import Deep, Gaussian
from rankwise.loop import solve
from rankwise.optimizers import Optimizer
from rankwise.penalties import Ratio
from rankwise.solvers import GradientDescent
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.proved.preconditioning import preconditioner_modes

# Adam's own constants, as in optax.
B1, B2, EPS = 0.9, 0.999, 1e-8
# How many of a run's steps are compared, spread evenly in the logarithm.
COMPARED = 40
# Adam is followed until the gradient is so small that its direction would be that of rounding errors.
STATIONARY = 1e-6
ADAM, RATIO = "Adam", "Adam, ratio penalty"


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike the two preconditioners are at some steps of a run; every field but the last has an entry per step.

    preconditioned, plain: the cosines of Adam's direction with P_W g and with g itself. diagonals: the correlation of
    log diag P_W with log 1 / (sqrt v + eps) over the observed entries. share: |diag P_W| / |P_W|_F, the largest cosine
    of any diagonal matrix with P_W. unobserved: the share of |P_W g|_F^2 off the observed entries; adam_unobserved:
    that of Adam's direction. error: |W - W*|_F / |W*|_F. replayed: the largest difference of a step taken from
    -rate times Adam's direction, as a share of the largest step (nan where the run is not Adam's on W itself).
    """

    steps: np.ndarray
    preconditioned: np.ndarray
    plain: np.ndarray
    diagonals: np.ndarray
    share: np.ndarray
    unobserved: np.ndarray
    adam_unobserved: np.ndarray
    error: np.ndarray
    replayed: float


def adam_directions(
    gradients: np.ndarray, b1: float = B1, b2: float = B2, eps: float = EPS
) -> tuple[np.ndarray, np.ndarray]:
    """Adam's direction and its diagonal preconditioner after each of a sequence of gradients, all of shape (T, ...).

    m_t = (1-b1) sum_s b1^(t-s) g_s / (1 - b1^t), v_t likewise of g_s^2 with b2; the preconditioner is
    D_t = 1 / (sqrt v_t + eps), the direction D_t m_t, and Adam's step -rate D_t m_t.

    Raises:
        ValueError: if b1 or b2 is not in [0, 1) or eps is not positive.

    Source: Kingma and Ba 2015 (`kingma2015adam`), algorithm 1.
    """
    for name, value in (("b1", b1), ("b2", b2)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), not {value}")
    if not eps > 0:
        raise ValueError(f"eps must be positive, not {eps}")
    mean, square = np.zeros_like(gradients[0]), np.zeros_like(gradients[0])
    directions, diagonals = np.empty_like(gradients), np.empty_like(gradients)
    for t, gradient in enumerate(gradients, start=1):
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * gradient**2
        diagonals[t - 1] = 1 / (np.sqrt(square / (1 - b2**t)) + eps)
        directions[t - 1] = diagonals[t - 1] * mean / (1 - b1**t)
    return directions, diagonals


def preconditioner_diagonal(matrix: np.ndarray, depth: int) -> np.ndarray:
    """The diagonal of P_W in the basis of entries, shape (d1, d2): sum_rs u_ir^2 K_rs v_ks^2."""
    u, gains, v = preconditioner_modes(matrix, depth)
    return u**2 @ gains @ (v**2).T


def adam_preconditioner(
    depth: int = 3,
    *,
    size: int = 20,
    rank: int = 2,
    count: int = 200,
    scale: float = 1e-3,
    rate: float = 0.2,
    adam_rate: float = 2e-3,
    weight: float = 1e-3,
    max_steps: int = 3000,
    adam_steps: int = 10_000,
    key: int = 0,
) -> Finding:
    """Adam's implied preconditioner and that of `depth` layers, along three runs on the mean-square loss.

    The runs: gradient descent at this depth and rate, Adam on the matrix itself, and Adam with the ratio penalty of
    this weight, both at adam_rate for at most adam_steps. On each, P_W is that of `depth` layers, g the gradient
    in W of what is minimized, and Adam's moments are those of the gradients met on the way; compared as in `Likeness`.

    Raises:
        ValueError: if depth is not an integer of at least 2, or a setting is refused by the solver or the data.

    Source: the question is that of Zhao 2022 (`zhao2022combining`); P_W: Arora, Cohen, Hazan 2018
    (`arora2018optimization`), theorem 1; Adam: Kingma and Ba 2015 (`kingma2015adam`).
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
    truth = low_rank((size, size), rank, key=key)
    problem = observe(truth, count, key=key + 1, min_degree=rank).mean()
    start, deep = Gaussian(scale), f"gradient descent, depth {depth}"
    adam = GradientDescent(Deep(1, start), Optimizer("adam", adam_rate), stationary=STATIONARY)
    runs = {
        deep: (GradientDescent(Deep(depth, start), Optimizer("gradient_descent", rate)), max_steps),
        ADAM: (adam, adam_steps),
        RATIO: (adam.replace(penalty=Ratio(weight)), adam_steps),
    }
    alike = {name: _compare(problem, truth, solver, steps, depth, key) for name, (solver, steps) in runs.items()}
    return Finding(
        "adam_preconditioner",
        f"Adam's preconditioner and that of {depth} layers are not alike: where P_W is large, Adam's is small.",
        "zhao2022combining; arora2018optimization, theorem 1; kingma2015adam",
        tuple(_checks(alike, deep)),
        _panels(alike),
        "measurement",
        alike,
        tuple(_note(name, run) for name, run in alike.items()),
    )


def _compare(problem: Any, truth: Any, solver: GradientDescent, max_steps: int, depth: int, key: int) -> Likeness:
    tracked = ["matrix", "relative_error"]
    run = solve(
        problem, solver, key=key, max_steps=max_steps, checkpoints=range(max_steps + 1), track=tracked, truth=truth
    )
    matrices, error = run.history["matrix"], run.history["relative_error"]
    gradients = np.stack([_gradient(problem, solver, matrix) for matrix in matrices])
    directions, diagonals = adam_directions(gradients)
    seen = problem.adjoint(np.ones(problem.size)) > 0
    steps = np.unique(np.geomspace(1, len(matrices) - 1, COMPARED).round().astype(int))
    rows = [_alike(matrices[k], gradients[k], directions[k], diagonals[k], seen, depth) for k in steps]
    fields = ("preconditioned", "plain", "diagonals", "share", "unobserved", "adam_unobserved")
    return Likeness(
        steps=steps,
        error=error[steps],
        replayed=_replayed(matrices, directions, solver),
        **dict(zip(fields, np.array(rows).T, strict=True)),
    )


def _gradient(problem: Any, solver: GradientDescent, matrix: np.ndarray) -> np.ndarray:
    gradient = problem.gradient(matrix)
    return gradient if solver.penalty is None else gradient + solver.penalty.gradient(matrix)


def _alike(
    matrix: np.ndarray, gradient: np.ndarray, direction: np.ndarray, diagonal: np.ndarray, seen: np.ndarray, depth: int
) -> tuple[float, ...]:
    """The numbers of `Likeness` at one step, in its order."""
    deep = -end_to_end_velocity(matrix, gradient, depth)
    own, gains = preconditioner_diagonal(matrix, depth), preconditioner_modes(matrix, depth)[1]
    return (
        _cosine(deep, direction),
        _cosine(gradient, direction),
        _correlation(np.log(own[seen]), np.log(diagonal[seen])),
        float(np.linalg.norm(own) / np.linalg.norm(gains)),
        _share(deep, ~seen),
        _share(direction, ~seen),
    )


def _replayed(matrices: np.ndarray, directions: np.ndarray, solver: GradientDescent) -> float:
    """How far the recorded steps are from Adam's own, recomputed."""
    if solver.optimizer.name != "adam" or solver.factorization.replace(depth=1) != solver.factorization:
        return float("nan")
    taken, steps = np.diff(matrices, axis=0), solver.optimizer.learning_rate * directions[:-1]
    return float(np.abs(taken + steps).max() / np.abs(steps).max())


def _share(array: np.ndarray, part: np.ndarray) -> float:
    return float((array[part] ** 2).sum() / (array**2).sum())


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    """nan where either is zero."""
    sizes = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / sizes) if sizes > 0 else float("nan")


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; nan where one side does not vary beyond rounding."""
    one, other = one - one.mean(), other - other.mean()
    varies = min(np.abs(one).max(), np.abs(other).max()) > 1e-12
    return _cosine(one, other) if varies else float("nan")


def _checks(alike: dict[str, Likeness], deep: str) -> list[Check]:
    # XLA and NumPy round the moments differently.
    checks = [
        Check(f"{name}: largest difference of a step from Adam's, recomputed", alike[name].replayed, 0.0, "=", 1e-8)
        for name in (ADAM, RATIO)
    ]
    off = float(alike[ADAM].adam_unobserved.max())
    checks.append(Check(f"{ADAM}: share of its direction off the observed entries", off, 0.0))
    for name, run in alike.items():
        least, plain = float(np.median(run.preconditioned)), float(np.median(run.plain))
        checks += [
            Check(f"{name}: median cosine of P_W g with Adam's direction, against that of g", least, plain, "<=", 0.05),
            Check(f"{name}: correlation of the log diagonals at the end", float(run.diagonals[-1]), 0.0, "<="),
        ]
    last, plain = float(alike[deep].preconditioned[-1]), float(alike[deep].plain[-1])
    return [*checks, Check(f"{deep}: the same cosines at the end", last, plain, "<=")]


def _note(name: str, run: Likeness) -> str:
    """The numbers of a run at its first step, in the median over all that were compared, and at the last."""
    said = [
        f"{words} {', '.join(f'{value:.2f}' for value in (each[0], np.median(each), each[-1]))}"
        for words, each in (
            ("cosine with P_W g", run.preconditioned),
            ("cosine with g", run.plain),
            ("correlation of the log diagonals", run.diagonals),
            ("largest cosine of a diagonal with P_W", run.share),
            ("share of P_W g off the observed entries", run.unobserved),
            ("the same of Adam's direction", run.adam_unobserved),
        )
    ]
    return (
        f"{name}, at the first step, in the median over {len(run.steps)} steps and at the last: {'; '.join(said)}; "
        f"relative error at the last {run.error[-1]:.2g}."
    )


def _panels(alike: dict[str, Likeness]) -> tuple[Panel, ...]:
    drawn = (
        ("preconditioned", "Adam's direction and P_W g", "cosine"),
        ("plain", "Adam's direction and the gradient g", "cosine"),
        ("diagonals", "Logarithms of the two diagonals", "correlation"),
        ("share", "How diagonal P_W is", "largest cosine with a diagonal"),
        ("unobserved", "P_W g off the observed entries", "share of the squared norm"),
        ("error", "Where the run stands", "relative error"),
    )
    return tuple(
        Panel(
            title, "step", y, tuple(Curve(name, run.steps, getattr(run, field)) for name, run in alike.items()),
            "xy" if field == "error" else "x",
        )
        for field, title, y in drawn
    )  # fmt: skip
