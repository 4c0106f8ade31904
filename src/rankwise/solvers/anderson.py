"""Anderson acceleration of a fixed-point iteration, with a safeguard that keeps its convergence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rankwise.plain import Plain

# The share of the trace of the Gram matrix of differences that is added to its diagonal.
REGULARIZATION = 1e-10


@dataclass(frozen=True, eq=False)
class Anderson(Plain):
    """The next iterate of z <- T(z) from the last few residuals f = T(z) - z: type II, regularized, safeguarded.

    The proposal T(z) - sum_j c_j (dz_j + df_j) has c = argmin |f - sum_j c_j df_j| over the last `memory` differences.
    Where the residual at a proposal has grown, the plain step from before is taken instead and the history is
    dropped: if T is nonexpansive the plain residual never grows, so the residuals never do.

    Source: Fu, Zhang, Boyd 2020 (`fu2020anderson`), with the safeguard in its simplest form.
    """

    memory: int
    point: np.ndarray | None = None
    residual: np.ndarray | None = None
    plain: np.ndarray | None = None
    moves: tuple[np.ndarray, ...] = ()
    changes: tuple[np.ndarray, ...] = ()
    gram: np.ndarray | None = None

    def propose(self, point: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, Anderson]:
        """The next point from T(point) = image, flat arrays, and the history with this point in it."""
        residual = image - point
        if self.residual is None or self.point is None or self.plain is None:
            return image, replace(self, point=point, residual=residual, plain=image)
        if self.overshot(residual):
            return self.plain, Anderson(self.memory)
        change = residual - self.residual
        move = point - self.point + change
        changes, moves = (*self.changes, change)[-self.memory :], (*self.moves, move)[-self.memory :]
        gram = self._gram(changes)
        here = replace(self, point=point, residual=residual, plain=image, moves=moves, changes=changes, gram=gram)
        shift = REGULARIZATION * np.trace(gram)
        if not shift > 0:
            return image, here
        weights = np.linalg.solve(gram + shift * np.eye(len(gram)), [each @ residual for each in changes])
        proposal = image.copy()
        for weight, each in zip(weights, moves, strict=True):
            proposal -= weight * each
        return proposal, here

    def overshot(self, residual: np.ndarray) -> bool:
        """Whether the residual of the point proposed last has grown, so that `plain` is to be taken instead."""
        return self.residual is not None and not np.linalg.norm(residual) <= np.linalg.norm(self.residual)

    def _gram(self, changes: tuple[np.ndarray, ...]) -> np.ndarray:
        """The inner products of the differences: those of the newest are computed, the rest kept."""
        many = len(changes)
        gram = np.empty((many, many))
        if self.gram is not None and many > 1:
            gram[:-1, :-1] = self.gram[-(many - 1) :, -(many - 1) :]
        gram[-1] = gram[:, -1] = [each @ changes[-1] for each in changes]
        return gram
