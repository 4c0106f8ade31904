"""Synthetic ground truths and observations of them, NumPy throughout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import scipy
from array_api_compat import array_namespace

from rankwise.keys import as_generator
from rankwise.lowrank import LowRank, dense
from rankwise.plain import checked, positive_integer
from rankwise.problems import CodedDiffraction, Completion, Operator, PhaseRetrieval, Problem, RankOneSensing, Sensing
from rankwise.problems.base import two_sides
from rankwise.spectrum import root_mean_square

P = TypeVar("P", bound=Problem)


def low_rank(
    shape: tuple[int, int],
    rank: int,
    *,
    key: Any,
    kappa: float | None = None,
    symmetric: bool = False,
    singular_values: Sequence[float] | None = None,
    vectors: str = "random",
) -> LowRank:
    """A random matrix of the given rank, scaled to mean square entry 1 (|W|_F^2 = d1 d2).

    Gaussian factors, W ~ U V^T (symmetric: U U^T), unless kappa is given: then singular values spread
    geometrically from kappa down to 1, with uniformly distributed singular vectors.

    singular_values: those the matrix is to have, one per rank, kept as they are and not scaled.
    vectors: "random" ones, uniformly distributed, or "identity": then W is diagonal; for given singular values.

    Raises:
        ValueError: if the shape is not positive, the rank does not fit it or the singular values, these are not
            positive or come with a kappa, kappa is below 1, vectors are unknown, or a symmetric matrix is not square.

    Source: the generator of Arora et al. 2019 (`arora2019implicit`).
    """
    shape = two_sides(shape)
    _between(rank, "rank", min(shape))
    if kappa is not None:
        checked(kappa, "kappa", least=1)
    if symmetric and shape[0] != shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {shape}")
    sigma = _spectrum(singular_values, kappa, rank, vectors)
    if vectors == "identity":
        return LowRank(*(np.eye(side, rank) * np.sqrt(sigma) for side in shape))
    rng = as_generator(key)
    left = rng.standard_normal((shape[0], rank))
    right = left if symmetric else rng.standard_normal((shape[1], rank))
    if sigma is not None:
        root = np.sqrt(sigma)
        left = np.linalg.qr(left)[0] * root
        right = left if symmetric else np.linalg.qr(right)[0] * root
    if singular_values is not None:
        return LowRank(left, right)
    sizes = LowRank(left, right).singular_values()
    unit = math.ldexp(1.0, math.frexp(float(sizes[0]))[1] - 1)  # a power of two, so that no square overflows
    root = ((shape[0] * shape[1]) ** 0.5 / (unit * np.linalg.norm(sizes / unit))) ** 0.5
    return LowRank(left * root, right * root)


def _spectrum(given: Any, kappa: float | None, rank: int, vectors: str) -> Any:
    """The singular values, up to scale where kappa says them; None if they are left to chance."""
    if vectors not in ("random", "identity"):
        raise ValueError(f"vectors must be 'random' or 'identity', not {vectors!r}")
    if given is None:
        if vectors == "identity":
            raise ValueError("vectors = 'identity' needs singular_values")
        return None if kappa is None else np.geomspace(kappa, 1, rank)
    if kappa is not None:
        raise ValueError("give kappa or singular_values, not both")
    try:
        values = np.asarray(given, float)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.shape != (rank,) or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"singular_values must be as many positive numbers as the rank, {rank}, not {given!r}")
    return values


def observe(
    truth: Any, count: int, *, key: Any, min_degree: int = 0, noise: float = 0.0, dtype: Any = np.float64
) -> Completion:
    """Uniformly chosen distinct entries of a matrix, optionally noisy.

    min_degree: every row and column gets at least so many entries: the mask is uniform, and each short row or
    column takes an entry from one that can spare it.
    noise: standard deviation of independent Gaussian noise on each observation.

    Raises:
        ValueError: if count does not fit the shape or the degrees, or the truth is no real matrix.
    """
    truth = _matrix(truth)
    d1, d2 = truth.shape
    _between(count, "count", d1 * d2)
    if isinstance(min_degree, bool) or not isinstance(min_degree, int | np.integer) or min_degree < 0:
        raise ValueError(f"min_degree must be an integer of at least 0, not {min_degree!r}")
    if min_degree * max(d1, d2) > count or min_degree > min(d1, d2):
        raise ValueError(f"{count} entries cannot give every row and column {min_degree}")
    rng = as_generator(key)
    rows, cols = np.divmod(np.sort(rng.choice(d1 * d2, count, replace=False)), d2)
    if min_degree:
        mask = np.zeros((d1, d2), bool)
        mask[rows, cols] = True
        _raise_degrees(mask, min_degree, rng)
        rows, cols = np.nonzero(mask)
    values = truth.entries(rows, cols) if isinstance(truth, LowRank) else truth[rows, cols]
    values = values + gaussian(noise, rng, count)
    return Completion((d1, d2), rows, cols, values.astype(dtype))


def sense(
    truth: Any,
    count: int,
    *,
    key: Any,
    symmetric: bool = False,
    noise: float = 0.0,
    factor: float = 1.0,
    dtype: Any = np.float64,
) -> Sensing:
    """Gaussian measurements <A_i, W>, entries of A_i of variance 1 / (d1 d2), optionally symmetrized or noisy.

    factor: multiplies every A_i; sqrt(d1 d2) makes their entries standard normal.

    Raises:
        ValueError: if count or factor is not positive, the truth is no real matrix, or symmetric sensors are asked for
            one that is not square.

    Source: the generator of Arora et al. 2019 (`arora2019implicit`), appendix.
    """
    truth = _matrix(truth)
    d1, d2 = _room_for(truth.shape, count, symmetric)
    checked(factor, "factor", above=0)
    rng = as_generator(key)
    sensors = rng.standard_normal((count, d1, d2)) / ((d1 * d2) ** 0.5 / factor)
    if symmetric:
        sensors = (sensors + sensors.transpose(0, 2, 1)) / 2
    values = sensors.reshape(count, -1) @ dense(truth).ravel() + gaussian(noise, rng, count)
    return Sensing(sensors.astype(dtype), values.astype(dtype))


def sense_rank_one(
    truth: Any, count: int, *, key: Any, symmetric: bool = False, noise: float = 0.0, dtype: Any = np.float64
) -> RankOneSensing:
    """Measurements a_i^T W b_i with independent Gaussian vectors, entries of variance 1 / d1 and 1 / d2.

    symmetric: b_i = a_i. noise: standard deviation of independent Gaussian noise on each measurement.

    Raises:
        ValueError: if count is not positive, the truth is no real matrix, or symmetric sensors are asked for one that
            is not square.

    Source: Cai, Zhang 2015 (`cai2015rop`).
    """
    truth = _matrix(truth)
    d1, d2 = _room_for(truth.shape, count, symmetric)
    rng = as_generator(key)
    lefts = (rng.standard_normal((count, d1)) / d1**0.5).astype(dtype)
    rights = lefts if symmetric else (rng.standard_normal((count, d2)) / d2**0.5).astype(dtype)
    exact = RankOneSensing(lefts, rights, np.zeros(count, dtype)).measure(truth)
    return RankOneSensing(lefts, rights, (exact + gaussian(noise, rng, count)).astype(dtype))


def sense_fourier(truth: Any, count: int, *, key: Any, noise: float = 0.0, dtype: Any = np.float64) -> Operator:
    """Uniformly chosen distinct coefficients of the two-dimensional discrete Hartley transform of a matrix.

    The coefficient at (k, l) is Re - Im of the orthonormal Fourier transform there: an orthogonal basis of real
    numbers, computed by fast Fourier transforms, with NumPy and JAX alike.
    noise: standard deviation of independent Gaussian noise on each coefficient.

    Raises:
        ValueError: if count does not fit the shape, or the truth is no real matrix.
    """
    truth = _matrix(truth)
    d1, d2 = truth.shape
    _between(count, "count", d1 * d2)
    rng = as_generator(key)
    places = np.sort(rng.choice(d1 * d2, count, replace=False))

    def forward(matrix: Any) -> Any:
        return _hartley(matrix).reshape(-1)[places]

    def backward(vector: np.ndarray) -> np.ndarray:
        spread = np.zeros(d1 * d2, vector.dtype)
        spread[places] = vector
        return _hartley(spread.reshape(d1, d2))  # its own inverse, and symmetric

    values = forward(dense(truth).astype(float)) + gaussian(noise, rng, count)
    return Operator((d1, d2), forward, backward, values.astype(dtype), squares=float(count))


def diffract(signal: Any, count: int, *, key: Any, noise: float = 0.0, dtype: Any = np.float64) -> PhaseRetrieval:
    """Intensities |<a_i, x>|^2 of a signal (n,) behind Gaussian vectors, real or complex as the signal is.

    Entries of a_i have mean square 1. noise: standard deviation of Gaussian noise on each intensity; what falls below
    zero is read as zero.

    Raises:
        ValueError: if the signal is not one-dimensional or not of finite numbers, or count is not positive.
    """
    x = _finite(np.asarray(signal), "signal")
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"a signal (n,) is needed, not an array of shape {x.shape}")
    positive_integer(count, "count")
    rng = as_generator(key)
    vectors = rng.standard_normal((count, x.size))
    if np.iscomplexobj(x):
        vectors = (vectors + 1j * rng.standard_normal(vectors.shape)) / 2**0.5
    with np.errstate(over="ignore"):
        exact = np.abs(vectors.conj() @ x) ** 2
    single = np.dtype(dtype) == np.float32
    vectors = vectors.astype((np.complex64 if single else np.complex128) if np.iscomplexobj(x) else dtype)
    return PhaseRetrieval(vectors, np.maximum(exact + gaussian(noise, rng, count), 0).astype(dtype))


def diffract_coded(
    image: Any, masks: int, *, key: Any, noise: float = 0.0, dtype: Any = np.float64
) -> CodedDiffraction:
    """Diffraction patterns |F(mask * x)|^2 of a signal or image of any shape behind octanary masks.

    The masks' entries are independent products of a phase, one of 1, -1, i, -i with equal chances, and a size,
    sqrt(1/2) with probability 4/5, else sqrt(3). A real image is recovered as real.
    noise: standard deviation of Gaussian noise on each intensity; what falls below zero is read as zero.

    Raises:
        ValueError: if the image is empty or not of finite numbers, or the number of masks is not positive.

    Source: Candes, Li, Soltanolkotabi 2015 (`candes2015coded`), equation 1.9.
    """
    x = _finite(np.asarray(image), "image")
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"a signal or an image is needed, not an array of shape {x.shape}")
    positive_integer(masks, "masks, their number,")
    rng = as_generator(key)
    shape = (masks, *x.shape)
    phases = np.array([1, -1, 1j, -1j])[rng.integers(4, size=shape)]
    patterns = phases * np.where(rng.random(shape) < 0.8, 0.5**0.5, 3**0.5)
    fields = scipy.fft.fftn(patterns * x, axes=tuple(range(1, x.ndim + 1)), norm="ortho")
    with np.errstate(over="ignore"):
        values = np.maximum(np.abs(fields) ** 2 + gaussian(noise, rng, shape), 0).astype(dtype)
    single = np.dtype(dtype) == np.float32
    return CodedDiffraction(
        patterns.astype(np.complex64 if single else np.complex128), values, real=bool(np.isrealobj(x))
    )


def corrupt(
    problem: P, share: float, *, key: Any, size: float | tuple[float, float] = 10.0, positive: bool = False
) -> P:
    """The problem with gross errors added to a share of its values, at places drawn uniformly.

    size: of every error, in units of the root mean square of the values; (least, greatest): sizes drawn
    uniformly in logarithm between them. positive: all errors have one sign, not random ones.
    What was added is the difference of the two problems' values.

    Raises:
        ValueError: if the share is not in [0, 1], or the size is neither a positive number nor two ascending ones.
    """
    if not 0 <= checked(share, "share") <= 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    least, greatest = _sizes(size)
    rng = as_generator(key)
    places = rng.choice(problem.size, round(share * problem.size), replace=False)
    errors = np.exp(rng.uniform(np.log(least), np.log(greatest), places.size)) * root_mean_square(problem.values)
    signs = np.ones(places.size) if positive else rng.choice([-1.0, 1.0], places.size)
    values = problem.values.copy()
    values[places] += (signs * errors).astype(problem.dtype)
    return problem.replace(values=values)


def _matrix(truth: Any) -> Any:
    """The truth, as a `LowRank` or an array, once it is a real matrix."""
    matrix = truth if isinstance(truth, LowRank) else np.asarray(truth)
    if len(matrix.shape) != 2:
        raise ValueError(f"truth must be a matrix (d1, d2), not an array of shape {matrix.shape}")
    if matrix.dtype.kind not in "fiub":
        raise ValueError(f"truth must be a matrix of real numbers, not of {matrix.dtype}")
    for part in (matrix.left, matrix.right) if isinstance(matrix, LowRank) else (matrix,):
        _finite(np.asarray(part), "truth")
    return matrix


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    """The array, once it holds finite numbers, real or complex."""
    if array.dtype.kind not in "fiubc":
        raise ValueError(f"{name} must be made of numbers, not of {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has an entry that is not finite")
    return array


def _between(value: Any, name: str, most: int) -> None:
    """Raise a ValueError unless the value is an integer from 1 to `most`."""
    positive_integer(value, name)
    if value > most:
        raise ValueError(f"{name} must lie between 1 and {most}, not {value}")


def _sizes(size: Any) -> tuple[float, float]:
    """The least and the greatest size of an error."""
    try:
        least, greatest = (float(one) for one in (size if isinstance(size, tuple) else (size, size)))
    except (TypeError, ValueError):
        least, greatest = np.nan, np.nan
    if not 0 < least <= greatest < np.inf:
        raise ValueError(f"size must be a positive number or an ascending pair (least, greatest) of them, not {size!r}")
    return least, greatest


def _room_for(shape: tuple[int, int], count: int, symmetric: bool) -> tuple[int, int]:
    """The shape, once `count` measurements of it, symmetric or not, make sense."""
    positive_integer(count, "count")
    if symmetric and shape[0] != shape[1]:
        raise ValueError(f"symmetric sensors need a square matrix, not one of shape {tuple(shape)}")
    return shape


def _hartley(matrix: Any) -> Any:
    """The orthonormal two-dimensional Hartley transform."""
    coefficients = array_namespace(matrix).fft.fft2(matrix, norm="ortho")
    return coefficients.real - coefficients.imag


def _raise_degrees(mask: np.ndarray, least: int, rng: np.random.Generator) -> None:
    """Move entries, within rows then within columns' reach, until every row and column has `least`."""
    for view in (mask, mask.T):
        for short in np.nonzero(view.sum(axis=1) < least)[0]:
            while view[short].sum() < least:
                _move_one(view, int(short), least, rng)


def _move_one(view: np.ndarray, short: int, least: int, rng: np.random.Generator) -> None:
    """Give the row `short` an entry taken from a row with more than enough, in a column that both allow."""
    for donor in rng.permutation(np.nonzero(view.sum(axis=1) > least)[0]):
        movable = np.nonzero(view[donor] & ~view[short])[0]
        if len(movable):
            column = rng.choice(movable)
            view[donor, column], view[short, column] = False, True
            return
    raise ValueError(f"no mask with at least {least} entries in every row and column was found")


def gaussian(noise: float, rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Independent Gaussian noise of a standard deviation.

    Raises:
        ValueError: if that is negative, infinite or no number.
    """
    with np.errstate(over="ignore"):  # the problem refuses what is not finite
        return checked(noise, "noise", least=0) * rng.standard_normal(shape)


# How a problem of each kind is drawn from a true matrix: (truth, count, key=, noise=, dtype=).
GENERATORS: dict[str, Callable[..., Problem]] = {
    "completion": observe,
    "sensing": sense,
    "rank_one_sensing": sense_rank_one,
    "operator": sense_fourier,
}
