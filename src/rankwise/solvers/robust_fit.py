"""Factors fitted under any misfit: least squares on values shifted by what the misfit cuts off each residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rankwise.lowrank import LowRank
from rankwise.problems import Problem, Squared
from rankwise.solvers.factor_least_squares import Fit

# The most least-squares fits, and the share of the loss below which one more of them gains next to nothing.
ROUNDS, FLAT = 100, 1e-3


def squared(problem: Problem, matrix: LowRank) -> Problem:
    """The least-squares problem whose loss touches that of the problem at the matrix, and lies above it elsewhere.

    Its values are values + e - h'(e) with the residuals e at the matrix: h'' <= 1, so that
    h(e + d) <= h(e) - h'(e)^2 / 2 + (h'(e) + d)^2 / 2.
    """
    residual = problem.residual(matrix)
    shifted = problem.values + residual - problem.misfit.slope(residual)
    return problem.replace(values=shifted.astype(problem.dtype), misfit=Squared())


def fit_misfit(
    problem: Problem,
    start: LowRank,
    first: Callable[[Problem, LowRank], Fit],
    again: Callable[[Problem, LowRank], Fit],
    flat: float = FLAT,
) -> Fit:
    """A local minimum of the loss under the problem's misfit, by least-squares fits in turn.

    first, again: the least-squares fit to make from a start, and those that follow from its end. Every fit lowers
    the loss; they end when one lowers it by less than the share `flat`. With squares there is only the first.
    """
    if isinstance(problem.misfit, Squared):
        return first(problem, start)
    fit = first(squared(problem, start), start)
    matrix, steps = LowRank(fit.left, fit.right), fit.steps
    loss = float(problem.loss(matrix))
    for _ in range(ROUNDS):
        fit = again(squared(problem, matrix), matrix)
        matrix, steps = LowRank(fit.left, fit.right), steps + fit.steps
        before, loss = loss, float(problem.loss(matrix))
        if not np.isfinite(loss) or loss >= (1 - flat) * before:
            break
    return replace(fit, steps=steps)
