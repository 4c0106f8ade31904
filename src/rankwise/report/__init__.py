"""Pages that show a result: the report of a completion, and the generic page it is made with."""

from .blocks import Bullets, Card, Cards, Command, Figure, Html, Key, Legend, Pair, Section, Table, Text
from .completion import render_completion
from .held_out import shown_indices
from .page import render_page
from .study import render_overview, render_study
from .theory import render_theory, write_theory

__all__ = [
    "Bullets",
    "Card",
    "Cards",
    "Command",
    "Figure",
    "Html",
    "Key",
    "Legend",
    "Pair",
    "Section",
    "Table",
    "Text",
    "render_completion",
    "render_overview",
    "render_page",
    "render_study",
    "render_theory",
    "shown_indices",
    "write_theory",
]
