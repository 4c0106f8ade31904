"""What theory predicts for a recorded run, beside what was measured: speeds, alignment, balance, take-offs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rankwise.dynamics import check_depth
from rankwise.factorizations import Deep, Symmetric
from rankwise.problems import Problem
from rankwise.solution import Solution
from rankwise.solvers import EndToEndFlow, GradientDescent, GradientFlow, Solver, SpectralFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a run must have tracked for `predict`; the measures after these two are shown if they were tracked.
NEEDED = ("singular_values", "singular_speeds")
TRACK = (*NEEDED, "alignment_diagonal", "alignment_offdiagonal", "balancedness", "effective_rank")
# What is drawn together, and whether on a logarithmic axis.
TRACKED: tuple[tuple[tuple[str, ...], Literal["", "y"]], ...] = (
    (("alignment_diagonal", "alignment_offdiagonal"), "y"),
    (("balancedness",), ""),
    (("effective_rank",), ""),
)
# Speeds below this share of the largest are not compared: there rounding speaks.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True, eq=False)
class Predictions:
    """Theory and measurement of one run; times are gradient flow's (learning rate times steps).

    times: (k,) where speeds were compared; measured, predicted: speeds of the leading modes there, (k, r).
    relative_error: |predicted - measured| / |measured|, (k, r), NaN where the speed is negligible.
    takeoff_measured: (r,) times at which a mode first exceeds half of its last value, NaN if it never does.
    takeoff_predicted, half_predicted: what the gradient at W = 0 predicts (`takeoff_times`, `half_times`), in the order
    of its singular values; NaN unless the run begins at a scale between 0 and 1. Only modes that the start can reach
    rise: from multiples of the identity, or as Z Z^T, none along which -grad l(0) is negative.
    all_times, singular_values, and what else was tracked in `curves`: at every checkpoint.
    """

    times: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    takeoff_measured: np.ndarray
    takeoff_predicted: np.ndarray
    half_predicted: np.ndarray
    all_times: np.ndarray
    singular_values: np.ndarray
    curves: dict[str, np.ndarray]

    @property
    def relative_error(self) -> np.ndarray:
        """|predicted - measured| / |measured|, NaN where the speed is below 1e-6 of the largest."""
        size = np.abs(self.measured)
        seen = size > NEGLIGIBLE * size.max(initial=0.0)
        return np.where(seen, np.abs(self.predicted - self.measured) / np.where(seen, size, 1.0), np.nan)

    @property
    def median_error(self) -> float:
        """The median of the relative errors over times and modes."""
        return float(np.nanmedian(self.relative_error))

    def table(self) -> str:
        """One line per mode: median and largest relative error of the speed, and both take-off times."""
        lines = ["mode  median error  90 % below  take-off  predicted  half height"]
        for r, column in enumerate(self.relative_error.T):
            kept = column[np.isfinite(column)]
            middle, most = (np.median(kept), np.quantile(kept, 0.9)) if kept.size else (math.nan, math.nan)
            lines.append(
                f"{r + 1:4}  {middle:12.2e}  {most:10.2e}  {self.takeoff_measured[r]:8.4g}"
                f"  {self.takeoff_predicted[r]:9.4g}  {self.half_predicted[r]:11.4g}"
            )
        return "\n".join([*lines, f"median relative error of all speeds: {self.median_error:.2e}"])

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Singular values with predicted take-offs, speeds, and what else was tracked."""
        modes = range(self.measured.shape[1])
        rising = tuple(Curve(f"mode {r + 1}", self.all_times, self.singular_values[:, r]) for r in modes)
        marks = tuple(
            Curve(f"mode {r + 1} (predicted)", [at, at], [0, self.singular_values[:, r].max()], "dashed")
            for r, at in enumerate(self.takeoff_predicted)
            if np.isfinite(at) and at <= self.all_times[-1] and np.isfinite(self.takeoff_measured[r])
        )
        speeds = [
            pair
            for r in modes
            for pair in (
                Curve(f"mode {r + 1}", self.times, self.measured[:, r], "points"),
                Curve(f"mode {r + 1} (predicted)", self.times, self.predicted[:, r], "dashed"),
            )
        ]
        more = [
            Panel(" and ".join(names), "time", "", tuple(Curve(n, self.all_times, self.curves[n]) for n in names), log)
            for names, log in TRACKED
            if all(name in self.curves for name in names)
        ]
        return (
            Panel("singular values and predicted take-offs", "time", "singular value", (*rising, *marks)),
            Panel("speeds", "time", "d(singular value)/dt", tuple(speeds)),
            *more,
        )

    def finding(self, name: str = "predictions", tolerance: float = 0.01) -> Finding:
        """The same as a `Finding`, for the page: `rankwise.report.render_theory([found.finding().record()], command)`.

        One check: the median relative error of the predicted speeds is at most the tolerance.
        """
        check = Check("median relative error of the predicted speeds", self.median_error, 0.0, "<=", tolerance)
        statement = "Singular values move with speed -N sigma^(2-2/N) <grad l(W), u v^T>."
        return Finding(name, statement, "arora2019implicit, theorem 3", (check,), self.panels, "measurement", self)

    def figure(self) -> Figure:
        """The panels as a Matplotlib figure.

        Raises:
            ImportError: if Matplotlib is not installed.
        """
        from rankwise.theory.drawing import draw

        return draw(self.panels)


