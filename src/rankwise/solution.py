"""The outcome of a run: the matrix, why it stopped, and what was recorded on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rankwise.lowrank import LowRank, singular_values
from rankwise.results import RESULTS
from rankwise.spectrum import numerical_rank


@dataclass(frozen=True, eq=False)
class History(Mapping[str, np.ndarray]):
    """What was recorded: `steps` of shape (k,) and, by name, one array of shape (k, ...) per measure."""

    steps: np.ndarray
    records: dict[str, np.ndarray] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "steps":
            return self.steps
        if name not in self.records:
            raise KeyError(f"{name!r} was not tracked; tracked: {', '.join(self.records) or 'nothing'}")
        return self.records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("steps", *self.records))

    def __len__(self) -> int:
        return 1 + len(self.records)

    def __repr__(self) -> str:
        return f"History({len(self.steps)} checkpoints of {', '.join(self.records)})"


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve` returns.

    matrix: a (d1, d2) array or a `LowRank`; `numpy.asarray(solution.matrix)` always works.
    result: why the run stopped. steps: steps taken since the very start. history: what was tracked.
    state: hand it back to `solve` to go on. seconds: wall time of this call.
    """

    matrix: np.ndarray | LowRank
    result: RESULTS
    steps: int
    history: History
    state: Any
    seconds: float

    @property
    def rank(self) -> int:
        """The rank: the columns of a `LowRank`, else the singular values above 1e-3 of the largest."""
        if isinstance(self.matrix, LowRank):
            return self.matrix.rank
        if not np.isfinite(self.matrix).all():
            raise ValueError("a matrix that is not finite has no rank")
        return int(numerical_rank(singular_values(self.matrix)))

    def __repr__(self) -> str:
        d1, d2 = self.matrix.shape
        return f"Solution({d1} x {d2}, {self.result.name} after {self.steps} steps, {self.seconds:.2f} s)"
