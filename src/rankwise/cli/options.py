"""Options that several commands share, and pairs of options that exclude each other."""

from __future__ import annotations

import argparse


def add_printing(parser: argparse.ArgumentParser, what: str) -> None:
    """--json, which prints `what` as JSON, and --quiet; both at once are refused."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--json", action="store_true", help=f"print {what} as one JSON object")
    either.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_switch(parser: argparse.ArgumentParser, name: str, yes: str, no: str) -> None:
    """--NAME and --no-NAME with their help: True, False, or None if neither is given; both at once are refused.

    `argparse.BooleanOptionalAction` would let the last one win without a word.
    """
    either = parser.add_mutually_exclusive_group()
    either.add_argument(f"--{name}", action="store_true", default=None, help=yes)
    either.add_argument(f"--no-{name}", dest=name, action="store_false", default=None, help=no)
