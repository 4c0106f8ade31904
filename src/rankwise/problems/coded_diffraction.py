"""Coded diffraction patterns: intensities of Fourier transforms of a signal or image behind known masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from rankwise.problems.base import Array, refuse_non_finite
from rankwise.problems.misfit import Misfit, Squared
from rankwise.problems.phase import Intensities, complex_or_real, intensities


@dataclass(frozen=True, eq=False)
class CodedDiffraction(Intensities):
    """Intensities values[l] = |F(masks[l] * x)|^2 of a signal or image x, F the orthonormal discrete Fourier transform.

    masks (L, *shape), complex or real; values of the masks' shape, or flattened, m = L n. real: the signal is known to
    be real, which halves the unknowns. seen: where not all is observed (behind a beam stop, say), the indices into the
    flattened patterns that the values belong to.

    Raises:
        ValueError: on arrays of unequal size, a mask that is not finite, a negative intensity (named), an index
            outside the patterns, or masks that are all zero or whose fourth powers leave the range of floats.

    Source: Candes, Li, Soltanolkotabi 2015 (`candes2015coded`).
    """

    masks: Array
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()
    real: bool = False  # pyright: ignore[reportIncompatibleMethodOverride]
    seen: Array | None = None

    def __post_init__(self) -> None:
        masks, values = complex_or_real(self.masks, "masks"), intensities(self.values).reshape(-1)
        size = masks.size if self.seen is None else np.size(self.seen)
        if masks.ndim < 2 or values.size == 0 or size != values.size:
            raise ValueError(f"masks (L, *shape) and {size} values are needed, not {masks.shape} and {values.size}")
        refuse_non_finite(masks, "mask")
        if self.seen is not None:
            object.__setattr__(self, "seen", _places(self.seen, masks.size))
        self._settle("masks", masks, values)

    @property
    def signal_shape(self) -> tuple[int, ...]:
        """The shape of one mask."""
        return self.masks.shape[1:]

    def amplitudes(self, signals: Array) -> Array:
        """F(masks[l] * x) for every column x, shape (L n, k), by fast Fourier transforms."""
        images = signals.T.reshape(signals.shape[1], 1, *self.signal_shape)
        fields = scipy.fft.fftn(self.masks * images, axes=self._axes(), norm="ortho")
        fields = fields.reshape(signals.shape[1], self.masks.size).T
        return fields if self.seen is None else fields[self.seen]

    def backward(self, amplitudes: Array) -> Array:
        """sum_l conj(masks[l]) * F^-1(amplitudes[l]) for every column."""
        if self.seen is not None:
            every = np.zeros((self.masks.size, amplitudes.shape[1]), amplitudes.dtype)
            every[self.seen] = amplitudes
            amplitudes = every
        fields = amplitudes.T.reshape(amplitudes.shape[1], *self.masks.shape)
        images = scipy.fft.ifftn(fields, axes=self._axes(), norm="ortho")
        return (self.masks.conj() * images).sum(axis=1).reshape(amplitudes.shape[1], self.masks[0].size).T

    def energy(self) -> Any:
        """sum_i |A_i|_F^2: 2 |a_i|^4 for complex signals, (|a_i|^4 + |sum_j a_ij^2|^2) / 2 for real ones."""
        n = self.masks[0].size
        power = (np.abs(self.masks) ** 2).sum(axis=self._axes(1), keepdims=True) / n
        fourth = np.broadcast_to(power**2, self.masks.shape)
        if self.real:
            # sum_j a_ij^2 at frequency k is the transform of the squared mask at twice the frequency.
            squares = scipy.fft.fftn(self.masks**2, axes=self._axes(1)) / n
            for axis, size in enumerate(self.signal_shape, 1):
                squares = squares.take(2 * np.arange(size) % size, axis=axis)
            each = (fourth + np.abs(squares) ** 2) / 2
        else:
            each = 2 * fourth
        return float((each if self.seen is None else each.reshape(-1)[self.seen]).sum())

    def subset(self, index: Array) -> CodedDiffraction:
        """The problem with only the intensities at `index`."""
        seen = np.arange(self.size) if self.seen is None else self.seen
        return self.replace(values=self.values[index], seen=seen[index])

    def _axes(self, first: int = 2) -> tuple[int, ...]:
        return tuple(range(first, first + self.masks.ndim - 1))


def _places(index: Any, size: int) -> np.ndarray:
    array = np.asarray(index)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= size:
        raise ValueError(f"seen must be integers from 0 to {size - 1}, one for each value")
    return array.astype(np.intp)
