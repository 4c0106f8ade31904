"""Plain PyTorch autograd loops as research scripts write them: what the compiled dynamics are compared with.

They need PyTorch for the CPU: pip install torch==2.13.0
Each returns the seconds per step without warm-up, and the final singular values, so that results compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Indices = tuple[np.ndarray, np.ndarray]
Nuclear = Literal["svd", "svdvals", "nuc"]
OPTIMIZERS = {"adam": "Adam", "gradient_descent": "SGD", "rmsprop": "RMSprop"}


@dataclass(frozen=True)
class Timing:
    """What one loop took and where it arrived."""

    seconds_per_step: float
    singular_values: np.ndarray
    loss: float


def deep_loop(
    depth: int,
    target: np.ndarray,
    mask_indices: Indices,
    steps: int,
    lr: float,
    optimizer: str = "adam",
    *,
    starts: list[np.ndarray] | None = None,
    scale: float = 1e-3,
    seed: int = 0,
    dtype: str = "float32",
    threads: int = 2,
    warm_up: int = 50,
) -> Timing:
    """A deep linear network of n x n factors on the mean squared residual at the observed entries.

    Starts from `starts`, W = starts[-1] @ ... @ starts[0], or from Gaussian factors of standard deviation
    scale^(1/depth) / sqrt(n). The warm-up steps count towards `steps`.
    """
    torch = _torch(threads)
    if starts is None:
        starts = _gaussian(depth, target.shape[0], scale, seed)
    if len(starts) != depth:
        raise ValueError(f"depth {depth} needs as many starting factors, not {len(starts)}")
    factors = [torch.nn.Parameter(torch.tensor(start, dtype=getattr(torch, dtype))) for start in starts]

    def end_to_end() -> Any:
        product = factors[0]
        for factor in factors[1:]:
            product = factor @ product
        return product

    loss = _mean_square(torch, target, mask_indices, dtype)
    step = _descent(torch, factors, optimizer, lr, lambda: loss(end_to_end()))
    return _timed(step, end_to_end, steps, warm_up)


def ratio_loop(
    target: np.ndarray,
    mask_indices: Indices,
    steps: int,
    lr: float,
    weight: float = 1e-3,
    optimizer: str = "adam",
    *,
    nuclear: Nuclear = "svdvals",
    start: np.ndarray | None = None,
    scale: float = 1e-3,
    seed: int = 0,
    dtype: str = "float32",
    threads: int = 2,
    warm_up: int = 50,
) -> Timing:
    """One n x n matrix on the mean squared residual plus weight * |W|_* / |W|_F by a differentiated SVD.

    `nuclear` picks how |W|_* is written; all three decompose once per step and differ by a few per cent.
    """
    torch = _torch(threads)
    if start is None:
        (start,) = _gaussian(1, target.shape[0], scale, seed)
    matrix = torch.nn.Parameter(torch.tensor(start, dtype=getattr(torch, dtype)))
    norm = _nuclear_norms(torch)[nuclear]
    loss = _mean_square(torch, target, mask_indices, dtype)

    def objective() -> Any:
        return loss(matrix) + weight * norm(matrix) / torch.linalg.norm(matrix)

    step = _descent(torch, [matrix], optimizer, lr, objective)
    return _timed(step, lambda: matrix, steps, warm_up)


def _torch(threads: int) -> Any:
    try:
        import torch
    except ImportError as missing:
        raise ImportError("the PyTorch loops need PyTorch: pip install torch==2.13.0") from missing
    torch.set_num_threads(threads)
    return torch


def _gaussian(depth: int, n: int, scale: float, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(scale=scale ** (1 / depth) / np.sqrt(n), size=(n, n)) for _ in range(depth)]


def _nuclear_norms(torch: Any) -> dict[Nuclear, Callable[[Any], Any]]:
    return {
        "svd": lambda matrix: torch.linalg.svd(matrix, full_matrices=False).S.sum(),
        "svdvals": lambda matrix: torch.linalg.svdvals(matrix).sum(),
        "nuc": lambda matrix: torch.linalg.norm(matrix, ord="nuc"),
    }


def _mean_square(torch: Any, target: np.ndarray, mask_indices: Indices, dtype: str) -> Callable[[Any], Any]:
    rows, columns = (torch.tensor(np.asarray(index), dtype=torch.int64) for index in mask_indices)
    values = torch.tensor(target, dtype=getattr(torch, dtype))[rows, columns]
    return lambda matrix: torch.nn.functional.mse_loss(matrix[rows, columns], values)


def _descent(
    torch: Any, parameters: list[Any], optimizer: str, lr: float, objective: Callable[[], Any]
) -> Callable[[], Any]:
    rule = getattr(torch.optim, OPTIMIZERS[optimizer])(parameters, lr=lr)

    def step() -> Any:
        rule.zero_grad()
        loss = objective()
        loss.backward()
        rule.step()
        return loss

    return step


def _timed(step: Callable[[], Any], matrix: Callable[[], Any], steps: int, warm_up: int) -> Timing:
    if not 0 <= warm_up < steps:
        raise ValueError(f"warm_up must be at least 0 and below steps = {steps}, not {warm_up}")
    for _ in range(warm_up):
        step()
    begin = time.perf_counter()
    for _ in range(steps - warm_up):
        loss = step()
    seconds = (time.perf_counter() - begin) / (steps - warm_up)
    values = np.linalg.svd(matrix().detach().numpy().astype(np.float64), compute_uv=False)
    return Timing(seconds, values, loss.item())
