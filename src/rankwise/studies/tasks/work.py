"""How much arithmetic a case takes: what a study costs beforehand, and which batches are long enough to be saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rankwise.measures import MEASURES
from rankwise.penalties import Penalty, SpectralPenalty, Total
from rankwise.solvers import GradientDescent
from rankwise.studies.tasks.memory import sensors, shape

# Measured on two cores, d = 10 to 100, depths 1 to 3, in the times of such arithmetic on a d x d matrix. A step: two
# products for each of the factorization, three sums of two matrices for each layer, and a call. The penalties: one
# decomposition, or with a resolution so many products. L-BFGS evaluates a step so often. A final matrix: so many
# decompositions.
PRODUCTS, SUMS, POLAR, LINE_SEARCH, FINAL = 2, 3, 15, 10, 2
# How many operations of a product of matrices take as long, at least: a sum, for each entry, since it waits for memory;
# a decomposition, for each of those of a product; and a call.
OF_SUM, OF_DECOMPOSITION, OF_CALL = 10, 25, 5000


@dataclass(frozen=True)
class Work:
    """The most arithmetic that a case takes, as numbers of operations on matrices of one shape (d1, d2).

    products: by a square matrix; sums: of two of them; decompositions: of singular values; calls: of what does nothing.
    early: whether the case may end before.
    """

    shape: tuple[int, int]
    products: float = 0.0
    sums: float = 0.0
    decompositions: float = 0.0
    calls: float = 0.0
    early: bool = False

    @property
    def operations(self) -> float:
        """All of it as floating-point operations of products, each of which has 2 d1 d2 min(d1, d2)."""
        entries = float(self.shape[0] * self.shape[1])
        products = self.products + OF_DECOMPOSITION * self.decompositions
        return entries * (2 * min(self.shape) * products + OF_SUM * self.sums) + OF_CALL * self.calls


def descent(solver: GradientDescent, problem: Mapping[str, Any], given: Mapping[str, Any]) -> Work:
    """All steps of gradient descent, what is measured on the way, and the final numbers.

    given: the arguments of `solve`.
    """
    polar, exact = _of_penalty(solver.penalty)
    made = solver.factorization.products
    last = given.get("max_steps", solver.default_steps)
    steps = last * (LINE_SEARCH if solver.optimizer.name == "lbfgs" else 1)
    measured = given.get("checkpoints", solver.default_checkpoints)
    spectral = any(MEASURES[name].spectral for name in given.get("track", ()))
    times = min(measured if isinstance(measured, int) else len(measured), last + 1) * spectral + FINAL
    return Work(
        shape(problem),
        products=steps * (PRODUCTS * made + polar),
        sums=steps * (SUMS * (made + 1) + sensors(problem)),
        decompositions=steps * exact + times,
        calls=steps,
        early=solver.tolerance is not None or solver.stationary is not None,
    )


def _of_penalty(penalty: Penalty | None) -> tuple[int, int]:
    """The products and the decompositions that a penalty costs in a step."""
    if isinstance(penalty, Total):
        parts = [_of_penalty(term) for term in penalty.terms]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)
    if not isinstance(penalty, SpectralPenalty):
        return 0, 0
    return (POLAR, 0) if getattr(penalty, "resolution", 0) else (0, 1)
