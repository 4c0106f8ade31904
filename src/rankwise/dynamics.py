"""How a product of matrices moves under gradient flow: the end-to-end velocity, and those of its singular parts."""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace

Array = Any
# Logarithms of singular values closer than this are compared by a power series.
CLOSE = 1e-4


def check_depth(depth: float) -> None:
    """Raise a ValueError unless the depth is an integer of at least 1, or infinity."""
    whole = isinstance(depth, int) and not isinstance(depth, bool) and depth >= 1
    if not (whole or (isinstance(depth, float) and depth == math.inf)):
        raise ValueError(f"depth must be an integer of at least 1 or infinity, not {depth!r}")


def end_to_end_velocity(matrix: Array, gradient: Array, depth: float) -> Array:
    r"""The flow of the product W = W_N ... W_1 of balanced layers, as a function of W alone; shape (d1, d2).

    dW/dt = - sum_{j=1..N} (W W^T)^((j-1)/N) G (W^T W)^((N-j)/N), with G = grad l(W). In the singular vectors of W,
    U^T G V is multiplied entry by entry by K_rs = sum_j (sigma_r^2)^((j-1)/N) (sigma_s^2)^((N-j)/N).

    depth = infinity: the limit of dW/d(N t), K_rs being the logarithmic mean of sigma_r^2 and sigma_s^2.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1.
    """
    if depth == 1:
        return -gradient
    xp = array_namespace(matrix)
    u, sigma, vt = xp.linalg.svd(matrix, full_matrices=False)
    coupling = u.T @ gradient @ vt.T
    velocity = u @ (mode_products(sigma, depth) * coupling) @ vt
    if depth < math.inf and matrix.shape[0] != matrix.shape[1]:
        edge = sigma ** (2 - 2 / depth)
        velocity = velocity + ((gradient @ vt.T - u @ coupling) * edge) @ vt
        velocity = velocity + (u * edge) @ (u.T @ gradient - coupling @ vt)
    return -velocity


def mode_products(sigma: Array, depth: float) -> Array:
    """K_rs = sum_{j=1..N} (sigma_r^2)^((j-1)/N) (sigma_s^2)^((N-j)/N), shape (k, k).

    depth = infinity: K / N in the limit, the logarithmic mean (x - y) / (log x - log y) of the squares. It falls to 0
    with y no faster than 1 / |log y|, so that rounding in place of a 0 would let W leave its row and column spaces:
    values below k machine epsilons of the largest count as 0.
    """
    if depth == math.inf:
        xp = array_namespace(sigma)
        rounding = sigma.shape[-1] * xp.finfo(sigma.dtype).eps * xp.max(sigma)
        return _logarithmic_mean(xp.where(sigma > rounding, sigma, 0.0) ** 2)
    root = sigma ** (2 / depth)
    return sum(root[:, None] ** (j - 1) * root[None, :] ** (depth - j) for j in range(1, int(depth) + 1))


def symmetric_velocity(matrix: Array, gradient: Array) -> Array:
    """The flow of W = Z Z^T, as a function of W alone: dW/dt = -(H W + W H) with H = G + G^T, G = grad l(W).

    Source: Gunasekar et al. 2017 (`gunasekar2017implicit`), there for symmetric G with half the speed.
    """
    both = gradient + gradient.T
    return -(both @ matrix + matrix @ both)


def singular_speeds(matrix: Array, gradient: Array, depth: float) -> Array:
    """The speeds of the singular values of a product of balanced layers, shape (k,), largest value first.

    d(sigma_r)/dt = -N (sigma_r^2)^(1-1/N) <G, u_r v_r^T>, G = grad l(W); depth = infinity: without the factor N.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), theorem 3.
    """
    xp = array_namespace(matrix)
    u, sigma, vt = xp.linalg.svd(matrix, full_matrices=False)
    return _speeds(sigma, xp.sum(u * (gradient @ vt.T), axis=0), depth)


def spectral_velocity(
    left: Array, sigma: Array, right: Array, gradient: Array, depth: float
) -> tuple[Array, Array, Array]:
    r"""How U (d1, k), sigma (k,) and V (d2, k) move, for W = U diag(sigma) V^T with distinct sigma.

    With C = U^T G V, S = diag(sigma) and the skew F_rs = 1 / (sigma_s^(2/N) - sigma_r^(2/N)):

    U' = -U (F o (C S + S C^T)) - (I - U U^T) G V S^(1-2/N)
    V' = -V (F o (S C + C^T S)) - (I - V V^T) G^T U S^(1-2/N)
    sigma_r' = -N sigma_r^(2-2/N) C_rr.

    depth = infinity: per N, so F_rs = 1 / (log sigma_s^2 - log sigma_r^2), and no motion out of the spans.

    Where sigma_r = sigma_s = 0 the terms of the pair vanish, at depth 2 and more: zeros stay zero, and among themselves
    their vectors may be chosen. At depth 1 every sigma must be positive.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), theorem 3 and lemma 2.
    """
    xp = array_namespace(left)
    coupling = left.T @ gradient @ right
    skew = _inverse_gaps(sigma, depth)
    moved_left = -left @ (skew * (coupling * sigma + (coupling * sigma).T))
    scaled = sigma[:, None] * coupling
    moved_right = -right @ (skew * (scaled + scaled.T))
    if depth < math.inf:
        out = sigma ** (1 - 2 / depth)
        moved_left = moved_left - (gradient @ right - left @ coupling) * out
        moved_right = moved_right - (gradient.T @ left - right @ coupling.T) * out
    return moved_left, _speeds(sigma, xp.linalg.diagonal(coupling), depth), moved_right


def _inverse_gaps(sigma: Array, depth: float) -> Array:
    """F_rs, 0 on the diagonal and where its factor vanishes: for two zeros (depth infinity: where either is 0)."""
    xp = array_namespace(sigma)
    positive = sigma > 0
    one, other = positive[:, None], positive[None, :]
    seen = (one & other if depth == math.inf else one | other) & ~xp.eye(sigma.shape[0], dtype=xp.bool)
    level = 2 * xp.log(xp.where(positive, sigma, 1.0)) if depth == math.inf else sigma ** (2 / depth)
    return xp.where(seen, 1 / xp.where(seen, level[None, :] - level[:, None], 1.0), 0.0)


def _speeds(sigma: Array, drive: Array, depth: float) -> Array:
    if depth == math.inf:
        return -(sigma**2) * drive
    return -depth * sigma ** (2 - 2 / depth) * drive


def _logarithmic_mean(x: Array) -> Array:
    """(x_r - x_s) / (log x_r - log x_s) for all pairs; x_r on the diagonal, 0 where either is 0."""
    xp = array_namespace(x)
    safe = xp.where(x > 0, x, xp.ones_like(x))
    half = (xp.log(safe)[:, None] - xp.log(safe)[None, :]) / 2
    near = xp.abs(half) < CLOSE
    series = xp.sqrt(safe[:, None] * safe[None, :]) * (1 + half**2 / 6)
    exact = (safe[:, None] - safe[None, :]) / (2 * xp.where(near, xp.ones_like(half), half))
    return xp.where((x > 0)[:, None] & (x > 0)[None, :], xp.where(near, series, exact), xp.zeros_like(half))
