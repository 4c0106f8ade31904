"""`rankwise report`: the page of a study from its folder alone; of several, theirs and one that lists them all."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rankwise.cli.options import add_printing
from rankwise.cli.places import refuse_no_file, refuse_no_parent
from rankwise.registry import distinct

HELP = "Write the page of a study: published numbers beside ours with verdicts, figures, tables, settings."
# Where pages go unless told otherwise: in the study's folder, and beside the folders of several.
PAGE, OVERVIEW = "report.html", "studies.html"
FORMATS = ("png", "svg", "pdf")
# No date in a file, so that the same folder gives the same bytes; fonts that a journal can embed.
UNDATED = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
FONTS: dict[Any, Any] = {"pdf.fonttype": 42, "svg.hashsalt": "rankwise"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise report`."""
    parser.add_argument("folders", nargs="+", metavar="DIR", help="a study's folder, as `rankwise study run` left it")
    parser.add_argument(
        "-o", "--output", metavar="PAGE.html",
        help=f"where the page goes (default: DIR/{PAGE}; of several folders, their list: {OVERVIEW})",
    )  # fmt: skip
    parser.add_argument("--export", metavar="FOLDER", help="also write every figure into this folder, for print")
    parser.add_argument("--format", choices=FORMATS, help=f"of the exported figures (default: {FORMATS[0]})")
    add_printing(parser, "claims with verdicts, tables and failures")


def run(options: argparse.Namespace) -> int:
    """Read every folder, write its flat table, its page and figures; print the verdicts."""
    from rankwise.data.tables import write_together
    from rankwise.report import render_overview, render_study
    from rankwise.studies.folder import Folder
    from rankwise.studies.summary import summarize

    places = _pages(options)
    several = len(options.folders) > 1
    records: list[dict[str, Any]] = []
    writers: dict[Any, Any] = {}
    for given, page in zip(options.folders, places, strict=False):
        options.interrupt.check()
        folder = Folder(Path(given))
        record, sheets = summarize(folder)
        exported = _exports(options, record, sheets, _prefix(given, options.folders) if several else "")
        links = {name: [_relative(place, page)] for name, (place, _) in exported.items()}
        text = render_study(record, links).encode()
        _write_flat(folder, options)
        writers |= {page: _bytes(text), **dict(exported.values())}
        records.append(record)
    if several:
        page = places[-1]
        text = render_overview(records, [_relative(place, page) for place in places[:-1]]).encode()
        writers[page] = _bytes(text)
    if options.export is not None:
        Path(options.export).mkdir(exist_ok=True)
    write_together(writers)
    _say(options, records, places[-1])
    return 0


def _write_flat(folder: Any, options: argparse.Namespace) -> None:
    """The flat table; where the page goes elsewhere, a folder that may not be written is no hindrance: it is said."""
    from rankwise.studies.results import write_results

    try:
        write_results(folder)
    except OSError as error:
        if options.output is None or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        print(f"rankwise: {error.filename} is not written: {error.strerror}", file=sys.stderr)  # noqa: T201


def _pages(options: argparse.Namespace) -> list[Path]:
    """Where each study's page goes, and of several the list last; impossible places are refused before any work."""
    if options.output in ("", "-"):
        raise ValueError("--output takes a file name")
    if options.export == "":
        raise ValueError("--export takes the name of a folder")
    if options.format is not None and options.export is None:
        raise ValueError("--format is that of exported figures: name their folder with --export")
    if len({os.path.realpath(folder) for folder in options.folders}) < len(options.folders):
        raise ValueError("one folder is named twice")
    pages = [Path(folder) / PAGE for folder in options.folders]
    if len(pages) == 1 and options.output is not None:
        pages = [Path(options.output)]
    elif len(pages) > 1:
        pages.append(Path(options.output or OVERVIEW))
    if options.output is not None:
        refuse_no_file(options.output)
    if options.export is not None:
        if Path(options.export).exists() and not Path(options.export).is_dir():
            raise ValueError(f"--export: {options.export} is a file, not a folder")
        refuse_no_parent(options.export)
    return pages


