"""The page of a completed table: what was recovered, how well, how, and how to repeat it, from one record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blocks import Block, Bullets, Command, Figure, Key, Legend, Pair, Section, Table, Text
from .headline import headline, subtitle, warnings
from .held_out import column_table, error_table, scatter_figure
from .matrices import MatrixView, after_figure, before_figure, matrix_view, scale_ends
from .page import render_page
from .ranks import error_figure, path_table, spectrum_figure
from .wording import count, finite, listing, plural, significant

Record = Mapping[str, Any]


def render_completion(record: Record) -> str:
    """The HTML page of one completion; panels whose fields are missing or null are left out.

    Fields: name, command, version, created, output, method, settings (a dict), seconds; shape,
    observed_share, holes, holes_filled, empty_rows, empty_columns; before and after (nested lists, null for a
    hole, thinned by the caller to 300 x 300 with `shown_indices`, the positions then in shown_rows and
    shown_cols), row_labels, column_names; rank, low_rank, verdict, certificate (its first word
    before a colon), result {name, sentence}, warnings, preprocessing (sentences), candidates [{name, rank,
    train_rmse, validation_rmse, seconds, certified, chosen}] and taken_instead, in words, where none was chosen,
    spectrum, path [{rank, train_rmse, holdout_rmse, seconds}] and path_baselines {name: error}, both
    in standardized units, holdout {actual, predicted, row, column, rmse, rmse_error, rmse_column_means, rmse_effects,
    rmse_rejected}, in the table's, with units_matter the errors also in column standard deviations, their names then
    ending in _standardized, and rejected_rank; column_errors [{name, holes, deviation, rmse, count}], each in the
    column's units.

    Raises ValueError when fields contradict one another (matrices or labels of different lengths),
    ImportError when jinja2 or plotly is missing.
    """
    view = matrix_view(record)
    sections = [
        headline(record),
        warnings(record),
        _matrix(record, view),
        _quality(record, view),
        _rank(record),
        _preparation(record),
        _still_empty(record),
        _repeat(record),
    ]
    return render_page(
        f"{record.get('name') or 'a table'}, completed",
        [section for section in sections if section is not None],
        subtitle=subtitle(record),
        footer=f"rankwise {record.get('version') or ''}".strip(),
    )


def _matrix(record: Record, view: MatrixView | None) -> Section | None:
    """Before and after side by side on one colour scale."""
    if view is None:
        return None
    rows, columns = view.before.shape
    holes, left = int(view.hole.sum()), int(view.left.sum())
    given = f"Heatmap of {rows} rows by {columns} columns as given, holes apart in colour: {holes}."
    completed = f"The same heatmap after completion, with {plural(left, 'hole')} left."
    before = Figure("Before", before_figure(view), "What was observed.", given, "matrix", 440)
    after = Figure("After", after_figure(view), "Observed and filled values.", completed, "matrix", 440)
    words = " ".join(
        [
            "Hover or tap for the row, the column and the value; zooming into one matrix zooms the other.",
            *_colours(view),
            *_thinned(record, view),
        ]
    )
    return Section("The matrix", [Pair([before, after]), _legend(view), Text(words, "quiet")])


def _legend(view: MatrixView) -> Legend:
    low, high = scale_ends(view)
    keys = [Key("scale", high, low), Key("hole", "hole")]
    return Legend([*keys, Key("dot", "filled")] if view.dotted else keys)


def _colours(view: MatrixView) -> list[str]:
    """What the colours mean where they are not plainly the values."""
    units = "The columns differ in unit: colour is distance from the column's mean in standard deviations (SDs)."
    ends = "Values beyond the ends of the colour scale have the colour of the end."
    return [units] * view.within_columns + [ends] * view.clipped


def _thinned(record: Record, view: MatrixView) -> list[str]:
    """Says so when not every row and column is drawn."""
    shape, shown = record.get("shape"), view.before.shape
    if not shape or tuple(shape) == shown:
        return []
    rows, columns = (f"{count(part)} of {count(whole)}" for part, whole in zip(shown, shape, strict=True))
    return [f"Drawn: {rows} rows and {columns} columns."]


def _quality(record: Record, view: MatrixView | None) -> Section | None:
    """Errors at held-out entries: in numbers, entry by entry, and against rank."""
    holdout = record.get("holdout") or {}
    drawn = (scatter_figure(holdout, view, record.get("column_names")), error_figure(record))
    figures = [figure for figure in drawn if figure is not None]
    pair = Pair(figures) if figures else None
    found = (error_table(holdout), column_table(record.get("column_errors") or []), pair)
    blocks = [block for block in found if block is not None]
    return Section("How good are the filled values?", blocks) if blocks else None


def _rank(record: Record) -> Section | None:
    """The spectrum with the chosen rank, and the fit that led there, one line per rank."""
    blocks = [block for block in (spectrum_figure(record), path_table(record)) if block is not None]
    return Section("The rank, and the way there", [Pair(blocks)]) if blocks else None


def _preparation(record: Record) -> Section | None:
    """What was done to the data before the fit, and what else was tried."""
    blocks: list[Block] = []
    if record.get("preprocessing"):
        blocks.append(Bullets([str(sentence) for sentence in record["preprocessing"]]))
    if record.get("candidates"):
        blocks.append(_candidates(record["candidates"], record.get("taken_instead")))
    return Section("What was done to the data", blocks) if blocks else None


def _candidates(candidates: list[Record], instead: str | None) -> Table:
    rows = [
        [
            str(entry.get("name") or "–"),
            count(entry.get("rank")),
            significant(entry.get("train_rmse")),
            significant(entry.get("validation_rmse")),
            significant(entry.get("seconds")),
        ]
        for entry in candidates
    ]
    marked = next((index for index, entry in enumerate(candidates) if entry.get("chosen")), None)
    caption = "Tried, and judged on entries set aside for the choice, exact fits by their certificate"
    if marked is not None:
        why = "certified" if candidates[marked].get("certified") else "of the least validation RMSE"
        caption += f"; the marked one, {why}, was taken"
    elif instead:
        caption += f"; none of them was taken; instead: {instead}"
    return Table(caption, ["preparation", "rank", "training RMSE", "validation RMSE", "seconds"], rows, marked)


def _still_empty(record: Record) -> Section | None:
    """The entries no method could know from this data."""
    empty = {word: list(record.get(f"empty_{word}s") or []) for word in ("row", "column")}
    holes, filled = finite(record.get("holes")), finite(record.get("holes_filled"))
    left = holes - filled if holes is not None and filled is not None else 0
    blocks: list[Block] = []
    if left > 0:
        blocks.append(Text(f"{plural(left, 'entry', 'entries')} stayed empty."))
    if any(empty.values()):
        blocks.append(Text("Nothing in this table says what belongs in a row or column never observed:"))
        named = [f"{plural(len(names), word)}: {listing(names)}" for word, names in empty.items() if names]
        blocks.append(Bullets(named))
    return Section("Still empty", blocks) if blocks else None


def _repeat(record: Record) -> Section | None:
    """The command and every setting."""
    blocks: list[Block] = []
    if record.get("command"):
        blocks.append(Command(str(record["command"])))
    settings = dict(record.get("settings") or {})
    if record.get("output"):
        settings["output"] = record["output"]
    if settings:
        rows = [[str(name), _setting(value)] for name, value in settings.items()]
        blocks.append(Table("Settings", ["setting", "value"], rows, text_columns=(0, 1)))
    return Section("How to repeat it", blocks) if blocks else None


def _setting(value: Any) -> str:
    """A setting as a reader says it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return listing(value) if isinstance(value, (list, tuple)) else str(value)
