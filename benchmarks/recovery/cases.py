"""The instances: what is drawn, when it counts as recovered, and the targets. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom


@dataclass(frozen=True)
class Target:
    """What `auto` is to reach: a share of successes and a median number of seconds.

    of_completable: the share is of the instances whose pattern is finitely completable, else of all.
    published: the best published figure, in words.
    """

    success: float
    seconds: float
    of_completable: bool = False
    published: str = ""


@dataclass(frozen=True)
class Case:
    """A random matrix and m = rho r (d1 + d2 - r) of its entries, every row and column at least r + 1 times.

    Entries have root mean square 1; noise: the standard deviation of what is added to each.
    accuracy: a trial succeeds if |W - W*|_F / |W*|_F is below 1e-3. Where accuracy is smaller, if |W - W*|_F / sigma_1
    is below it, which asks for more than the relative error does. With noise, if the rank is found exactly.
    """

    shape: tuple[int, int]
    rank: int
    kappa: float
    rho: float
    noise: float = 0.0
    accuracy: float = 1e-3
    target: Target | None = None

    @property
    def name(self) -> str:
        """What `--cases` calls it."""
        noise = f"-noise{self.noise:g}" if self.noise else ""
        return f"{self.shape[0]}x{self.shape[1]}-r{self.rank}-k{_short(self.kappa)}-rho{self.rho:g}{noise}"

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the instance, and nothing else."""
        numbers = {"kappa": float(self.kappa), "rho": float(self.rho), "noise": float(self.noise)}
        return {"shape": list(self.shape), "rank": self.rank, **numbers}

    @property
    def observations(self) -> int:
        """m."""
        return round(self.rho * degrees_of_freedom(self.rank, self.shape))

    def draw(self, seed: int) -> tuple[rw.LowRank, rw.Completion]:
        """The truth and the problem of one seed; at any kappa the same singular vectors and mask."""
        truth = rw.low_rank(self.shape, self.rank, key=2 * seed, kappa=self.kappa)
        low = self.rank + 1
        return truth, rw.observe(truth, self.observations, key=2 * seed + 1, min_degree=low, noise=self.noise)


def _short(number: float) -> str:
    """1e5 for 100000."""
    return f"{number:g}" if number < 1e4 else f"{number:.0e}".replace("e+0", "e").replace("e+", "e")


SMALL, LARGE, OBLONG = (100, 100), (1000, 1000), (300, 350)
KNOWN = "rank known: R2RILS .89, MatrixIRLS .58"
FEW = "rank known: GNMR 8/8, R2RILS 7/8; 14 to 87 s"

TABLE: tuple[Case, ...] = (
    *(Case(SMALL, 5, kappa, 1.5, target=Target(0.95, 3, True)) for kappa in (1, 10, 1e5)),
    *(Case(SMALL, 5, kappa, 1.25, target=Target(0.85, 5, True)) for kappa in (1, 10, 1e5)),
    Case(LARGE, 5, 10, 1.5, target=Target(0.95, 20, published=KNOWN)),
    Case(LARGE, 5, 10, 1.6, target=Target(0.99, 15, published="rank known: R2RILS .98, MatrixIRLS .88")),
    Case(LARGE, 5, 10, 1.7, target=Target(1, 15, published="rank known: R2RILS 1, MatrixIRLS .97")),
    Case(LARGE, 5, 10, 2.0, target=Target(1, 15, published="rank known: R2RILS 1, MatrixIRLS 1")),
    Case(LARGE, 5, 1e5, 1.7, accuracy=1e-10, target=Target(0.9, 15, published=".60 at error < 1e-6")),
    Case(LARGE, 5, 1e5, 2.0, accuracy=1e-10, target=Target(0.99, 15, published=".88 at error < 1e-6")),
    Case(OBLONG, 5, 10, 1.3, target=Target(0.9, 5, True, FEW)),
    Case(OBLONG, 5, 10, 1.2, target=Target(0.5, 5, True, "rank known: GNMR and R2RILS 0/8")),
    Case(LARGE, 10, 1e10, 2.0, accuracy=1e-10, target=Target(1, 30)),
    Case(LARGE, 5, 10, 2.0, noise=1e-2, target=Target(0.95, 20)),
)

# With noise the error may be at most this multiple of the error of least squares knowing the true column space.
ORACLE = 1.2

RHOS = (1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0)
GRID: tuple[Case, ...] = (
    *(Case(SMALL, 5, kappa, rho) for kappa in (1, 10, 1e5) for rho in RHOS),
    *(Case(OBLONG, 5, 10, rho) for rho in RHOS),
)
