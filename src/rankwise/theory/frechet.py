"""The Fréchet distance of two polygons: how far apart two paths are, however fast each is run through."""

from __future__ import annotations

import numpy as np

# The distance is found to this share of itself, or to this share of the size of the paths if it is nearly 0.
RELATIVE, ROUNDING = 1e-3, 1e-13
# Differences of points are formed for blocks of so many numbers.
BLOCK = 4_000_000


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The least over monotone alignments of the largest distance of aligned points; first (n, k), second (m, k).

    A lower bound from single points is tried, then doubled and bisected by the free-space diagram, O(n m) per try.

    Source: Alt, Godau 1995 (`alt1995computing`).
    """
    if len(first) == 1 or len(second) == 1:
        # Every point of the other path is aligned with the one point; distances to it are convex along segments.
        return float(np.linalg.norm(first[:, None] - second[None], axis=-1).max())
    diagram = FreeSpace(first, second)
    low, least = diagram.lower_bound(), ROUNDING * max(np.abs(first).max(), np.abs(second).max())
    if diagram.passable(low * (1 + RELATIVE) + least):
        return low
    high = 2 * low + least
    while not diagram.passable(high):
        low, high = high, 2 * high
    while high > (1 + RELATIVE) * low + least:
        middle = (low + high) / 2
        low, high = (low, middle) if diagram.passable(middle) else (middle, high)
    return high


class FreeSpace:
    """Where on the parameter rectangle of two polygons their points are near each other.

    corners (n, m): squared distances of vertices. along_second, along_first: for every vertex of one polygon and
    segment of the other the share of the segment nearest to the vertex, the squared distance there, and the
    segment's squared length.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.corners = np.empty((len(first), len(second)))
        self.along_second = np.empty((2, len(first), len(second) - 1))
        self.along_first = np.empty((2, len(first) - 1, len(second)))
        steps, moves = np.diff(second, axis=0), np.diff(first, axis=0)
        self.lengths = (moves**2).sum(axis=1)[:, None], (steps**2).sum(axis=1)[None]
        rows = max(BLOCK // second.size, 1)
        for begin in range(0, len(first), rows):
            part = slice(begin, begin + rows)
            apart = first[part, None] - second[None]
            self.corners[part] = (apart**2).sum(axis=-1)
            self.along_second[:, part] = _nearest(apart[:, :-1], steps[None], self.lengths[1])
            some = moves[part]
            self.along_first[:, part] = _nearest(-apart[: len(some)], some[:, None], self.lengths[0][part])

    def lower_bound(self) -> float:
        """The largest of the distances of both ends, and of any vertex from the other path."""
        ends = max(self.corners[0, 0], self.corners[-1, -1])
        rows = self._to_path(self.along_second, self.corners, 1)
        columns = self._to_path(self.along_first, self.corners, 0)
        return float(np.sqrt(max(ends, rows, columns)))

    @staticmethod
    def _to_path(along: np.ndarray, corners: np.ndarray, axis: int) -> float:
        share, square = along
        inside = np.where((share >= 0) & (share <= 1), square, np.inf)
        return float(np.minimum(inside.min(axis=axis), corners.min(axis=axis)).max())

    def passable(self, distance: float) -> bool:
        """Whether a monotone path leads from corner to corner through points at most this far apart."""
        limit = distance**2
        free = self.corners <= limit
        if not (free[0, 0] and free[-1, -1]):
            return False
        # The low ends of what can be reached on the edges of the cells; above the high end: nothing.
        bottom, top = _interval(self.along_second, self.lengths[1], limit)
        left, right = _interval(self.along_first, self.lengths[0], limit)
        bottom[0] = np.where(np.logical_and.accumulate(free[0])[:-1], bottom[0], np.inf)
        left[:, 0] = np.where(np.logical_and.accumulate(free[:, 0])[:-1], left[:, 0], np.inf)
        n, m = self.corners.shape
        for diagonal in range(n + m - 3):
            i = np.arange(max(0, diagonal - (m - 2)), min(diagonal, n - 2) + 1)
            j = diagonal - i
            from_below, from_left = bottom[i, j], left[i, j]
            below, aside = from_below <= top[i, j], from_left <= right[i, j]
            up, over = bottom[i + 1, j], left[i, j + 1]
            bottom[i + 1, j] = np.where(aside, up, np.where(below, np.maximum(up, from_below), np.inf))
            left[i, j + 1] = np.where(below, over, np.where(aside, np.maximum(over, from_left), np.inf))
        return bool(bottom[-1, -1] <= top[-1, -1] or left[-1, -1] <= right[-1, -1])


def _nearest(apart: np.ndarray, steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The share of each segment at which its line is nearest, and the squared distance there."""
    share = (apart * steps).sum(axis=-1) / np.where(lengths > 0, lengths, 1.0)
    return np.stack([share, ((apart - share[..., None] * steps) ** 2).sum(axis=-1)])


def _interval(along: np.ndarray, lengths: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """The part [low, high] of each segment within the limit; low is above high where there is none."""
    share, square = along
    room = limit - square
    half = np.sqrt(np.maximum(room, 0) / np.where(lengths > 0, lengths, np.finfo(float).tiny))
    low = np.where(room >= 0, np.maximum(share - half, 0.0), np.inf)
    return low, np.where(room >= 0, np.minimum(share + half, 1.0), -np.inf)
