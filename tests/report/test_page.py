"""The generic page: self-contained, escaped, legible in light and dark."""

from __future__ import annotations

import base64
import gzip
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import numpy as np
import pytest

from rankwise.report import (
    Bullets,
    Card,
    Cards,
    Command,
    Figure,
    Html,
    Key,
    Legend,
    Pair,
    Section,
    Table,
    Text,
    render_page,
)

EVIL = """</script><script>alert(1)</script>"'><img src=x onerror=alert(1)>&amp;{{ 7 * 7 }}"""
STYLE = (resources.files("rankwise.report") / "assets" / "style.css").read_text("utf-8")


class Elements(HTMLParser):
    """Every element of a page with its attributes, as a browser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.found)


def figure(text: str = "plain", **spec: Any) -> Figure:
    return Figure(text, {"data": [], "layout": {}, **spec}, text, text, link=text)


def every_block(text: str) -> list[Section]:
    """A page with each kind of block, the text in each place that takes one."""
    blocks = [
        Cards([Card(text, text, text)]),
        Text(text, "caution"),
        Bullets([text]),
        Table(text, [text], [[text]], marked=0),
        Command(text),
        Legend([Key("hole", text, text)]),
        Pair([figure(text, data=[{"name": text}]), Text(text)]),
    ]
    return [Section(text, blocks)]


def test_text_never_becomes_markup() -> None:
    tame, wild = (
        Elements(render_page(text, every_block(text), subtitle=text, footer=text)) for text in ("plain", EVIL)
    )
    assert [tag for tag, _ in wild.found] == [tag for tag, _ in tame.found]
    assert [sorted(attributes) for _, attributes in wild.found] == [sorted(attrs) for _, attrs in tame.found]
    assert wild.count("img") == 0


def test_html_blocks_are_markup() -> None:
    assert Elements(render_page("t", [Section("s", [Html("<em>yes</em>")])])).count("em") == 1


def test_nothing_is_fetched() -> None:
    page = render_page("t", every_block("plain"))
    links = [
        value
        for _, attributes in Elements(page).found
        for name, value in attributes.items()
        if name in {"src", "href", "action", "srcset", "data"}
    ]
    assert links == ["data:,"]
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|@import|url\(", page)


def test_plotly_travels_whole_and_only_with_figures() -> None:
    page = render_page("t", every_block("plain"))
    packed = re.search(r'id="plotly">([^<]*)<', page)
    assert packed
    library = gzip.decompress(base64.b64decode(packed[1]))
    assert library.startswith(b"/**\n* plotly.js")
    assert len(page) < 2_200_000
    assert len(render_page("t", [Section("s", [Text("words")])])) < 30_000


def test_figures_keep_the_order_of_the_page(unpack: Any) -> None:
    sections = [
        Section("one", [figure("a"), Pair([figure("b"), Text("x"), figure("c")])]),
        Section("two", [figure("d")]),
    ]
    assert [entry["link"] for entry in unpack(render_page("t", sections))] == ["a", "b", "c", "d"]


def test_what_json_lacks_becomes_null(unpack: Any) -> None:
    values = [float("nan"), np.float64(2), np.array([1.0, np.inf]), np.int64(3)]
    (drawn,) = unpack(render_page("t", [Section("s", [figure(data=values)])]))
    assert drawn["data"] == [None, 2, [1, None], 3]


def test_equal_input_equal_page() -> None:
    assert render_page("t", every_block("plain")) == render_page("t", every_block("plain"))


def test_figures_and_tables_are_described() -> None:
    page = Elements(render_page("t", every_block("words")))
    assert all(
        attributes.get("aria-label") for _, attributes in page.found if attributes.get("role") in {"img", "region"}
    )
    assert page.count("figcaption") == page.count("figure") == 1


def test_page_says_so_where_figures_cannot_be_drawn() -> None:
    page = render_page("t", every_block("plain"))
    assert "<noscript>" in page
    assert 'id="no-figures"' in page
    assert "DecompressionStream" in page


def test_a_page_is_written_without_importing_plotly() -> None:
    code = (
        "import sys; from rankwise.report import *;"
        "render_page('t', [Section('s', [Figure('h', {'data': []}, 'c', 'd')])]);"
        "assert 'plotly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def schemes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet in light and in dark."""
    light, dark = re.findall(r":root \{([^}]*)\}", STYLE)
    return {
        name: dict(re.findall(r"(--[\w-]+): (#\w{6});", block)) for name, block in [("light", light), ("dark", dark)]
    }


def luminance(color: str) -> float:
    channels = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_both_schemes_name_the_same_colours() -> None:
    light, dark = schemes().values()
    assert set(light) == set(dark)
    assert set(re.findall(r"var\((--[\w-]+)\)", STYLE)) <= set(light)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["--ink", "--soft", "--muted", "--accent", "--warm"])
@pytest.mark.parametrize("ground", ["--page", "--surface"])
def test_words_stand_out_from_their_ground(scheme: str, text: str, ground: str) -> None:
    colors = schemes()[scheme]
    bright, dim = sorted((luminance(colors[text]), luminance(colors[ground])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5
