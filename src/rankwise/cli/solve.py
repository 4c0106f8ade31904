"""`rankwise solve`: one run of any problem and solver, described by a TOML file."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rankwise.cli.interrupt import leaving
from rankwise.cli.options import add_printing
from rankwise.cli.places import refuse_no_file, refuse_no_parent

if TYPE_CHECKING:
    from rankwise.solution import Solution
    from rankwise.spec import Spec

HELP = "Run one solver on one problem, both described by name and number in a TOML file."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rankwise solve`."""
    parser.add_argument(
        "spec", metavar="SPEC.toml", help="the run: [problem], [solver], key, max_steps, track, checkpoints"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="where record.json and matrix.npz go (default: SPEC without its ending)",
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="save the run to FILE now and then, and go on from FILE if it is there"
    )
    parser.add_argument(
        "--every", type=float, metavar="SECONDS", help="seconds between two savings to --checkpoint (default: 60)"
    )
    add_printing(parser, "the record")


def _solved(spec: Spec, options: argparse.Namespace, folder: Path) -> tuple[Solution, int]:
    """The solution, and how many of its steps were taken by an earlier call that left its --checkpoint."""
    place = options.checkpoint
    if place is None:
        if options.every is not None:
            raise ValueError("--every says how often --checkpoint is written: name its file")
        return spec.solve(progress=options.interrupt.check), 0
    from rankwise.checkpoint import load_state, solve_resumable
    from rankwise.checkpoint.resuming import EVERY

    if place == "":
        raise ValueError("--checkpoint takes a file name")
    refuse_no_file(place)
    if os.path.realpath(place) == os.path.realpath(folder):
        raise ValueError(f"{place} cannot be both the checkpoint and the folder of the record: name a folder with -o")
    before = load_state(place, spec.problem, spec.solver).steps if Path(place).exists() else 0
    with leaving(lambda: f"the same command goes on from {place}" if Path(place).exists() else None):
        solution = solve_resumable(
            spec.problem, spec.solver, place, every=EVERY if options.every is None else options.every,
            truth=spec.truth, heldout=spec.heldout, progress=options.interrupt.check, **spec.arguments,
        )  # fmt: skip
    return solution, before


def run(options: argparse.Namespace) -> int:
    """Read the spec, run it, write the record, print a line."""
    from rankwise.spec import read_spec, record, write_record

    spec = read_spec(options.spec)
    if options.output is None and not Path(options.spec).suffix:
        raise ValueError(f"{options.spec} has no ending that the folder's name could leave out: name a folder with -o")
    if options.output == "":
        raise ValueError("-o takes the name of a folder")
    folder = Path(options.output or Path(options.spec).with_suffix(""))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder")
    refuse_no_parent(folder)
    solution, before = _solved(spec, options, folder)
    write_record(spec, solution, folder)
    if options.checkpoint is not None:
        Path(options.checkpoint).unlink(missing_ok=True)
    made = record(spec, solution)
    if options.json:
        print(json.dumps(made))  # noqa: T201
    elif not options.quiet:
        if before:
            print(f"{before} of the steps were taken before, as {options.checkpoint} had them")  # noqa: T201
        loss = made["history"]["train_loss"][-1]
        print(f"{solution.result.name} after {solution.steps} steps, {solution.seconds:.2f} s: {solution.result.value}")  # noqa: T201
        print(f"rank {made['rank']}, training loss {'not finite' if loss is None else f'{loss:.4g}'}; record: {folder}")  # noqa: T201
    return 0
