"""Implicit measurements: a linear map given by two functions, itself and its adjoint."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank, dense
from rankwise.plain import checked
from rankwise.problems.base import Array, Problem, positive_scale, refuse_non_finite, two_sides, working_precision
from rankwise.problems.implicit import implicit_jacobian
from rankwise.problems.misfit import Misfit, Squared

# How far the two sides of the dot-product test may lie apart, relative to the norms: for float64 and float32.
AGREEMENT = {8: 1e-6, 4: 1e-4}
# How many random vectors the energy is estimated with.
PROBES = 16


@dataclass(frozen=True, eq=False)
class Operator(Problem):
    """Measurements values = forward(W), of which only `forward` and its adjoint `backward` are known.

    forward: from an array of the shape to m real numbers, linear. backward: from m numbers to an array of the shape,
    with <forward(X), z> = <X, backward(z)>. Both are tried once, on random arguments. Compiled solvers
    (`GradientDescent`, the flows) need a `forward` that JAX can trace, written with jax.numpy or with the array's own
    namespace; all others take any function of NumPy arrays. Functions written with jax.numpy are run in the precision
    of the data.
    factors: `forward` takes a `LowRank` as well as an array, so that a matrix known by its factors is never formed.
    `distinct` is told from what `forward` makes of three random matrices, to the rounding of its own precision.
    squares: sum_i |A_i|_F^2, if known; else the mean of |backward(z)|^2 over 16 random vectors z of signs, whose
    relative standard error is at most sqrt(1/8) and falls as the measurements become many (Hutchinson's estimator).
    tried: the functions are taken on trust.

    Raises:
        ValueError: if the shape is not two positive integers; if a function raises anything, returns another shape, no
            real or no finite numbers, is not linear, or is not the other's adjoint; if a value is not finite (named);
            or (when a compiled solver starts) if JAX cannot trace `forward`.

    Source: Hutchinson 1990 (`hutchinson1990stochastic`) for the estimate.
    """

    shape: tuple[int, int]
    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]
    values: Array
    scale: Any = 1.0
    misfit: Misfit = Squared()
    factors: bool = False
    squares: Any = None
    tried: bool = False

    def __post_init__(self) -> None:
        shape = two_sides(self.shape)
        values = working_precision(self.values, "values")
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"values (m,) are needed, not an array of shape {values.shape}")
        refuse_non_finite(values, "value")
        positive_scale(self.scale)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "scale", float(self.scale))
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite in the end is refused
            if not self.tried:
                self._try(np.random.default_rng(0))
                object.__setattr__(self, "tried", True)
            squares = self._estimate(np.random.default_rng(1)) if self.squares is None else self.squares
        object.__setattr__(self, "squares", checked(squares, "squares", above=0))

    def measure(self, matrix: Array) -> Array:
        """forward(matrix), shape (m,)."""
        given = matrix if self.factors else dense(matrix)
        return self._run(self.forward, given, given.left if isinstance(given, LowRank) else given)

    def adjoint(self, vector: Array) -> Array:
        """backward(vector), shape (d1, d2); under JAX the transpose of `forward`, which alone has to be traceable."""
        if isinstance(vector, np.ndarray):
            return self._run(self.backward, vector, vector)
        import jax
        import jax.numpy as jnp

        return jax.vjp(self.forward, jnp.zeros(self.shape, vector.dtype))[1](vector)[0]

    def energy(self) -> Any:
        """sum_i |A_i|_F^2 as given or estimated."""
        return self.squares

    def subset(self, index: Array) -> Operator:
        """The problem with only the measurements at `index`; all are still computed, and the others left out."""
        size = self.size
        return self.replace(
            forward=lambda matrix: self.forward(matrix)[index],
            backward=lambda vector: self.backward(_spread(vector, index, size)),
            values=self.values[index],
            squares=None,
        )

    def factor_jacobian(self, left: np.ndarray, right: np.ndarray) -> Any:
        """J (dL, dR) = forward(dL right^T + left dR^T), as a SciPy LinearOperator."""
        return implicit_jacobian(self, left, right)

    def compiled(self) -> Problem:
        """The same problem, once JAX has traced `forward`."""
        import jax

        with jax.enable_x64(bool(self.dtype == np.float64)):
            try:
                traced = jax.eval_shape(self.forward, jax.ShapeDtypeStruct(self.shape, self.dtype))
            except Exception as error:
                raise ValueError(
                    f"JAX cannot trace `forward` ({type(error).__name__}), which compiled solvers need: "
                    "write it with jax.numpy, or take a solver that runs on NumPy, such as Greedy"
                ) from error
        if traced.shape != self.values.shape:
            raise ValueError(f"forward returns an array of shape {traced.shape} under JAX, not {self.values.shape}")
        return self

    def _run(self, function: Callable[[Any], Any], given: Any, array: Any) -> Any:
        """The function of NumPy arrays as a NumPy array; of traced ones as it is."""
        if not isinstance(array, np.ndarray):
            return function(given)
        with _precision(self.dtype):
            return np.asarray(function(given))

    def _try(self, rng: np.random.Generator) -> None:
        """The dot-product test, and linearity."""
        (d1, d2), m, dtype = self.shape, self.size, self.dtype
        factors = [rng.standard_normal(shape).astype(dtype) for shape in ((d1, 1), (d2, 1))]
        z = rng.standard_normal(m).astype(dtype)
        x, y = LowRank(*factors), rng.standard_normal((d1, d2)).astype(dtype)
        measured, other, both = (_ran(self.measure, w, (m,), "forward") for w in (x, y, x.dense() + y))
        back = _ran(self.adjoint, z, self.shape, "backward")
        # In a unit of their own, so that no square vanishes or overflows.
        unit = max(float(np.abs(one).max()) for one in (measured, other, both, back)) or 1.0
        measured, other, both, back = (one / unit for one in (measured, other, both, back))
        limit = AGREEMENT[dtype.itemsize]
        sizes = np.linalg.norm(measured) + np.linalg.norm(other)
        if np.linalg.norm(both - measured - other) > limit * sizes:
            raise ValueError(
                "forward is not linear: forward(X + Y) differs from forward(X) + forward(Y) by "
                f"{np.linalg.norm(both - measured - other) / sizes:.1e} of its size"
            )
        gap = abs(float(other @ z) - float((y * back).sum()))
        sizes = max(np.linalg.norm(other) * np.linalg.norm(z), np.linalg.norm(y) * np.linalg.norm(back))
        if gap > limit * sizes:
            raise ValueError(
                "backward is not the adjoint of forward: <forward(X), z> and <X, backward(z)> differ by "
                f"{gap / sizes:.1e} of their size at random X and z"
            )

    def _estimate(self, rng: np.random.Generator) -> float:
        signs = rng.choice([-1.0, 1.0], size=(PROBES, self.size)).astype(self.dtype)
        return float(np.mean([(np.asarray(self.adjoint(z), float) ** 2).sum() for z in signs]))


def _precision(dtype: np.dtype) -> AbstractContextManager[Any]:
    """JAX in the data's precision, if the functions may be JAX's."""
    if "jax" not in sys.modules:
        return nullcontext()
    import jax

    return jax.enable_x64(bool(dtype == np.float64))


def _ran(function: Callable[[Any], Any], given: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """What `forward` or `backward`, by name, makes of an argument: finite real numbers of the shape."""
    try:
        array = function(given)
    except Exception as error:
        words = f"{name} raises {type(error).__name__} ({error}) on an argument of shape {given.shape}"
        raise ValueError(words) from error
    return _real(array, shape, name)


def _real(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name} must return an array of shape {shape}, not {array.shape}")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must return real numbers, not {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} does not return finite numbers for finite ones")
    return array.astype(float)


def _spread(vector: Any, index: Any, size: int) -> Any:
    """The vector at the places `index` among `size`, zeros elsewhere."""
    if isinstance(vector, np.ndarray):
        out = np.zeros(size, vector.dtype)
        out[index] = vector
        return out
    import jax.numpy as jnp

    return jnp.zeros(size, vector.dtype).at[index].set(vector)
