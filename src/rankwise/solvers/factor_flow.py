"""Gradient flow of the layers of a matrix whose rank has just grown: the exact inner trajectory of greedy learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, reduce
from typing import Any, NamedTuple

import numpy as np

from rankwise.factorizations import Deep, Factorization, Symmetric
from rankwise.lowrank import LowRank
from rankwise.plain import register
from rankwise.problems import Problem

# Up to so many unknowns the integrator is implicit: at a saddle of depth 3 and more the new pair grows slowly while
# the others are stiff.
IMPLICIT_UNKNOWNS = 300
# Its name, the local error per step, and the share of the largest speed at which the layers count as at rest:
# above the noise that the local error leaves in the speed.
IMPLICIT, EXPLICIT = ("Kvaerno5", 1e-9, 1e-9), ("Dopri8", 1e-10, 1e-8)
# The phase has begun once the newest column is so many times as long as at the start.
DEPARTED = 2.0
# The integrator runs so many steps between two looks at where it stands; samples per step of a trajectory.
STRETCH, SAMPLES = 64, 16
# A trajectory keeps points that are this share of the largest |W|_F apart.
RESOLUTION = 2e-3
# No variable is followed more closely than this share of the largest: rounding errors would be.
ROUNDING = 8 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of greedy learning: the matrix where it came to rest, the integrator's steps, and its duration.

    times (T,), matrices (T, d1, d2): the trajectory from the saddle to that point, empty unless it was asked for.
    """

    matrix: LowRank
    steps: int
    time: float
    times: np.ndarray
    matrices: np.ndarray


class Stretch(NamedTuple):
    """So many steps of the integrator: how many were accepted, and what was seen at the end of each.

    layers, times, speeds |velocity|, losses and newest (the length of the last column of the last layer) have one
    row per step, rows past `accepted` being void; at and matrices are the samples between, one row per step.
    """

    accepted: Any
    layers: Any
    times: Any
    speeds: Any
    losses: Any
    newest: Any
    at: Any
    matrices: Any


def flow_factors(
    problem: Problem,
    matrix: LowRank,
    leading: tuple[float, np.ndarray, np.ndarray],
    *,
    factorization: Factorization,
    epsilon: float,
    ridge: float,
    explained: float,
    max_steps: int,
    symmetric: bool = False,
    record: bool = False,
) -> Phase:
    """The gradient flow of the layers from the saddle `matrix` + epsilon u v^T until they are at rest.

    leading: (s, u, v), the leading singular triple of minus the gradient at the matrix. With W = U S V^T of rank r
    the layers start balanced at inner width r + 1, W_1 = diag(S, epsilon)^(1/N) [V, v]^T, W_j = diag(S,
    epsilon)^(1/N), W_N = [U, u] diag(S, epsilon)^(1/N); of Z Z^T, Z = [U, u] diag(S, epsilon)^(1/2). They follow
    minus the gradient of loss + ridge/2 sum_j |W_j|_F^2 until its norm is 1e-9 of the largest seen since the saddle
    (1e-8 with more than 300 unknowns), the loss is at most `explained`, or the integrator has taken max_steps.

    symmetric: W = U S U^T and u = v. The layers keep W_j = W_(N+1-j)^T, as they do in exact arithmetic if the
    gradient is symmetric; rounding errors would grow, since matrices that are not semidefinite fit better.

    Source: Li, Luo, Lyu 2021 (`li2021greedy`), algorithm 1 and section 6.
    """
    import jax

    value, u, v = leading
    layers = saddle_layers(matrix, (u, v), epsilon, factorization, symmetric)
    # The time in which the new pair grows by a tenth.
    depth = len(layers) if isinstance(factorization, Deep) else 2
    first = 0.1 * epsilon ** (2 / depth - 1) / max(value, np.finfo(float).tiny)
    size = epsilon ** (1 / depth)
    with jax.enable_x64(True):
        course = _Course(problem.compiled(), factorization, ridge, explained, symmetric, record)
        return _follow(course, layers, size, first, max_steps)


def saddle_layers(
    matrix: LowRank,
    direction: tuple[np.ndarray, np.ndarray],
    epsilon: float,
    factorization: Factorization,
    symmetric: bool = False,
) -> tuple[np.ndarray, ...]:
    """The balanced layers of matrix + epsilon u v^T, one wider than the rank of the matrix."""
    left, sigma, right = matrix.svd() if matrix.rank else (matrix.left, np.zeros(0), matrix.right)
    left, right = (np.hstack([old, new[:, None]]) for old, new in zip((left, right), direction, strict=True))
    sigma = np.append(sigma, epsilon)
    right = left if symmetric else right
    if isinstance(factorization, Symmetric):
        return (left * sigma**0.5,)
    depth = factorization.depth if isinstance(factorization, Deep) else 2
    root = sigma ** (1 / depth)
    return (root[:, None] * right.T, *[np.diag(root)] * (depth - 2), left * root)


def factors(layers: tuple[np.ndarray, ...]) -> LowRank:
    """The matrix of the layers, with its first layer as the right factor; one layer Z is Z Z^T."""
    if len(layers) == 1:
        return LowRank(layers[0], layers[0])
    return LowRank(reduce(lambda product, layer: layer @ product, layers[1:]), layers[0].T).balanced()


