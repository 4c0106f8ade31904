"""GMRES for an operator of few iterations: its whole basis in one array, so that an iteration is two products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy


def gmres(operator: Callable[[np.ndarray], np.ndarray], target: np.ndarray, tolerance: float, most: int) -> np.ndarray:
    """About the x with operator(x) = target (n,), in its precision: that of least residual in a growing Krylov space.

    Ends at a residual of tolerance |target|, or at the dimension `most`. SciPy's own orthogonalizes against one vector
    after another, which takes several times as long as the operators it is used for here.

    Source: Saad and Schultz 1986 (`saad1986gmres`), the rotations of section 3.2 kept as one matrix.
    """
    length = float(np.linalg.norm(target))
    if not 0 < length < np.inf:
        return np.zeros_like(target)
    basis, upper, rotation = np.empty((most + 1, target.size), target.dtype), np.zeros((most, most)), np.eye(most + 1)
    basis[0] = target / length
    size, rest = 0, 1.0
    while size < most and rest > 0 and abs(rotation[size, 0]) > tolerance:
        image = operator(basis[size])
        column = basis[: size + 1] @ image
        image = image - column @ basis[: size + 1]
        column = rotation[: size + 1, : size + 1] @ column
        rest = float(np.linalg.norm(image))
        pivot = float(np.hypot(column[size], rest))
        if not 0 < pivot < np.inf:
            break
        upper[:size, size], upper[size, size] = column[:size], pivot
        cosine, sine = column[size] / pivot, rest / pivot
        rotation[size : size + 2] = np.array([[cosine, sine], [-sine, cosine]]) @ rotation[size : size + 2]
        size += 1
        np.divide(image, rest or 1.0, out=basis[size])
    weights = scipy.linalg.solve_triangular(upper[:size, :size], length * rotation[:size, 0], check_finite=False)
    return weights.astype(target.dtype) @ basis[:size]
