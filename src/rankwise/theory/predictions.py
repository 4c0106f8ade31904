"""What theory predicts for a recorded run, beside what was measured: speeds, alignment, balance, take-offs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rankwise.factorizations import Deep, Symmetric
from rankwise.problems import Problem, Squared
from rankwise.solution import Solution
from rankwise.solvers import EndToEndFlow, GradientDescent, GradientFlow, Solver, SpectralFlow
from rankwise.theory.finding import Check, Curve, Finding, Panel
from rankwise.theory.takeoff import half_times, stays_semidefinite, takeoff_times

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
# A speed that changes by more than this share from a checkpoint to the next is not resolved by them.
RESOLVED = 0.1
# Layers count as balanced up to this share of their own size.
BALANCED = 0.01


@dataclass(frozen=True, eq=False)
class Predictions:
    """Theory and measurement of one run; times are gradient flow's (learning rate times steps).

    times: (k,) where speeds were compared; measured, predicted: speeds of the leading modes there, (k, r).
    relative_error: |predicted - measured| / |measured|, (k, r), NaN where the speed is negligible.
    sampling_error: half of what the speed changes from one checkpoint to the next, as a share of it, (k, r): what
    finite differences and finite steps may be wrong by (an upper estimate for flows). Where it exceeds 0.1 the speed is
    not resolved, and no error of the theory is read from it.
    imbalance: max_j |W_(j+1)^T W_(j+1) - W_j W_j^T|_F at every checkpoint, as a share of |sigma^(2/N)|, the size of
    W_j W_j^T in balanced layers; 0 for flows of the product, NaN if `balancedness` was not tracked. The theorem
    assumes 0.
    takeoff_measured: (r,) times at which a mode first exceeds half of its last value, NaN if it never does.
    takeoff_predicted, half_predicted: what the gradient at W = 0 predicts (`takeoff_times`, `half_times`), in the order
    of its singular values; NaN unless the run begins at a scale between 0 and 1 (half_predicted: or with another misfit
    than squares). Where the start and the gradient are
    symmetric and W stays positive semidefinite (Z Z^T, multiples of the identity), the order is that of the eigenvalues
    of -grad l(0), and modes that are not positive take off at infinity.
    all_times, singular_values, and what else was tracked in `curves`: at every checkpoint.
    """

    times: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    sampling_error: np.ndarray
    imbalance: np.ndarray
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
    def resolved(self) -> np.ndarray:
        """Where a speed is not negligible and its sampling error is at most 0.1, (k, r)."""
        return np.isfinite(self.relative_error) & (self.sampling_error <= RESOLVED)

    @property
    def median_error(self) -> float:
        """The median of the relative errors over all speeds that the checkpoints resolve; NaN if they resolve none."""
        return _median(self.relative_error[self.resolved])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before blaming the theory: speeds that are not resolved, and layers that are not balanced."""
        compared = np.isfinite(self.relative_error)
        missed = compared & ~self.resolved
        worst = float(np.max(self.imbalance))
        notes = []
        if missed.any():
            notes.append(
                f"{missed.sum()} of {compared.sum()} speeds are not resolved, since they change by more than a tenth "
                "from one checkpoint to the next, and are left out; their median relative error, "
                f"{_median(self.relative_error[missed]):.1e}, may be that of sampling: take checkpoints closer "
                "together, or smaller steps."
            )
        if math.isnan(worst):
            notes.append("'balancedness' was not tracked: whether the layers are balanced, as assumed, is not known.")
        elif worst > BALANCED:
            notes.append(
                "The layers are not balanced, as the theorem assumes: they are off by "
                f"{self.imbalance[0]:.2g} of their size at the start, {worst:.2g} at most, {self.imbalance[-1]:.2g} at "
                "the end; an error of that order is no failure of the theorem."
            )
        return tuple(notes)

    def table(self) -> str:
        """One line per mode (errors of its resolved speeds, and take-off times), the check of `finding`, the notes."""
        lines = ["mode  median error  90 % below  take-off  predicted  half height"]
        for r, column in enumerate(self.relative_error.T):
            kept = column[self.resolved[:, r]]
            middle, most = (np.median(kept), np.quantile(kept, 0.9)) if kept.size else (math.nan, math.nan)
            lines.append(
                f"{r + 1:4}  {middle:12.2e}  {most:10.2e}  {self.takeoff_measured[r]:8.4g}"
                f"  {self.takeoff_predicted[r]:9.4g}  {self.half_predicted[r]:11.4g}"
            )
        return "\n".join([*lines, *map(str, self.finding().checks), *self.notes])

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
            Panel(_title(names), "time", "", tuple(Curve(n, self.all_times, self.curves[n]) for n in names), log)
            for names, log in TRACKED
            if all(name in self.curves for name in names)
        ]
        return (
            Panel("Singular values and predicted take-offs", "time", "singular value", (*rising, *marks)),
            Panel("Speeds", "time", "d(singular value)/dt", tuple(speeds)),
            *more,
        )

    def finding(self, name: str = "predictions", tolerance: float = 0.01) -> Finding:
        """The same as a `Finding` (for the page: `rankwise.report.write_theory`), with the notes.

        One check: the median relative error of the predicted speeds, as far as resolved, is at most the tolerance.
        """
        check = Check("median relative error of the predicted speeds", self.median_error, 0.0, "<=", tolerance)
        statement = "Singular values move with speed -N sigma^(2-2/N) <grad l(W), u v^T>."
        source = "arora2019implicit, theorem 3"
        return Finding(name, statement, source, (check,), self.panels, "measurement", self, self.notes)

    def record(self) -> dict[str, Any]:
        """That of `finding`: what a page is drawn from."""
        return self.finding().record()

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
    whose neighbors are nearest: `neighbors` makes such checkpoints out of a few steps. How far this resolves them,
    and how balanced the layers are (if `balancedness` was tracked), stands in the result and its `notes`.

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
    centers = _centers(times)
    scale = sigma[0, 0]
    modes = sigma.shape[1]
    waits = solution.history.steps[0] == 0 and 0 < scale < 1  # else no plateau lies ahead to be timed
    semidefinite = stays_semidefinite(problem, solver)
    squares = isinstance(problem.misfit, Squared)
    takeoff, half = (
        f(problem, depth, scale, tied, semidefinite)[:modes] if known else np.full(modes, math.nan)
        for f, known in ((takeoff_times, waits), (half_times, waits and squares))
    )
    curves = {name: history[name] for name in TRACK[2:] if name in history}
    back, ahead, measured = _differences(times, sigma, centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        sampling = np.abs(ahead - back) / 2 / np.abs(measured)
    return Predictions(
        times[centers], measured, predicted[centers, :modes], sampling, _imbalance(solver, solution, depth),
        _takeoffs(times, sigma), takeoff, half, times, sigma, curves,
    )  # fmt: skip


def neighbors(steps: Sequence[int], last: int) -> list[int]:
    """The steps and those just before and after each, for speeds by central differences; all within 0..last."""
    return sorted({k for step in steps for k in (step - 1, step, step + 1) if 0 <= k <= last})


def _imbalance(solver: Solver, solution: Solution, depth: float) -> np.ndarray:
    """`balancedness` as a share of |sigma^(2/N)|, the size of W_j W_j^T in balanced layers, at every checkpoint."""
    history = solution.history
    if not solver.layered or depth == 1:
        return np.zeros(len(history.steps))
    if "balancedness" not in history:
        return np.full(len(history.steps), math.nan)
    size = np.linalg.norm(history["singular_values"] ** (2 / depth), axis=1)
    return history["balancedness"] / np.maximum(size, np.finfo(float).tiny)


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


def _title(names: Sequence[str]) -> str:
    words = " and ".join(names).replace("_", " ")
    return words[0].upper() + words[1:]


def _speeds(problem: Problem, matrices: np.ndarray, depth: float) -> np.ndarray:
    from rankwise.dynamics import singular_speeds

    return np.stack([singular_speeds(w, np.asarray(problem.gradient(w)), depth) for w in matrices])


def _centers(times: np.ndarray) -> np.ndarray:
    """The checkpoints with neighbors on both sides within twice the smallest distance of any two."""
    gaps = np.diff(times)
    if len(gaps) < 2:
        raise ValueError("speeds need at least three checkpoints: see neighbors(steps, last)")
    near = gaps <= 2 * gaps.min()
    centers = np.nonzero(near[:-1] & near[1:])[0] + 1
    if not centers.size:
        raise ValueError("no three checkpoints lie close together: see neighbors(steps, last)")
    return centers


def _differences(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes to either neighbour, and three-point derivatives, exact for parabolas, on any spacing."""
    before, after = (times[at] - times[at - 1])[:, None], (times[at + 1] - times[at])[:, None]
    back, ahead = (values[at] - values[at - 1]) / before, (values[at + 1] - values[at]) / after
    return back, ahead, (after * back + before * ahead) / (before + after)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else math.nan


def _takeoffs(times: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """When each mode first exceeds half of its last value; NaN if it began there or ends below a tenth of the first."""
    last = sigma[-1]
    out = np.full(sigma.shape[1], math.nan)
    for r, path in enumerate(sigma.T):
        above = np.nonzero(path > last[r] / 2)[0]
        if above.size and above[0] > 0 and last[r] > last[0] / 10:
            out[r] = times[above[0]]
    return out
