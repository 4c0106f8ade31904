"""Riemannian conjugate gradients: the nonlinear method on the manifold of the matrices of one rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.plain import Plain
from rankwise.problems import Problem
from rankwise.solvers.ranked import Ranked

# Restart where <g, last g> is at least this share of |g|^2: Powell's test that gradients are still nearly orthogonal.
ORTHOGONAL = 0.1
# Backtracking: the share of the predicted decrease a step must reach, and the most halvings.
ARMIJO, MAX_HALVINGS = 1e-4, 40


@dataclass(frozen=True, eq=False)
class Tangent(Plain):
    """The tangent vector U core V^T + left V^T + U right^T at U diag(s) V^T, with U^T left = V^T right = 0."""

    core: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def inner(self, other: Tangent) -> float:
        """<self, other>, the inner product of the matrices."""
        pairs = ((self.core, other.core), (self.left, other.left), (self.right, other.right))
        return float(sum((a * b).sum() for a, b in pairs))

    def times(self, share: float) -> Tangent:
        """share * self."""
        return Tangent(share * self.core, share * self.left, share * self.right)

    def plus(self, share: float, other: Tangent) -> Tangent:
        """self + share * other."""
        return Tangent(self.core + share * other.core, self.left + share * other.left, self.right + share * other.right)


@dataclass(frozen=True, eq=False)
class Conjugate(Plain):
    """What the method keeps: the singular vectors and values of the matrix, and what the last step leaves behind.

    gradient, direction: those of the last step, moved to the tangent space here; None at first.
    square: |gradient|^2 of the last step.
    """

    u: np.ndarray
    s: np.ndarray
    v: np.ndarray
    gradient: Tangent | None = None
    direction: Tangent | None = None
    square: float = 0.0


@dataclass(frozen=True)
class RiemannianCG(Ranked):
    """Conjugate gradients on the manifold of rank-r matrices (LRGeomCG), at a known or growing rank (Pursuit).

    At W = U S V^T, with G = sum_i e_i A_i and residual e, the gradient of 1/2 |e|^2 on the manifold is the projection
    P(G) = U U^T G + G V V^T - U U^T G V V^T. The direction is -g + beta T(last direction) with
    beta = max(0, <g, g - T(last g)> / |last g|^2) (Polak and Ribiere). It is -g alone where
    |<g, T(last g)>| >= 0.1 |g|^2 (Powell's restart), or where it would not descend. T carries a tangent vector
    U M V^T + L V^T + U R^T over block by block, to U' (U'^T U M V^T V') V'^T + (L V^T V') V'^T + U' (R U^T U')^T with
    L V^T V' and R U^T U' made orthogonal to U' and V'. As in the authors' code it leaves out what one block would
    give to another; with that, or without the restart, the method is drawn to minima of large norm much more often.
    The first step is t = -<measure(direction), e> / |measure(direction)|^2, exact along the tangent, halved until
    it decreases 1/2 |e|^2 by 1e-4 of what the slope predicts; W + t * direction is retracted by its best
    approximation of rank r. A step costs O(m r + (d1 + d2) r^2).
    Own code rather than pymanopt's, whose optimizers run to their end at one rank: they hand out no state to go on
    from, and no step at which the rank could grow.
    default_steps is 10,000.

    Raises:
        ValueError: as `Ranked`.

    Source: Vandereycken 2013 (`vandereycken2013lowrank`), algorithm 1; rank growth by the leading singular pair as
    Tan, Tsang, Wang, Vandereycken, Pan 2014 (`tan2014riemannian`), one pair at a time.
    """

    patience: int | None = None

    @property
    def default_steps(self) -> int:
        """10,000."""
        return 10_000

    def begin(self, problem: Problem, matrix: LowRank) -> tuple[LowRank, Conjugate]:
        """Balanced factors, and no direction yet."""
        u, s, v = matrix.svd()
        return _balanced(u, s, v), Conjugate(u, s, v, None, None)

    def iterate(self, problem: Problem, matrix: LowRank, memory: Any) -> tuple[LowRank, Any]:
        """One conjugate gradient step; the point stays where no step lowers the residual."""
        residual = problem.residual(matrix)
        gradient = _project(memory.u, memory.v, problem.adjoint_operator(residual))
        direction = _direction(memory, gradient)
        image = problem.measure(_along(memory, direction))
        step = -float(image @ residual) / max(float(image @ image), np.finfo(float).tiny)
        loss, slope = residual @ residual / 2, direction.inner(gradient)
        for _ in range(MAX_HALVINGS):
            u, s, v = _retract(memory, direction, step)
            moved = _balanced(u, s, v)
            rest = problem.residual(moved)
            if rest @ rest / 2 <= loss + ARMIJO * step * slope:
                before, last = (_carried(memory, u, v, tangent) for tangent in (gradient, direction))
                return moved, Conjugate(u, s, v, before, last, gradient.inner(gradient))
            step /= 2
        return matrix, Conjugate(memory.u, memory.s, memory.v)


def _balanced(u: np.ndarray, s: np.ndarray, v: np.ndarray) -> LowRank:
    root = np.sqrt(s)
    return LowRank(u * root, v * root)


def _project(u: np.ndarray, v: np.ndarray, matrix: Any) -> Tangent:
    """The projection of a matrix (anything with `@` and `.T`) to the tangent space at bases u, v."""
    by_right, by_left = matrix @ v, matrix.T @ u
    core = u.T @ by_right
    return Tangent(core, by_right - u @ core, by_left - v @ core.T)


def _carried(at: Conjugate, u: np.ndarray, v: np.ndarray, tangent: Tangent) -> Tangent:
    """The tangent vector moved to the bases u, v, each of its blocks by itself."""
    by_u, by_v = at.u.T @ u, at.v.T @ v
    left, right = tangent.left @ by_v, tangent.right @ by_u
    return Tangent(by_u.T @ tangent.core @ by_v, left - u @ (u.T @ left), right - v @ (v.T @ right))


def _along(at: Conjugate, tangent: Tangent) -> LowRank:
    """The tangent as a matrix of rank 2r."""
    return LowRank(np.hstack([at.u @ tangent.core + tangent.left, at.u]), np.hstack([at.v, tangent.right]))


def _direction(memory: Conjugate, gradient: Tangent) -> Tangent:
    """The conjugate direction, or minus the gradient at a restart."""
    down = gradient.times(-1.0)
    if memory.gradient is None or memory.direction is None or not memory.square > 0:
        return down
    square, overlap = gradient.inner(gradient), gradient.inner(memory.gradient)
    if abs(overlap) >= ORTHOGONAL * square:
        return down
    direction = down.plus(max(0.0, (square - overlap) / memory.square), memory.direction)
    return direction if gradient.inner(direction) < 0 else down


def _retract(at: Conjugate, direction: Tangent, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best approximation of rank r to W + step * direction."""
    left = np.hstack([at.u * at.s + step * (at.u @ direction.core + direction.left), at.u])
    u, s, v = LowRank(left, np.hstack([at.v, step * direction.right])).svd()
    r = len(at.s)
    return u[:, :r], s[:r], v[:, :r]
