"""The page of a study: published numbers beside ours with verdicts, figures, tables, and how it was run."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from rankwise.vocabulary import NOT_RUN, ORIGINS

from . import claims
from .blocks import Block, Bullets, Card, Cards, Command, Html, Section, Table, Text
from .page import render_page
from .sheet import sheet_figure
from .theory import finding_section
from .wording import count, plural, seconds, significant

Record = Mapping[str, Any]


def render_study(record: Record, files: Mapping[str, Sequence[str]] | None = None) -> str:
    """The page as one HTML string, from the record of a study (`rankwise.studies.summary`) alone.

    files: by name of a figure the places of its static copies, relative to the page.
    """
    sections = [
        _headline(record),
        *claims.claim_sections(record["claims"]),
        *_figures(record, files or {}),
        *_tables(record),
    ]
    sections += [finding_section(finding) for finding in record["findings"]]
    sections += [*_failures(record), _settings(record), _machine(record)]
    sections.append(Section("To run this study again", (Command(shlex.join(record["command"])),)))
    return render_page(record["title"], sections, subtitle=subtitle(record))


def subtitle(record: Record) -> str:
    """Name, version and source in one line."""
    parts = [f"study {record['name']}", "quick version" if record["quick"] else "", source_words(record)]
    return " · ".join(part for part in parts if part)


def source_words(record: Record) -> str:
    """The paper, by its key in the bibliography."""
    return f"source: {record['source']}" if record["source"] else ""


def _headline(record: Record) -> Section:
    standing = record["standing"]
    blocks: list[Block] = [*claims.answers(record["claims"])]
    blocks += [Html(_paragraph(part)) for part in record["about"].split("\n\n") if part.strip()]
    if standing["done"] < standing["cases"]:
        words = (
            f"This study is not complete: {count(standing['done'])} of {plural(standing['cases'], 'case')} on record."
        )
        blocks.append(Text(words, "caution"))
    if standing["failed"]:
        blocks.append(Text(f"{plural(standing['failed'], 'case')} failed: the reasons stand below.", "caution"))
    empty = [name for name, grid in standing["grids"].items() if not grid["cases"]]
    if empty:
        blocks.append(Text(f"Left out, for want of data given by path: grid {', '.join(empty)}.", "caution"))
    cards = [Card("Cases", f"{count(standing['done'])} of {count(standing['cases'])}", _ends(standing))]
    cards += claims.claim_cards(record)
    checks = [check for finding in record["findings"] for check in finding["checks"]]
    if checks:
        holding = sum(check["holds"] for check in checks)
        words = f"in {plural(len(record['findings']), 'finding')}"
        cards.append(Card("Checks that hold", f"{count(holding)} of {count(len(checks))}", words))
    machine = record["machine"]
    cards.append(Card("Computing time", seconds(machine["seconds"]), ", ".join(machine["devices"])))
    return Section("", [*blocks, Cards(cards)])


def _paragraph(text: str) -> str:
    """A paragraph as markup, in which only what stands between backticks is set apart, as code."""
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return f'<p class="text">{marked}</p>'


def _ends(standing: Record) -> str:
    """Why the cases ended, the most frequent reason first."""
    return ", ".join(f"{count(number)} {name.replace('_', ' ')}" for name, number in standing["ends"].items())


def _figures(record: Record, files: Mapping[str, Sequence[str]]) -> list[Section]:
    blocks: list[Block] = []
    for sheet in record["figures"]:
        figure = sheet_figure(sheet)
        title = sheet["title"] or sheet["name"].replace("_", " ")
        lack = "nothing of this figure is on record yet" if sheet["cases"] else "this version has no such cases"
        blocks.append(figure or Text(f"{title}: {lack}. {sheet['caption']}", "caution" if sheet["cases"] else "quiet"))
        blocks.append(Html(_links(files.get(sheet["name"], ()))))
    return [Section("Figures", blocks)] if blocks else []


def _links(places: Sequence[str]) -> str:
    """Links to the static copies of a figure, and the distance to what follows."""
    named = [(html.escape(place, quote=True), place.rpartition(".")[2].upper()) for place in places]
    words = ", ".join(f'<a href="{place}">{html.escape(ending)}</a>' for place, ending in named)
    return f'<p class="text quiet beneath">{f"For print: {words}" if words else ""}</p>'


def _tables(record: Record) -> list[Section]:
    blocks = [
        Table(
            _caption(table), (table["corner"], *table["head"]),
            [(name, *(count(cell) if whole else significant(cell, table["digits"])
                      for cell, whole in zip(cells, table["counts"], strict=True)))
             for name, cells in zip(table["rows"], table["cells"], strict=True)],
            whole=True,
        )
        for table in record["tables"]
    ]  # fmt: skip
    return [Section("Tables", blocks)] if blocks else []


def _caption(table: Record) -> str:
    over, value = table["statistic"], table["value"]
    if over.startswith("share") or over == "count":
        told = value
    elif value and value.casefold() not in f"{table['title']}. {table['caption']}".casefold():
        told = f"{value}, {over} over the rest"
    else:
        # A title that names the statistic has said it; "mean square error" does not.
        told = "" if re.search(rf"\b{over}\b(?! square)", table["title"], re.IGNORECASE) else f"{over} over the rest"
    parts = (table["title"], table["caption"].removesuffix("."), told[:1].upper() + told[1:])
    return ". ".join(part for part in parts if part)


def _failures(record: Record) -> list[Section]:
    if not record["failures"]:
        return []
    rows = [
        (one["reason"], "; ".join(one["examples"]) + (" ..." if one["cases"] > len(one["examples"]) else ""),
         count(one["cases"]))
        for one in record["failures"]
    ]  # fmt: skip
    table = Table("Cases that could not be run", ("reason", "which", "cases"), rows, None, (0, 1), True)
    return [Section("Failures", (table,))]


def _settings(record: Record) -> Section:
    """What is common to all cases, what the axes change, and what each grid has otherwise."""
    settings = record["settings"]
    blocks: list[Block] = []
    if settings["axes"]:
        rows = [*settings["axes"], *([["seed", "", "random keys", settings["seeds"]]] if settings["seeds"] else [])]
        blocks.append(Table("Axes", ("axis", "label", "changes", "values"), rows, None, (0, 1, 2, 3), True))
    if settings["common"]:
        blocks.append(Table("Common to all cases", ("key", "value"), settings["common"], None, (0, 1), True))
    standing = record["standing"]["grids"]
    rows = [
        (name, "; ".join(f"{key} = {value}" for key, value in own), *(count(standing.get(name, {}).get(key))
         for key in ("cases", "done", "failed")))
        for name, own in settings["grids"].items()
    ]  # fmt: skip
    blocks.append(
        Table("Grids", ("grid", "settings of its own", "cases", "on record", "failed"), rows, None, (0, 1), True)
    )
    return Section("Settings", blocks)


def _machine(record: Record) -> Section:
    machine = record["machine"]
    items = [f"Computing time: {seconds(machine['seconds'])}, that of a batch shared equally by its cases."]
    if machine["devices"]:
        items.append(f"Device: {', '.join(machine['devices'])}.")
    for versions in machine["versions"]:
        items.append("Versions: " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".")
    blocks: list[Block] = [Bullets([*items, f"Code: {', '.join(machine['codes']) or 'none on record'}."])]
    if len(machine["codes"]) > 1:
        words = "These records come from more than one version of the code, between which results may differ."
        blocks.insert(0, Text(words, "caution"))
    return Section("How it was run", blocks)


def render_overview(records: Sequence[Record], pages: Sequence[str]) -> str:
    """A page on several studies: a line each with its verdicts, and under it every claim.

    pages: where the page of each study lies, relative to this one. Of studies of one title the folder is named too.
    """
    titles = [record["title"] for record in records]
    names = [
        f"{title} ({PurePosixPath(unquote(page)).parent})" if titles.count(title) > 1 else title
        for title, page in zip(titles, pages, strict=True)
    ]
    cases, counted = [record["standing"] for record in records], claims.totals(records)
    cards = Cards((
        Card("Studies", count(len(records)), f"{count(sum(one['done'] for one in cases))} cases on record of "
             f"{count(sum(one['cases'] for one in cases))}"),
        *(Card(name.capitalize(), claims.kept(own), claims.rest(own)) for name, own in counted.items()),
        Card("Computing time", seconds(sum(record["machine"]["seconds"] for record in records))),
    ))  # fmt: skip
    sections = [
        Section("", (cards,)),
        Section("All studies", (_runs(records, names, pages), _verdicts(records, names))),
    ]
    for name, record, page in zip(names, records, pages, strict=True):
        own = claims.by_origin(record["claims"]).items()
        tables = [claims.claims_table(some, key, f"{ORIGINS[key].title}: ") for key, some in own]
        told = Text(subtitle(record), "quiet"), *(tables or [Text("It makes no claims.", "quiet")])
        sections.append(Section(name, told, page))
    return render_page("Studies", sections, subtitle=plural(len(records), "study", "studies"))


def _runs(records: Sequence[Record], names: Sequence[str], pages: Sequence[str]) -> Table:
    """A line for each study: how much of it is on record."""
    rows = []
    for name, record in zip(names, records, strict=True):
        one = record["standing"]
        done, taken = f"{count(one['done'])} of {count(one['cases'])}", seconds(record["machine"]["seconds"])
        rows.append((name, "quick" if record["quick"] else "full", done, count(one["failed"]), taken))
    return Table("Runs", ("study", "version", "cases", "failed", "time"), rows, None, (0, 1), True, links=pages)


def _verdicts(records: Sequence[Record], names: Sequence[str]) -> Table:
    """A line for each study: how many of its claims of each origin are reproduced, and of all of them."""
    given = {key for record in records for key in record["origins"]}
    kinds = {key: one.short for key, one in ORIGINS.items() if key in given}
    rows = []
    for name, record in zip(names, records, strict=True):
        own, every = record["origins"], record["verdicts"]
        cells = [claims.kept(own[key]) if key in own else "" for key in kinds]
        rows.append((name, *cells, claims.kept(every) if record["claims"] else "", count(every[NOT_RUN])))
    caption = "Claims reproduced, of claims made, by where they come from"
    return Table(caption, ("study", *kinds.values(), "all", NOT_RUN), rows, None, (0,), True)
