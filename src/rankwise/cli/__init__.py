"""The command line: parse, call, print."""

from rankwise.cli.main import main

__all__ = ["main"]
