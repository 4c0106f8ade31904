"""Gradient flow of the parameters of a factorization: gradient descent with infinitely small steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rankwise.factorizations import Deep, Factorization
from rankwise.problems import Problem
from rankwise.solvers.base import Array
from rankwise.solvers.flow import Flow, FlowState


@dataclass(frozen=True, eq=False)
class GradientFlow(Flow):
    """dparams/dt = -grad loss(W(params)): every layer follows its own gradient.

    From balanced layers the product follows `EndToEndFlow`. Layers are N-th roots in size: a product of scale 1e-12
    at depth 3 has layers of 1e-4, whose plateau takes few steps, and whose singular values keep their digits
    when others have grown.

    Raises:
        ValueError: if times do not ascend from 0, a number is out of range, or (from `check`) the data are not
            float64 or the factorization cannot write a matrix of the problem's shape.

    Source: Arora, Cohen, Hazan 2018 (`arora2018optimization`), section 4.
    """

    factorization: Factorization = Deep(2)

    layered: ClassVar[bool] = True

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the factorization cannot write a matrix of the problem's shape."""
        super().check(problem)
        self.factorization.check(problem.shape)

    def begin(self, problem: Problem, key: Any) -> tuple[Array, ...]:
        """The factorization's own start."""
        return self.factorization.init(problem.shape, key=key, dtype=problem.dtype)

    def velocity(self, problem: Problem, params: tuple[Array, ...]) -> tuple[Array, ...]:
        """Minus the gradient in every layer."""
        import jax

        gradient = jax.grad(lambda layers: problem.loss(self.end_to_end(layers)))(params)
        return jax.tree.map(lambda g: -g, gradient)

    def end_to_end(self, params: tuple[Array, ...]) -> Array:
        """The factorization's matrix."""
        return self.factorization.matrix(params)

    def layers(self, state: FlowState) -> tuple[Array, ...]:
        """The factors behind the matrix."""
        return self.factorization.layers(state.params)
