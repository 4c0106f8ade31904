"""The ratio penalty at few observations: the tables of docs/problems/few_observations.md.

python benchmarks/ratio_limit.py [success | adam | certificate] [--seeds 8] [--kappa 1 10 100] [--rho 1.5 1.15]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse.linalg

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom
from rankwise.measures import relative_error
from rankwise.penalties import Total
from rankwise.solvers.factor_least_squares import fit_factors

SHAPE, RANK = (100, 100), 5
RHOS = (1.5, 1.25, 1.15)
CASES = [(kappa, rho) for kappa in (1, 10, 100) for rho in RHOS]
SOLVERS: dict[str, Any] = {"RatioContinuation": rw.RatioContinuation(), "LogDet": rw.LogDet(), "Greedy": rw.Greedy()}
# No singular value exceeds |W|_F: no rank is tried.
UNPOLISHED = rw.RatioContinuation(resolution=1.0, stationary=1e-8, inner_steps=3000)
# Adam's runs: steps between two plain fits, and the most steps.
CHUNK, MOST = 1000, 20_000


def draw(kappa: float | None, rho: float, seed: int) -> tuple[rw.LowRank, rw.Completion]:
    """A truth and entries of it, every row and column with at least 6."""
    truth = rw.low_rank(SHAPE, RANK, key=500 + seed, kappa=kappa)
    count = round(rho * degrees_of_freedom(RANK, SHAPE))
    return truth, rw.observe(truth, count, key=900 + seed, min_degree=RANK + 1)


def timed(problem: Any, solver: Any, **arguments: Any) -> tuple[rw.Solution, float]:
    """A run, and the processor seconds it took."""
    begin = time.process_time()
    run = rw.solve(problem, solver, **arguments)
    return run, time.process_time() - begin


def success(seeds: int, kappas: list[float], rhos: list[float]) -> None:
    """How often each method, not told the rank, comes within 1e-3, and its median processor seconds."""
    print("kappa   rho  " + "".join(f"{name:>20}" for name in SOLVERS))
    for kappa, rho in CASES:
        if kappa not in kappas or rho not in rhos:
            continue
        cells = []
        for name, solver in SOLVERS.items():
            hits, seconds = 0, []
            # Greedy takes many seconds where it fails: half the seeds.
            count = (seeds + 1) // 2 if name == "Greedy" else seeds
            for seed in range(count):
                truth, problem = draw(kappa, rho, seed)
                run, took = timed(problem, solver)
                hits += bool(relative_error(run.matrix, truth) < 1e-3)
                seconds.append(took)
            cells.append(f"{hits:>8}/{count} {np.median(seconds):>6.2f} s")
        print(f"{kappa:>5} {rho:>5}  " + " ".join(cells), flush=True)


def adam(seeds: int) -> None:
    """Adam at weight 1e-3 against ours: until a plain fit is the truth, and until its objective is as low as ours."""
    print("               until a plain fit is the truth       until the objective is within 1 % of ours")
    print("kappa   rho seed   Adam s (steps)  ours s  ratio    Adam s (steps)  ours s  ratio   error of ours")
    for kappa, rho in ((None, 1.5), (1, 1.5), (None, 1.25)):
        for seed in range(seeds):
            truth, problem = draw(kappa, rho, seed)
            ours = [timed(problem, solver) for solver in (SOLVERS["RatioContinuation"], UNPOLISHED)]
            goal = 1.01 * value(problem, np.asarray(ours[1][0].matrix))
            theirs = adams_times(problem, truth, seed, goal)
            print(f"{kappa!s:>5} {rho:>5} {seed:>4}  ", end="")
            for (seconds, steps), (_, took) in zip(theirs, ours, strict=True):
                his = f"{seconds:.1f} ({steps})" if steps else f"> {seconds:.1f}"
                print(f"{his:>15} {took:>7.2f} {'' if steps else '>':>2}{seconds / took:>4.0f}  ", end=" ")
            print(f"{relative_error(ours[1][0].matrix, truth):>14.1e}", flush=True)


def adams_times(problem: rw.Completion, truth: rw.LowRank, key: int, goal: float) -> list[tuple[float, int]]:
    """Seconds and steps (0 if never) of Adam until a plain fit is the truth, and until the objective is that low."""
    single = problem.replace(values=problem.values.astype(np.float32)).mean()
    solver = rw.GradientDescent(rw.Full(rw.Gaussian(1e-3)), rw.Optimizer("adam", 1e-3), penalty(problem, 1e-4))
    rw.solve(single, solver, key=key, max_steps=CHUNK, checkpoints=1)  # compiled here, outside the clock
    state, seconds, found, times = None, 0.0, [0, 0], [0.0, 0.0]
    for steps in range(CHUNK, MOST + 1, CHUNK):
        run, took = timed(single, solver, key=key, max_steps=steps, checkpoints=1, state=state)
        seconds, state = seconds + took, run.state
        matrix = np.asarray(run.matrix, float)
        for k, done in enumerate((lambda w: polishes(problem, w, truth), lambda w: value(problem, w) <= goal)):
            if not found[k]:
                times[k], found[k] = seconds, steps if done(matrix) else 0
        if all(found):
            break
    return list(zip(times, found, strict=True))


def penalty(problem: rw.Completion, resolution: float) -> Total:
    """The ratio at weight 1e-3 with the cap."""
    return rw.Ratio(1e-3, resolution=resolution) + rw.NormCap(1.0, float(problem.norm_estimate()))


def value(problem: rw.Completion, matrix: np.ndarray) -> float:
    """The objective at weight 1e-3."""
    fit = np.sum(problem.residual(matrix) ** 2) / np.sum(problem.values**2)
    return float(fit + penalty(problem, 0.0)(matrix))


def polishes(problem: rw.Completion, matrix: Any, truth: rw.LowRank) -> bool:
    """Whether the plain fit from the leading triples of the true rank is the truth."""
    u, s, vt = np.linalg.svd(np.asarray(matrix, float), full_matrices=False)
    root = np.sqrt(s[:RANK])
    fit = fit_factors(problem, u[:, :RANK] * root, vt[:RANK].T * root, stationary=3e-2, max_steps=15)
    return bool(relative_error(rw.LowRank(fit.left, fit.right), truth) < 1e-3)


def certificate(seeds: int) -> None:
    """The spectral norm, off the tangent space, of the least-norm certificate: below 1 the truth is a local minimum."""
    print("kappa   rho   nuclear norm   ratio   log-det at 1e-3")
    slopes: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
        np.ones_like, lambda s: 1 - s.sum() * s / (s @ s), lambda s: 1e-3 * s[0] / (s + 1e-3 * s[0])
    )  # fmt: skip
    for kappa in (1, 3, 10, 100):
        for rho in (3.0, 2.0, 1.5, 1.25):
            drawn = [draw(kappa, rho, seed) for seed in range(seeds)]
            norms = [np.median([off_tangent(p, t, slope) for t, p in drawn]) for slope in slopes]
            print(f"{kappa:>5} {rho:>5} {norms[0]:>14.2f} {norms[1]:>7.2f} {norms[2]:>17.2f}", flush=True)


def off_tangent(problem: rw.Completion, truth: rw.LowRank, slope: Callable[[np.ndarray], np.ndarray]) -> float:
    """|P_off Y|_2 for the Y of least Frobenius norm on the observed entries with P_T Y = U diag(slope) V^T."""
    u, s, v = truth.svd()

    def tangent(matrix: Any) -> np.ndarray:
        rows, columns = u.T @ matrix, matrix @ v
        return u @ rows + columns @ v.T - u @ (rows @ v) @ v.T

    def product(flat: np.ndarray) -> np.ndarray:
        return tangent(problem.adjoint(problem.measure(tangent(flat.reshape(SHAPE))))).ravel()

    size = SHAPE[0] * SHAPE[1]
    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=product, dtype=float)
    flat, failed = scipy.sparse.linalg.cg(operator, ((u * slope(s)) @ v.T).ravel(), rtol=1e-5, maxiter=3000)
    if failed:
        return np.inf
    observed = problem.adjoint(problem.measure(tangent(flat.reshape(SHAPE))))
    return float(np.linalg.norm(observed - tangent(observed), 2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", default="success", choices=("success", "adam", "certificate"))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--kappa", type=float, nargs="*", default=[1, 10, 100], help="of the table of successes")
    parser.add_argument("--rho", type=float, nargs="*", default=list(RHOS), help="likewise")
    given = parser.parse_args()
    if given.table == "success":
        success(given.seeds, given.kappa, given.rho)
    else:
        {"adam": adam, "certificate": certificate}[given.table](given.seeds)
