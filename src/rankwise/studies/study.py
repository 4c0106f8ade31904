"""A study: grids of names and numbers in one TOML file, and what is to be drawn and claimed from their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, time
from functools import cached_property
from pathlib import Path
from typing import Any

from rankwise.registry import nearest
from rankwise.spec import read_toml
from rankwise.spec.reading import check_kind, known, refuse_unknown, table, words
from rankwise.studies.asked import read_asked
from rankwise.studies.axes import Axis, read_axis, refuse_empty, refuse_twice, refuse_vast_grid, seeds_axis, taken_of
from rankwise.studies.cases import Case, address, check_limit
from rankwise.studies.grids import Grid, takes
from rankwise.studies.library import shipped
from rankwise.studies.overlay import Settings, overlay, put
from rankwise.studies.plan import refuse_vast
from rankwise.studies.scope import scope_of
from rankwise.studies.tasks import TASKS, Task

KEYS = (
    "title", "about", "source", "case", "axes", "seeds", "batch", "data", "grid", "figures", "tables", "claims",
    "quick",
)  # fmt: skip
# The members of a batch unless the study says otherwise.
BATCH = 64


@dataclass(frozen=True, eq=False)
class Study:
    """What a TOML file says, ready to run.

    name, title, about, source: what it is called, what it is about, and the paper. figures, tables, claims: what is
    made of its records, as given. batch: the most cases in one batch. given: the file as it was read, after
    `quick` and `changes`. folder: where file names in it start from. options: what belongs to the command that runs it
    again: `quick`, `data` and `changes` as given, and `file`, its path as given or the name of a shipped study. file:
    what it was read from, "" if from nothing.
    """

    name: str
    title: str
    about: str
    source: str
    grids: tuple[Grid, ...]
    axes: dict[str, Axis]
    figures: tuple[Settings, ...]
    tables: tuple[Settings, ...]
    claims: tuple[Settings, ...]
    batch: int
    given: Settings = field(repr=False)
    folder: Path = Path()
    options: Settings = field(default_factory=dict)
    file: str = ""

    @property
    def home(self) -> str:
        """The folder that it is run in unless another one is named; the quick version has its own."""
        if self.options.get("quick"):
            return f"{self.name}-quick"
        # A file without an ending may lie where the folder of its name would.
        return f"{self.name}-study" if Path(self.file).name == self.name else self.name

    def cases(self) -> list[Case]:
        """All cases of all grids that have their data, checked: nothing that a case needs is unknown or impossible.

        Raises:
            ValueError: naming file, grid, axis values and key, at the first case that cannot be run.
        """
        with _naming(self.file):
            return self._cases

    @cached_property
    def _cases(self) -> list[Case]:
        made = []
        for grid in self.grids:
            if grid.lacks:
                continue
            checked = set()
            for case in grid.cases(self.folder):
                # Cases that differ in their seeds alone are possible together or not at all.
                task = TASKS[case.settings["task"]]
                plain = address(task.seeded(case.settings, 0), self.folder)
                if plain not in checked:
                    _check(task, case, self.folder)
                    checked.add(plain)
                made.append(case)
        return made


def _check(task: Task, case: Case, folder: Path) -> None:
    try:
        check_limit(case.settings)
        refuse_vast(case.of_task)
        task.check(case.of_task, folder)
    except ValueError as error:
        raise ValueError(f"{case.words}: {error}") from error
    except MemoryError as error:
        raise ValueError(f"{case.words}: problem: not enough memory for this: {error}") from error


def read_study(
    path: str | Path,
    *,
    quick: bool = False,
    data: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Study:
    """The study that a TOML file describes.

    quick: lay its own `quick` table over it. data: files by the names of the `data` table. changes: other values
    under dotted keys.

    Raises:
        ValueError: naming the file and the key's path, on broken TOML, unknown keys or names, or wrong values.
        OSError: if a file cannot be read.
    """
    path = Path(path)
    given = read_toml(path)
    with _naming(str(path)):
        study = build_study(given, path.stem, path.parent, quick=quick, data=data, changes=changes)
    return replace(study, file=str(path), options={**study.options, "file": _called(path)})


def _called(path: Path) -> str:
    """What a study's file is called in commands: the name of a shipped study, or its path as given."""
    own = shipped().get(path.stem)
    return path.stem if own is not None and own.resolve() == path.resolve() else str(path)


