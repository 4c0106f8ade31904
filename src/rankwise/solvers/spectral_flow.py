"""The flow of the singular values and vectors of a product of balanced layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rankwise.dynamics import check_depth, end_to_end_velocity, spectral_velocity
from rankwise.factorizations import Identity, Initialization
from rankwise.plain import boolean, checked, fixed
from rankwise.problems import Problem
from rankwise.results import RESULTS
from rankwise.solvers.base import Array
from rankwise.solvers.end_to_end_flow import starting_form, starting_matrix
from rankwise.solvers.flow import Flow, FlowState

# Singular values whose logarithm is below this (1e-304) are 0: at depth 2 and more they stay so.
LEAST = -700.0


class Spectrum(NamedTuple):
    """W = left diag(sigma) right^T with orthonormal columns; sigma = exp(logs), or 0 where they are below `LEAST`."""

    left: Array
    logs: Array
    right: Array

    @property
    def sigma(self) -> Array:
        """The singular values, in no order."""
        import jax.numpy as jnp

        return jnp.where(self.logs > LEAST, jnp.exp(self.logs), 0.0)


@dataclass(frozen=True, eq=False)
class SpectralFlow(Flow):
    """The singular values and vectors as variables: sigma_r' = -N (sigma_r^2)^(1-1/N) <grad l(W), u_r v_r^T>.

    U and V move by the equations of `rankwise.dynamics.spectral_velocity`, the singular values by their
    logarithms, so that tiny ones keep their digits. Where two come closer than `gap` (of the larger, in
    sigma^(2/N)), the vectors are not defined. bridge=True then follows the product (`EndToEndFlow`) to the next
    requested time and decomposes it there; the history counts this as `bridged`. bridge=False stops with `crossing`.

    Meetings are looked for where a step of the integrator ends: modes that are coupled slow down there and are seen,
    modes without any coupling pass through one another, rightly, and may not be.

    A start with equal singular values, as `Identity`, is such a meeting and is bridged once. Singular values that are 0
    at the start (beside the largest: rounding) stay 0 at depth 2 and more, and their vectors need no gap.

    At depth 1 a singular value may pass through 0, where one of its vectors changes sign and its logarithm is infinite:
    one below `gap` (of the largest, or of the problem's `norm_estimate()`) is such a meeting too.

    Raises:
        ValueError: if depth is not an integer of at least 1 or infinity, gap is not between 0 and 1, or as for
            `GradientFlow`.

    Source: Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), theorem 3 and lemma 2.
    """

    recorded: ClassVar[tuple[str, ...]] = (*Flow.recorded, "bridged")
    depth: float = fixed(2)
    start: Initialization = Identity(1e-3)
    gap: float = 1e-3
    bridge: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_depth(self.depth)
        boolean(self.bridge, "bridge")
        if not 0 < checked(self.gap, "gap") < 1:
            raise ValueError(f"gap must lie strictly between 0 and 1, not {self.gap}")

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the data are not float64 or the start does not fit the problem's shape."""
        super().check(problem)
        starting_form(self.depth, self.start).check(problem.shape)

    def begin(self, problem: Problem, key: Any) -> Spectrum:
        """The singular value decomposition of the product at its start, without what is rounding there."""
        import jax.numpy as jnp

        start = decompose(starting_matrix(problem, starting_form(self.depth, self.start), key))
        rounding = start.logs[0] + math.log(max(problem.shape) * np.finfo(problem.dtype).eps)
        return start._replace(logs=jnp.where(start.logs < rounding, 2 * LEAST, start.logs))

    def velocity(self, problem: Problem, params: Spectrum) -> Spectrum:
        """(U', sigma' / sigma, V')."""
        import jax.numpy as jnp

        sigma = params.sigma
        gradient = problem.gradient(self.end_to_end(params))
        left, speeds, right = spectral_velocity(params.left, sigma, params.right, gradient, self.depth)
        return Spectrum(left, speeds / jnp.where(sigma > 0, sigma, 1.0), right)

    def end_to_end(self, params: Spectrum) -> Array:
        """U diag(sigma) V^T."""
        return (params.left * params.sigma) @ params.right.T

    def mean_square(self, params: Spectrum) -> Array:
        """Without the logarithms of zeros."""
        import jax.numpy as jnp

        return super().mean_square(params._replace(logs=jnp.where(params.sigma > 0, params.logs, 0.0)))

    def at_rest(self, problem: Problem, params: Spectrum) -> Array:
        """Whether the product is 0 and its velocity too; the vectors of zeros are free to turn."""
        matrix = self.end_to_end(params)
        return ((matrix == 0) & (end_to_end_velocity(matrix, problem.gradient(matrix), self.depth) == 0)).all()

    def step(self, problem: Problem, state: FlowState) -> FlowState:
        """The state at the next requested time, by way of the product where singular values meet."""
        import diffrax
        import jax.numpy as jnp
        from jax import lax

        until, reach = self.next_time(state), problem.norm_estimate()
        meeting = diffrax.Event(lambda t, y, args, **_: self.meets(y, reach))
        params, now, taken, stuck = lax.cond(
            self.meets(state.params, reach),
            lambda: (state.params, state.time, jnp.zeros_like(state.evaluations), jnp.zeros_like(state.stuck)),
            lambda: self.integrate(self.velocity, problem, state.params, state.time, until, state.floor, meeting),
        )
        params = Spectrum(_orthonormal(params.left), params.logs, _orthonormal(params.right))
        met = (now < until) & ~stuck
        if self.bridge:
            params, now, more, stuck = lax.cond(
                met,
                lambda: self._cross(problem, params, now, until),
                lambda: (params, now, jnp.zeros_like(taken), stuck),
            )
            taken = taken + more
        return state._replace(
            params=params, time=jnp.where(stuck | (met & (not self.bridge)), now, until),
            evaluations=state.evaluations + taken, bridged=state.bridged + met, stuck=state.stuck | stuck,
        )  # fmt: skip

    def meets(self, params: Spectrum, reach: Array) -> Array:
        """Whether two positive singular values are closer than the gap, or at depth 1 one comes so near 0.

        reach: the size of the matrix that the observations suggest.
        """
        import jax.numpy as jnp

        sigma, many = params.sigma, params.logs.shape[0]
        # Each zero has a level of its own, far below.
        logs = jnp.where(sigma > 0, params.logs, LEAST * 1e3 * (1 + jnp.arange(many)))
        level = logs if self.depth == math.inf else 2 / self.depth * logs
        apart = jnp.abs(jnp.diff(jnp.sort(level)))
        met = jnp.min(-jnp.expm1(-apart), initial=1.0) < self.gap
        if self.depth > 1:
            return met
        return met | (jnp.min(sigma) <= self.gap * jnp.maximum(jnp.max(sigma), reach))

    def outcome(self, problem: Problem, state: FlowState) -> Array:
        """As every flow; and the code of crossing where singular values met and are not bridged."""
        import jax.numpy as jnp

        code = super().outcome(problem, state)
        if self.bridge:
            return code
        return jnp.where((state.bridged > 0) & (code != RESULTS.non_finite.code), RESULTS.crossing.code, code)

    def record(self, state: FlowState) -> dict[str, Array]:
        """time, the integrator's steps so far, and in how many intervals singular values met."""
        return {**super().record(state), "bridged": state.bridged}

    def _cross(
        self, problem: Problem, params: Spectrum, now: Array, until: Array
    ) -> tuple[Spectrum, Array, Array, Array]:
        """The product followed to the next requested time and decomposed there."""
        import jax.numpy as jnp

        # As precise as the least singular value asks for, as far as rounding lets it; at depth 1 none waits near 0.
        sigma = params.sigma
        least = (
            jnp.maximum(jnp.min(jnp.where(sigma > 0, sigma, jnp.inf)), jnp.finfo(sigma.dtype).eps * jnp.max(sigma))
            if self.depth > 1
            else jnp.maximum(jnp.max(sigma), problem.norm_estimate())
        )
        floor = self.tolerance * jnp.maximum(least, jnp.finfo(sigma.dtype).tiny / self.tolerance)
        floor = floor / params.left.shape[0] ** 0.5
        matrix, reached, taken, stuck = self.integrate(
            lambda problem, w: end_to_end_velocity(w, problem.gradient(w), self.depth),
            problem, self.end_to_end(params), now, until, floor,
        )  # fmt: skip
        return decompose(matrix), reached, taken, stuck


def decompose(matrix: Array) -> Spectrum:
    """The singular value decomposition, zeros with logarithms below `LEAST`."""
    import jax.numpy as jnp

    left, sigma, right = jnp.linalg.svd(matrix, full_matrices=False)
    return Spectrum(left, jnp.log(jnp.maximum(sigma, jnp.finfo(sigma.dtype).tiny)), right.T)


def _orthonormal(frame: Array) -> Array:
    """The nearest frame with orthonormal columns: what integration errors have bent is straightened."""
    import jax.numpy as jnp

    left, _, right = jnp.linalg.svd(frame, full_matrices=False)
    return left @ right
