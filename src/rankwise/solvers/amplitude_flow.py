"""Amplitude flow: phase retrieval from a spectral start, by reweighted descent and then Gauss-Newton steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import scipy

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.plain import Plain, check_given, checked, positive_integer
from rankwise.problems import Intensities, Problem
from rankwise.problems.independence import independent_at_least
from rankwise.results import RESULTS
from rankwise.solvers.base import Solver
from rankwise.solvers.noise_level import exact_tolerance
from rankwise.spectrum import root_mean_square

# The spectral start weighs intensities y (of mean 1) by 1 - 1/y, at least this: what is dark says most.
LEAST_WEIGHT = -10.0
# Up to so many entries of the signal the start is found by a dense decomposition, beyond to this accuracy.
DENSE_SIGNAL, START_ACCURACY = 300, 1e-3
# The inner least squares of a Gauss-Newton step: accuracy, and the most iterations.
INNER_ACCURACY, INNER_STEPS = 1e-12, 500
# A Gauss-Newton step is halved at most so often; gains below this share of the residual end the run, and a relative
# residual of rounding.
HALVINGS, NO_GAIN, ROUNDING = 20, 1e-6, 2e-15

TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class Amplitudes(Plain):
    """The state of amplitude flow, for intensities divided by the largest.

    signal: z (d,), the lifted matrix being size * z z^T. size: the largest intensity, in the data's precision.
    newton: whether Gauss-Newton steps have begun. recent: |amplitudes - roots of the intensities| / |roots|, at most
    the last `patience` + 1. rmse: of the intensities. verdict: why to stop, or running.
    """

    signal: np.ndarray
    size: Any
    newton: bool
    recent: tuple[float, ...]
    rmse: float
    verdict: RESULTS


@dataclass(frozen=True)
class AmplitudeFlow(Solver):
    """Phase retrieval, specialized: W = x x^* of rank one, from intensities y_i = |<a_i, x>|^2 alone.

    The start is the leading eigenvector of sum_i T(y_i) a_i a_i^*, T(y) = max(1 - mean(y) / y, -10). With
    u_i = <a_i, x> and b_i = sqrt(y_i), each step then lowers sum_i w_i |u_i - b_i u_i / |u_i||^2 along its gradient,
    exactly for the phases and the weights w_i = |u_i| / (|u_i| + reweight b_i) of the moment, which trust phases that
    are already large enough. Once the relative residual | |u| - b | / |b| is below `basin`, or `patience` steps have
    lowered it by less than the share `stationary`, Gauss-Newton steps on the problem's own loss, that of the
    intensities, take over (inner iterations: LSMR; halved until they help). They converge quadratically where the data
    are exact.
    Stops when they no longer gain: `explained` if the root mean square residual of the intensities is at most
    tolerance * that of the values (`underdetermined` if x has as many real parameters as there are intensities), else
    `converged`; before that when it is at most `noise` (`noise_level`).

    tolerance: None means eps^0.65 of the data's precision (7e-11 in float64, 3e-5 in float32).
    reweight: 10 as published; 0 gives the plain amplitude flow.
    default_steps is 5,000.

    Raises:
        ValueError: if a number is out of range, or (from `check`) the problem is not one of intensities.

    Source: Wang, Giannakis, Saad, Chen 2018 (`wang2018phase`) for reweighted amplitude flow; Luo, Alghamdi, Lu 2019
    (`luo2019optimal`) for the start.
    """

    reweight: float = 10.0
    basin: float = 1e-4
    stationary: float = 1e-2
    patience: int = 50
    tolerance: float | None = None
    noise: float | None = None

    driver: ClassVar[Literal["compiled", "host"]] = "host"
    recorded: ClassVar[tuple[str, ...]] = ("train_rmse", "amplitude_residual", "newton")

    def __post_init__(self) -> None:
        positive_integer(self.patience, "patience")
        for name in ("reweight", "basin", "stationary"):
            checked(getattr(self, name), name, least=0)
        check_given(self, ("tolerance", "noise"), checked, least=0)

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 5,000."""
        return 5_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError unless the problem is one of intensities."""
        if not isinstance(problem, Intensities):
            raise ValueError(f"AmplitudeFlow takes intensities (PhaseRetrieval), not {type(problem).__name__}")

    def init(self, problem: Problem, key: Any) -> Amplitudes:
        """The spectral start."""
        assert isinstance(problem, Intensities)
        size = problem.values.max()
        if size == 0:
            zero = np.zeros(problem.shape[0])
            return Amplitudes(zero, size, True, (0.0,), 0.0, RESULTS.explained)
        values = _unit(problem, size)
        z = _spectral_start(problem, values, as_generator(key))
        fields = _fields(problem, z)
        z = z * math.sqrt(values.sum() / max((np.abs(fields) ** 2).sum(), TINY))
        return self._assess(problem, Amplitudes(z, size, False, (), math.inf, RESULTS.running))

    def step(self, problem: Problem, state: Amplitudes) -> Amplitudes:
        """One reweighted step, or one Gauss-Newton step."""
        assert isinstance(problem, Intensities)
        values = _unit(problem, state.size)
        if state.newton or state.recent[-1] < self.basin or self._exhausted(state):
            moved = _newton_step(problem, values, state.signal)
            return self._assess(problem, replace(state, signal=moved, newton=True))
        moved = _flow_step(problem, np.sqrt(values), state.signal, self.reweight)
        return self._assess(problem, replace(state, signal=moved))

    def outcome(self, problem: Problem, state: Amplitudes) -> RESULTS:
        """Why to stop, or running."""
        return state.verdict

    def matrix(self, state: Amplitudes) -> LowRank:
        """The lifted signal, z z^T."""
        column = (math.sqrt(state.size) * state.signal[:, None]).astype(state.size.dtype)
        return LowRank(column, column)

    def record(self, state: Amplitudes) -> dict[str, float]:
        """train_rmse, of the intensities; amplitude_residual, relative; newton, 1 once Gauss-Newton has begun."""
        return {"train_rmse": state.rmse, "amplitude_residual": state.recent[-1], "newton": float(state.newton)}

    def _assess(self, problem: Intensities, state: Amplitudes) -> Amplitudes:
        """The state with its residuals and verdict."""
        values = _unit(problem, state.size)
        sizes = np.abs(_fields(problem, state.signal))
        residual = float(np.linalg.norm(sizes - np.sqrt(values)) / np.linalg.norm(np.sqrt(values)))
        relative = root_mean_square(sizes**2 - values) / root_mean_square(values)
        judged = replace(
            state, recent=(*state.recent, residual)[-self.patience - 1 :],
            rmse=relative * root_mean_square(problem.values),
        )  # fmt: skip
        gained = judged.rmse < (1 - NO_GAIN) * state.rmse and relative > ROUNDING
        return replace(judged, verdict=self._verdict(problem, judged, relative, gained))

    def _verdict(self, problem: Intensities, state: Amplitudes, relative: float, gained: bool) -> RESULTS:
        if not math.isfinite(relative):
            return RESULTS.non_finite
        if self.noise is not None and state.rmse <= self.noise:
            return RESULTS.noise_level
        if gained or not state.newton:
            return RESULTS.running
        if relative > exact_tolerance(problem.dtype, self.tolerance):
            return RESULTS.converged
        size = problem.shape[0]
        # Of signals, and of all symmetric or Hermitian matrices: where these are as few, nothing is left to tell.
        parameters, every = (size, size * (size + 1) // 2) if problem.real else (size - 1, (size // 2) ** 2)
        enough = independent_at_least(problem, min(parameters + 1, every))
        return RESULTS.explained if enough else RESULTS.underdetermined

    def _exhausted(self, state: Amplitudes) -> bool:
        """Whether the last `patience` steps have gained next to nothing."""
        full = len(state.recent) > self.patience
        return full and not state.recent[-1] < (1 - self.stationary) * state.recent[0]


def _unit(problem: Intensities, size: Any) -> np.ndarray:
    """The intensities divided by their largest."""
    return np.asarray(problem.values, float) / float(size)


def _fields(problem: Intensities, z: np.ndarray) -> Any:
    """u_i = <a_i, x> for the embedded signal z, shape (m,)."""
    return problem.amplitudes(problem.assemble(z[:, None]))[:, 0]


def _back(problem: Intensities, fields: Any) -> Any:
    """The adjoint of `_fields` as a real map."""
    return problem.embed(problem.backward(fields[:, None]))[:, 0]


def _phases(fields: Any) -> Any:
    """u / |u|, and 0 where u = 0."""
    return fields / np.maximum(np.abs(fields), TINY)


def _spectral_start(problem: Intensities, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The leading eigenvector of sum_i T(values_i) A_i."""
    weights = np.maximum(1 - values.mean() / np.maximum(values, TINY), LEAST_WEIGHT)
    d = problem.shape[0]
    if d <= DENSE_SIGNAL:
        return np.linalg.eigh(problem.adjoint(weights))[1][:, -1]
    weighted = scipy.sparse.linalg.LinearOperator(
        (d, d), matvec=lambda z: _back(problem, weights * _fields(problem, z.ravel())), dtype=float
    )
    return scipy.sparse.linalg.eigsh(weighted, k=1, which="LA", v0=rng.standard_normal(d), tol=START_ACCURACY)[1][:, 0]


