"""Batches of a study against its cases in turn, and against a plain PyTorch loop: `python benchmarks/batches.py`.

Depth 3, Adam, float32, as many seeds as `--cases`, at 100 x 100 (2,000 entries) and 30 x 30 (300 entries). All sides
run in turn in one process; medians over rounds. Compilation is not counted, records are not written.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import peers_torch

import rankwise as rw
from rankwise.studies import build_study
from rankwise.studies.plan import batches
from rankwise.studies.running import run_batch

STEPS, ROUNDS = 1000, 3
SIZES = {100: 2000, 30: 300}
# Against one after the other, and against PyTorch.
GOALS = {100: (1, 4), 30: (5, 10)}


def study_of(d: int, cases: int, steps: int) -> object:
    """The same run from so many seeds of the start."""
    case = {
        "max_steps": steps,
        "checkpoints": 1,
        "problem": {"count": SIZES[d], "loss": "mean", "dtype": "float32", "truth": {"shape": [d, d], "rank": 2}},
        "solver": {
            "name": "gradient_descent",
            "factorization": {"name": "deep", "depth": 3},
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
        },
    }
    return build_study({"case": case, "axes": {"key": {"key": "key", "values": list(range(cases))}}}, "batches")


def ours(d: int, cases: int, most: int) -> float:
    """Seconds per step and case, in batches of at most `most`."""
    study = study_of(d, cases, STEPS)
    begun = time.perf_counter()
    for batch in batches(study.cases(), most):
        for row in run_batch(batch, Path()):
            if row["result"] == "failed":
                raise RuntimeError(row["sentence"])
    return (time.perf_counter() - begun) / STEPS / cases


def theirs(d: int, threads: int) -> float:
    """Seconds per step and case of the plain loop, one case after the other: one case tells."""
    truth = rw.low_rank((d, d), 2, key=0)
    problem = rw.observe(truth, SIZES[d], key=1)
    where = (problem.rows, problem.cols)
    return peers_torch.deep_loop(3, truth.dense(), where, lr=1e-3, steps=STEPS, threads=threads).seconds_per_step


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=32)
    cases = parser.parse_args().cases
    print(f"{cases} cases, microseconds a step and case; ratios of medians over {ROUNDS} rounds, goals in brackets")
    print(
        f"{'size':>9} {'batched':>9} {'in turn':>9} {'PyTorch':>9} {'in turn / batched':>19} {'PyTorch / batched':>19}"
    )
    for d, (one, other) in GOALS.items():
        ours(d, cases, cases), ours(d, 2, 1)
        threads = min((1, 2), key=lambda many: theirs(d, many))
        rounds = np.array([(ours(d, cases, cases), ours(d, 8, 1), theirs(d, threads)) for _ in range(ROUNDS)])
        batched, turn, plain = (statistics.median(side) * 1e6 for side in rounds.T)
        print(
            f"{f'{d} x {d}':>9} {batched:9.1f} {turn:9.1f} {plain:9.1f}"
            f" {turn / batched:14.1f} ({one:2d}) {plain / batched:14.1f} ({other:2d})"
        )


if __name__ == "__main__":
    main()
