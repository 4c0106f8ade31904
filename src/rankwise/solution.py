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

    def then(self, later: History) -> History:
        """This history and that of the run that went on from it; a checkpoint that both have counts once.

        Vectors that became longer, as the singular values of a growing rank, are padded with zeros.

        Raises:
            ValueError: if other measures were tracked.
        """
        if set(self.records) != set(later.records):
            raise ValueError(f"the histories hold {sorted(self.records)} and {sorted(later.records)}")
        new = later.steps > (self.steps[-1] if self.steps.size else -1)
        records = {name: _joined(array, later.records[name][new]) for name, array in self.records.items()}
        return History(np.concatenate([self.steps, later.steps[new]]), records)

    def __repr__(self) -> str:
        return f"History({len(self.steps)} checkpoints of {', '.join(self.records)})"


def _joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One array after the other, the narrower one padded with zeros."""
    if first.ndim == 2:
        width = max(first.shape[1], second.shape[1])
        first, second = (np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in (first, second))
    return np.concatenate([first, second])


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
