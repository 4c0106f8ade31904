"""When a fit is as good as it can be: exact to rounding, or at the noise, known or told by what another rank gains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Pure noise stays below this much, real singular values above: see docs/problems/noise.md.
LEAST_GAIN = 3.0
# How many standard deviations of its mean square the residual may lie above its expectation.
SPREAD = 3.0


def exact_tolerance(dtype: Any, asked: float | None = None) -> float:
    """The residual, relative to the values, up to which a fit counts as exact: what is asked for, or eps^0.65 for None.

    7e-11 in float64, 3e-5 in float32: far above what rounding leaves of an exact fit, far below that of any other.
    """
    return float(np.finfo(dtype).eps ** 0.65) if asked is None else asked


def expected_rmse(noise: float, observations: int, parameters: int) -> float:
    """The root mean square residual that a right fit hardly ever exceeds, for Gaussian noise of a known level.

    noise * sqrt(nu / m * (1 + 3 sqrt(2 / nu))) with m observations and nu = m - parameters degrees of freedom left:
    the squares of a least-squares fit sum to noise^2 times chi^2 of nu degrees. A fit of too low a rank that has more
    residual than this is not taken for a right one, as it could be if `noise` itself were the bound.
    """
    left = max(observations - parameters, 0)
    return noise * math.sqrt((left + SPREAD * math.sqrt(2 * left)) / observations)


def gain(before: float, after: float, observations: int, parameters: tuple[int, int]) -> float:
    """How much a further rank lowers the squares, beside what is left: F sqrt(nu / m).

    before, after: the root mean square residuals; parameters: (before, after); nu = m - parameters after, and
    F = ((before^2 - after^2) / (parameters' increase)) / (after^2 / nu). A rank that only fits noise has a gain of
    1 to 2.5, however full the matrix: the leading singular pair of noise explains up to twice the average of its
    parameters, and F grows as sqrt(m / nu) where parameters are many. Infinite if nothing is left.
    """
    left = observations - parameters[1]
    if left <= 0 or after == 0:
        return math.inf
    ratio = before / after
    drop = (ratio - 1) * (ratio + 1) * left / (parameters[1] - parameters[0])
    return drop * math.sqrt(left / observations)
