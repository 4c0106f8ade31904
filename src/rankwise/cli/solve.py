"""`rankwise solve`: one run of any problem and solver, described by a TOML file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rankwise.cli.options import add_printing
from rankwise.cli.places import refuse_no_parent

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
    add_printing(parser, "the record")


def run(options: argparse.Namespace) -> int:
    """Read the spec, run it, write the record, print a line."""
    from rankwise.spec import read_spec, record, write_record

    spec = read_spec(options.spec)
    if "heldout_loss" in spec.arguments.get("track", []) and spec.heldout is None:
        raise ValueError(f"{options.spec}: track has 'heldout_loss', which needs problem.holdout above 0")
    if options.output is None and not Path(options.spec).suffix:
        raise ValueError(f"{options.spec} has no ending that the folder's name could leave out: name a folder with -o")
    if options.output == "":
        raise ValueError("-o takes the name of a folder")
    folder = Path(options.output or Path(options.spec).with_suffix(""))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder")
    refuse_no_parent(folder)
    solution = spec.solve(progress=options.interrupt.check)
    write_record(spec, solution, folder)
    made = record(spec, solution)
    if options.json:
        print(json.dumps(made))  # noqa: T201
    elif not options.quiet:
        loss = made["history"]["train_loss"][-1]
        print(f"{solution.result.name} after {solution.steps} steps, {solution.seconds:.2f} s: {solution.result.value}")  # noqa: T201
        print(f"rank {made['rank']}, training loss {'not finite' if loss is None else f'{loss:.4g}'}; record: {folder}")  # noqa: T201
    return 0
