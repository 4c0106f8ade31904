"""Gradient-based training of a factorization, with any optimizer and penalty; compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from rankwise.factorizations import Factorization, Full
from rankwise.factorizations.vectors import shaped, vectors
from rankwise.optimizers import Optimizer
from rankwise.penalties import Penalty
from rankwise.penalties.base import closed_form
from rankwise.plain import checked, positive_integer
from rankwise.problems import Misfit, Problem
from rankwise.results import RESULTS
from rankwise.solvers.base import Array, Solver


class Descent(NamedTuple):
    """The state of gradient descent: the parameters, and the optimizer's own state, which knows them as vectors."""

    params: tuple[Array, ...]
    optimizer: Any


@dataclass(frozen=True)
class GradientDescent(Solver):
    """Minimize loss(W(params)) + penalty(W(params)) over the parameters of a factorization.

    tolerance: stop when the data loss (in the problem's own scale) is at most this; None never stops so.
    stationary: stop when the gradient's norm over all parameters is at most this; None never stops so.
    norm_limit: stop with `diverging_norm` when |W|_F exceeds this multiple of the problem's norm estimate;
    None means 2 where the penalty is blind to scale (the ratios), 1000 otherwise.
    check_every: the stopping tests are made at multiples of this many steps.

    Raises:
        ValueError: if a number is out of range, or a part is not of its kind.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`) for depth; Zhao 2022 (`zhao2022combining`)
    for the penalty at depth 1.
    """

    factorization: Factorization = Full()
    optimizer: Optimizer = Optimizer("adam", 1e-3)
    penalty: Penalty | None = None
    tolerance: float | None = None
    stationary: float | None = None
    norm_limit: float | None = None
    check_every: int = 10

    driver: ClassVar[Literal["compiled", "host"]] = "compiled"
    layered: ClassVar[bool] = True
    misfits: ClassVar[tuple[type[Misfit], ...]] = (Misfit,)

    def __post_init__(self) -> None:
        for name, kind in (("factorization", Factorization), ("optimizer", Optimizer), ("penalty", Penalty | None)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be a rankwise {name}, not {getattr(self, name)!r}")
        positive_integer(self.check_every, "check_every")
        for name in ("tolerance", "stationary", "norm_limit"):
            value = getattr(self, name)
            if value is not None and value != math.inf:
                object.__setattr__(self, name, checked(value, name, least=0))

    @property
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another: 10,000."""
        return 10_000

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the factorization cannot write a matrix of the problem's shape."""
        self.factorization.check(problem.shape)

    def init(self, problem: Problem, key: Any) -> Descent:
        """The factorization's start and a fresh optimizer state."""
        return self.begin(self.factorization.init(problem.shape, key=key, dtype=problem.dtype))

    def begin(self, params: tuple[Array, ...]) -> Descent:
        """The state before the first step from the given parameters."""
        return Descent(params, self.optimizer.transformation().init(vectors(params)))

    def step(self, problem: Problem, state: Descent) -> Descent:
        """One update of all parameters together."""
        import jax
        import optax

        def objective(flat: tuple[Array, ...]) -> Array:
            return self.objective(problem, shaped(flat, state.params))

        flat = vectors(state.params)
        value, grads = jax.value_and_grad(objective)(flat)
        updates, optimizer = self.optimizer.transformation().update(
            grads, state.optimizer, flat, value=value, grad=grads, value_fn=objective
        )
        return Descent(shaped(optax.apply_updates(flat, updates), state.params), optimizer)

    def objective(self, problem: Problem, params: tuple[Array, ...]) -> Array:
        """loss(W) + penalty(W)."""
        matrix = self.factorization.matrix(params)
        if self.penalty is None:
            return problem.loss(matrix)
        return problem.loss(matrix) + closed_form()(self.penalty, matrix)

    def outcome(self, problem: Problem, state: Descent) -> Array:
        """The code of non_finite, explained, diverging_norm, converged, or running."""
        import jax.numpy as jnp

        matrix = self.matrix(state)
        code = jnp.asarray(RESULTS.running.code)
        if self.stationary is not None:
            code = jnp.where(self._is_stationary(problem, state), RESULTS.converged.code, code)
        norm = jnp.sqrt((matrix**2).sum())
        expected = problem.norm_estimate()
        limit = jnp.where(expected > 0, self._limit() * expected, jnp.inf)  # zero data say nothing of the size
        code = jnp.where(norm > limit, RESULTS.diverging_norm.code, code)
        if self.tolerance is not None:
            code = jnp.where(problem.loss(matrix) <= self.tolerance, RESULTS.explained.code, code)
        return jnp.where(jnp.isfinite(norm), code, RESULTS.non_finite.code)

    def matrix(self, state: Descent) -> Array:
        """The end-to-end matrix."""
        return self.factorization.matrix(state.params)

    def layers(self, state: Descent) -> tuple[Array, ...]:
        """The factors behind the matrix."""
        return self.factorization.layers(state.params)

    def _limit(self) -> Any:
        if self.norm_limit is not None:
            return self.norm_limit
        return 2.0 if self.penalty is not None and self.penalty.scale_invariant else 1e3

    def _is_stationary(self, problem: Problem, state: Descent) -> Array:
        import jax

        grads = jax.grad(lambda params: self.objective(problem, params))(state.params)
        assert self.stationary is not None
        return sum((g**2).sum() for g in jax.tree.leaves(grads)) <= self.stationary**2
