"""What the bipartite graph of the observed entries predicts: low rank where connected, low norm where not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy

from rankwise.data.synthetic import low_rank
from rankwise.factorizations import Deep, Gaussian
from rankwise.loop import solve_batch
from rankwise.problems import Completion
from rankwise.solution import Solution
from rankwise.solvers import GradientFlow
from rankwise.spectrum import numerical_rank
from rankwise.theory.finding import Check, Curve, Finding, Panel

TIMES = np.concatenate([[0.0], np.geomspace(0.1, 3e4, 80)])
VARIANCE = "variance of an entry of the layers"
# Rounding of sums of a few numbers of order 1.
ROUNDING = 1e-12


class Block(NamedTuple):
    """A mask of two complete blocks: rows x cols, and the single entry (row, col)."""

    problem: Completion
    rows: np.ndarray
    cols: np.ndarray
    row: int
    col: int


def observation_components(problem: Completion) -> np.ndarray:
    """The component of each row and column in the graph whose edges are the observed entries.

    Returns labels from 0 of shape (d1 + d2,), rows first. A row or column without observation is one of its own.

    Source: Bai, Zhao, Zhang 2024 (`bai2024connectivity`).
    """
    d1, d2 = problem.shape
    ends = (problem.rows, d1 + problem.cols)
    graph = scipy.sparse.coo_array((np.ones(problem.size), ends), shape=(d1 + d2, d1 + d2))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def connectivity(
    variances: Sequence[float] = (1.0, 1e-4, 1e-8, 1e-12, 1e-16), seed: int = 0, tolerance: float = 1e-7
) -> Finding:
    """Connected and disconnected masks at depth 2, from Gaussian layers of the given variances of an entry.

    The checks and panels of `connected_masks` and `disconnected_masks`; these are in details, by name.

    Raises:
        ValueError: if the variances are not at least two positive numbers that descend.

    Source: Bai, Zhao, Zhang 2024 (`bai2024connectivity`), figures 3 and 4.
    """
    parts = {
        "connected": connected_masks(variances, seed, tolerance),
        "disconnected": disconnected_masks(variances, seed, tolerance),
    }
    return Finding(
        "connectivity",
        "small starts lead to low rank where the observations are connected, to low nuclear norm where they are not",
        "bai2024connectivity, figures 3 and 4",
        tuple(check for part in parts.values() for check in part.checks),
        tuple(panel for part in parts.values() for panel in part.panels),
        kind="measurement",
        details=parts,
    )


def connected_masks(
    variances: Sequence[float] = (1.0, 1e-4, 1e-8, 1e-12, 1e-16), seed: int = 0, tolerance: float = 1e-7
) -> Finding:
    """4 x 4, rank 3, 15 of 16 entries observed: all 16 masks are connected, and small starts find rank 3.

    Two truths are taken, with singular values that spread from 3 to 1. In the first no 3 x 3 minor is small: its left
    and right null vectors have entries of equal size. The second has random null vectors, so that some minors are
    small; where the entry opposite to a small one is hidden, the rank falls only at far smaller starts.
    details: by truth, sigma_4 / sigma_1 of shape (variances, 16).

    Raises:
        ValueError: as `connectivity`.

    Source: Bai, Zhao, Zhang 2024 (`bai2024connectivity`), figure 3.
    """
    _descending(variances)
    truths = {"equal minors": spread_truth(seed), "random minors": low_rank((4, 4), 3, key=seed, kappa=3.0).dense()}
    shares, ranks, parts = {}, {}, set()
    for name, truth in truths.items():
        problems = [_without(truth, k) for k in range(16)]
        parts |= {int(observation_components(problem).max()) + 1 for problem in problems}
        sigma = np.array([_spectra(run) for run in _runs(problems, variances, seed, tolerance, 1e-10)])
        shares[name] = sigma[:, :, -1] / sigma[:, :, 0]
        ranks[name] = np.array([[int(numerical_rank(s)) for s in row] for row in sigma])
    main = ranks["equal minors"]
    checks = (
        Check("15 of 16: components of the graph, any mask", float(max(parts)), 1.0),
        Check(f"15 of 16: median rank learned at variance {variances[0]:g}", float(np.median(main[0])), 4.0),
        Check(f"15 of 16: largest rank learned at variance {variances[-1]:g}", float(main[-1].max()), 3.0),
    )
    counts = [Curve(name, variances, (rank == 3).sum(axis=1)) for name, rank in ranks.items()]
    largest = [Curve(f"{name}, worst mask", variances, share.max(axis=1)) for name, share in shares.items()]
    middle = [Curve(f"{name}, median", variances, np.median(share, axis=1)) for name, share in shares.items()]
    return Finding(
        "connected_masks",
        "with 15 of 16 entries of a 4 x 4 matrix of rank 3 the learned rank falls from 4 to 3 as the start shrinks",
        "bai2024connectivity, figure 3",
        checks,
        (
            Panel("15 of 16 observed: rank 3 learned", VARIANCE, "masks of 16", tuple(counts), "x"),
            Panel("15 of 16 observed: what is left", VARIANCE, "σ₄ / σ₁", (*largest, *middle), "xy"),
        ),
        kind="measurement",
        details=shares,
    )  # fmt: skip


def disconnected_masks(
    variances: Sequence[float] = (1.0, 1e-4, 1e-8, 1e-12, 1e-16), seed: int = 0, tolerance: float = 1e-7
) -> Finding:
    """3 x 3, rank 1, 5 of 9 observed as a 2 x 2 block and an entry: the least nuclear norm, not the least rank.

    Pinching gives |W|_* >= |block|_* + |entry| for every completion W. With s u v^T the block and b the entry, small
    starts attain it: the hidden entries of the entry's row are c v^T and those of its column sign(b) c u, with

        c = sqrt(s |b|) cos(angle of u^T A_block + v^T B_block and A_row + sign(b) B_col) at the start,

    for W = A B^T: each block grows along its own random direction of the hidden space. So the rank is 2 and the
    hidden entries change from one start to the next however small it is. (Derived here; |c| < sqrt(s |b|), and
    |c| = sqrt(s |b|) is the completion of rank 1.) details: variances, and per mask the excess norm, the hidden
    entries measured and predicted.

    Raises:
        ValueError: as `connectivity`.

    Source: Bai, Zhao, Zhang 2024 (`bai2024connectivity`), figure 4.
    """
    _descending(variances)
    truth = rank_one_truth(seed)
    blocks = block_masks(truth)
    problems = [block.problem for block in blocks]
    parts = [int(observation_components(problem).max()) + 1 for problem in problems]
    runs = _runs(problems, variances, seed, tolerance, 1e-8)
    excess = np.array([[_excess(b, solution.matrix) for b, solution in zip(blocks, run, strict=True)] for run in runs])
    starts = _starts(problems, variances[-1], seed)
    hidden = [_hidden(block, run.matrix) for block, run in zip(blocks, runs[-1], strict=True)]
    predicted = [predicted_hidden(block, truth, start) for block, start in zip(blocks, starts, strict=True)]
    measured, told = np.concatenate(hidden), np.concatenate(predicted)
    error = float(np.abs(measured - told).max())
    checks = (
        Check("2 + 1 blocks: fewest components of the graph", float(min(parts)), 2.0),
        Check("2 + 1 blocks: most components of the graph", float(max(parts)), 2.0),
        Check("2 + 1 blocks: least excess of the nuclear norm, any start", float(excess.min()), 0.0, ">=", ROUNDING),
        Check(f"2 + 1 blocks: largest excess at variance {variances[-1]:g}", float(excess[-1].max()), 0.0, "=", 1e-4),
        # The residuals left are below 1e-4.
        Check("2 + 1 blocks: largest error of the hidden entries", error, 0.0, "=", 1e-3),
        Check("2 + 1 blocks: least rank learned (1 would do)", float(min(run.rank for run in runs[-1])), 2.0),
    )  # fmt: skip
    ends = np.array([told.min(), told.max()])
    return Finding(
        "disconnected_masks",
        "two complete blocks are completed with the least nuclear norm, at entries that the random start decides",
        "bai2024connectivity, figure 4",
        checks,
        (
            Panel("2 + 1 blocks: nuclear norm", VARIANCE, "excess, share of the least",
                  (Curve("worst mask", variances, excess.max(axis=1)),
                   Curve("median mask", variances, np.median(excess, axis=1))), "xy"),
            Panel(f"2 + 1 blocks: hidden entries, variance {variances[-1]:g}", "predicted from the start", "learned",
                  (Curve("learned", told, measured, "points"),
                   Curve("learned (predicted)", ends, ends, "dashed"))),
        ),
        kind="measurement",
        details={"variances": np.asarray(variances), "excess": excess, "measured": hidden, "predicted": predicted},
    )  # fmt: skip


def spread_truth(seed: int = 0) -> np.ndarray:
    """4 x 4 with singular values 3, 2, 1, 0 and null vectors (1, 1, 1, 1) / 2: all 3 x 3 minors are 3 / 2 in size."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(2):
        beside = np.column_stack([np.ones(4), rng.standard_normal((4, 3))])
        frames.append(np.linalg.qr(beside)[0][:, 1:])
    return (frames[0] * [3.0, 2.0, 1.0]) @ frames[1].T


