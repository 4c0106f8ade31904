"""`rankwise complete`: fill the holes of a table."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
    parser.add_argument("--max-rank", type=int, metavar="R", help="largest rank to try")
    parser.add_argument(
        "--long",
        metavar="ROW,COL,VALUE",
        help="the table is in long form: one observation per line, in these columns",
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="the first line of a text table is a header (default: found out)",
    )
    parser.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        help="the first column holds row labels (default: found out)",
    )
    parser.add_argument("--denoise", action="store_true", help="replace observed cells too by the model's values")
    parser.add_argument("--fill-empty", action="store_true", help="fill rows and columns that have no observed cell")
    parser.add_argument("--force", action="store_true", help="allow the output to replace the input")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def run(options: argparse.Namespace) -> int:
    """Read, complete, write, print."""
    from rankwise.data.tables import format_of, read_table, table_writer, write_together
    from rankwise.estimators import METHODS, complete, record
    from rankwise.registry import look_up

    look_up(options.method, METHODS, "method")
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {options.seed}")
    output = _default_output(options.table) if options.output is None else options.output
    _check_places(options, output)
    for place in (options.table, output):
        if place != "-":
            format_of(place)
    table = read_table(options.table, long=_long(options.long), header=options.header, labels=options.labels)
    with _progress(options) as step:
        done = complete(
            table, method=options.method, holdout=options.holdout, key=options.seed, max_rank=options.max_rank,
            denoise=options.denoise, fill_empty=options.fill_empty, progress=step,
        )  # fmt: skip
    command = shlex.join(["rankwise", *options.command_line])
    writers = {output: table_writer(table, done.matrix, output, denoise=options.denoise)}
    if options.report:
        from rankwise.report import render_completion

        page = render_completion(record.full(done, output, command)).encode()
        writers[options.report] = lambda file: file.write(page)
    write_together(writers)
    _print(record.summary(done, output, command), options, output)
    return 0


def _default_output(table: str) -> str:
    if table == "-":
        return "-"
    path = Path(table)
    ending = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return str(path.with_name(path.name.removesuffix(ending) + ".filled" + ending))


def _long(given: str | None) -> tuple[str, str, str] | None:
    if given is None:
        return None
    names = tuple(name.strip() for name in given.split(","))
    if len(names) != 3 or not all(names):
        raise ValueError(f"--long takes three column names, ROW,COL,VALUE, not {given!r}")
    return names


def _check_places(options: argparse.Namespace, output: str) -> None:
    """Refuse, before any work, places that cannot or must not be written."""
    if options.report in ("", "-"):
        raise ValueError("--report takes a file name")
    for place in (output, options.report):
        if place in (None, "-"):
            continue
        if Path(place).is_dir():
            raise ValueError(f"{place} is a folder, not a file")
        if not Path(place).resolve().parent.is_dir():
            raise ValueError(f"{place}: the folder {Path(place).resolve().parent} does not exist")
        if options.table != "-" and _same(options.table, place):
            if place == options.report:
                raise ValueError(f"{place} is the input itself: the report needs a place of its own")
            if not options.force:
                raise ValueError(f"{place} is the input itself; --force allows the output to replace it")
    if options.report and output != "-" and _same(output, options.report):
        raise ValueError("the output and the report cannot be the same file")


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return Path(one).resolve() == Path(other).resolve()


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
    stream = sys.stderr if output == "-" else sys.stdout
    if stream is None:
        return
    text = (
        _as_json(summary | {"report": options.report}) if options.json else "\n".join(_lines(summary, options.report))
    )
    print(text, file=stream)


def _as_json(summary: dict[str, Any]) -> str:
    """The summary as one JSON object; null for what is not finite, which JSON has no number for."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in summary.items()}
    return json.dumps(finite, allow_nan=False)


def _lines(summary: dict[str, Any], report: str | None) -> Iterator[str]:
    n, p = summary["shape"]
    filled = f"{summary['holes_filled']} of {summary['holes']} holes filled"
    yield f"{summary['name']}: {n} x {p}, {summary['observed_share']:.1%} observed, {filled}"
    yield f"method {summary['method']}, rank {summary['rank']}" + "".join(f"; {s}" for s in summary["preprocessing"])
    if summary["holdout_rmse"] is not None:
        yield (
            f"held-out RMSE {summary['holdout_rmse']:.4g} on {summary['holdout_count']} cells "
            f"(column means {summary['holdout_rmse_column_means']:.4g}, "
            f"row and column effects {summary['holdout_rmse_effects']:.4g})"
        )
    yield summary["verdict"]
    if summary["method"] != "none":
        yield f"stopped: {summary['result']['sentence']}"
    for kind in ("rows", "columns"):
        if names := summary[f"empty_{kind}"]:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            kept = (
                "filled with means" if summary["settings"]["fill_empty"] else "kept as holes; --fill-empty fills them"
            )
            yield f"{kind} without any observed cell ({kept}): {shown}"
    yield from (f"note: {warning}" for warning in summary["warnings"])
    yield f"{summary['seconds']:.2f} s; filled table: {summary['output']}" + (f"; page: {report}" if report else "")
