"""Phase retrieval: intensities |<a_i, x>|^2 of a signal, linear in the lifted unknown W = x x^*."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems.base import Array, Problem, positive_energy, positive_scale, refuse_non_finite, working_precision
from rankwise.problems.implicit import DENSE_ADJOINT, implicit_jacobian, jacobian_fits, product_operator
from rankwise.problems.misfit import Misfit, Squared


class Intensities(Problem):
    """Intensities values_i = |<a_i, x>|^2 = <A_i, W> of a signal x of n entries, lifted to W = z z^T, of rank one.

    A real signal is z = x, and W is (n, n). A complex one is z = [Re x; Im x], and W is (2n, 2n): with
    p_i = [Re a_i; Im a_i] and q_i = [-Im a_i; Re a_i], A_i = p_i p_i^T + q_i q_i^T. x is determined up to a global
    phase (a sign, if real), and W for a complex x up to mixtures of its rotations, of which only the lifted signals
    have rank one.

    Source: Candes, Strohmer, Voroninski 2013 (`candes2013phaselift`) for the lifting.
    """

    @property
    @abstractmethod
    def real(self) -> bool:
        """Whether the signal is real."""

    @property
    @abstractmethod
    def signal_shape(self) -> tuple[int, ...]:
        """The shape of the signal: (n,), or that of an image."""

    @abstractmethod
    def amplitudes(self, signals: Array) -> Array:
        """<a_i, x> for every column x of signals (n, k), shape (m, k)."""

    @abstractmethod
    def backward(self, amplitudes: Array) -> Array:
        """sum_i amplitudes_i a_i for every column of amplitudes (m, k), shape (n, k): the adjoint of `amplitudes`."""

    @property
    def shape(self) -> tuple[int, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(n, n) for a real signal, (2n, 2n) for a complex one."""
        d = int(np.prod(self.signal_shape)) * (1 if self.real else 2)
        return (d, d)

    def _settle(self, name: str, array: Array, values: Array) -> None:
        """Take the array that measures, of this name, and the values in one precision, once their sizes are known."""
        positive_scale(self.scale)
        dtype = np.result_type(array.real, values)
        object.__setattr__(self, name, array.astype(np.result_type(array, dtype), copy=False))
        object.__setattr__(self, "values", values.astype(dtype, copy=False))
        object.__setattr__(self, "scale", float(self.scale))
        positive_energy(self, name)

    def signal(self, matrix: Array) -> Array:
        """The signal whose lifting is nearest to the matrix, in its own shape; its global phase is arbitrary."""
        if isinstance(matrix, LowRank) and matrix.rank == 1:
            root = np.sqrt(np.linalg.norm(matrix.right) / (np.linalg.norm(matrix.left) or 1.0)) * matrix.left[:, 0]
        else:
            array = np.asarray(matrix)
            values, vectors = np.linalg.eigh((array + array.T) / 2)
            root = np.sqrt(max(values[-1], 0.0)) * vectors[:, -1]
        return self.assemble(root[:, None])[:, 0].reshape(self.signal_shape)

    def lift(self, signal: Array) -> LowRank:
        """W = z z^T of a signal, for truths and starts.

        Raises:
            ValueError: if the signal is of another shape, or complex where the problem's is real.
        """
        signal = np.asarray(signal)
        if signal.shape != self.signal_shape:
            raise ValueError(f"the signal has shape {self.signal_shape}, not {signal.shape}")
        if self.real and np.iscomplexobj(signal):
            raise ValueError("the signal of this problem is real, the one given complex")
        column = self.embed(signal.reshape(-1, 1))
        return LowRank(column, column)

    def embed(self, signals: Array) -> Array:
        """[Re x; Im x] for every column; the real part for real signals."""
        return signals.real if self.real else np.concatenate([signals.real, signals.imag])

    def assemble(self, columns: Array) -> Array:
        """The inverse of `embed`."""
        half = len(columns) // 2
        return columns if self.real else columns[:half] + 1j * columns[half:]

    def measure(self, matrix: Array) -> Array:
        """<A_i, matrix>: for left @ right.T, the sum over columns of Re(conj <a_i, l> <a_i, r>)."""
        if not isinstance(matrix, LowRank):
            matrix = LowRank(np.asarray(matrix), np.eye(self.shape[1]))
        left, right = (self.amplitudes(self.assemble(factor)) for factor in (matrix.left, matrix.right))
        return (left.real * right.real + left.imag * right.imag).sum(axis=1)

    def adjoint(self, vector: Array) -> Array:
        """sum_i vector_i A_i."""
        return self._apply(vector, np.eye(self.shape[0]))

    def adjoint_operator(self, vector: np.ndarray) -> Any:
        """`adjoint`, in products alone where the matrix is large."""
        if self.shape[0] ** 2 <= DENSE_ADJOINT:
            return self.adjoint(vector)
        return product_operator(
            self.shape, lambda x: self._apply(vector, x), lambda x: self._apply(vector, x), self.dtype
        )

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """Row i holds A_i right and A_i left, flattened; large: its products."""
        if not jacobian_fits(self, left, right):
            return implicit_jacobian(self, left, right)
        forms = self.forms()
        by_left, by_right = (
            np.einsum("mkd,mkr->mdr", forms, forms @ factor).reshape(self.size, -1) for factor in (right, left)
        )
        return np.hstack([by_left, by_right])

    def forms(self) -> np.ndarray:
        """The vectors behind A_i = sum_k forms_ik forms_ik^T, shape (m, k, d): k = 1 if all is real, else 2."""
        rows = self.amplitudes(self.assemble(np.eye(self.shape[0])))
        return rows[:, None, :] if np.isrealobj(rows) else np.stack([rows.real, rows.imag], axis=1)

    def gram(self, symmetric: bool = False) -> Array:
        """sum_kl (forms_ik^T forms_jl)^2 in float64, shape (m, m): the A_i are symmetric themselves."""
        forms = np.asarray(self.forms(), float)
        m, k, d = forms.shape
        return ((forms.reshape(-1, d) @ forms.reshape(-1, d).T) ** 2).reshape(m, k, m, k).sum(axis=(1, 3))

    def compiled(self) -> Problem:
        """The same problem with its forms written out, m (k d) numbers."""
        return LiftedIntensities(self.forms().astype(self.dtype), self.values, self.scale, self.misfit)

    def _apply(self, vector: Array, columns: Array) -> Array:
        """(sum_i vector_i A_i) @ columns."""
        return self.embed(self.backward(vector[:, None] * self.amplitudes(self.assemble(columns))))