@dataclass(frozen=True, eq=False)
class _Course:
    """What does not change along a phase."""

    problem: Problem
    factorization: Factorization
    ridge: float
    explained: float
    symmetric: bool
    record: bool

    def run(self, layers: Any, time: float, step: float, size: float, integrator: tuple[str, float, float]) -> Stretch:
        """The next steps of the integrator; size: the length of the new column at the start."""
        import jax

        method, tolerance, _ = integrator
        floor = max(tolerance * size, ROUNDING * max(float(np.abs(layer).max()) for layer in layers))
        answer = _compiled()(
            self.problem, self.factorization, layers, time, step, floor, self.ridge, method=method,
            tolerance=tolerance, symmetric=self.symmetric, record=self.record,
        )  # fmt: skip
        return jax.device_get(answer)


def _follow(course: _Course, layers: tuple[np.ndarray, ...], size: float, step: float, max_steps: int) -> Phase:
    """Stretch after stretch until the layers are at rest; size: the length of the new column at the start."""
    time, steps, largest, departed = 0.0, 0, 0.0, False
    integrator = IMPLICIT if sum(layer.size for layer in layers) <= IMPLICIT_UNKNOWNS else EXPLICIT
    parts = [(np.zeros(1), factors(layers).dense()[None])] if course.record else []
    while steps < max_steps:
        stretch = course.run(layers, time, step, size, integrator)
        count = min(int(stretch.accepted), max_steps - steps)
        if count == 0:
            break
        run = slice(0, count)
        left = departed | (np.maximum.accumulate(stretch.newest[run]) >= DEPARTED * size)
        peaks = np.maximum(np.maximum.accumulate(stretch.speeds[run]), largest)
        ended = (left & (stretch.speeds[run] <= integrator[2] * peaks)) | (stretch.losses[run] <= course.explained)
        last = int(np.argmax(ended)) if ended.any() else count - 1
        if course.record:
            at, between = (
                stretch.at[: last + 1].reshape(-1),
                stretch.matrices[: last + 1].reshape(-1, *course.problem.shape),
            )
            parts.append(thinned(at, between, RESOLUTION * _largest(between)))
        layers = tuple(layer[last] for layer in stretch.layers)
        step = float(stretch.times[last] - (stretch.times[last - 1] if last else time))
        time, steps, largest, departed = float(stretch.times[last]), steps + last + 1, float(peaks[-1]), bool(left[-1])
        if ended.any() or not all(np.isfinite(layer).all() for layer in layers):
            break
    return Phase(factors(layers), steps, time, *_gathered(parts, course.problem.shape))


def thinned(times: np.ndarray, matrices: np.ndarray, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a trajectory about a resolution apart along it, with its first and last."""
    steps = np.linalg.norm(np.diff(matrices, axis=0), axis=(1, 2))
    rung = np.floor(np.append(0.0, np.cumsum(steps)) / max(resolution, np.finfo(float).tiny))
    keep = np.diff(rung, prepend=-1.0) > 0
    keep[-1] = True
    return times[keep], matrices[keep]


def _gathered(parts: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The parts of a trajectory as one; none if there are none."""
    if not parts:
        return np.zeros(0), np.zeros((0, *shape))
    times, matrices = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return thinned(times, matrices, RESOLUTION * _largest(matrices))


def _largest(matrices: np.ndarray) -> float:
    return float(np.linalg.norm(matrices, axis=(1, 2)).max())


@cache
def _compiled() -> Callable[..., Stretch]:
    """The compiled stretch; it compiles anew for every width of the layers."""
    import diffrax
    import jax
    import jax.numpy as jnp

    register()

    def objective(problem: Problem, factorization: Factorization, ridge: Any, params: Any) -> Any:
        squares = sum((layer**2).sum() for layer in factorization.layers(params))
        return problem.loss(factorization.matrix(params)) + ridge / 2 * squares

    @partial(jax.jit, static_argnames=("method", "tolerance", "symmetric", "record"))
    def stretch(
        problem: Problem, factorization: Factorization, layers: Any, time: Any, step: Any, floor: Any, ridge: Any, *,
        method: str, tolerance: float, symmetric: bool, record: bool,
    ) -> Stretch:  # fmt: skip
        def velocity(params: Any) -> Any:
            gradient = jax.grad(partial(objective, problem, factorization, ridge))(params)
            if symmetric and len(gradient) > 1:
                gradient = tuple((g + h.T) / 2 for g, h in zip(gradient, gradient[::-1], strict=True))
            return jax.tree.map(lambda g: -g, gradient)

        done = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda _, y, __: velocity(y)), getattr(diffrax, method)(), time, jnp.inf, step, layers,
            saveat=diffrax.SaveAt(steps=True, dense=record), max_steps=STRETCH, throw=False,
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=floor),
        )  # fmt: skip
        assert done.ys is not None
        assert done.ts is not None
        at = matrices = jnp.zeros((STRETCH, 0))
        if record:
            begins = jnp.append(time, done.ts[:-1])
            share = jnp.arange(1, SAMPLES + 1) / SAMPLES
            at = begins[:, None] + (done.ts - begins)[:, None] * share
            matrices = jax.vmap(jax.vmap(lambda t: factorization.matrix(done.evaluate(t))))(at)
        speeds = jax.vmap(lambda y: jnp.sqrt(sum((v**2).sum() for v in jax.tree.leaves(velocity(y)))))(done.ys)
        losses = jax.vmap(lambda y: problem.loss(factorization.matrix(y)))(done.ys)
        newest = jnp.linalg.norm(done.ys[-1][:, :, -1], axis=1)
        return Stretch(done.stats["num_accepted_steps"], done.ys, done.ts, speeds, losses, newest, at, matrices)

    return stretch
