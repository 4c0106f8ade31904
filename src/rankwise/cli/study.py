"""`rankwise study`: run a grid of cases from a TOML file, lose nothing, and see how far it is."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rankwise.cli import report
from rankwise.cli.bar import bar_of
from rankwise.cli.cost import tell_cost, warn_of_memory
from rankwise.cli.interrupt import leaving
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
    parser.add_argument(
        "--out", metavar="DIR", help="where records go (default: the study's name; of --quick NAME-quick)"
    )
    parser.add_argument("--resume", action="store_true", help="go on: DIR must hold this study already")
    parser.add_argument("--retry", action="store_true", help="run the cases again that failed")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run and what it costs, run nothing")
    _add_workers(parser)
    add_printing(parser, "how far the study is")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="run in N processes of this machine (default: in one)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="run on the workers of a Dask scheduler, tls://HOST:PORT")
    parser.add_argument("--tls-ca", metavar="FILE", help="certificate of the authority that the scheduler's is from")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate that the scheduler knows this process by")
    parser.add_argument("--tls-key", metavar="FILE", help="key of that certificate (default: in the same file)")
    parser.add_argument("--any-version", action="store_true", help="let workers with another rankwise take part")


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="FILE", help="the study's TOML file, or the name of one that is shipped")
    parser.add_argument("--quick", action="store_true", help="the study's own small version")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="the file of a named data set")
    parser.add_argument(
        "--import", action="append", default=[], metavar="MODULE", dest="modules",
        help="a Python module, from here or installed, that adds tasks of its own",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value, as TOML, under a dotted key"
    )


def _read(options: argparse.Namespace) -> Any:
    from rankwise.studies import read_study
    from rankwise.studies.library import find
    from rankwise.studies.study import check_quick

    for name in options.modules:
        _import(name)
    data = dict(_pair(one, "--data") for one in options.data)
    changes = {key: _value(text) for key, text in (_pair(one, "--set") for one in options.set)}
    path = find(options.study)
    study = read_study(path, quick=options.quick, data=data, changes=changes)
    study = replace(study, options={**study.options, "modules": options.modules})
    if not options.quick:
        study.cases()  # what is wrong in the whole is not to be blamed on the quick version
        check_quick(path, data)
    return study


def _import(name: str) -> None:
    """Import a module that adds to `rankwise.studies.tasks.TASKS`; as with `python -m`, the present folder counts."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a module of someone else's raises
        raise ValueError(f"--import {name}: {type(error).__name__}: {error}") from error


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
    from rankwise.studies.index import read_index, refuse_another
    from rankwise.studies.running import run_study

    if options.out == "":
        raise ValueError("--out takes the name of a folder")
    engine = _engine(options)
    study = _read(options)
    folder = Path(options.out or study.home)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder: name another one with --out")
    refuse_no_parent(folder)
    if options.resume:
        read_index(folder)
    refuse_another(study, folder)
    total = len({case.address for case in study.cases()})
    if options.scheduler is None and not options.quiet:
        warn_of_memory(study)
    if options.dry_run:
        return tell_cost(options, study, folder)
    if not (options.quiet or options.json):
        for grid in study.grids:
            if grid.lacks:
                print(f"grid {grid.name} is left out: give its file with --data {grid.lacks}=PATH")  # noqa: T201
    with leaving(lambda: "what is on record stays, and the same command goes on"), bar_of(options, total) as bar:
        standing = run_study(
            study, folder, engine=engine, retry=options.retry, progress=bar.advance, share=bar.share, check=bar.check
        )
    _say(options, standing, folder)
    return 0


def _engine(options: argparse.Namespace) -> Any:
    """What runs the batches: workers, or None for this process."""
    from rankwise.studies.worker import one_xla_thread

    remote = ("tls_ca", "tls_cert", "tls_key", "any_version")
    lone = next((name for name in remote if getattr(options, name) and options.scheduler is None), None)
    if lone:
        raise ValueError(f"--{lone.replace('_', '-')} needs --scheduler")
    one_xla_thread()
    from rankwise.studies import cluster

    if options.scheduler is not None:
        tls = {"ca": options.tls_ca, "cert": options.tls_cert, "key": options.tls_key}
        return cluster.remote(options.scheduler, **tls, any_version=options.any_version)
    return None if options.workers is None else cluster.local(options.workers)


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
    parser.add_argument("file", metavar="FILE", nargs="?", help="the study to write (default: NAME.toml)")
    parser.add_argument("--from", dest="source", required=True, metavar="NAME", help="the shipped study to start from")


def _new(options: argparse.Namespace) -> int:
    from rankwise.registry import look_up
    from rankwise.studies.library import shipped

    source = look_up(options.source, shipped(), "study")
    file = f"{options.source}.toml" if options.file is None else options.file
    refuse_no_file(file)
    if Path(file).exists():
        raise ValueError(f"{file} exists already")
    shutil.copyfile(source, file)
    print(f"study: {file}")  # noqa: T201
    return 0


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="DIR", help="a study's folder")
    parser.add_argument("second", metavar="DIR", help="another one, or the same study run elsewhere")
    add_printing(parser, "what differs")


def _compare(options: argparse.Namespace) -> int:
    """Say what differs in the cases of equal settings; status 1 if anything does, or if there are no such cases."""
    from rankwise.studies.compare import compare
    from rankwise.studies.folder import Folder

    found = compare(Folder(Path(options.first)), Folder(Path(options.second)))
    if options.json:
        print(json.dumps(found))  # noqa: T201
    elif not options.quiet:
        for line in _compared(found, options.first, options.second):
            print(line)  # noqa: T201
    return int(bool(found["differing"]) or not found["same_cases"])


def _compared(found: dict[str, Any], first: str, second: str) -> Iterator[str]:
    from rankwise.report.wording import count, plural

    same = found["same_cases"]
    if not same:
        yield "no case of equal settings is on record in both"
    elif not found["differing"]:
        yield f"{plural(same, 'case')} on record in both: all results are the same, bit for bit"
    else:
        yield f"{plural(same, 'case')} on record in both, results differ in {count(found['differing'])}"
    for one in found["differences"]:
        far = "not in numbers alone" if one["most"] is None else f"by at most {one['most']:.3g} of the largest value"
        yield f"  {one['name']}: in {plural(one['cases'], 'case')}, {far} ({one['where']})"
    for here, only in ((first, found["only_first"]), (second, found["only_second"])):
        if only["cases"]:
            yield f"only in {here}: {plural(only['cases'], 'case')}, such as {only['examples'][0]}"
        if only["unfinished_there"]:
            yield f"on record only in {here}: {plural(only['unfinished_there'], 'case')}"
    for key, (one, other) in found["settings"].items():
        yield f"  {key}: {json.dumps(one)} in {first}, {json.dumps(other)} in {second}"
    if all(found["codes"]) and found["codes"][0] != found["codes"][1]:
        yield f"code: {', '.join(found['codes'][0])} in {first}, {', '.join(found['codes'][1])} in {second}"


COMMANDS = {
    "run": (_add_run, _run, "Run what is not on record yet."),
    "status": (_add_status, _status, "Say how many cases of a study are on record."),
    "report": (report.add_arguments, report.run, report.HELP),
    "compare": (_add_compare, _compare, "Say which results of two folders differ, and by how much."),
    "new": (_add_new, _new, "Copy a shipped study as the start of one's own."),
}
