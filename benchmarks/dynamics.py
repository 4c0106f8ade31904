"""How near gradient dynamics come to the machine's rate of matrix products: `python benchmarks/dynamics.py`.

Every line runs both in turn in one process: a step of gradient descent on N layers of d x d with half-sum loss, which
multiplies 3 (N - 1) pairs of d x d matrices (N - 1 for the product, two for each gradient), and as many bare products
of the same size, compiled and batched alike; `share` is the quotient of their rates. `BLAS` is the rate of NumPy's
products of that size on all cores at once, whether or not there is a batch to spread. `--part` chooses one table. On an
accelerator the same command prints the same tables. Where the system lets it have one core only (`taskset`), processor
time is counted, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

import rankwise as rw
from rankwise.penalties import Ratio

# Seconds that one timing lasts at least, rounds of both sides in turn, and how many operations a warm-up is worth.
LEAST, ROUNDS, TRIAL = 0.3, 3, 2e9
RATE = 1e-3
# The cores this process may use.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
clock = time.process_time if CORES == 1 else time.perf_counter


def problem_of(d: int, entries: int, dtype: Any) -> rw.Completion:
    """A rank-5 (or lower) completion of d x d with so many entries."""
    truth = rw.low_rank((d, d), min(5, d), key=0)
    return rw.observe(truth, entries, key=1, dtype=dtype).mean()


def step_seconds(solver: rw.GradientDescent, problem: rw.Completion, batch: int, cost: float) -> float:
    """Seconds of a step of a whole batch, compilation not counted; `cost`: about how many operations it is."""
    steps = max(int(TRIAL / cost), 4)

    def run(many: int) -> float:
        begun = clock()
        rw.solve_batch(problem, solver, keys=list(range(batch)), max_steps=many, checkpoints=1)
        return clock() - begun

    run(steps)
    while (spent := run(steps)) < LEAST:
        steps = int(steps * max(2.0, 1.2 * LEAST / spent))
    # What a call costs whatever its steps counts in neither: starting values, the last test, results to the host.
    return max(run(2 * steps) - spent, 1e-9) / steps


def product_seconds(d: int, batch: int, dtype: Any) -> float:
    """Seconds of one product of d x d matrices for a whole batch."""
    rng = np.random.default_rng(0)
    turn = jnp.asarray(np.linalg.qr(rng.standard_normal((d, d)))[0].astype(dtype))
    start = jnp.asarray(rng.standard_normal((batch, d, d)).astype(dtype))

    @jax.jit
    def loop(x: Any, count: Any) -> Any:
        high = jax.lax.Precision.HIGHEST
        many = jnp.broadcast_to(turn, x.shape)
        return jax.lax.fori_loop(0, count, lambda _, y: jnp.matmul(many, y, precision=high), x)

    def run(count: int) -> float:
        begun = clock()
        loop(start, count).block_until_ready()
        return clock() - begun

    count = max(int(TRIAL / (2.0 * d**3 * batch)), 4)
    run(count)
    while (spent := run(count)) < LEAST:
        count = int(count * max(2.0, 1.2 * LEAST / spent))
    return spent / count


def blas_rate(d: int, dtype: Any) -> float:
    """GFLOP/s of NumPy's products of d x d matrices, as many at once as there are cores."""
    many = CORES
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.standard_normal((2, d, d)).astype(dtype)) for _ in range(many)]

    def work(pair: tuple[Any, Any]) -> float:
        begun, count, (a, b) = clock(), 0, pair
        out = np.empty_like(a)
        while clock() - begun < LEAST:
            np.matmul(a, b, out=out)
            count += 1
        return count / (clock() - begun)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(many) as pool:
        return 2.0 * d**3 * sum(pool.map(work, pairs)) / 1e9