@dataclass(frozen=True, eq=False)
class PhaseRetrieval(Intensities):
    """Intensities values[i] = |<vectors[i], x>|^2, <a, x> = sum_j conj(a_j) x_j, with vectors (m, n), real or complex.

    Real vectors ask for a real signal, complex ones for a complex signal. An intensity below zero is refused, also a
    slightly negative one that noise has left: `numpy.maximum(values, 0)` is the detector's own reading.

    Raises:
        ValueError: on arrays of unequal length, no measurement, entries that are not finite or a negative intensity
            (each named), or vectors that are all zero or whose fourth powers leave the range of floats.
    """

    vectors: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    def __post_init__(self) -> None:
        vectors, values = complex_or_real(self.vectors, "vectors"), intensities(self.values)
        if vectors.ndim != 2 or values.ndim != 1 or len(vectors) != len(values):
            raise ValueError(f"vectors (m, n) and values (m,) are needed, not {vectors.shape} and {values.shape}")
        if vectors.size == 0:
            raise ValueError(f"at least one measurement of a non-empty signal is needed, not {vectors.shape}")
        refuse_non_finite(vectors, "vector")
        self._settle("vectors", vectors, values)

    @property
    def real(self) -> bool:
        """Whether the vectors, and with them the signal, are real."""
        return np.isrealobj(self.vectors)

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """(n,)."""
        return self.vectors.shape[1:]

    def amplitudes(self, signals: Array) -> Array:
        """conj(vectors) @ signals."""
        return self.vectors.conj() @ signals

    def backward(self, amplitudes: Array) -> Array:
        """vectors^T @ amplitudes."""
        return self.vectors.T @ amplitudes

    def energy(self) -> Any:
        """sum_i |A_i|_F^2 = sum_i |a_i|^4, twice that for complex signals (p_i and q_i are orthogonal)."""
        fourth = ((np.abs(self.vectors) ** 2).sum(axis=1) ** 2).sum()
        return fourth if self.real else 2 * fourth

    def subset(self, index: Array) -> PhaseRetrieval:
        """The problem with only the measurements at `index`."""
        return self.replace(vectors=self.vectors[index], values=self.values[index])