def _prefix(folder: str, folders: list[str]) -> str:
    """What tells the figures of one of several studies: its folder's name, with its place where two are called so."""
    names = [Path(os.path.realpath(one)).name for one in folders]
    name = Path(os.path.realpath(folder)).name
    return f"{name}_" if names.count(name) == 1 else f"{name}_{folders.index(folder) + 1}_"


def _bytes(text: bytes) -> Callable[[Any], Any]:
    return lambda file: file.write(text)


def _relative(place: str | Path, page: Path) -> str:
    """The place as a link of the page: a URL, in which `#`, `%`, `?` and `:` would mean something else."""
    relative = Path(os.path.relpath(os.path.realpath(place), os.path.realpath(page.parent)))
    return quote(os.fsencode(relative.as_posix()))


def _exports(options: argparse.Namespace, record: Any, sheets: Any, prefix: str) -> dict[str, tuple[Path, Any]]:
    """By name of each figure that has anything, where it goes and what writes it; findings by their names."""
    if options.export is None:
        return {}
    from rankwise.theory.drawing import draw, draw_sheet
    from rankwise.theory.finding import panel_of

    sheets = [sheet for sheet in sheets if sheet.has_content]
    findings = [finding for finding in record["findings"] if finding["panels"]]
    names = distinct([*(sheet.name for sheet in sheets), *(finding["name"] for finding in findings)])
    drawings: list[Callable[[], Any]] = [
        *(lambda sheet=sheet: draw_sheet(sheet.panels, sheet.across) for sheet in sheets),
        *(lambda one=one: draw([panel_of(panel) for panel in one["panels"]]) for one in findings),
    ]
    folder, kind = Path(options.export), options.format or FORMATS[0]
    return {
        name: (folder / f"{prefix}{name}.{kind}", _writer(drawing, kind))
        for name, drawing in zip(names, drawings, strict=True)
    }


def _writer(drawing: Callable[[], Any], kind: str) -> Callable[[Any], None]:
    def write(file: Any) -> None:
        import matplotlib

        figure = drawing()
        with matplotlib.rc_context(FONTS):
            figure.savefig(file, format=kind, dpi=200, metadata=UNDATED[kind])

    return write


def _say(options: argparse.Namespace, records: list[Any], page: Path) -> None:
    if options.json:
        shown = ("name", "quick", "standing", "verdicts", "origins", "claims", "tables", "failures")
        print(json.dumps({"page": str(page), "studies": [{key: one[key] for key in shown} for one in records]}))  # noqa: T201
        return
    if options.quiet:
        return
    from rankwise.report.claims import allowed, claimed, ours, verdict

    for record in records:
        standing = record["standing"]
        print(f"{record['name']}: {standing['done']} of {standing['cases']} cases")  # noqa: T201
        _say_totals([record])
        for claim in record["claims"]:
            if claim["answer"]:
                print(f"  {claim['answer']}")  # noqa: T201
        for claim in record["claims"]:
            if claim["verdict"] != "reproduced":
                told = f"claimed {claimed(claim)}" if claim["origin"] != "words" else f"holds if {allowed(claim)}"
                print(f"  {claim['text']}: {told}, ours {ours(claim)}: {verdict(claim)}")  # noqa: T201
    if len(records) > 1:
        print(f"{len(records)} studies")  # noqa: T201
        _say_totals(records)
    print(f"page: {page}")  # noqa: T201


def _say_totals(records: list[Any]) -> None:
    """The verdicts by where the claims come from, all of them last."""
    from rankwise.report.claims import totals

    for name, own in totals(records).items():
        counts = ", ".join(f"{number} {words}" for words, number in own.items())
        print(f"  {name}: {counts}")  # noqa: T201