def predict(problem: Problem, solver: Solver, solution: Solution, modes: int = 6) -> Predictions:
    """What theory says about a run of gradient descent or of a flow, beside what its history recorded.

    The run must have tracked `singular_values` and, if it has layers, `singular_speeds` (a flow of the product:
    `matrix` instead); all of `TRACK` for every panel. Speeds are measured by central differences at the checkpoints
    whose neighbours are nearest: `neighbours` makes such checkpoints out of a few steps.

    Raises:
        ValueError: if the solver follows no gradient flow (only "gradient_descent" does, not an optimizer that
            rescales gradients, and no penalty), something needed was not tracked, or no three checkpoints lie
            close together.
    """
    depth, tied = _depth(solver)
    history = solution.history
    for name in ("singular_values", "singular_speeds" if solver.layered else "matrix"):
        if name not in history:
            raise ValueError(f"the run must have tracked {name!r}")
    times = flow_times(solver, solution)
    sigma = history["singular_values"][:, :modes]
    predicted = tied * (history["singular_speeds"] if solver.layered else _speeds(problem, history["matrix"], depth))
    centres = _centres(times)
    scale = sigma[0, 0]
    modes = sigma.shape[1]
    waits = solution.history.steps[0] == 0 and 0 < scale < 1  # else no plateau lies ahead to be timed
    takeoff, half = (
        f(problem, depth, scale, tied)[:modes] if waits else np.full(modes, math.nan)
        for f in (takeoff_times, half_times)
    )
    curves = {name: history[name] for name in TRACK[2:] if name in history}
    return Predictions(
        times[centres], _central(times, sigma, centres), predicted[centres, :modes], _takeoffs(times, sigma),
        takeoff, half, times, sigma, curves,
    )  # fmt: skip


def neighbours(steps: Sequence[int], last: int) -> list[int]:
    """The steps and those just before and after each, for speeds by central differences; all within 0..last."""
    return sorted({k for step in steps for k in (step - 1, step, step + 1) if 0 <= k <= last})


def takeoff_times(problem: Problem, depth: float, scale: float, tied: float = 1.0) -> np.ndarray:
    """When each mode leaves a balanced start of a small scale s, shape (min(d1, d2),), in gradient flow's time.

    With mu_r the singular values of grad l(0): log(1 / s) / (2 mu_r) at depth 2, s^(-(N-2)/N) / ((N-2) mu_r) at depth
    N >= 3, infinite where mu_r = 0; NaN at depth 1, where nothing waits. To leading order in s -> 0, for the first
    mode; for later ones as far as the first leave their drive unchanged. tied = 2 for Z Z^T, which moves twice as
    fast.

    Raises:
        ValueError: if the scale is not between 0 and 1, or the depth no integer of at least 1 or infinity.

    Source: Arora et al. 2019 (`arora2019implicit`), theorem 3, integrated at the gradient of W = 0.
    """
    check_depth(depth)
    if not 0 < scale < 1:
        raise ValueError(f"scale must lie strictly between 0 and 1, not {scale}")
    mu = tied * np.linalg.svdvals(_first_gradient(problem))
    with np.errstate(divide="ignore"):
        if depth == 1:
            return np.full_like(mu, math.nan)
        if depth == 2:
            return math.log(1 / scale) / (2 * mu)
        if depth == math.inf:
            return 1 / (scale * mu)
        return scale ** (-(depth - 2) / depth) / ((depth - 2) * mu)


