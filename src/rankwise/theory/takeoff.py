"""When modes leave a small start: what the gradient at W = 0 predicts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rankwise.dynamics import check_depth
from rankwise.factorizations import Given, Identity, Symmetric
from rankwise.problems import Problem, Squared
from rankwise.solvers import EndToEndFlow, GradientDescent, GradientFlow, Solver


def takeoff_times(
    problem: Problem, depth: float, scale: float, tied: float = 1.0, semidefinite: bool = False
) -> np.ndarray:
    """When each mode leaves a balanced start of a small scale s, shape (min(d1, d2),), in gradient flow's time.

    With mu_r the singular values of grad l(0): log(1 / s) / (2 mu_r) at depth 2, s^(-(N-2)/N) / ((N-2) mu_r) at depth
    N >= 3, infinite where mu_r = 0; NaN at depth 1, where nothing waits. To leading order in s -> 0, for the first
    mode; for later ones as far as the first leave their drive unchanged. tied = 2 for Z Z^T, which moves twice as
    fast.

    The part of mode r in the start W(0) is u_r^T W(0) v_r, and is assumed to be of the order of s. From s I at depth 2
    what grows is s (1 + u_r^T v_r) / 2, to first order: later by log(2 / (1 + u_r^T v_r)) / (2 mu_r), and not at all if
    u_r = -v_r.
    semidefinite=True is for starts that are symmetric and positive semidefinite, as s I or Z Z^T, and a symmetric
    gradient: then v_r = +-u_r, W stays so, mu_r are the eigenvalues of -grad l(0) (of its symmetric part), the largest
    first, and where mu_r <= 0 the time is infinite.

    Raises:
        ValueError: if the scale is not between 0 and 1, or the depth no integer of at least 1 or infinity.

    Source: Arora et al. 2019 (`arora2019implicit`), theorem 3, integrated at the gradient of W = 0.
    """
    check_depth(depth)
    if not 0 < scale < 1:
        raise ValueError(f"scale must lie strictly between 0 and 1, not {scale}")
    mu = tied * _drives(problem, semidefinite)[1]
    if depth == 1:
        return np.full_like(mu, math.nan)
    if depth == 2:
        wait = math.log(1 / scale) / 2
    else:
        wait = 1 / scale if depth == math.inf else scale ** (-(depth - 2) / depth) / (depth - 2)
    return np.where(mu > 0, wait / np.where(mu > 0, mu, 1.0), math.inf)


def half_times(
    problem: Problem, depth: float, scale: float, tied: float = 1.0, semidefinite: bool = False
) -> np.ndarray:
    """When each mode alone would reach half of its height, shape (min(d1, d2),): `takeoff_times` with saturation.

    Along sigma u v^T, the r-th singular pair of -grad l(0) (semidefinite: eigenvector), the loss has slope mu - c sigma
    with c = scale * sum_i <A_i, u v^T>^2; so sigma' = N sigma^(2-2/N) (mu - c sigma), integrated from s to mu / (2 c);
    infinite where mu <= 0, NaN where nothing saturates it or the start is higher.

    Only the squared misfit has a slope that is linear in sigma: with any other no such height is known.

    Raises:
        ValueError: if the scale is not between 0 and 1, the depth no integer of at least 1 or infinity, or the
            problem's misfit is not that of squares.

    Source: Gissin, Shalev-Shwartz, Daniely 2020 (`gissin2020implicit`), the toy model, at the gradient of W = 0.
    """
    check_depth(depth)
    if not 0 < scale < 1:
        raise ValueError(f"scale must lie strictly between 0 and 1, not {scale}")
    if not isinstance(problem.misfit, Squared):
        raise ValueError(f"half_times needs the squared misfit, not {type(problem.misfit).__name__}")
    left, mu, right = _drives(problem, semidefinite)
    pairs = [problem.measure(np.outer(u, v)) for u, v in zip(left.T, right, strict=True)]
    curvature = float(problem.scale) * np.array([float(np.sum(np.asarray(image) ** 2)) for image in pairs])
    return np.array([_half_time(m, c, depth, scale) / tied for m, c in zip(mu, curvature, strict=True)])


def _half_time(mu: float, curvature: float, depth: float, scale: float) -> float:
    """The integral of 1 / (N sigma^(2-2/N) (mu - c sigma)) from the start to half height, in log sigma."""
    from scipy.integrate import quad

    if mu <= 0:
        return math.inf
    if curvature <= 0 or scale >= mu / (2 * curvature):
        return math.nan
    power, factor = (1.0, 1.0) if depth == math.inf else (1 - 2 / depth, depth)
    ends = math.log(scale), math.log(mu / (2 * curvature))
    return quad(lambda x: math.exp(-power * x) / (factor * (mu - curvature * math.exp(x))), *ends, limit=200)[0]


def _first_gradient(problem: Problem) -> np.ndarray:
    return np.asarray(problem.gradient(np.zeros(problem.shape, problem.dtype)))


def _drives(problem: Problem, semidefinite: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u (d1, k), mu (k,), v^T (k, d2) of -grad l(0): singular triples, or eigenpairs of the symmetric part."""
    descent = -_first_gradient(problem)
    if not semidefinite:
        return np.linalg.svd(descent, full_matrices=False)
    values, vectors = np.linalg.eigh((descent + descent.T) / 2)
    return vectors[:, ::-1], values[::-1], vectors[:, ::-1].T


def stays_semidefinite(problem: Problem, solver: Solver) -> bool:
    """Whether W is symmetric and positive semidefinite for ever: Z Z^T, or such a start and a symmetric gradient."""
    form: Any = solver.factorization if isinstance(solver, GradientDescent | GradientFlow) else solver
    if isinstance(form, Symmetric) or (isinstance(form, EndToEndFlow) and form.symmetric):
        return True
    if problem.shape[0] != problem.shape[1]:
        return False
    gradient, start = _first_gradient(problem), form.start
    symmetric = np.allclose(gradient, gradient.T, rtol=0, atol=1e-12 * np.abs(gradient).max())
    return symmetric and (isinstance(start, Identity) or (isinstance(start, Given) and start.semidefinite))
