"""A folder of the made-up study, and what a page carries."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up import GIVEN, outcome

from rankwise.studies.folder import Folder
from rankwise.studies.index import write_index
from rankwise.studies.records import Records, failure, row
from rankwise.studies.study import Study, build_study


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Folder]:
    """A folder of the made-up study with other keys, `kept` cases of it on record and `failed` ones after these."""

    def made(name: str = "made", kept: int | None = None, failed: int = 0, change: Any = None, **more: Any) -> Folder:
        study: Study = build_study({**GIVEN, **more}, name)
        cases = [case for grid in study.grids for case in grid.cases(study.folder)]
        place = tmp_path / name
        write_index(study, cases, place)
        run = cases[: len(cases) if kept is None else kept]
        rows = [row(case, outcome(case.labels), 1, "abacus") for case in run]
        rows += [failure(case, "ValueError: no") for case in cases[len(run) : len(run) + failed]]
        for one in rows:
            if change is not None:
                change(one)
        for i in range(0, len(rows), 5):
            Records(place / "records").put(f"{name}{i}", rows[i : i + 5])
        return Folder(place)

    return made


@pytest.fixture
def unpack() -> Callable[[str], list[dict[str, Any]]]:
    """The figures a page carries, as its script reads them."""

    def figures(page: str) -> list[dict[str, Any]]:
        found = re.search(r'id="figures">([^<]*)<', page)
        return json.loads(gzip.decompress(base64.b64decode(found[1]))) if found else []

    return figures
