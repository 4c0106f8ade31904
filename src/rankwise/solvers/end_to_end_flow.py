"""The flow of a product of balanced layers, as a differential equation of the product alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rankwise.dynamics import check_depth, end_to_end_velocity, symmetric_velocity
from rankwise.factorizations import Deep, Factorization, Full, Identity, Initialization, Symmetric
from rankwise.plain import boolean, fixed
from rankwise.problems import Problem
from rankwise.solvers.base import Array
from rankwise.solvers.flow import Flow


@dataclass(frozen=True, eq=False)
class EndToEndFlow(Flow):
    """dW/dt = -sum_j (W W^T)^((j-1)/N) grad l(W) (W^T W)^((N-j)/N) for depth N >= 1.

    depth = infinity takes the limit, in the time N t. symmetric=True takes W = Z Z^T instead, dW/dt = -(H W + W H) with
    H = grad l(W) + grad l(W)^T (depth is then 2). The start is the product that `Deep(depth, start)` (or
    `Symmetric(start)`; `Full(start)` for depth infinity) begins with under the same key.

    Exact for balanced layers only. W itself is the variable, so singular values below machine epsilon times
    the largest are lost: from very small starts follow `GradientFlow`, whose layers are N-th roots in size. (At depth
    infinity they count as 0, and W keeps the row and column spaces of a start of lower rank.)

    Raises:
        ValueError: if depth is not an integer of at least 1 or infinity, symmetric is asked for at another depth than
            2, or as for `GradientFlow`.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), theorem 1.
    """

    depth: float = fixed(2)
    start: Initialization = Identity(1e-3)
    symmetric: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_depth(self.depth)
        boolean(self.symmetric, "symmetric")
        if self.symmetric and self.depth != 2:
            raise ValueError(f"a symmetric flow W = Z Z^T has depth 2, not {self.depth}")

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the shape is not square where it must be, or the start does not fit it."""
        super().check(problem)
        starting_form(self.depth, self.start, self.symmetric).check(problem.shape)

    def begin(self, problem: Problem, key: Any) -> Array:
        """The product of the layers that the factorization starts with."""
        return starting_matrix(problem, starting_form(self.depth, self.start, self.symmetric), key)

    def velocity(self, problem: Problem, params: Array) -> Array:
        """dW/dt."""
        gradient = problem.gradient(params)
        if self.symmetric:
            return symmetric_velocity(params, gradient)
        return end_to_end_velocity(params, gradient, self.depth)

    def end_to_end(self, params: Array) -> Array:
        """W itself."""
        return params


def starting_form(depth: float, start: Initialization, symmetric: bool = False) -> Factorization:
    """The factorization whose product a flow of that depth begins at."""
    if symmetric:
        return Symmetric(start)
    return Full(start) if depth == math.inf else Deep(int(depth), start)


def starting_matrix(problem: Problem, form: Factorization, key: Any) -> Array:
    """The end-to-end matrix of a factorization at its start."""
    return form.matrix(form.init(problem.shape, key=key, dtype=problem.dtype))
