"""The command `rankwise`: its parser, and the one place where errors become a line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from rankwise.cli import complete, listing, solve
from rankwise.registry import nearest

COMMANDS = {"complete": complete, "solve": solve, "list": listing}


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line on standard error and exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and leave with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of `rankwise` and its commands."""
    top = OneLine(prog="rankwise", description="Recover low-rank matrices from few observations.")
    top.add_argument("--version", action="store_true", help="print the version and leave")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=OneLine)
    for name, module in COMMANDS.items():
        one = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(one)
        one.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for a user's mistake, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        return _fail(f"unknown command {given[0]!r}{nearest(given[0], COMMANDS)}")
    try:
        options = parser().parse_args(given)
    except SystemExit as stop:
        return int(stop.code or 0)
    if options.version:
        from importlib.metadata import version

        print(f"rankwise {version('rankwise')}")  # noqa: T201
        return 0
    if options.command is None:
        parser().print_help()
        return 2
    options.command_line = given
    try:
        return options.run(options)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was written", 130)
    except BrokenPipeError:
        # The reader of standard output has left: nobody is there to be told.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, ImportError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_words(error))


def _words(error: OSError) -> str:
    if error.strerror is None or error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"


def _fail(message: str, status: int = 2) -> int:
    line = " ".join(message.split())
    print(f"rankwise: {line}", file=sys.stderr)  # noqa: T201
    return status