def in_turn(mine: Callable[[], float], bare: Callable[[], float]) -> tuple[float, float]:
    """The medians of both over the rounds."""
    pairs = [(mine(), bare()) for _ in range(ROUNDS)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def line(d: int, depth: int, batch: int, entries: int, dtype: Any) -> dict[str, float]:
    """A step, and its products alone."""
    problem = problem_of(d, entries, dtype)
    solver = rw.GradientDescent(rw.Deep(depth), rw.Optimizer("gradient_descent", RATE))
    operations = 2.0 * d**3 * 3 * (depth - 1) * batch
    cost = max(operations, 30.0 * d * d * batch)
    with jax.enable_x64(dtype == np.float64):
        step, product = in_turn(
            lambda: step_seconds(solver, problem, batch, cost), lambda: product_seconds(d, batch, dtype)
        )
    rate, bare = operations / step / 1e9, 2.0 * d**3 * batch / product / 1e9
    return {
        "d": d, "N": depth, "batch": batch, "entries": entries, "us_per_run": step / batch * 1e6,
        "gflops": rate, "product_gflops": bare, "share": rate / bare if depth > 1 else float("nan"),
        "blas": blas_rate(d, dtype),
        "runs_per_second": batch / step / 1e4,
    }  # fmt: skip


HEAD = "|    d |  N | batch | entries | us a step and run | GFLOP/s | products alone | share | BLAS | runs of 10,000 steps a second |"  # noqa: E501


def show(found: dict[str, float]) -> None:
    """A line of the table."""
    share = "    -" if np.isnan(found["share"]) else f"{found['share']:5.2f}"
    print(
        f"| {found['d']:4d} | {found['N']:2d} | {found['batch']:5d} | {found['entries']:7d} |"
        f" {found['us_per_run']:17.1f} | {found['gflops']:7.1f} | {found['product_gflops']:14.1f} | {share} |"
        f" {found['blas']:4.0f} | {found['runs_per_second']:29.3g} |",
        flush=True,
    )


def tables(dtype: Any, largest: int) -> dict[str, list[tuple[int, int, int, int]]]:
    """What is measured: (d, N, batch, entries) by table."""
    del dtype
    return {
        "d": [(d, 3, 1, d * d // 5) for d in (50, 100, 200, 500, 1000, 2000) if d <= largest],
        "d batched": [(d, 3, b, d * d // 5) for d, b in ((30, 256), (50, 128), (100, 64), (200, 16), (500, 4))],
        "N": [(100, depth, 16, 2000) for depth in (1, 2, 3, 4, 6, 8, 10)],
        "batch": [(100, 3, batch, 2000) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)],
        "entries": [(100, 3, 16, entries) for entries in (500, 2000, 5000, 10000)],
    }


def gradient_seconds(penalty: Any, matrices: Any) -> float:
    """Seconds of the gradient of a penalty at each of some matrices in turn."""

    @jax.jit
    def loop(many: Any, rounds: Any) -> Any:
        def once(_: Any, total: Any) -> Any:
            return jax.lax.fori_loop(0, many.shape[0], lambda i, s: s + penalty.gradient(many[i] + 1e-300 * s), total)

        return jax.lax.fori_loop(0, rounds, once, jnp.zeros_like(many[0]))

    def run(rounds: int) -> float:
        begun = clock()
        loop(matrices, rounds).block_until_ready()
        return clock() - begun

    rounds = 1
    run(rounds)
    while (spent := run(rounds)) < LEAST:
        rounds = int(rounds * max(2.0, 1.2 * LEAST / spent)) + 1
    return spent / rounds / len(matrices)


def ratio(dtype: Any, largest: int) -> None:
    """The gradient of the ratio penalty by a full decomposition and by products, on matrices met in training."""
    print(
        f"\nratio penalty, {np.dtype(dtype).name}: microseconds a gradient, and how far it is from the decomposition's"
    )
    print("|    d | decomposition | resolution | products only |  gain | largest difference |")
    print("|-----:|--------------:|-----------:|--------------:|------:|-------------------:|")
    with jax.enable_x64(dtype == np.float64):
        for d in (100, 500, 1000):
            if d > largest:
                continue
            matrices = jnp.asarray(trained(d, dtype))
            exact = Ratio(1.0)
            for resolution in (1e-4,) if dtype == np.float32 else (1e-4, 1e-8, 1e-12):
                fast = Ratio(1.0, resolution)
                slow, quick = in_turn(*(partial(gradient_seconds, one, matrices) for one in (exact, fast)))
                apart = max(float(jnp.abs(exact.gradient(m) - fast.gradient(m)).max()) for m in matrices)
                apart /= max(float(jnp.abs(exact.gradient(m)).max()) for m in matrices)
                print(
                    f"| {d:4d} | {slow * 1e6:13.0f} | {resolution:10.0e} | {quick * 1e6:13.0f} |"
                    f" {slow / quick:5.1f} | {apart:18.1e} |",
                    flush=True,
                )


def trained(d: int, dtype: Any) -> np.ndarray:
    """Matrices as training leaves them: five large singular values, the others from 1e-1 to 1e-10 of the largest."""
    rng = np.random.default_rng(0)
    made = []
    for low in (-2, -6, -10):
        u, v = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
        sigma = np.append(np.linspace(1, 0.5, 5), np.logspace(-1, low, d - 5))
        made.append((u * sigma) @ v.T)
    return np.stack(made).astype(dtype)


def changes() -> None:
    """How much the decomposition of a step tells of that of the next, in training with the ratio penalty."""
    print("\nratio penalty, d = 100, depth 1, Adam 1e-3: from one step to the next")
    print("|  step | change of W | gaps of singular values below it | change of U V^T, relative |")
    print("|------:|------------:|---------------------------------:|--------------------------:|")
    problem = problem_of(100, 2000, np.float64)
    solver = rw.GradientDescent(rw.Full(), rw.Optimizer("adam", RATE), penalty=Ratio(1e-3))
    for step in (10, 100, 1000, 5000, 15000):
        here = rw.solve(problem, solver, key=0, max_steps=step, checkpoints=1)
        there = rw.solve(problem, solver, state=here.state, max_steps=step + 1, checkpoints=1)
        (u, sigma, vt), (u1, _, vt1) = (np.linalg.svd(np.asarray(one.matrix)) for one in (here, there))
        change = np.linalg.norm(np.asarray(there.matrix) - np.asarray(here.matrix), 2)
        below = int((-np.diff(sigma) < change).sum())
        turned = np.linalg.norm(u1 @ vt1 - u @ vt) / np.sqrt(len(sigma))
        print(f"| {step:5d} | {change:11.1e} | {f'{below} of {len(sigma) - 1}':>32} | {turned:25.2f} |", flush=True)


def memory(d: int, batch: int) -> float:
    """MiB that a batch at depth 3 adds to the process, at its peak."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rw.solve_batch(
        problem_of(d, d * d // 5, np.float64), rw.GradientDescent(rw.Deep(3), rw.Optimizer("adam", RATE)),
        keys=list(range(batch)), max_steps=2, checkpoints=1,
    )  # fmt: skip
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def memories(largest: int) -> None:
    """Peak memory of batches, each in a process of its own; the first line is what compiling alone takes."""
    print("\nmemory, depth 3, Adam, float64: MiB added at the peak of the process")
    print("|    d | batch |  MiB | MiB of one state |")
    print("|-----:|------:|-----:|-----------------:|")
    for d, batch in ((10, 1), (100, 1), (100, 16), (100, 64), (100, 256), (500, 1), (500, 16), (1000, 1), (2000, 1)):
        if d <= largest:
            child = [sys.executable, __file__, "--memory", json.dumps([d, batch])]
            used = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            print(f"| {d:4d} | {batch:5d} | {used:4.0f} | {9 * d * d * 8 / 2**20:16.1f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part", action="append", choices=["d", "d batched", "N", "batch", "entries", "ratio", "changes", "memory"]
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--largest", type=int, default=2000, help="the largest d")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(memory(*json.loads(options.memory)))
        return
    dtype = np.dtype(options.dtype).type
    print(f"{jax.devices()[0].device_kind}, {options.dtype}, JAX {jax.__version__}")
    # First: a child's peak is counted from that of its parent, which is still small.
    if options.part is None or "memory" in options.part:
        memories(options.largest)
    for name, lines in tables(dtype, options.largest).items():
        if options.part is None or name in options.part:
            print(f"\ncost against {name}\n{HEAD}\n" + "|" + "|".join("---:" for _ in range(HEAD.count("|") - 1)) + "|")
            for one in lines:
                show(line(*one, dtype))
    if options.part is None or "ratio" in options.part:
        ratio(dtype, options.largest)
    if options.part is None or "changes" in options.part:
        changes()


if __name__ == "__main__":
    main()
