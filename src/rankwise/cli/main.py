"""The command `rankwise`: its parser, and the one place where errors become a line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from rankwise.cli import complete, listing, report, solve, study, theory
from rankwise.cli.interrupt import Interrupt, interruptible, interruption
from rankwise.registry import nearest

COMMANDS = {
    "complete": complete, "solve": solve, "theory": theory, "study": study, "report": report, "list": listing,
}  # fmt: skip


# What an interruption leaves, unless the command says otherwise.
NOTHING_LEFT = "no partial output was left"


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line on standard error and exit status 2."""

    words: tuple[str, ...] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As its base class, keeping the words for `error`."""
        self.words = tuple(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line and leave with status 2; a file taken for an option is the likelier trouble."""
        file = next((word for word in takewhile(lambda word: word != "--", self.words) if self._hides(word)), None)
        if file is not None:
            message = f"{file!r} begins with '-', as options do: if it is a file, write ./{file}"
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (see {self.prog} --help)\n")

    def _hides(self, word: str) -> bool:
        """Whether a word that is no known option is a file, or has an ending as a file does."""
        if not word.startswith("-") or word == "-" or word.partition("=")[0] in self._option_string_actions:
            return False
        ending = os.path.splitext(word)[1][1:]
        short = not word.startswith("--") and word[:2] not in self._option_string_actions
        return os.path.lexists(word) or (short and ending[:1].isalpha())


def parser() -> OneLine:
    """The parser of `rankwise` and its commands."""
    top = OneLine(prog="rankwise", description="Recover low-rank matrices from few observations.", allow_abbrev=False)
    top.add_argument("--version", action="store_true", help="print the version and leave")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=OneLine)
    for name, module in COMMANDS.items():
        one = commands.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False)
        module.add_arguments(one)
        one.set_defaults(run=module.run, parser=one)
    top.set_defaults(parser=top)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 2 for a user's mistake, 128 + the signal that ended it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        return _fail(f"unknown command {given[0]!r}{nearest(given[0], COMMANDS)}")
    _print_any_name()
    try:
        with interruptible() as interrupt:
            try:
                status = _run(given, interrupt)
            except Exception as error:
                if stop := interruption(error):
                    raise stop from None
                raise
        if sys.stdout is not None:
            with complete.naming("standard output"):
                sys.stdout.flush()
        return status
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        words = stop.args[1] if len(stop.args) > 1 else NOTHING_LEFT
        status = _fail(f"interrupted; {words}", stop.args[0] if stop.args else 130)
        if arguments is None:
            # Threads of compiled code may be at work still, and crash a Python that ends in its own way.
            os._exit(status)
        return status
    except BrokenPipeError:
        # The reader of standard output has left: nobody is there to be told.
        _abandon_output()
        return 1
    except (ValueError, ImportError) as error:
        return _fail(str(error))
    except MemoryError as error:
        return _fail(f"not enough memory: {error}" if str(error) else "not enough memory")
    except OSError as error:
        if error.filename in (None, "standard output"):
            _abandon_output()
        return _fail(_words(error))


def _run(given: list[str], interrupt: Interrupt) -> int:
    options, unknown = parser().parse_known_args(given)
    if unknown:
        _refuse(unknown[0], options.parser)
    if options.version:
        from importlib.metadata import version

        print(f"rankwise {version('rankwise')}")  # noqa: T201
        return 0
    if options.command is None:
        *names, last = COMMANDS
        options.parser.error(f"a command is needed: {', '.join(names)} or {last}")
    options.command_line, options.interrupt = given, interrupt
    _keep_compiled_programs()
    return options.run(options)


def _print_any_name() -> None:
    """Let names that the console's encoding lacks be printed as escapes, instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _keep_compiled_programs() -> None:
    """Let JAX keep what it compiles in the user's cache folder (the setting is read when JAX is imported).

    Where the folder fails later on, a program is compiled again, which is nothing to tell a user.
    """
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    home = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(home, "rankwise")
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"\0")
    except OSError:
        return  # No place to keep anything: every run compiles for itself.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def _refuse(word: str, parser: OneLine) -> NoReturn:
    """Say that an option is unknown, with the nearest one, or an argument too much."""
    if not word.startswith("-"):
        parser.error(f"one argument too many: {word!r}")
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    parser.error(f"unknown option {word.partition('=')[0]}{nearest(word.partition('=')[0], known)}")


def _abandon_output() -> None:
    """Let what standard output still holds go nowhere, instead of failing once more when Python ends."""
    with contextlib.suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _words(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def _fail(message: str, status: int = 2) -> int:
    if sys.stderr is not None:
        print(f"rankwise: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status