@dataclass(frozen=True, eq=False)
class LiftedIntensities(Problem):
    """Measurements values_i = sum_k forms_ik^T W forms_ik with real forms (m, k, d): the layout of compiled runs."""

    forms: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d)."""
        return (self.forms.shape[-1], self.forms.shape[-1])

    def measure(self, matrix: Array) -> Array:
        """sum_k forms_ik^T matrix forms_ik, shape (m,)."""
        if isinstance(matrix, LowRank):
            return ((self.forms @ matrix.left) * (self.forms @ matrix.right)).sum(axis=(1, 2))
        return ((self.forms @ matrix) * self.forms).sum(axis=(1, 2))

    def adjoint(self, vector: Array) -> Array:
        """sum_i vector_i sum_k forms_ik forms_ik^T, shape (d, d)."""
        weighted = (self.forms * vector[:, None, None]).reshape(-1, self.shape[0])
        return weighted.T @ self.forms.reshape(-1, self.shape[0])

    def energy(self) -> Any:
        """sum_i |sum_k forms_ik forms_ik^T|_F^2."""
        return ((self.forms @ self.forms.swapaxes(1, 2)) ** 2).sum()

    def subset(self, index: Array) -> LiftedIntensities:
        """The problem with only the measurements at `index`."""
        return self.replace(forms=self.forms[index], values=self.values[index])

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """Row i holds A_i right and A_i left, flattened."""
        sides = [np.einsum("mkd,mkr->mdr", self.forms, self.forms @ factor) for factor in (right, left)]
        return np.hstack([side.reshape(self.size, -1) for side in sides])


def distance(signal: Array, truth: Array) -> float:
    """min over phases t of |signal - exp(i t) truth| / |truth|, over signs if both are real."""
    signal, truth = np.asarray(signal).ravel(), np.asarray(truth).ravel()
    overlap = np.vdot(truth, signal)
    phase = overlap / abs(overlap) if overlap else 1.0
    return float(np.linalg.norm(signal - phase * truth) / np.linalg.norm(truth))


def intensities(values: Any) -> np.ndarray:
    """The values in working precision, none of them negative or not finite."""
    array = working_precision(values, "values")
    if array.ndim:
        refuse_non_finite(array, "value")
        if (array < 0).any():
            first = int(np.argmax(array.ravel() < 0))
            raise ValueError(
                f"value {first} is {array.ravel()[first]:g}: an intensity cannot be negative "
                "(numpy.maximum(values, 0) takes out what noise has left below zero)"
            )
    return array


def complex_or_real(array: Any, name: str) -> Array:
    """The array in working precision: complex stays complex, float32 and complex64 stay single."""
    given = np.asarray(array)
    if given.dtype.kind != "c":
        return working_precision(given, name)
    return given.astype(np.complex64 if given.dtype.itemsize == 8 else np.complex128, copy=False)
