"""Everything a study's page shows, as plain numbers and words from its folder alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rankwise.studies.asked import read_asked
from rankwise.studies.claims import judge
from rankwise.studies.compare import dotted
from rankwise.studies.drawn import Sheet, draw_figure
from rankwise.studies.folder import Folder
from rankwise.studies.records import FAILED
from rankwise.studies.tables import fill_table
from rankwise.theory.finding import plain
from rankwise.vocabulary import NOT_REPRODUCED, NOT_RUN, ORIGINS, REPRODUCED

# Of failures with one reason so many cases are named.
NAMED = 5


def summarize(folder: Folder) -> tuple[dict[str, Any], list[Sheet]]:
    """The record that a page is drawn from, and its figures for drawing elsewhere.

    Raises:
        ValueError: if the study asks for what cannot be, or a file of the folder is broken.
    """
    given = folder.given
    figures, tables, claimed = (given.get(key, []) for key in ("figures", "tables", "claims"))
    with folder.blamed():
        asked = read_asked(figures, tables, claimed, folder.scope)
    for claim in asked.claims:
        for value in (claim.value, claim.than):
            if value is not None:
                folder.expect(folder.select(value.grid, value.where), value)
    claims = [judge(claim, folder) for claim in asked.claims]
    sheets = [draw_figure(figure, folder) for figure in asked.figures]
    record = {
        "name": folder.index["name"], "title": given.get("title", folder.index["name"]),
        "about": given.get("about", ""), "source": given.get("source", ""), "quick": _options(folder).get("quick"),
        "standing": _standing(folder), "verdicts": _verdicts(claims), "origins": _origins(claims), "claims": claims,
        "figures": [_sheet(sheet) for sheet in sheets],
        "tables": [fill_table(table, folder) for table in asked.tables],
        "findings": _findings(folder), "settings": _settings(folder), "machine": _machine(folder),
        "failures": _failures(folder), "command": command(folder),
    }  # fmt: skip
    return record, sheets


def _options(folder: Folder) -> dict[str, Any]:
    return folder.index.get("options", {})


def _standing(folder: Folder) -> dict[str, Any]:
    """How many cases there are, on record, and why these ended."""
    addresses = {entry.address for entry in folder.entries}
    ends = Counter(row["result"] for row in folder.rows.values())
    grids: dict[str, dict[str, int]] = {}
    for name in {**folder.grids, **{entry.grid: () for entry in folder.entries}}:
        own = {entry.address for entry in folder.entries if entry.grid == name}
        failed = sum(folder.rows[one]["result"] == FAILED for one in own & folder.rows.keys())
        grids[name] = {"cases": len(own), "done": len(own & folder.rows.keys()), "failed": failed}
    return {
        "cases": len(addresses), "done": len(folder.rows), "failed": ends.get(FAILED, 0),
        "ends": dict(ends.most_common()), "grids": grids,
    }  # fmt: skip


def _verdicts(claims: list[dict[str, Any]]) -> dict[str, int]:
    counted = Counter(claim["verdict"] for claim in claims)
    return {verdict: counted.get(verdict, 0) for verdict in (REPRODUCED, NOT_REPRODUCED, NOT_RUN)}


def _origins(claims: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """The verdicts of each origin that some claim has."""
    kept = {origin: [claim for claim in claims if claim["origin"] == origin] for origin in ORIGINS}
    return {origin: _verdicts(own) for origin, own in kept.items() if own}


def _sheet(sheet: Sheet) -> dict[str, Any]:
    panels = [None if panel is None else plain(asdict(panel)) for panel in sheet.panels]
    return {
        "name": sheet.name, "title": sheet.title, "caption": sheet.caption, "across": sheet.across, "panels": panels,
        "cases": sheet.cases,
    }  # fmt: skip


def _findings(folder: Folder) -> list[dict[str, Any]]:
    """The findings that cases of the task `theory` left, with the words for each case."""
    made = {}
    for entry in folder.entries:
        row = folder.rows.get(entry.address)
        if row is not None and row["task"] == "theory" and row["result"] != FAILED:
            made[entry.address] = entry.words
    details = folder.details(made)
    return [{"case": words, **json.loads(details[one])} for one, words in made.items() if one in details]


def _settings(folder: Folder) -> dict[str, Any]:
    """The study's own tables: what is common, the axes, and what each grid has otherwise."""
    given = folder.given
    grids = given.get("grid", {"all": {}})
    return {
        "common": [[key, _spelled(value)] for key, value in dotted(given.get("case", {}))],
        "axes": [
            [axis.name, axis.label, ", ".join(sorted({key for change in axis.changes for key in _changed(change)})),
             ", ".join(_spelled(value) for value in axis.values)]
            for axis in folder.axes.values()
        ],
        "grids": {name: [[key, _spelled(value)] for key, value in dotted(grid)] for name, grid in grids.items()},
        "seeds": _spelled(given["seeds"]) if "seeds" in given else "",
    }  # fmt: skip


def _changed(change: Mapping[str, Any]) -> list[str]:
    return [key for key, _ in dotted(change)]


def _spelled(value: Any) -> str:
    """A setting as TOML would have it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_spelled, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _machine(folder: Folder) -> dict[str, Any]:
    """Where and with what the records were made."""
    rows = folder.rows.values()
    packages = Counter(tuple(sorted(dict(row["versions"]).items())) for row in rows)
    return {
        "seconds": sum(row["seconds"] or 0.0 for row in rows),
        "devices": sorted({row["device"] for row in rows if row["device"]}),
        "codes": sorted({row["code"] for row in rows}),
        "versions": [dict(one) for one, _ in packages.most_common()],
    }


def _failures(folder: Folder) -> list[dict[str, Any]]:
    """The reasons why cases failed, each with how many and some of them."""
    found: dict[str, list[str]] = {}
    for entry in folder.entries:
        row = folder.rows.get(entry.address)
        if row is not None and row["result"] == FAILED:
            found.setdefault(row["sentence"], []).append(entry.words)
    return [{"reason": reason, "cases": len(words), "examples": words[:NAMED]} for reason, words in found.items()]


def command(folder: Folder) -> list[str]:
    """The words of the command that runs the study again."""
    options = _options(folder)
    words = ["rankwise", "study", "run", _place(options.get("file", f"{folder.index['name']}.toml"))]
    words += ["--quick"] * bool(options.get("quick"))
    words += ["--out", _place(options["out"])] if "out" in options else []
    for module in options.get("modules", ()):
        words += ["--import", module]
    for option in ("data", "changes"):
        flag = "--set" if option == "changes" else "--data"
        for key, value in options.get(option, {}).items():
            words += [flag, f"{key}={value if isinstance(value, str) else _in_toml(value)}"]
    return words


def _place(path: str) -> str:
    """A path as a word that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def _in_toml(value: Any) -> str:
    """A value as TOML has it on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_in_toml(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_in_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)
