"""Noisy completion, rank unknown: the tables and the picture of docs/problems/noise.md.

python benchmarks/noise.py [--seeds 10] [--quick] [--gains] [--picture docs/problems/noise.png]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom
from rankwise.measures import relative_error
from rankwise.solvers.factor_least_squares import fit_factors
from rankwise.solvers.noise_level import LEAST_GAIN, gain


@dataclass(frozen=True)
class Case:
    """A shape, rank, oversampling rho, condition number and standard deviation of the noise (entries: rms 1)."""

    side: int
    rank: int
    rho: float
    kappa: float
    noise: float

    def draw(self, seed: int) -> tuple[rw.LowRank, rw.Completion]:
        """A truth and noisy entries of it."""
        shape = (self.side, self.side)
        truth = rw.low_rank(shape, self.rank, key=100 + seed, kappa=self.kappa)
        count = round(self.rho * degrees_of_freedom(self.rank, shape))
        return truth, rw.observe(truth, count, key=200 + seed, min_degree=self.rank + 1, noise=self.noise)


CASES = (
    Case(200, 5, 2, 10, 1e-2), Case(200, 5, 2, 1, 1e-3), Case(200, 3, 8, 3, 0.5), Case(300, 3, 4, 10, 0.3),
    Case(300, 3, 4, 10, 0.15), Case(100, 5, 2, 1, 0.1), Case(100, 5, 1.5, 10, 1e-2),
)  # fmt: skip
LARGE = Case(1000, 5, 2, 10, 1e-2)


def knowing_columns(problem: rw.Completion, truth: rw.LowRank) -> rw.LowRank:
    """Least squares of the right factor, the true column space given."""
    basis = np.linalg.qr(truth.left)[0]
    right = np.zeros((problem.shape[1], truth.rank))
    for column in range(problem.shape[1]):
        here = problem.cols == column
        right[column] = np.linalg.lstsq(basis[problem.rows[here]], problem.values[here], rcond=None)[0]
    return rw.LowRank(basis, right)


def where(case: Case) -> str:
    """The columns that name a case."""
    return f"{case.side:>5} {case.rank:>5} {case.rho:>5} {case.kappa:>6} {case.noise:>6}"


def line(case: Case, seeds: int) -> str:
    """How often each way finds the rank, and errors as multiples of those of two oracles."""
    ways: dict[str, Any] = {
        "known": rw.Greedy(noise=case.noise), "estimate": rw.Greedy(noise="estimate"),
        "holdout": rw.Greedy(holdout=0.1, polish=False),
    }  # fmt: skip
    found, by_columns, by_truth, seconds = dict.fromkeys(ways, 0), [], [], []
    for seed in range(seeds):
        truth, problem = case.draw(seed)
        runs = {name: rw.solve(problem, solver, key=seed) for name, solver in ways.items()}
        for name, run in runs.items():
            found[name] += run.rank == case.rank
        best = fit_factors(problem, truth.left, truth.right, stationary=1e-12, max_steps=100)
        error = float(relative_error(runs["estimate"].matrix, truth))
        by_columns.append(error / float(relative_error(knowing_columns(problem, truth), truth)))
        by_truth.append(error / float(relative_error(rw.LowRank(best.left, best.right), truth)))
        seconds.append(runs["estimate"].seconds)
    shown = "  ".join(f"{found[name]:>5}/{seeds}" for name in ways)
    errors = f"{np.median(by_truth):>9.3f}  {np.median(by_columns):>9.2f}"
    return f"{where(case)}  {shown}  {errors}  {np.median(seconds):>6.1f}"


def gains(case: Case, seed: int, ranks: int) -> list[float]:
    """The gain of each rank from 1 on."""
    _, problem = case.draw(seed)
    rmse = rw.solve(problem, rw.Greedy(max_rank=ranks, polish=False)).history["train_rmse"]
    parameters = [degrees_of_freedom(rank, problem.shape) for rank in range(len(rmse))]
    return [gain(rmse[k], rmse[k + 1], problem.size, (parameters[k], parameters[k + 1])) for k in range(len(rmse) - 1)]


def gain_line(case: Case, seeds: int) -> str:
    """The least gain of a rank up to the true one, and the range of at most three ranks beyond."""
    runs = [gains(case, seed, case.rank + 3) for seed in range(seeds)]
    true = min(min(run[: case.rank]) for run in runs)
    beyond = [value for run in runs for value in run[case.rank :]]
    return f"{where(case)}  {true:>12.2f}  {min(beyond):>8.2f} to {max(beyond):.2f}"


def picture(path: str) -> None:
    """The gain of each rank for some cases, with the bound."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for case, marker in zip((CASES[0], CASES[1], CASES[2], CASES[4]), "osD^", strict=True):
        label = f"rank {case.rank}, rho {case.rho}, kappa {case.kappa}, noise {case.noise}"
        values = gains(case, 0, case.rank + 3)
        axis.semilogy(np.arange(1, len(values) + 1), values, marker=marker, label=label)
    axis.axhline(LEAST_GAIN, color="black", linestyle=":", label="bound: 3")
    axis.set(xlabel="rank", ylabel="gain of the rank", ylim=(0.8, 1e6))
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="without 1000 x 1000")
    parser.add_argument("--gains", action="store_true", help="print the gains of ranks up to the true one and beyond")
    parser.add_argument("--picture", help="write the picture to this file and print nothing")
    given = parser.parse_args()
    if given.picture:
        picture(given.picture)
    elif given.gains:
        print(" side  rank   rho  kappa  noise    least gain up to the true rank, gains of the next three")
        for case in CASES:
            print(gain_line(case, given.seeds), flush=True)
    else:
        print(" side  rank   rho  kappa  noise    rank found by known level, estimate, holdout; error / least squares")
        print("       from the truth; error / least squares knowing the columns; median s of estimate")
        for case in CASES if given.quick else (LARGE, *CASES):
            print(line(case, given.seeds), flush=True)
