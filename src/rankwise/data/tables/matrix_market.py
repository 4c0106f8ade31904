"""Matrix Market files, read line by line: SciPy's reader is faster, and crashes Python on broken files."""

from __future__ import annotations

import numpy as np
import scipy

BANNER = "%%matrixmarket matrix"
LAYOUTS = ("coordinate", "array")
FIELDS = ("real", "double", "integer")
# What an entry below the diagonal says about its mirror image.
SIGNS = {"general": 0, "symmetric": 1, "skew-symmetric": -1}


def read_matrix_market(data: bytes) -> np.ndarray | scipy.sparse.coo_array:
    """The matrix in a file: coordinate layout gives a sparse array, entries listed twice stand in it twice.

    Raises:
        ValueError: on anything the format does not allow (the line is named), complex numbers, or a mere pattern.
    """
    lines = [(i + 1, line.strip()) for i, line in enumerate(data.decode(errors="replace").splitlines())]
    words = lines[0][1].lower().split() if lines else []
    if " ".join(words[:2]) != BANNER or len(words) != 5:
        raise ValueError("its first line is not '%%MatrixMarket matrix LAYOUT FIELD SYMMETRY'")
    for word, known in zip(words[2:], (LAYOUTS, FIELDS, SIGNS), strict=True):
        if word not in known:
            raise ValueError(f"{word!r} in its first line is not supported, only {', '.join(known)}")
    body = [(i, line.split()) for i, line in lines[1:] if line and not line.startswith("%")]
    if not body:
        raise ValueError("the line with its size is missing")
    sparse = words[2] == "coordinate"
    size = _numbers(body[:1], 3 if sparse else 2, "int64")[0]
    if size.min() < 0 or (words[4] != "general" and size[0] != size[1]):
        raise ValueError(f"line {body[0][0]} holds no possible size")
    kind = "int64" if words[3] == "integer" else "float64"
    if sparse:
        return _coordinate(body[1:], size, kind, SIGNS[words[4]])
    return _array(body[1:], size, kind, SIGNS[words[4]])


def _coordinate(body: list[tuple[int, list[str]]], size: np.ndarray, kind: str, sign: int) -> scipy.sparse.coo_array:
    _expect(len(body), int(size[2]))
    places = _numbers([(i, words[:2]) for i, words in body], 2, "int64") - 1
    values = _numbers([(i, words[2:]) for i, words in body], 1, kind)[:, 0]
    outside = ((places < 0) | (places >= size[:2])).any(axis=1)
    if outside.any():
        raise ValueError(f"line {body[int(np.argmax(outside))][0]} lies outside the {size[0]} x {size[1]} matrix")
    mirrored = (places[:, 0] != places[:, 1]) if sign else np.zeros(len(body), bool)
    rows, cols = np.vstack([places, places[mirrored][:, ::-1]]).T
    return scipy.sparse.coo_array((np.append(values, sign * values[mirrored]), (rows, cols)), shape=tuple(size[:2]))


def _array(body: list[tuple[int, list[str]]], size: np.ndarray, kind: str, sign: int) -> np.ndarray:
    n, p = (int(x) for x in size)
    below = -1 if sign < 0 else 0
    _expect(len(body), int(np.count_nonzero(np.tri(n, n, below))) if sign else n * p)
    values = _numbers(body, 1, kind)[:, 0]
    if not sign:
        return values.reshape(p, n).T.copy()
    out = np.zeros((n, n), values.dtype)
    cols, rows = np.nonzero(np.tri(n, n, below).T)
    out[cols, rows] = sign * values
    out[rows, cols] = values
    return out


def _expect(count: int, due: int) -> None:
    if count != due:
        raise ValueError(f"it holds {count} entries, and should hold {due}")


def _numbers(body: list[tuple[int, list[str]]], width: int, kind: str) -> np.ndarray:
    """The words of each line as numbers, shape (lines, width)."""
    make = int if kind == "int64" else float
    out = np.empty((len(body), width), kind)
    for k, (i, words) in enumerate(body):
        if len(words) != width:
            raise ValueError(f"line {i} has a number too {'few' if len(words) < width else 'many'}")
        try:
            out[k] = [make(word) for word in words]
        except (ValueError, OverflowError) as error:
            raise ValueError(f"line {i}: {' '.join(words)!r} is no such number") from error
    return out
