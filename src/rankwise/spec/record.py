"""From a run and its solution to a record on disk."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.data.tables import write_together
from rankwise.lowrank import LowRank
from rankwise.solution import Solution
from rankwise.spec.run import Spec

PACKAGES = ("rankwise", "numpy", "scipy", "jax", "optax")


def write_record(spec: Spec, solution: Solution, folder: str | Path) -> None:
    """Write `record.json` (settings, result, versions, history) and `matrix.npz` (matrix, or left and right).

    Both are written, or none is, into the folder, which is made if only its last part is missing.
    """
    matrix = solution.matrix
    arrays = {"left": matrix.left, "right": matrix.right} if isinstance(matrix, LowRank) else {"matrix": matrix}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    text = json.dumps(record(spec, solution), indent=1, allow_nan=False)
    Path(folder).mkdir(exist_ok=True)
    write_together(
        {
            Path(folder) / "matrix.npz": lambda file: file.write(packed.getvalue()),
            Path(folder) / "record.json": lambda file: file.write(text.encode()),
        }
    )


def record(spec: Spec, solution: Solution) -> dict[str, Any]:
    """A run as plain numbers and words."""
    return {
        "spec": _spelled(spec.source),
        "result": {"name": solution.result.name, "sentence": solution.result.value},
        "steps": solution.steps,
        "rank": solution.rank if np.isfinite(np.asarray(solution.matrix)).all() else None,
        "seconds": solution.seconds,
        "versions": {name: version(name) for name in PACKAGES},
        "history": {name: _finite(values) for name, values in solution.history.items()},
    }


def _spelled(value: Any) -> Any:
    """What TOML says, with its inf and nan, for which JSON has no number, as words."""
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _finite(values: np.ndarray) -> Any:
    """Nested lists with None for what is not finite: JSON has no NaN."""
    kept = values.astype(object)
    kept[~np.isfinite(values)] = None
    return kept.tolist()
