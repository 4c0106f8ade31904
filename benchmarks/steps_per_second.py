"""Steps per second of `GradientDescent` against a plain PyTorch loop: `make bench` prints the table of ratios.

100 x 100, rank 5, 2,000 entries, float32, Adam at 1e-3. Both sides run in turn in one process, several
rounds; medians are compared. PyTorch gets the faster of one and two threads. Compilation is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import peers_torch

import rankwise as rw

STEPS, ROUNDS, SEEDS = 4000, 5, 16
TRUTH = rw.low_rank((100, 100), 5, key=0)
PROBLEM = rw.observe(TRUTH, 2000, key=1, dtype=np.float32).mean()
ADAM = rw.Optimizer("adam", 1e-3)
WHERE = (PROBLEM.rows, PROBLEM.cols)
TARGET = TRUTH.dense()


def ours(solver: rw.GradientDescent, runs: int = 1) -> Callable[[], float]:
    """Seconds per step and run."""

    def measure() -> float:
        begun = time.perf_counter()
        rw.solve_batch(PROBLEM, solver, keys=list(range(runs)), max_steps=STEPS, checkpoints=1)
        return (time.perf_counter() - begun) / STEPS / runs

    measure()
    return measure


def theirs(loop: Callable[..., peers_torch.Timing]) -> Callable[[], float]:
    """Seconds per step with the number of threads that is faster here."""
    times = {threads: loop(steps=STEPS // 2, threads=threads).seconds_per_step for threads in (1, 2)}
    best = min(times, key=lambda threads: times[threads])
    return lambda: loop(steps=STEPS, threads=best).seconds_per_step


def deep(depth: int) -> Callable[..., peers_torch.Timing]:
    """The plain loop at a depth."""
    return lambda **more: peers_torch.deep_loop(depth, TARGET, WHERE, lr=1e-3, **more)


def ratio(**more: object) -> peers_torch.Timing:
    """The plain loop with the ratio penalty through a differentiated SVD."""
    return peers_torch.ratio_loop(TARGET, WHERE, lr=1e-3, **more)  # pyright: ignore[reportArgumentType]


def compare(name: str, goal: float, mine: Callable[[], float], peer: Callable[[], float]) -> None:
    """Print one line of the table."""
    pairs = [(mine(), peer()) for _ in range(ROUNDS)]
    us = [statistics.median(side) * 1e6 for side in zip(*pairs, strict=True)]
    by_pair = statistics.median(b / a for a, b in pairs)
    print(f"{name:34} {us[0]:10.0f} {us[1]:10.0f} {by_pair:7.1f} {goal:6.0f}")


def products_alone(depth: int) -> float:
    """Seconds that only the 3 (depth - 1) matrix products of a step take, compiled, one core: the floor of a step."""
    import jax

    turn = np.linalg.qr(np.random.default_rng(0).normal(size=TARGET.shape))[0].astype(np.float32)
    loop = jax.jit(lambda x: jax.lax.fori_loop(0, STEPS * 3 * (depth - 1), lambda _, y: turn @ y, x))
    loop(turn).block_until_ready()
    begun = time.perf_counter()
    loop(turn).block_until_ready()
    return (time.perf_counter() - begun) / STEPS


def singular_values_apart() -> tuple[float, float]:
    """Difference of singular values after 1,000 float64 steps, relative to the largest: products only against the SVD.

    And, as a yardstick, the SVD against itself from a start changed by 1e-15: the dynamics amplify rounding.
    """
    problem = rw.observe(TRUTH, 2000, key=1).mean()

    def run(resolution: float, scale: float) -> np.ndarray:
        solver = rw.GradientDescent(rw.Full(rw.Gaussian(scale)), ADAM, rw.Ratio(1e-3, resolution))
        return np.linalg.svdvals(np.asarray(rw.solve(problem, solver, max_steps=1000, checkpoints=1).matrix))

    exact, products, changed = run(0.0, 1e-7), run(1e-12, 1e-7), run(0.0, 1e-7 * (1 + 1e-15))
    apart = (float(np.max(np.abs(other - exact)) / exact[0]) for other in (products, changed))
    return next(apart), next(apart)


def main() -> None:
    """Print the table."""
    print(f"{'microseconds a step and run':34} {'rankwise':>10} {'PyTorch':>10} {'ratio':>7} {'goal':>6}")
    for depth, goal in ((2, 5), (3, 4)):
        compare(f"depth {depth}", goal, ours(rw.GradientDescent(rw.Deep(depth), ADAM)), theirs(deep(depth)))
        print(f"  its products alone {products_alone(depth) * 1e6:19.0f}")
    fast = rw.GradientDescent(rw.Full(), ADAM, rw.Ratio(1e-3, resolution=1e-4))
    compare("depth 1, ratio, resolution 1e-4", 3, ours(fast), theirs(ratio))
    batch = ours(rw.GradientDescent(rw.Deep(3), ADAM), SEEDS)
    compare(f"depth 3, {SEEDS} seeds at once", 4, batch, theirs(deep(3)))
    products, itself = singular_values_apart()
    print("ratio, float64, singular values after 1,000 steps, relative to the largest:")
    print(f"  products only (resolution 1e-12) against the SVD: {products:.1e}, goal 1e-6")
    print(f"  the SVD against itself, start changed by 1e-15:   {itself:.1e}")


if __name__ == "__main__":
    main()
