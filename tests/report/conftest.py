"""A small completion's record, and what a page carries."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Unpack = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "name": "co2.csv",
        "command": "rankwise complete co2.csv -o filled.csv --report page.html",
        "version": "0.1.0",
        "created": "2026-11-21",
        "shape": [3, 4],
        "observed": 10,
        "observed_share": 10 / 12,
        "holes": 2,
        "holes_filled": 1,
        "row_labels": ["north", "middle", "south"],
        "column_names": ["a", "b", "c", "d"],
        "before": [[1, 2, 3, 4], [2, None, 6, 8], [3, 6, None, 12]],
        "after": [[1, 2, 3, 4], [2, 4, 6, 8], [3, 6, None, 12]],
        "method": "greedy",
        "rank": 1,
        "low_rank": True,
        "verdict": "The table has low-rank structure.",
        "preprocessing": ["Columns were centred."],
        "result": {"name": "noise_level", "sentence": "A further rank would follow noise."},
        "spectrum": [20.0, 0.5, 1e-17],
        "path": [
            {"rank": 0, "train_rmse": 1.0, "holdout_rmse": 1.1, "seconds": 0.001},
            {"rank": 1, "train_rmse": 0.1, "holdout_rmse": 0.2, "seconds": 0.02},
            {"rank": 2, "train_rmse": 0.05, "holdout_rmse": 0.4, "seconds": 0.03},
        ],
        "holdout": {
            "actual": [1.0, 6.0],
            "predicted": [1.1, 5.8],
            "row": ["north", "middle"],
            "column": ["a", "c"],
            "rmse": 0.5,
            "rmse_error": 0.02,
            "rmse_column_means": 2.0,
            "rmse_effects": 1.0,
            "count": 2,
        },
        "candidates": [
            {"name": "as is", "validation_rmse": 0.5, "rank": 2, "chosen": False},
            {"name": "columns centred", "validation_rmse": 0.4, "rank": 1, "chosen": True},
        ],
        "empty_rows": ["desert"],
        "empty_columns": [],
        "warnings": ["Mind the gap."],
        "settings": {"method": "auto", "holdout": 0.1, "seed": 0, "fill_empty": False, "max_rank": None},
        "seconds": 1.2,
        "output": "filled.csv",
    }


@pytest.fixture
def unpack() -> Unpack:
    """The figures a page carries, as its script reads them."""

    def figures(page: str) -> list[dict[str, Any]]:
        found = re.search(r'id="figures">([^<]*)<', page)
        return json.loads(gzip.decompress(base64.b64decode(found[1]))) if found else []

    return figures