def half_times(problem: Problem, depth: float, scale: float, tied: float = 1.0) -> np.ndarray:
    """When each mode alone would reach half of its height, shape (min(d1, d2),): `takeoff_times` with saturation.

    Along sigma u v^T, the r-th singular pair of -grad l(0), the loss has slope mu - c sigma with c = scale * sum_i
    <A_i, u v^T>^2; so sigma' = N sigma^(2-2/N) (mu - c sigma), integrated from s to mu / (2 c).

    Raises:
        ValueError: if the scale is not between 0 and 1, or the depth no integer of at least 1 or infinity.

    Source: Gissin, Shalev-Shwartz, Daniely 2020 (`gissin2020implicit`), the toy model, at the gradient of W = 0.
    """
    check_depth(depth)
    if not 0 < scale < 1:
        raise ValueError(f"scale must lie strictly between 0 and 1, not {scale}")
    left, mu, right = np.linalg.svd(-_first_gradient(problem), full_matrices=False)
    pairs = [problem.measure(np.outer(u, v)) for u, v in zip(left.T, right, strict=True)]
    curvature = float(problem.scale) * np.array([float(np.sum(np.asarray(image) ** 2)) for image in pairs])
    return np.array([_half_time(m, c, depth, scale) / tied for m, c in zip(mu, curvature, strict=True)])


def _half_time(mu: float, curvature: float, depth: float, scale: float) -> float:
    """The integral of 1 / (N sigma^(2-2/N) (mu - c sigma)) from the start to half height, in log sigma."""
    from scipy.integrate import quad

    if mu <= 0 or curvature <= 0 or scale >= mu / (2 * curvature):
        return math.nan
    power, factor = (1.0, 1.0) if depth == math.inf else (1 - 2 / depth, depth)
    ends = math.log(scale), math.log(mu / (2 * curvature))
    return quad(lambda x: math.exp(-power * x) / (factor * (mu - curvature * math.exp(x))), *ends, limit=200)[0]


def _first_gradient(problem: Problem) -> np.ndarray:
    return np.asarray(problem.gradient(np.zeros(problem.shape, problem.dtype)))


def flow_times(solver: Solver, solution: Solution) -> np.ndarray:
    """Gradient flow's time at the checkpoints of a run: learning rate times steps, or the flow's own."""
    if isinstance(solver, GradientDescent):
        return float(solver.optimizer.learning_rate) * solution.history.steps
    return solution.history["time"]


def _depth(solver: Solver) -> tuple[float, float]:
    """The depth, and 2 where the two layers are one (Z Z^T)."""
    if isinstance(solver, GradientDescent):
        if solver.optimizer.name != "gradient_descent" or solver.penalty is not None:
            raise ValueError("theory speaks of plain gradient descent, without penalty, and of flows")
    elif not isinstance(solver, GradientFlow | EndToEndFlow | SpectralFlow):
        raise ValueError(f"theory speaks of gradient descent and flows, not of {type(solver).__name__}")
    if isinstance(solver, GradientDescent | GradientFlow):
        form = solver.factorization
        if isinstance(form, Symmetric):
            return 2, 2.0
        return (form.depth if isinstance(form, Deep) else 1), 1.0
    return solver.depth, 2.0 if isinstance(solver, EndToEndFlow) and solver.symmetric else 1.0


def _speeds(problem: Problem, matrices: np.ndarray, depth: float) -> np.ndarray:
    from rankwise.dynamics import singular_speeds

    return np.stack([singular_speeds(w, np.asarray(problem.gradient(w)), depth) for w in matrices])


def _centres(times: np.ndarray) -> np.ndarray:
    """The checkpoints with neighbours on both sides within twice the smallest distance of any two."""
    gaps = np.diff(times)
    if len(gaps) < 2:
        raise ValueError("speeds need at least three checkpoints: see neighbours(steps, last)")
    near = gaps <= 2 * gaps.min()
    centres = np.nonzero(near[:-1] & near[1:])[0] + 1
    if not centres.size:
        raise ValueError("no three checkpoints lie close together: see neighbours(steps, last)")
    return centres


def _central(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Three-point derivatives, exact for parabolas, on any spacing."""
    before, after = (times[at] - times[at - 1])[:, None], (times[at + 1] - times[at])[:, None]
    back, ahead = (values[at] - values[at - 1]) / before, (values[at + 1] - values[at]) / after
    return (after * back + before * ahead) / (before + after)


def _takeoffs(times: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """When each mode first exceeds half of its last value; NaN if it began there or ends below a tenth of the first."""
    last = sigma[-1]
    out = np.full(sigma.shape[1], math.nan)
    for r, path in enumerate(sigma.T):
        above = np.nonzero(path > last[r] / 2)[0]
        if above.size and above[0] > 0 and last[r] > last[0] / 10:
            out[r] = times[above[0]]
    return out
