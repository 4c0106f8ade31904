"""`rankwise study`: run a grid of cases from a TOML file, lose nothing, and see how far it is."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rankwise.cli.options import add_printing
from rankwise.cli.places import refuse_no_file, refuse_no_parent

HELP = "Run a study: a grid of data sets, solvers, settings and seeds from a TOML file."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands below `rankwise study`."""
    below = parser.add_subparsers(dest="study_command", metavar="COMMAND", required=True, parser_class=type(parser))
    for name, (add, act, words) in COMMANDS.items():
        one = below.add_parser(name, help=words, description=words, allow_abbrev=False)
        add(one)
        one.set_defaults(act=act, parser=one)


def run(options: argparse.Namespace) -> int:
    """Run the command below."""
    return options.act(options)


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_study(parser)
    parser.add_argument("--out", metavar="DIR", help="where records go (default: the study's name)")
    parser.add_argument("--resume", action="store_true", help="go on: DIR must hold this study already")
    parser.add_argument("--retry", action="store_true", help="run the cases again that failed")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run and what it costs, run nothing")
    add_printing(parser, "how far the study is")


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="FILE", help="the study's TOML file, or the name of one that is shipped")
    parser.add_argument("--quick", action="store_true", help="the study's own small version")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="the file of a named data set")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value, as TOML, under a dotted key"
    )


def _read(options: argparse.Namespace) -> Any:
    from rankwise.studies import read_study
    from rankwise.studies.library import find

    data = dict(_pair(one, "--data") for one in options.data)
    changes = {key: _value(text) for key, text in (_pair(one, "--set") for one in options.set)}
    return read_study(find(options.study), quick=options.quick, data=data, changes=changes)


def _pair(given: str, option: str) -> tuple[str, str]:
    key, sign, value = given.partition("=")
    if not (key and sign and value):
        raise ValueError(f"{option} takes a name and a value with = between them, not {given!r}")
    return key, value


def _value(text: str) -> Any:
    """The value that TOML reads; a bare word is itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _run(options: argparse.Namespace) -> int:
    from rankwise.studies.running import read_index, run_study

    study = _read(options)
    folder = Path(options.out or study.name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder")
    refuse_no_parent(folder)
    if options.resume:
        read_index(folder)
    if options.dry_run:
        return _cost(options, study, folder)
    total = len({case.address for case in study.cases()})
    if not (options.quiet or options.json):
        for grid in study.grids:
            if grid.lacks:
                print(f"grid {grid.name} is left out: give its file with --data {grid.lacks}=PATH")  # noqa: T201
    with _bar(options, total) as advance:
        standing = run_study(study, folder, retry=options.retry, progress=advance, check=options.interrupt.check)
    _say(options, standing, folder)
    return 0


@contextlib.contextmanager
def _bar(options: argparse.Namespace, total: int) -> Iterator[Callable[[int], None] | None]:
    """A progress bar of cases on standard error."""
    if options.quiet or options.json:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        line = bar.add_task("cases", total=total)
        yield lambda done: bar.advance(line, done)


def _cost(options: argparse.Namespace, study: Any, folder: Path) -> int:
    """What would be run: numbers of cases, time and memory."""
    from rankwise.studies.estimate import estimate
    from rankwise.studies.plan import batches
    from rankwise.studies.records import SHORT, Records

    cases = study.cases()
    done = Records(folder / "records").rows({case.address for case in cases}, SHORT)
    waiting = [left for batch in batches(cases, study.batch) if (left := batch.without(done))]
    cost = estimate(waiting)
    left = sum(len(batch.cases) for batch in waiting)
    found = {
        "cases": len({case.address for case in cases}), "to_run": left, "batches": len(waiting),
        "at_most_seconds": cost.seconds, "of_unknown_time": cost.unknown, "bytes": cost.bytes,
    }  # fmt: skip
    if options.json:
        print(json.dumps(found))  # noqa: T201
    elif not options.quiet:
        print(f"{found['cases']} cases, {left} to run in {len(waiting)} batches")  # noqa: T201
        print(  # noqa: T201
            f"at most about {_duration(cost.seconds)} for the {left - cost.unknown} whose steps are known beforehand, "
            f"and the time of {cost.unknown} others; about {max(cost.bytes / 2**20, 1):.0f} MiB in one batch"
        )
    return 0


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a study's folder")
    add_printing(parser, "how far the study is")


def _status(options: argparse.Namespace) -> int:
    from rankwise.studies.running import stored_standing

    _say(options, stored_standing(Path(options.folder)), Path(options.folder))
    return 0


def _say(options: argparse.Namespace, standing: Any, folder: Path) -> None:
    if options.json:
        print(json.dumps(standing.__dict__))  # noqa: T201
    elif not options.quiet:
        left = f", {standing.failed} of them failed (--retry runs them again)" if standing.failed else ""
        print(f"{standing.done} of {standing.cases} cases on record{left}; folder: {folder}")  # noqa: T201


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the study to write")
    parser.add_argument("--from", dest="source", required=True, metavar="NAME", help="the shipped study to start from")


def _new(options: argparse.Namespace) -> int:
    from rankwise.registry import look_up
    from rankwise.studies.library import shipped

    source = look_up(options.source, shipped(), "study")
    refuse_no_file(options.file)
    if Path(options.file).exists():
        raise ValueError(f"{options.file} exists already")
    shutil.copyfile(source, options.file)
    print(f"study: {options.file}")  # noqa: T201
    return 0


COMMANDS = {
    "run": (_add_run, _run, "Run what is not on record yet."),
    "status": (_add_status, _status, "Say how many cases of a study are on record."),
    "new": (_add_new, _new, "Copy a shipped study as the start of one's own."),
}