def _flow_step(problem: Intensities, roots: np.ndarray, z: np.ndarray, reweight: float) -> np.ndarray:
    """z minus t times the reweighted gradient, t the best for phases and weights held fixed."""
    fields = _fields(problem, z)
    sizes = np.abs(fields)
    weights = sizes / np.maximum(sizes + reweight * roots, TINY)
    gradient = _back(problem, weights * (fields - roots * _phases(fields)))
    image = _fields(problem, gradient)
    return z - gradient * ((gradient @ gradient) / max((weights * np.abs(image) ** 2).sum(), TINY))


def _newton_step(problem: Intensities, values: np.ndarray, z: np.ndarray) -> np.ndarray:
    """z plus the Gauss-Newton step for |u|^2 = values, halved until the residual falls; z itself if it does not.

    The derivative of |u_i|^2 along dz is 2 Re(conj(u_i) <a_i, dx>).
    """
    fields = _fields(problem, z)
    jacobian = scipy.sparse.linalg.LinearOperator(
        (problem.size, z.size),
        matvec=lambda dz: 2 * (fields.conj() * _fields(problem, dz.ravel())).real,
        rmatvec=lambda v: _back(problem, 2 * fields * v.ravel()),
        dtype=float,
    )
    residual = values - np.abs(fields) ** 2
    step = scipy.sparse.linalg.lsmr(
        jacobian, residual, atol=INNER_ACCURACY, btol=INNER_ACCURACY, conlim=0, maxiter=INNER_STEPS
    )[0]
    for _ in range(HALVINGS):
        if np.linalg.norm(np.abs(_fields(problem, z + step)) ** 2 - values) < np.linalg.norm(residual):
            return z + step
        step = step / 2
    return z
