"""Plain functions of a matrix (and a data set), in one registry; `solve` tracks any of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from array_api_compat import array_namespace

from rankwise import dynamics, spectrum
from rankwise.lowrank import LowRank, dense, singular_values
from rankwise.problems import Problem
from rankwise.registry import look_up
from rankwise.spectrum import finite_or_zero

Array = Any
Needs = Literal["matrix", "problem", "heldout", "truth", "layers"]


def effective_rank(matrix: Array) -> Array:
    """exp of the entropy of the normalized singular values (`rankwise.spectrum.effective_rank`)."""
    return spectrum.effective_rank(singular_values(matrix))


def numerical_rank(matrix: Array, rtol: float = 1e-3) -> Array:
    """The number of singular values above rtol times the largest."""
    return spectrum.numerical_rank(singular_values(matrix), rtol)


def stable_rank(matrix: Array) -> Array:
    """|W|_F^2 / |W|_2^2."""
    return spectrum.stable_rank(singular_values(matrix))


def nuclear_norm(matrix: Array) -> Array:
    """|W|_*, the sum of the singular values."""
    return spectrum.nuclear_norm(singular_values(matrix))


def frobenius_norm(matrix: Array) -> Array:
    """|W|_F, the root of the sum of squared entries."""
    return spectrum.frobenius_norm(singular_values(matrix))


def schatten_norm(matrix: Array, p: float = 0.5) -> Array:
    """(sum sigma^p)^(1/p); p = 1/2 unless given."""
    return spectrum.schatten_norm(singular_values(matrix), p)


def nuclear_frobenius_ratio(matrix: Array) -> Array:
    """|W|_* / |W|_F."""
    return spectrum.nuclear_frobenius_ratio(singular_values(matrix))


def train_loss(matrix: Array, problem: Problem) -> Array:
    """The problem's loss, in its own scale."""
    return problem.loss(matrix)


def heldout_loss(matrix: Array, heldout: Problem) -> Array:
    """Squared residuals on observations the solver has not seen: their sum over sum_i |A_i|_F^2 (completion: mean).

    With another misfit h than squares, 2 h(residual) stands for the squared residual.
    """
    return 2 * heldout.misfit.value(heldout.residual(matrix)).sum() / heldout.energy()


def mean_square_error(matrix: Array, truth: Array) -> Array:
    """|W - W*|_F^2 / (d1 d2), over all entries."""
    difference = dense(matrix) - dense(truth)
    return (difference**2).sum() / (difference.shape[0] * difference.shape[1])


def relative_error(matrix: Array, truth: Array) -> Array:
    """|W - W*|_F / |W*|_F."""
    target = dense(truth)
    return (((dense(matrix) - target) ** 2).sum() / (target**2).sum()) ** 0.5


def _coupling(matrix: Array, problem: Problem) -> Array:
    gradient = problem.gradient(matrix)
    array = dense(matrix)
    xp = array_namespace(array)
    u, _, vt = xp.linalg.svd(array, full_matrices=False)
    return xp.abs(u.T @ gradient @ vt.T)


def alignment_diagonal(matrix: Array, problem: Problem) -> Array:
    """The mean of |u_r^T grad l(W) v_r| over r, with the singular vectors of W.

    Source: Arora et al. 2019 (`arora2019implicit`), corollary 1 and figure 3.
    """
    coupling = _coupling(matrix, problem)
    return coupling.diagonal().sum() / coupling.shape[0]


def alignment_offdiagonal(matrix: Array, problem: Problem) -> Array:
    """The mean of |u_r^T grad l(W) v_s| over r != s; small beside the diagonal when the vectors have aligned."""
    coupling = _coupling(matrix, problem)
    k = coupling.shape[0]
    return (coupling.sum() - coupling.diagonal().sum()) / max(k * (k - 1), 1)


