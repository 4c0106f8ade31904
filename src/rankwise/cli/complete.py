"""`rankwise complete`: fill the holes of a table."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankwise.cli.options import add_printing, add_switch
from rankwise.cli.places import refuse_no_file

if TYPE_CHECKING:
    from rankwise.data.tables import Writer

# Other names of the streams that "-" stands for.
STANDARD_INPUT, STANDARD_OUTPUT = "/dev/stdin", "/dev/stdout"

HELP = "Fill the holes of a table and say how far the result can be trusted."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise complete`."""
    parser.add_argument(
        "table", metavar="TABLE", help="CSV, TSV, Parquet, Feather, .npy, .npz or .mtx; - is standard input"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="where the filled table goes; - is standard output (default: TABLE with .filled before its ending)",
    )
    parser.add_argument("--report", metavar="PAGE.html", help="also write a self-contained page of pictures")
    parser.add_argument("--method", default="auto", help="auto, greedy, deep, ratio, means or effects (default: auto)")
    parser.add_argument(
        "--holdout",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of the observed cells held out for the error estimate (default: 0.1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default: 0)")
    parser.add_argument("--max-rank", type=int, metavar="R", help="largest rank that auto and greedy try")
    parser.add_argument(
        "--bounds", type=float, nargs=2, metavar=("LEAST", "GREATEST"), help="what any cell can be at least and at most"
    )
    parser.add_argument(
        "--budget", type=float, metavar="SECONDS", help="nothing further is tried after so many seconds"
    )
    parser.add_argument(
        "--long",
        metavar="ROW,COL,VALUE",
        help="the table is in long form: one observation per line, in these columns; "
        "a name with a comma in it goes in quotes, as in a CSV file",
    )
    add_switch(
        parser, "header", "the first line of a text table is a header (default: found out)", "the first line is data"
    )
    add_switch(
        parser, "labels", "the first column holds row labels (default: found out)", "the first column is no label"
    )
    parser.add_argument(
        "--holes",
        metavar="WORD,...",
        help="words and numbers that stand for holes, besides empty cells, NA and the like; --holes=-99,-999 with "
        "the sign where the first is a number below 0",
    )
    parser.add_argument("--decimal", choices=[",", "."], help="the decimal sign of a text table (default: found out)")
    parser.add_argument(
        "--thousands", choices=[",", "."], help="what separates thousands in a text table (default: found out)"
    )
    parser.add_argument("--denoise", action="store_true", help="replace observed cells too by the model's values")
    parser.add_argument("--fill-empty", action="store_true", help="fill rows and columns that have no observed cell")
    parser.add_argument("--force", action="store_true", help="allow the output to replace the input")
    add_printing(parser, "the summary")


def run(options: argparse.Namespace) -> int:
    """Read, complete, write, print."""
    from rankwise.data.tables import format_of, is_device, read_table, table_writer, write_together, writing_losses
    from rankwise.estimators import METHODS, complete, record
    from rankwise.registry import look_up

    look_up(options.method, METHODS, "method")
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {options.seed}")
    options.table = "-" if options.table == STANDARD_INPUT else options.table
    _check_table(options)
    output = _default_output(options.table) if options.output is None else options.output
    output = "-" if output == STANDARD_OUTPUT else output
    _check_places(options, output)
    if output != "-" and not is_device(output):
        format_of(output)
    table = read_table(
        options.table, long=_long(options.long), header=options.header, labels=options.labels,
        decimal=options.decimal, thousands=options.thousands, holes=_listed(options.holes),
    )  # fmt: skip
    with _progress(options) as step:
        done = complete(
            table, method=options.method, holdout=options.holdout, key=options.seed, max_rank=options.max_rank,
            denoise=options.denoise, fill_empty=options.fill_empty, bounds=options.bounds, budget=options.budget,
            progress=step,
        )  # fmt: skip
    notes = (*table.notes, *writing_losses(table, done.matrix, output, denoise=options.denoise))
    done = replace(done, table=replace(table, notes=notes))
    command = shlex.join(["rankwise", *options.command_line])
    writers: dict[str | Path, Writer] = {output: table_writer(table, done.matrix, output, denoise=options.denoise)}
    if options.report:
        from rankwise.report import render_completion

        page = render_completion(record.full(done, output, command)).encode(errors="backslashreplace")
        # A path and no string, so that the two stay apart where both are /dev/null.
        writers[Path(options.report)] = lambda file: file.write(page)
    write_together(writers)
    _print(record.summary(done, output, command), options, output)
    return 0


def _default_output(table: str) -> str:
    from rankwise.data.tables import is_device

    if table == "-" or is_device(table):
        return "-"
    path = Path(table)
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return str(path.with_name(path.name.removesuffix(ending) + ".filled" + ending))


def _long(given: str | None) -> tuple[str, str, str] | None:
    if given is None:
        return None
    names = _listed(given)
    if len(names) != 3 or not all(name.strip() for name in names):
        raise ValueError(f"--long takes three column names, ROW,COL,VALUE, not {given!r}")
    return (names[0], names[1], names[2])


def _listed(given: str | None) -> list[str]:
    """What stands between commas, in quotes where it holds one; nothing if the quotes are broken."""
    if given is None:
        return []
    try:
        return next(csv.reader([given], skipinitialspace=True, strict=True), [])
    except csv.Error:
        return []


def _check_table(options: argparse.Namespace) -> None:
    """Refuse, before any work, a table that cannot be one, and settings that contradict one another."""
    from rankwise.data.tables import format_of, is_device

    if not options.table:
        raise ValueError("TABLE is an empty name: give a file, or - for standard input")
    if options.table != "-":
        if Path(options.table).is_dir():
            raise ValueError(f"{options.table} is a folder, not a file")
        if not is_device(options.table):
            format_of(options.table)
        os.stat(options.table)  # a missing table is told before its output's place is looked at
    if options.holes is not None and not _listed(options.holes):
        raise ValueError(f"--holes takes words and numbers, WORD,WORD, not {options.holes!r}")
    if options.long is not None and options.header is False:
        raise ValueError("--long needs the header, which names its columns: leave --no-header out")


def _check_places(options: argparse.Namespace, output: str) -> None:
    """Refuse, before any work, places that cannot or must not be written."""
    if not output:
        raise ValueError("-o takes a file name, or - for standard output")
    if options.report in ("", "-", STANDARD_OUTPUT):
        raise ValueError("--report takes a file name")
    for place in (output, options.report):
        if place in (None, "-"):
            continue
        refuse_no_file(place)
        if _same(place, os.devnull):
            continue  # it takes everything, and nothing is replaced
        if options.table != "-" and _same(options.table, place):
            if place == options.report:
                raise ValueError(f"{place} is the input itself: the report needs a place of its own")
            if not options.force:
                raise ValueError(f"{place} is the input itself; --force allows the output to replace it")
    if options.report and output != "-" and _same(output, options.report) and not _same(output, os.devnull):
        raise ValueError("the output and the report cannot be the same file")


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


@contextlib.contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Callable[[str], None]]:
    """A bar on standard error while a terminal looks on, else nothing; in both cases Ctrl-C is heard."""
    if options.quiet or sys.stderr is None or not sys.stderr.isatty():
        yield options.interrupt.check
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def show(words: str) -> None:
            options.interrupt.check()
            bar.update(task, description=words)

        yield show


