"""`recover`: the portfolio on one problem, the rank not given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rankwise.portfolio import recover
from rankwise.solvers.certificate import STEADY_FIT
from rankwise.spec import build_problem
from rankwise.spec.reading import check_kind, refuse_unknown, section
from rankwise.studies.tasks.base import Outcome, Progress, Settings, Task
from rankwise.studies.tasks.measuring import RANK_ERROR, final_numbers
from rankwise.studies.tasks.memory import instance
from rankwise.studies.tasks.solve import Solve

# A certified answer is wrong if its relative error is no less than this; with noise the bound of certificates counts,
# and the rank must be right.
WRONG = 1e-3
# The numbers of its own.
OF_RECOVER = ("certified", "falsely_certified")
KEYS = {"noise": {"float", "str"}, "budget": {"float"}, "max_rank": {"int"}, "key": {"int"}}


class Recover(Task):
    """`rankwise.recover` of a problem: noise, budget, max_rank, key."""

    keys = ("problem", *KEYS)

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """As for `solve`."""
        return Solve().seeded(settings, seed)

    def check(self, settings: Settings, folder: Path) -> None:
        """Build the problem; the numbers must be numbers."""
        refuse_unknown(settings, self.keys, "")
        for key in settings.keys() & KEYS.keys():
            check_kind(settings[key], KEYS[key], key)
        build_problem(section(settings, "problem", ""), folder)

    def size(self, settings: Settings) -> int:
        """That of fits of the observations."""
        return instance(settings["problem"])

    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """One after the other."""
        del progress
        return [_one(settings, folder) for settings in many]


def _one(settings: Settings, folder: Path) -> Outcome:
    problem, truth, heldout = build_problem(settings["problem"], folder)
    found = recover(problem, **{key: settings[key] for key in KEYS if key in settings})
    numbers = final_numbers(found.matrix, problem, heldout, truth, found.rank) | {"certified": float(found.certified)}
    if truth is not None:
        numbers["falsely_certified"] = float(found.certified and _is_wrong(numbers, "noise" in settings))
    words = f"{found.method}: {found.reason}"
    return Outcome(found.result.name, words, found.seconds, found.solution.steps, found.rank, numbers)


def _is_wrong(numbers: dict[str, float | None], noisy: bool) -> bool:
    error = numbers["relative_error"]
    if error is None or (noisy and numbers[RANK_ERROR] != 0):
        return True
    return error >= (STEADY_FIT if noisy else WRONG)
