"""`rankwise theory`: theorems, conjectures and counterexamples run anew, the numbers beside those proved."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from rankwise.cli.options import add_printing
from rankwise.cli.places import refuse_no_file

HELP = "Run theorems and counterexamples anew; print measured beside proved numbers and write a page of plots."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise theory`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (see `rankwise list theory`); default: all")
    parser.add_argument(
        "--report", metavar="PAGE.html", help="where the page goes (default: NAME.html, or theory.html for several)"
    )
    parser.add_argument("--figures", metavar="FOLDER", help="also write each figure as FOLDER/NAME.png")
    add_printing(parser, "the numbers")


def run(options: argparse.Namespace) -> int:
    """Run each, print its table, write page and figures; status 1 if a theorem's check does not hold."""
    from rankwise.data.tables import write_together
    from rankwise.registry import look_up
    from rankwise.report import render_theory
    from rankwise.theory import RESULTS_PROVED

    chosen = {name: look_up(name, RESULTS_PROVED, "theory") for name in options.names or RESULTS_PROVED}
    page = _page(options)
    findings = []
    for function in chosen.values():
        options.interrupt.check()
        findings.append(function())
        if not (options.quiet or options.json):
            print(findings[-1].table(), flush=True)  # noqa: T201
    records = [finding.record() for finding in findings]
    text = render_theory(records, shlex.join(["rankwise", *options.command_line])).encode()
    write_together({page: lambda file: file.write(text), **_figures(options, findings)})
    if options.json:
        print(json.dumps([{k: v for k, v in record.items() if k != "panels"} for record in records]))  # noqa: T201
    elif not options.quiet:
        print(f"page: {page}")  # noqa: T201
    return int(any(finding.kind == "theorem" and not finding.holds for finding in findings))


def _page(options: argparse.Namespace) -> str:
    """Where the page goes; places that cannot be written are refused before any work."""
    page = options.report
    if page is None:
        page = f"{options.names[0]}.html" if len(options.names) == 1 else "theory.html"
    if page in ("", "-"):
        raise ValueError("--report takes a file name")
    refuse_no_file(page)
    if options.figures is not None and not Path(options.figures).is_dir():
        raise ValueError(f"--figures takes a folder that exists, not {options.figures}")
    return page


def _figures(options: argparse.Namespace, findings: list[Any]) -> dict[str, Any]:
    """What writes each figure, by place."""
    if options.figures is None:
        return {}

    def writer(finding: Any) -> Any:
        return lambda file: finding.figure().savefig(file, format="png", dpi=200)

    return {str(Path(options.figures) / f"{one.name}.png"): writer(one) for one in findings if one.panels}