def _print(summary: dict[str, Any], options: argparse.Namespace, output: str) -> None:
    if options.quiet:
        return
    from rankwise.estimators.record import readable

    report = options.report and readable(options.report)
    stream, name = (sys.stderr, "standard error") if output == "-" else (sys.stdout, "standard output")
    if stream is None:
        return
    text = _as_json(summary | {"report": report}) if options.json else "\n".join(_lines(summary, report))
    with naming(name):
        print(text, file=stream)
        stream.flush()


@contextlib.contextmanager
def naming(stream: str) -> Iterator[None]:
    """Let an OSError name the stream that could not be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), stream) from error


def _as_json(summary: dict[str, Any]) -> str:
    """The summary as one JSON object; null for what is not finite, which JSON has no number for."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in summary.items()}
    return json.dumps(finite, allow_nan=False)


def _errors(summary: dict[str, Any], units: str, cells: str = "") -> str:
    """The held-out errors of what was taken and of the other guesses, in units named by the ending of their keys."""
    error, spread = summary[f"holdout_rmse{units}"], summary[f"holdout_rmse_error{units}"]
    others = {"column means": "column_means", "row and column effects": "effects"}
    if summary["rejected_rank"]:
        others[f"the low-rank fit not taken, of rank {summary['rejected_rank']},"] = "rejected"
    beside = ", ".join(f"{words} {summary[f'holdout_rmse_{key}{units}']:.4g}" for words, key in others.items())
    return f"{error:.4g}" + (f" ± {spread:.2g}" if spread is not None else "") + f"{cells} ({beside})"


def _lines(summary: dict[str, Any], report: str | None) -> Iterator[str]:
    from rankwise.data.tables.base import shortened

    n, p = summary["shape"]
    filled = f"{summary['holes_filled']} of {summary['holes']} holes filled"
    yield f"{summary['name']}: {n} x {p}, {summary['observed_share']:.1%} observed, {filled}"
    yield f"method {summary['method']}, rank {summary['rank']}" + "".join(f"; {s}" for s in summary["preprocessing"])
    if summary["holdout_rmse"] is not None:
        count = summary["holdout_count"]
        cells = f" on {count} {'cell' if count == 1 else 'cells'}"
        yield f"held-out RMSE {_errors(summary, '', cells)}"
        if summary["units_matter"]:
            yield f"in column standard deviations, which the verdict compares: {_errors(summary, '_standardized')}"
    yield summary["verdict"]
    if summary["certificate"]:
        yield summary["certificate"]
    if summary["method"] != "none":
        yield f"stopped: {summary['result']['sentence']}"
    for kind in ("rows", "columns"):
        if names := summary[f"empty_{kind}"]:
            shown = ", ".join(map(shortened, names[:5])) + (", ..." if len(names) > 5 else "")
            kept = (
                "filled with means" if summary["settings"]["fill_empty"] else "kept as holes; --fill-empty fills them"
            )
            yield f"{kind} without any observed cell ({kept}): {shown}"
    yield from (f"note: {warning}" for warning in summary["warnings"])
    yield f"{summary['seconds']:.2f} s; filled table: {summary['output']}" + (f"; page: {report}" if report else "")
