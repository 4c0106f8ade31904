"""The instances on which the portfolio failed and another method or package succeeded, a line each.

python -m benchmarks.recovery.beaten DIR [DIR ...]   (folders of recovery, recovery_grid and peers)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rankwise.studies.folder import Folder

PORTFOLIO, RIVALS = "auto", ("method", "peer")
# A relative error from which on an answer is wrong.
WRONG = 1e-3


def succeeds(row: Mapping[str, Any]) -> bool:
    """Whether a run on record recovered its matrix; with noise, whether it found the rank."""
    noisy, numbers = json.loads(row["settings"])["problem"].get("noise"), row["numbers"]
    number, below = (numbers.get("rank_error"), 0.5) if noisy else (numbers.get("relative_error"), WRONG)
    return number is not None and number < below


def beaten(folders: Iterable[Folder]) -> list[str]:
    """The instances, in words, with those who succeeded on them; runs that are not on record do not count."""
    runs: dict[str, dict[str, bool]] = {}
    words: dict[str, str] = {}
    for folder in folders:
        for entry in folder.entries:
            name = next((entry.labels[axis] for axis in RIVALS if axis in entry.labels), None)
            row = folder.rows.get(entry.address)
            if name is None or row is None:
                continue
            instance = json.dumps(json.loads(row["settings"])["problem"], sort_keys=True)
            runs.setdefault(instance, {})[name] = succeeds(row)
            words[instance] = ", ".join(f"{axis} {one}" for axis, one in entry.labels.items() if axis not in RIVALS)
    better = {
        instance: [name for name, good in of.items() if good]
        for instance, of in runs.items()
        if not of.get(PORTFOLIO, True)
    }
    return [f"{words[instance]}: {', '.join(names)}" for instance, names in better.items() if names]


def main(places: Sequence[str]) -> int:
    """Print them; 1 if there are any, 2 with one line on standard error without folders or if one holds no study."""
    if not places:
        print(
            "name the folders of studies, as in `python -m benchmarks.recovery.beaten recovery peers`", file=sys.stderr
        )
        return 2
    try:
        found = beaten(Folder(Path(place)) for place in places)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(*(found or ["none"]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
