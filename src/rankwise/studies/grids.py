"""A grid of a study: the product of some axes over common settings, each case of it what its values say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.spec import concrete
from rankwise.studies.axes import Axis
from rankwise.studies.cases import OF_CASE, Case, address
from rankwise.studies.overlay import Settings, is_laid_over, put
from rankwise.studies.scope import SEED
from rankwise.studies.tasks import TASKS, Task


@dataclass(frozen=True, eq=False)
class Grid:
    """The product of some axes over common settings. lacks: the data set it cannot run without, "" if none."""

    name: str
    settings: Settings
    axes: tuple[Axis, ...]
    lacks: str = ""

    @property
    def task(self) -> Task:
        """What a case of it does, unless a choice on one of its axes says otherwise."""
        return TASKS[self.settings["task"]]

    def cases(self, folder: Path) -> Iterator[Case]:
        """Every combination of the axes' values, the last axis fastest.

        Raises:
            ValueError: naming axes and key, where a case would not be what its values say; naming axis values and key,
                where a number that follows from others cannot be had.
        """
        met: dict[str, tuple[int, ...]] = {}
        for chosen in itertools.product(*(range(len(axis.values)) for axis in self.axes)):
            labels, given = self._labels(chosen), self._given(chosen)
            try:
                settings = concrete(given)
            except ValueError as error:
                raise ValueError(f"{Case(self.name, labels, {}, '').words}: {error}") from error
            made = Case(self.name, labels, settings, address(settings, folder))
            if (other := met.setdefault(made.address, chosen)) != chosen:
                self._refuse_same(other, chosen)
            yield made

    def _labels(self, chosen: tuple[int, ...]) -> dict[str, Any]:
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, chosen, strict=True)}

    def _given(self, chosen: tuple[int, ...]) -> Settings:
        """The settings of these values, before numbers stand for what follows from the truth."""
        settings = self.settings
        changes = [
            (axis.name, key, value)
            for axis, i in zip(self.axes, chosen, strict=True)
            for key, value in axis.changes[i].items()
        ]
        for _, key, value in changes:
            settings = put(settings, key, value)
        task = TASKS[settings["task"]]
        if settings["task"] != self.settings["task"]:
            settings = {key: value for key, value in settings.items() if key not in self.settings or takes(task, key)}
        if SEED in (labels := self._labels(chosen)):
            settings = task.seeded(settings, labels[SEED])
        for i, (axis, key, value) in enumerate(changes):
            if not is_laid_over(settings, key, value):
                later = [(name, own) for name, own, _ in changes[i + 1 :]]
                raise ValueError(f"grid.{self.name}: {_lost(axis, key, later, settings['task'])}")
        return settings

    def _refuse_same(self, one: tuple[int, ...], other: tuple[int, ...]) -> None:
        """Refuse two combinations of values that say the same; in what follows from the truth they may coincide."""
        names = [axis.name for axis, i, j in zip(self.axes, one, other, strict=True) if i != j and axis.name != SEED]
        if names and self._given(one) == self._given(other):
            first, second = (
                ", ".join(f"{name} = {labels[name]}" for name in names) for labels in map(self._labels, (one, other))
            )
            raise ValueError(f"grid.{self.name}: {first} and {second} are one and the same case")


def takes(task: Task, key: str) -> bool:
    """Whether a key of a case is for its task, or for whoever runs it."""
    return key in task.keys or key in OF_CASE


def _lost(axis: str, key: str, later: list[tuple[str, str]], task: str) -> str:
    """Why a case has not what an axis sets, in words. later: the axes and keys that are set after it."""
    for name, own in reversed(later):
        if own == key:
            return f"axes {axis!r} and {name!r} both set {key}"
        if key.startswith(f"{own}."):
            return f"axis {name!r} sets {own}, and so not {key} as axis {axis!r} does"
        if own.startswith(f"{key}."):
            return f"axis {name!r} sets {own}, which axis {axis!r} sets with {key}"
    if not takes(TASKS[task], key.partition(".")[0]):
        return f"axis {axis!r} sets {key}, which task {task!r} does not read"
    return f"axis {axis!r} sets {key}, which follows from the seed"