def check_quick(path: str | Path, data: Mapping[str, str] | None = None) -> None:
    """Raise the ValueError with which the quick version of a study would be refused, if it has one."""
    path = Path(path)
    if "quick" in read_toml(path):
        try:
            read_study(path, quick=True, data=data).cases()
        except ValueError as error:
            raise ValueError(f"{error} (in the quick version)") from error


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Put the file, if there is one, before what a ValueError says."""
    try:
        yield
    except ValueError as error:
        if not file:
            raise
        raise ValueError(f"{file}: {error}") from error


def build_study(
    given: Mapping[str, Any],
    name: str,
    folder: Path = Path(),
    *,
    quick: bool = False,
    data: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Study:
    """The study that nested names and numbers describe; file names in it are relative to `folder`."""
    refuse_unknown(given, KEYS, "")
    if quick and "quick" not in given:
        raise ValueError("there is no quick version: the study has no table `quick`")
    small = table(given.get("quick", {}), "quick")
    refuse_unknown(small, KEYS[3:-1], "quick.")
    made = {key: value for key, value in given.items() if key != "quick"}
    if quick:
        made = overlay(made, small)
        made["claims"] = [one for one in _list(made, "claims") if one.get("quick", True)]
    for key, value in (changes or {}).items():
        made = put(made, key, value)
    refuse_unknown(made, KEYS[:-1], "")
    _refuse_dates(made, "")
    for key in ("title", "about", "source"):
        check_kind(made.get(key, ""), {"str"}, key)
    check_kind(made.get("batch", BATCH), {"int"}, "batch")
    if made.get("batch", BATCH) < 1:
        raise ValueError(f"batch must be at least 1, not {made['batch']}")
    axes = _axes(made)
    versions = (axes, _axes(given), _axes(overlay(given, small)))
    places = _places(table(made.get("data", {}), "data"), data or {})
    study = Study(
        name,
        title=made.get("title", name),
        about=made.get("about", ""),
        source=made.get("source", ""),
        grids=tuple(_grids(made, axes, places, versions)),
        axes=axes,
        figures=_list(made, "figures"),
        tables=_list(made, "tables"),
        claims=_list(made, "claims"),
        batch=made.get("batch", BATCH),
        given=made,
        folder=folder,
        options={"quick": quick, "data": dict(data or {}), "changes": dict(changes or {})},
    )
    # A smaller or changed version may lack values that its figures name: they show what is there.
    may_lack = quick or changes
    scope = scope_of(study.grids, axes, () if may_lack else versions)
    try:
        read_asked(study.figures, study.tables, study.claims, scope)
    except ValueError:
        study.cases()  # what is wrong with the cases themselves comes first: others may only name what they lack
        raise
    return study


def _axes(given: Mapping[str, Any]) -> dict[str, Axis]:
    return {key: read_axis(key, value) for key, value in table(given.get("axes", {}), "axes").items()}


def _list(made: Mapping[str, Any], key: str) -> tuple[Settings, ...]:
    items = made.get(key, [])
    if not isinstance(items, list):
        raise ValueError(f"{key} must be a list of tables: [[{key}]]")
    return tuple(table(item, f"{key}[{i}]") for i, item in enumerate(items))


def _places(asked: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, str | None]:
    """The file of every named data set, None where it was not given."""
    for name in data:
        if name not in asked:
            raise ValueError(f"data: there is no {name!r}{nearest(name, asked) if asked else ' nor any other'}")
    for name, about in asked.items():
        check_kind(about, {"str"}, f"data.{name}")
    return {name: str(Path(data[name]).resolve()) if name in data else None for name in asked}


def _grids(
    made: Mapping[str, Any],
    axes: dict[str, Axis],
    places: dict[str, str | None],
    versions: Sequence[Mapping[str, Axis]],
) -> Iterator[Grid]:
    """The grids. versions: the axes as they are and of the whole file, whose values a condition may name."""
    common = table(made.get("case", {}), "case")
    listed = table(made.get("grid", {"all": {}}), "grid")
    refuse_empty(listed, "grid")
    for name, given in listed.items():
        path, given = f"grid.{name}", table(given, f"grid.{name}")
        refuse_unknown(given, ("case", "axes", "seeds", "where"), f"{path}.")
        own = table(given.get("case", {}), f"{path}.case")
        task = own.get("task", common.get("task", "solve"))
        known(task, TASKS, f"{path}.case.task")
        # Of what is common, a task of its own takes what it reads.
        under = {key: value for key, value in common.items() if "task" not in own or takes(TASKS[task], key)}
        settings = {**overlay(under, own), "task": task}
        lacks = [place for place, file in places.items() if file is None and _mentions(settings, f"{{{place}}}")]
        settings = _filled(settings, {place: file for place, file in places.items() if file is not None})
        chosen = words(given.get("axes", list(axes)), f"{path}.axes")
        for one in chosen:
            if one not in axes:
                raise ValueError(f"{path}.axes: there is no axis {one!r}{nearest(one, axes)}")
        refuse_twice(chosen, f"{path}.axes")
        where = table(given.get("where", {}), f"{path}.where")
        refuse_unknown(where, chosen, f"{path}.where.")
        seeds = given.get("seeds", made.get("seeds"))
        last = () if seeds is None else (seeds_axis(seeds, "seeds" if "seeds" not in given else f"{path}.seeds"),)
        taken = tuple(taken_of(axes[one], where.get(one), f"{path}.where.{one}", versions) for one in chosen)
        for key in [change["task"] for axis in taken for change in axis.changes if "task" in change]:
            known(key, TASKS, f"{path}: task")
        refuse_vast_grid((*taken, *last), path)
        yield Grid(name, settings, (*taken, *last), lacks[0] if lacks else "")


def _refuse_dates(value: Any, path: str) -> None:
    """Refuse what TOML knows and records do not."""
    if isinstance(value, Mapping | list):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            _refuse_dates(one, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".lstrip("."))
    elif isinstance(value, date | time):
        raise ValueError(f"{path}: dates and times have no place in a study, not even {value}")


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(item, text) for item in value.values())
    return value == text


def _filled(value: Any, files: Mapping[str, str]) -> Any:
    """The settings with files in place of their names in braces."""
    if isinstance(value, Mapping):
        return {key: _filled(item, files) for key, item in value.items()}
    return files.get(value[1:-1], value) if isinstance(value, str) and value[:1] == "{" else value
