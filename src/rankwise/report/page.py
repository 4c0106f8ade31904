"""One self-contained web page from sections: text, tables and plotly figures, nothing fetched."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .blocks import Block, Figure, Pair, Section

ASSETS = resources.files("rankwise.report") / "assets"


def render_page(title: str, sections: Sequence[Section], *, subtitle: str = "", footer: str = "rankwise") -> str:
    """The page as one HTML string that opens offline and asks for nothing from the network.

    Text is escaped wherever it comes from, except inside an `Html` block. plotly.js travels compressed (about
    2 MB) and only where the page holds a figure. Raises ImportError when jinja2 or plotly is missing.
    """
    figures = [_payload(figure) for figure in _figures(sections)]
    return _template().render(
        title=title,
        subtitle=subtitle,
        footer=footer,
        sections=sections,
        style=(ASSETS / "style.css").read_text("utf-8"),
        script=(ASSETS / "page.js").read_text("utf-8"),
        plotly=_plotly_js() if figures else "",
        figures=_pack(json.dumps(figures, allow_nan=False).encode()) if figures else "",
    )


def _figures(sections: Sequence[Section]) -> Iterator[Figure]:
    """Every figure of the page in reading order."""

    def inside(block: Block) -> Iterator[Figure]:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Pair):
            yield from itertools.chain.from_iterable(map(inside, block.blocks))

    for section in sections:
        yield from itertools.chain.from_iterable(map(inside, section.blocks))


def _payload(figure: Figure) -> dict[str, Any]:
    """What the script needs to draw one figure; it finds the figure's place by its order on the page."""
    return {"link": figure.link, **_strict(figure.spec)}


def _strict(value: Any) -> Any:
    """The same specification with what JSON lacks (NaN, infinities, NumPy types) turned into what it has."""
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _pack(data: bytes) -> str:
    """Compressed, in base64: a third of the size, and no character that could end a script element."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


@cache
def _plotly_js() -> str:
    """The plotly.js of the plotly package, packed; found without importing that package."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the figures of a page need plotly: pip install plotly")
    folder = Path(spec.submodule_search_locations[0])
    return _pack((folder / "package_data" / "plotly.min.js").read_bytes())


@cache
def _template() -> Any:
    """The page's template, compiled; it escapes by default, and an unknown name in it is an error."""
    try:
        import jinja2
    except ImportError:
        raise ImportError("writing a page needs jinja2: pip install jinja2") from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((ASSETS / "template.html.j2").read_text("utf-8"))