def rank_one_truth(seed: int = 0) -> np.ndarray:
    """3 x 3 of rank 1 with factors of random sign and sizes between 1/2 and 3/2, so that no entry is negligible."""
    rng = np.random.default_rng(seed)
    left, right = rng.choice([-1, 1], (2, 3)) * rng.uniform(0.5, 1.5, (2, 3))
    return np.outer(left, right)


def block_masks(truth: np.ndarray) -> list[Block]:
    """The nine masks of a 3 x 3 matrix that observe one entry and the 2 x 2 block of the other rows and columns."""
    blocks = []
    for row, col in product(range(3), range(3)):
        rows, cols = np.delete(np.arange(3), row), np.delete(np.arange(3), col)
        seen = np.full((3, 3), np.nan)
        seen[np.ix_(rows, cols)] = truth[np.ix_(rows, cols)]
        seen[row, col] = truth[row, col]
        blocks.append(Block(Completion.from_dense(seen), rows, cols, row, col))
    return blocks


def predicted_hidden(block: Block, truth: np.ndarray, start: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The hidden entries that a vanishing start (B^T, A) leads to: those of the entry's row, then of its column."""
    u, s, vt = np.linalg.svd(truth[np.ix_(block.rows, block.cols)])
    b = truth[block.row, block.col]
    first, second = np.asarray(start[0]), np.asarray(start[1])
    mine = second[block.rows].T @ u[:, 0] + first[:, block.cols] @ vt[0]
    other = second[block.row] + np.sign(b) * first[:, block.col]
    cosine = mine @ other / (np.linalg.norm(mine) * np.linalg.norm(other))
    c = np.sqrt(s[0] * abs(b)) * cosine
    return np.concatenate([c * vt[0], np.sign(b) * c * u[:, 0]])


def _hidden(block: Block, matrix: Any) -> np.ndarray:
    return np.concatenate([matrix[block.row, block.cols], matrix[block.rows, block.col]])


def _excess(block: Block, matrix: Any) -> float:
    """|W|_* over the sum of its blocks' nuclear norms, minus 1: not negative, whatever stands beside the blocks."""
    least = np.linalg.norm(matrix[np.ix_(block.rows, block.cols)], "nuc") + abs(matrix[block.row, block.col])
    return float(np.linalg.norm(matrix, "nuc") / least) - 1


def _without(truth: np.ndarray, k: int) -> Completion:
    seen = truth.copy()
    seen.flat[k] = np.nan
    return Completion.from_dense(seen)


def _solver(problem: Completion, variance: float, **numbers: Any) -> GradientFlow:
    # `Gaussian` counts in the end-to-end matrix: at depth 2 and width n the variance of an entry is scale / n.
    start = Gaussian(problem.shape[0] * variance)
    return GradientFlow(Deep(2, start), times=TIMES, method="tsit5", **numbers)


def _runs(
    problems: list[Completion], variances: Sequence[float], seed: int, tolerance: float, fitted: float
) -> list[list[Solution]]:
    """One list of solutions per variance, a solution per problem; the same start, rescaled, for every variance."""
    pairs = list(product(variances, problems))
    solvers = [_solver(problem, variance, tolerance=tolerance, explained=fitted) for variance, problem in pairs]
    keys = [seed + k for k in range(len(problems))] * len(variances)
    flat = solve_batch([problem for _, problem in pairs], solvers, keys=keys)
    return [flat[i : i + len(problems)] for i in range(0, len(flat), len(problems))]


def _starts(problems: list[Completion], variance: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    solvers = [_solver(problem, variance) for problem in problems]
    runs = solve_batch(problems, solvers, keys=[seed + k for k in range(len(problems))], max_steps=0)
    return [run.state[0].params for run in runs]


def _spectra(run: list[Solution]) -> np.ndarray:
    return np.linalg.svd(np.array([solution.matrix for solution in run]), compute_uv=False)


def _descending(variances: Sequence[float]) -> None:
    array = np.asarray(variances, float)
    if array.ndim != 1 or array.size < 2 or not (array > 0).all() or (np.diff(array) >= 0).any():
        raise ValueError(f"variances must be at least two positive numbers that descend, not {variances!r}")
