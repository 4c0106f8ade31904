"""Low rank plus gross errors plus holes, 200 x 200, rank 5: the table and the picture of docs/problems/robust.md.

python benchmarks/robust.py [--seeds 3] [--picture docs/problems/robust.png]
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import rankwise as rw
from rankwise.measures import relative_error

SHAPE, RANK, SEEN, SHARE = (200, 200), 5, 28_000, 0.1
RANGES: dict[str, Any] = {"0.01 to 1000": (1e-2, 1e3), "0.01 to 1e6": (1e-2, 1e6)}
SIZES = RANGES | {name: float(name) for name in ("0.01", "0.1", "1", "10", "1000", "1e6", "1e200")}
SOLVERS = {"RobustGreedy": rw.RobustGreedy(), "PrincipalComponentPursuit": rw.PrincipalComponentPursuit()}


def instance(seed: int, size: Any, positive: bool) -> tuple[rw.LowRank, rw.Completion, set[tuple[int, int]]]:
    """The truth, what was observed of it, and where the gross errors are."""
    truth = rw.low_rank(SHAPE, RANK, key=seed)
    clean = rw.observe(truth, SEEN, key=50 + seed)
    problem = rw.corrupt(clean, SHARE, key=70 + seed, size=size, positive=positive)
    wrong = problem.values != clean.values
    return truth, problem, set(zip(problem.rows[wrong].tolist(), problem.cols[wrong].tolist(), strict=True))


def table(seeds: int) -> None:
    """One line per size of the errors, sign and solver: ranks, supports found, largest error, median seconds."""
    print(f"{'size of errors':>14}  {'signs':<8} {'solver':<26} rank found  support found  largest error  median s")
    for name, size in SIZES.items():
        for positive in (False, True):
            for title, solver in SOLVERS.items():
                ranks, supports, errors, seconds = [], [], [], []
                for seed in range(seeds):
                    truth, problem, wrong = instance(seed, size, positive)
                    run = rw.solve(problem, solver)
                    ranks.append(run.rank == RANK)
                    rows, cols = rw.outliers(problem, run.matrix).coords
                    supports.append(set(zip(rows.tolist(), cols.tolist(), strict=True)) == wrong)
                    errors.append(float(relative_error(run.matrix, truth)))
                    seconds.append(run.seconds)
                print(
                    f"{name:>14}  {'positive' if positive else 'random':<8} {title:<26} {sum(ranks):>6}/{seeds}"
                    f"  {sum(supports):>11}/{seeds}  {max(errors):>13.0e}  {np.median(seconds):>8.1f}",
                    flush=True,
                )


def picture(path: str) -> None:
    """Observed, low rank, errors found: one instance in three images."""
    import matplotlib.pyplot as plt

    truth, problem, _ = instance(0, 3.0, False)
    run = rw.solve(problem, rw.RobustGreedy())
    observed, sparse = np.full(SHAPE, np.nan), np.full(SHAPE, np.nan)
    observed[problem.rows, problem.cols] = problem.values
    found = rw.outliers(problem, run.matrix)
    sparse[found.coords] = found.data
    error = float(relative_error(run.matrix, truth))
    titles = (
        "observed: 30 % holes, 10 % gross errors",
        f"low rank: rank {run.rank}, error {error:.0e}",
        "gross errors",
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.9), layout="constrained")
    for axis, image, title in zip(axes, (observed, np.asarray(run.matrix), sparse), titles, strict=True):
        axis.imshow(image, cmap="RdBu", vmin=-4, vmax=4, interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", help="write the picture to this file instead of printing the table")
    given = parser.parse_args()
    picture(given.picture) if given.picture else table(given.seeds)
