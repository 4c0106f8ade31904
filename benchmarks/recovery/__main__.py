"""python -m benchmarks.recovery: run what is missing, print the tables, draw success against rho."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recovery.cases import GRID, TABLE, Case
from benchmarks.recovery.methods import AUTO, METHODS, OWN
from benchmarks.recovery.peers import PEERS
from benchmarks.recovery.picture import draw
from benchmarks.recovery.records import Records, code_version
from benchmarks.recovery.suite import Plan, installed, run
from benchmarks.recovery.tables import Line, beaten, methods_table, noise_lines, summarize, targets_table

from rankwise.registry import look_up

GROUPS: dict[str, Sequence[str]] = {"auto": tuple(AUTO), "own": tuple(OWN), "peers": tuple(PEERS)}


def main(words: Sequence[str] | None = None) -> int:
    """Run the suite; 0 if done, 2 with one line on standard error if it cannot, 130 if interrupted."""
    given = _parser().parse_args(words)
    try:
        return _run(given)
    except ValueError as error:
        print(f"recovery: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("recovery: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _run(given: argparse.Namespace) -> int:
    if given.list:
        print(*(f"{case.name}" for case in (*TABLE, *GRID)), sep="\n")
        print(*METHODS, sep="\n")
        return 0
    plan = _plan(given)
    records = Records(given.out / "records")
    if not given.report:
        run(plan, records, lambda line: print(line, flush=True), given.retry)
    lines = summarize(plan, records)
    if not lines:
        raise ValueError(f"no trial of this plan is on record in {given.out}")
    text = report(plan, lines, beaten(plan, records))
    (given.out / "table.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{given.out / 'table.md'}")
    if given.grid:
        draw(lines, given.out / "success.png")
        print(given.out / "success.png")
    return 0


def report(plan: Plan, lines: Sequence[Line], better: str) -> str:
    """The tables in one text; better: the instances on which auto was beaten."""
    version = plan.version or code_version()
    settings = f"{version}; {plan.threads} BLAS threads, limit {plan.limit:g} s, seeds from {plan.first}"
    budget = "no budget" if plan.budget is None else f"a budget of {plan.budget:g} s"
    aimed = [line for line in lines if line.case.target is not None]
    parts = [f"{settings}; auto with {budget}"]
    parts += [f"{name}:\n\n{targets_table(aimed, name)}" for name in AUTO if any(one.method == name for one in aimed)]
    parts += [noise_lines(aimed)] if any(line.case.noise for line in aimed) else []
    parts += ["Successes, median seconds:\n\n" + methods_table(lines)]
    parts += [f"Instances on which auto failed and another method succeeded:\n\n{better}"]
    return "\n\n".join(parts) + "\n"


def _plan(given: argparse.Namespace) -> Plan:
    """The plan asked for; a ValueError names what cannot be."""
    for name in ("seeds", "rivals", "threads"):
        if getattr(given, name) < 1:
            raise ValueError(f"--{name} must be at least 1, not {getattr(given, name)}")
    if given.first_seed < 0:
        raise ValueError(f"--first-seed must not be negative, not {given.first_seed}")
    for name in ("limit", "budget"):
        value = getattr(given, name)
        if value is not None and not 0 < value < 1e6:
            raise ValueError(f"--{name} must be a positive number of seconds, not {value}")
    known = {case.name: case for case in (*GRID, *TABLE)}
    cases: tuple[Case, ...] = TABLE
    if given.grid:
        # Where a case is in both, the table's has the target.
        cases = tuple(known[case.name] for case in GRID)
    if given.cases:
        cases = tuple(_chosen(given.cases, known, "case"))
    asked = [name for word in given.methods.split(",") for name in GROUPS.get(word.strip(), (word.strip(),))]
    for name in asked:
        look_up(name, METHODS, "method")
    methods = tuple(dict.fromkeys(asked))
    return Plan(
        cases, methods if given.report else installed(methods, print), given.seeds, given.rivals, given.first_seed,
        given.limit, given.budget, given.threads, given.version,
    )  # fmt: skip


def _chosen(words: str, known: Mapping[str, Any], what: str) -> list[Any]:
    return [look_up(word.strip(), known, what) for word in words.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds per case (20)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--rivals", type=int, default=5, help="seeds for every method but auto (5)")
    parser.add_argument("--cases", help="names, separated by commas; else those of the table")
    parser.add_argument("--grid", action="store_true", help="rho from 1.05 to 3 in place of the table, and the picture")
    parser.add_argument("--methods", default="auto,own,peers", help="auto, own, peers or names, separated by commas")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds per trial (60)")
    parser.add_argument("--budget", type=float, help="seconds that auto is given; else its members run once")
    parser.add_argument("--threads", type=int, default=2, help="BLAS threads (2)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/recovery"), help="folder for the records")
    parser.add_argument("--version", help="records are kept under this name in place of a hash of the code")
    parser.add_argument("--retry", action="store_true", help="run trials again that failed")
    parser.add_argument("--report", action="store_true", help="run nothing: tables and picture of what is on record")
    parser.add_argument("--list", action="store_true", help="print the names of cases and methods")
    return parser


if __name__ == "__main__":
    sys.exit(main())
