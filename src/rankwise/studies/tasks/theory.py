"""`theory`: a theorem, conjecture or measurement run anew."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from rankwise.spec.reading import call, known, parameters, refuse_unknown, section, table
from rankwise.studies.tasks.base import Outcome, Progress, Settings, Task
from rankwise.studies.tasks.measuring import number
from rankwise.theory import RESULTS_PROVED

# The number that says whether all checks of a finding hold, beside those named after the checks.
HOLDS = "holds"


class Theory(Task):
    """A function of `rankwise.theory.RESULTS_PROVED`: its name as `finding`, and its `arguments`.

    Its numbers are what was measured, named as the checks are, and `holds`: 1 if all of them do, else 0.
    """

    keys = ("finding", "arguments")

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """The function's argument `key` or `seed`, if it has one."""
        taken = parameters(RESULTS_PROVED[settings["finding"]])
        own = next((name for name in ("key", "seed") if name in taken), None)
        return settings if own is None else {**settings, "arguments": {**settings.get("arguments", {}), own: seed}}

    def check(self, settings: Settings, folder: Path) -> None:
        """The finding must be known, and have such arguments."""
        del folder
        refuse_unknown(settings, self.keys, "")
        function = known(section(settings, "finding", ""), RESULTS_PROVED, "finding")
        refuse_unknown(table(settings.get("arguments", {}), "arguments"), parameters(function), "arguments.")

    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """One after the other."""
        del folder, progress
        return [_one(settings) for settings in many]


def _one(settings: Settings) -> Outcome:
    begun = time.perf_counter()
    found = call(RESULTS_PROVED[settings["finding"]], _tuples(settings.get("arguments", {})), "arguments")
    numbers = {check.label: number(check.measured) for check in found.checks} | {HOLDS: float(found.holds)}
    result = "holds" if found.holds else "does_not_hold"
    details = json.dumps(found.record(), allow_nan=False)
    return Outcome(result, found.statement, time.perf_counter() - begun, numbers=numbers, details=details)


def _tuples(arguments: Settings) -> Settings:
    """Lists as tuples, as functions have them."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
