"""What a page is made of: sections holding cards, text, tables, figures, commands; plain data, no markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Card:
    """One headline number: what it is, the number, and a few words beside it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Cards:
    """A row of headline numbers."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


@dataclass(frozen=True)
class Text:
    """A paragraph; with a tone ("good", "caution", "quiet") it is set apart or set back."""

    kind: ClassVar[str] = "text"
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Html:
    """Markup the caller vouches for; everything else on a page is escaped, this is not."""

    kind: ClassVar[str] = "html"
    html: str


@dataclass(frozen=True)
class Table:
    """A table; `marked` names the row to stand out, `text_columns` those set left; `whole`: it does not scroll.

    tones: of each row, for its last cell: "good", "caution", "quiet" or "". links: of each row, where its first cell
    leads.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    text_columns: Sequence[int] = (0,)
    whole: bool = False
    tones: Sequence[str] = ()
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Command:
    """A command line to copy."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a swatch painted by a class of the style sheet, and its meaning."""

    swatch: str
    meaning: str
    left: str = ""


@dataclass(frozen=True)
class Legend:
    """Swatches shared by the figures of a section."""

    kind: ClassVar[str] = "legend"
    keys: Sequence[Key]


@dataclass(frozen=True)
class Figure:
    """A plotly figure (plain dicts): its heading, what it shows in words, and the group it zooms with.

    Colours in the specification are names of the style sheet, `var(--accent)`, so that they follow the
    reader's light or dark scheme. A `narrow` entry beside `data` and `layout` overrides the layout on a small
    screen: {"yaxis.showticklabels": False}.
    """

    kind: ClassVar[str] = "figure"
    heading: str
    spec: dict[str, Any]
    caption: str
    description: str
    link: str = ""
    height: int = 380


@dataclass(frozen=True)
class Pair:
    """Blocks side by side where there is room, one under the other where there is not."""

    kind: ClassVar[str] = "pair"
    blocks: Sequence[Block]


Block = Cards | Text | Bullets | Html | Table | Command | Legend | Figure | Pair


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it; link: where the heading leads, "" if nowhere."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    link: str = ""