def singular_speeds(matrix: Array, problem: Problem, layers: tuple[Array, ...]) -> Array:
    """The speeds that theory predicts for the singular values of a product of balanced layers, the largest first.

    d(sigma_r)/dt = -N sigma_r^(2-2/N) <grad l(W), u_r v_r^T> for N layers, in units of gradient flow's time. (Those of
    Z Z^T move twice as fast: its two layers are one.)

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), theorem 3.
    """
    return dynamics.singular_speeds(dense(matrix), problem.gradient(matrix), len(layers))


def balancedness(layers: tuple[Array, ...]) -> Array:
    """max_j |W_(j+1)^T W_(j+1) - W_j W_j^T|_F: 0 where balanced, conserved by gradient flow; 0 at depth 1.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1.
    """
    xp = array_namespace(*layers)
    drift = [xp.zeros((), dtype=layers[0].dtype)]
    for below, above in pairwise(layers):
        drift.append(xp.linalg.matrix_norm(above.T @ above - below @ below.T))
    return xp.max(xp.stack(drift))


@dataclass(frozen=True)
class Measure:
    """A registered measure: the function, and what it takes, in order; spectral: it decomposes the matrix."""

    function: Callable[..., Array]
    needs: tuple[Needs, ...] = ("matrix",)
    spectral: bool = False

    def __call__(self, given: dict[str, Any]) -> Array:
        """The value, taking what it needs from `given`; NaN (a count: 0) of singular values that are not finite."""
        matrix = given["matrix"]
        if not self.spectral or (isinstance(matrix, LowRank) and _is_finite(matrix)):
            return self.function(*(given[name] for name in self.needs))
        matrix, finite = finite_or_zero(dense(matrix))
        value = self.function(*({**given, "matrix": matrix}[name] for name in self.needs))
        xp = array_namespace(value)
        return xp.where(finite, value, xp.nan) if xp.isdtype(value.dtype, "real floating") else value

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.function.__doc__


def _is_finite(matrix: LowRank) -> bool:
    """Whether the factors are finite; their product is not formed."""
    xp = array_namespace(matrix.left)
    return bool(xp.all(xp.isfinite(matrix.left)) and xp.all(xp.isfinite(matrix.right)))


MEASURES: dict[str, Measure] = {
    "singular_values": Measure(singular_values, spectral=True),
    "effective_rank": Measure(effective_rank, spectral=True),
    "numerical_rank": Measure(numerical_rank, spectral=True),
    "stable_rank": Measure(stable_rank, spectral=True),
    "nuclear_norm": Measure(nuclear_norm, spectral=True),
    "frobenius_norm": Measure(frobenius_norm, spectral=True),
    "schatten_norm": Measure(schatten_norm, spectral=True),
    "nuclear_frobenius_ratio": Measure(nuclear_frobenius_ratio, spectral=True),
    "train_loss": Measure(train_loss, ("matrix", "problem")),
    "heldout_loss": Measure(heldout_loss, ("matrix", "heldout")),
    "mean_square_error": Measure(mean_square_error, ("matrix", "truth")),
    "relative_error": Measure(relative_error, ("matrix", "truth")),
    "alignment_diagonal": Measure(alignment_diagonal, ("matrix", "problem"), spectral=True),
    "alignment_offdiagonal": Measure(alignment_offdiagonal, ("matrix", "problem"), spectral=True),
    "singular_speeds": Measure(singular_speeds, ("matrix", "problem", "layers"), spectral=True),
    "matrix": Measure(dense),
    "balancedness": Measure(balancedness, ("layers",)),
}


def measurable(names: tuple[str, ...], available: dict[str, bool]) -> None:
    """Raise a ValueError unless every name is registered and what it needs is there."""
    for name in names:
        for needed in look_up(name, MEASURES, "measure").needs:
            if not available.get(needed, True):
                where = "a solver with layers" if needed == "layers" else f"solve(..., {needed}=...)"
                raise ValueError(f"measure {name!r} needs {where}")
