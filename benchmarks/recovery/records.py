"""Finished trials on disk: one small file each, named by a hash of everything that decided it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import rankwise as rw

Settings = dict[str, Any]
Result = dict[str, Any]

OUTCOMES = ("done", "limit", "failed")
NUMBERS = ("seconds", "error", "error_sigma", "error_from_truth", "error_knowing_columns", "rank")


def address(settings: Settings) -> str:
    """The name of a trial's file: 20 hexadecimal digits of the hash of its settings."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class Records:
    """The finished trials in a folder. A file appears whole or not at all, so any number of runs may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder} cannot be used for records ({error.strerror})") from error

    def get(self, settings: Settings) -> Result | None:
        """What a trial gave, None if it has not been run.

        Raises:
            ValueError: naming the file, if it is not the record of this trial.
        """
        path = self._path(settings)
        return read(path, settings) if path.exists() else None

    def put(self, settings: Settings, result: Result) -> None:
        """Keep what a trial gave."""
        path, text = self._path(settings), json.dumps({"settings": settings, "result": result}, allow_nan=False)
        draft = path.with_name(f".{path.stem}.{os.getpid()}")
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)

    def _path(self, settings: Settings) -> Path:
        return self.folder / f"{address(settings)}.json"


def read(path: Path, settings: Settings) -> Result:
    """The result in a record, checked.

    Raises:
        ValueError: naming the file, if it is not the record of these settings.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        wrong = _fault(record, settings)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        wrong = f"it cannot be read ({type(error).__name__})"
    if wrong:
        raise ValueError(f"{path} is no record of this trial: {wrong}; delete it to run the trial again")
    return record["result"]


def _fault(record: Any, settings: Settings) -> str:
    """What is wrong with a record, '' if nothing is."""
    if not (isinstance(record, dict) and set(record) == {"settings", "result"} and isinstance(record["result"], dict)):
        return "it must hold settings and a result, and nothing else"
    result = record["result"]
    if record["settings"] != settings:
        return "its settings are not those that its name stands for"
    if result.get("outcome") not in OUTCOMES:
        return f"its outcome must be one of {', '.join(OUTCOMES)}"
    for name in NUMBERS:
        value = result.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and np.isfinite(value) and value >= 0):
            return f"{name} must be a number of at least 0, or null"
    needed = ("error", "seconds") if result["outcome"] == "done" and settings["method"] != "instance" else ()
    missing = [name for name in needed if name not in result]
    flags = [result.get(name) for name in ("certified", "completable") if result.get(name) is not None]
    if missing or not all(isinstance(flag, bool) for flag in flags):
        return f"it lacks {missing[0]}" if missing else "certified and completable must be true, false or null"
    return ""


# What results depend on in rankwise and in the suite; for `instance`, the shorter list.
PARTS = ("portfolio.py", "identifiability.py", "loop.py", "lowrank.py", "spectrum.py", "data/synthetic.py")
FOLDERS = ("solvers", "problems")
INSTANCE_PARTS = ("identifiability.py", "lowrank.py", "data/synthetic.py", "problems/completion.py")


def code_version(instance: bool = False) -> str:
    """The version of rankwise, NumPy and SciPy, and a hash of the code that results depend on, as it is now.

    Comments, docstrings and layout do not count.
    """
    root = Path(str(rw.__file__)).parent
    if instance:
        paths = [root / part for part in (*INSTANCE_PARTS, "solvers/factor_least_squares.py")]
    else:
        paths = [root / part for part in PARTS] + [path for each in FOLDERS for path in (root / each).glob("*.py")]
    paths += [Path(__file__).parent / name for name in ("trial.py", *(() if instance else ("methods.py",)))]
    stamps = ((path, path.stat().st_mtime_ns) for path in sorted(paths))
    return f"rankwise {_installed()}, numpy {np.__version__}, scipy {scipy.__version__}, code {_hash(tuple(stamps))}"


@cache
def _installed() -> str:
    return version("rankwise")


@cache
def _hash(stamps: tuple[tuple[Path, int], ...]) -> str:
    """Eight hexadecimal digits of the hash of Python files without comments and docstrings; once per state of them."""
    whole = hashlib.sha256()
    for path, _ in stamps:
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_text(body[0]):
                del body[0]
        whole.update(path.name.encode() + ast.dump(tree).encode())
    return whole.hexdigest()[:8]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
