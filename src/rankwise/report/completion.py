"""The page of a completed table: what was recovered, how well, how, and how to repeat it, from one record."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from .blocks import Block, Bullets, Card, Cards, Command, Figure, Key, Legend, Pair, Section, Table, Text
from .figures import ROUNDING, error_by_rank, spectrum
from .held_out import compared, error_table, scatter_figure
from .matrices import MatrixView, after_figure, before_figure, dotted, matrix_view, scale_ends
from .page import render_page
from .wording import count, finite, listing, percent, plural, seconds, significant

Record = Mapping[str, Any]


def render_completion(record: Record) -> str:
    """The HTML page of one completion; panels whose fields are missing or null are left out.

    Raises ValueError when fields contradict one another (matrices or labels of different lengths), ImportError when jinja2 or plotly is missing.
    """
    view = matrix_view(record)
    sections = [
        _headline(record),
        _warnings(record),
        _matrix(record, view),
        _quality(record, view),
        _path(record),
        _preparation(record),
        _still_empty(record),
        _repeat(record),
    ]
    name = str(record.get("name") or "a table")
    return render_page(
        f"{name}, completed",
        [section for section in sections if section is not None],
        subtitle=_subtitle(record),
        footer=f"rankwise {record.get('version') or ''}".strip(),
    )


def _subtitle(record: Record) -> str:
    """Shape, date, method and time in one line."""
    shape = record.get("shape")
    parts = [
        f"{count(shape[0])} rows × {count(shape[1])} columns" if shape else "",
        f"method {record['method']}" if record.get("method") else "",
        seconds(record["seconds"]) if finite(record.get("seconds")) is not None else "",
        str(record.get("created") or ""),
    ]
    return " · ".join(part for part in parts if part)


def _headline(record: Record) -> Section:
    """The numbers and the verdict a reader came for."""
    cards = [card for card in (_rank_card(record), _error_card(record), _share_card(record), _stop_card(record)) if card]
    blocks: list[Block] = [Cards(cards)] if cards else []
    if record.get("verdict"):
        tone = {True: "good", False: "caution"}.get(record.get("low_rank"), "")  # type: ignore[arg-type]
        blocks.insert(0, Text(str(record["verdict"]), tone))
    return Section("", blocks)


def _rank_card(record: Record) -> Card | None:
    if finite(record.get("rank")) is None:
        return None
    largest = min(record["shape"]) if record.get("shape") else None
    return Card("Rank", count(record["rank"]), f"of at most {count(largest)}" if largest else "")


def _error_card(record: Record) -> Card | None:
    holdout = record.get("holdout") or {}
    if finite(holdout.get("rmse")) is None:
        return None
    means = holdout.get("rmse_column_means")
    beside = compared(holdout["rmse"], means)
    note = f"{beside} column means ({significant(means)})" if beside else ""
    return Card("Held-out RMSE", significant(holdout["rmse"]), note)


def _share_card(record: Record) -> Card | None:
    if finite(record.get("observed_share")) is None:
        return None
    note = f"{plural(record['holes'], 'hole')}" if finite(record.get("holes")) is not None else ""
    if note and finite(record.get("holes_filled")) is not None:
        note += ", all filled" if record["holes"] == record["holes_filled"] else f", {count(record['holes_filled'])} filled"
    return Card("Observed", percent(record["observed_share"]), note)


def _stop_card(record: Record) -> Card | None:
    result = record.get("result") or {}
    if not result.get("name"):
        return None
    return Card("Why it stopped", str(result["name"]).replace("_", " "), str(result.get("sentence") or ""))


def _warnings(record: Record) -> Section | None:
    warnings = [str(warning) for warning in record.get("warnings") or []]
    return Section("Take note", [Text(warning, "caution") for warning in warnings]) if warnings else None


def _matrix(record: Record, view: MatrixView | None) -> Section | None:
    """Before and after side by side on one colour scale."""
    if view is None:
        return None
    rows, columns = view.before.shape
    holes, left = (int((values != values).sum()) for values in (view.before, view.after))
    before = f"Heatmap of {rows} rows by {columns} columns as given, with {plural(holes, 'hole')} set apart in colour."
    after = f"The same heatmap after completion, with {plural(left, 'hole')} left."
    hint = "Hover or tap for the row, the column and the value; zooming into one matrix zooms the other."
    pair = Pair(
        [
            Figure("Before", before_figure(view), "What was observed.", before, link="matrix", height=440),
            Figure("After", after_figure(view), "Observed and filled values.", after, link="matrix", height=440),
        ]
    )
    words = " ".join(sentence for sentence in (hint, _colours(view), _thinned(record, view)) if sentence)
    return Section("The matrix", [pair, _legend(view), Text(words, "quiet")])


def _legend(view: MatrixView) -> Legend:
    low, high = scale_ends(view)
    keys = [Key("scale", high, low), Key("hole", "hole")]
    return Legend([*keys, Key("dot", "filled")] if dotted(view) else keys)


def _colours(view: MatrixView) -> str:
    """What the colours mean where they are not plainly the values."""
    sentences = []
    if view.within_columns:
        sentences.append("The columns differ in unit, so colour is the distance from the column's mean in standard deviations.")
    if view.clipped:
        sentences.append("A few values lie beyond the ends of the colour scale and have the colour of the end.")
    return " ".join(sentences)


def _thinned(record: Record, view: MatrixView) -> str:
    """Says so when not every row and column is drawn."""
    shape, shown = record.get("shape"), view.before.shape
    if not shape or tuple(shape) == shown:
        return ""
    return f"Drawn: {count(shown[0])} of {count(shape[0])} rows and {count(shown[1])} of {count(shape[1])} columns."


def _chosen(record: Record) -> int | None:
    """The rank as a whole number."""
    rank = finite(record.get("rank"))
    return None if rank is None else int(rank)


def _quality(record: Record, view: MatrixView | None) -> Section | None:
    """Errors at held-out entries: in numbers, entry by entry, and against rank."""
    holdout = record.get("holdout") or {}
    found = (scatter_figure(holdout, view, record.get("column_names")), _error_figure(record))
    figures = [figure for figure in found if figure is not None]
    table = error_table(holdout)
    blocks: list[Block] = [table] if table else []
    if figures:
        blocks.append(Pair(figures))
    return Section("How good are the filled values?", blocks) if blocks else None


def _spectrum_figure(record: Record) -> Figure | None:
    values = [number for value in record.get("spectrum") or [] if (number := finite(value)) is not None]
    if not any(value > 0 for value in values):
        return None
    caption = "Singular values of the completed, standardized matrix, on a log scale."
    rank = _chosen(record)
    if rank:
        share = sum(value**2 for value in values[:rank]) / sum(value**2 for value in values)
        subject = "The first one carries" if rank == 1 else f"The first {rank} carry"
        caption += f" {subject} {percent(share)} of its sum of squares."
    rounding = sum(value <= ROUNDING * max(values) for value in values)
    if rounding:
        caption += f" Not drawn: {plural(rounding, 'value')} that are zero up to rounding."
    described = f"Spectrum of {plural(len(values), 'singular value')}"
    return Figure("Spectrum", spectrum(values, rank), caption, f"{described}; chosen rank {count(rank)}.")


def _error_figure(record: Record) -> Figure | None:
    path = [entry for entry in record.get("path") or [] if finite(entry.get("rank")) is not None]
    keys = ("holdout_rmse", "train_rmse")
    if not any(finite(entry.get(key)) is not None for entry in path for key in keys):
        return None
    rank = _chosen(record)
    baselines = record.get("path_baselines") or _rank_zero(path)
    caption = (
        "Error at each rank, in standardized units: on the entries the fit saw (training), and on those hidden from it (held out)."
        " Where the held-out error turns up while the training error goes on falling, the fit has begun to follow noise."
    )
    described = f"Error against rank for {plural(len(path), 'rank')}; chosen rank {count(rank)}."
    return Figure("Error against rank", error_by_rank(path, rank, baselines), caption, described)


def _rank_zero(path: Sequence[Record]) -> dict[str, Any]:
    """The held-out error before any rank was added: what the preparation alone achieves."""
    return {"rank 0, no structure": entry.get("holdout_rmse") for entry in path if entry["rank"] == 0}


def _path(record: Record) -> Section | None:
    """The spectrum with the chosen rank, and the fit that led there, one line per rank."""
    blocks = [block for block in (_spectrum_figure(record), _path_table(record)) if block is not None]
    return Section("The rank, and the way there", [Pair(blocks)]) if blocks else None


def _path_table(record: Record) -> Table | None:
    path = [entry for entry in record.get("path") or [] if finite(entry.get("rank")) is not None]
    if not path:
        return None
    written = {"rank": count, "train_rmse": significant, "holdout_rmse": significant, "seconds": seconds}
    names = {"rank": "rank", "train_rmse": "training RMSE", "holdout_rmse": "held-out RMSE", "seconds": "time"}
    keys = [key for key in written if any(finite(entry.get(key)) is not None for entry in path)]
    rows = [[written[key](entry.get(key)) for key in keys] for entry in path]
    marked = next((index for index, entry in enumerate(path) if entry["rank"] == record.get("rank")), None)
    caption = "Each rank the fit passed through, errors in standardized units"
    if marked is not None:
        caption += f"; rank {count(record['rank'])}, marked, was chosen"
    return Table(caption, [names[key] for key in keys], rows, marked, ())


def _preparation(record: Record) -> Section | None:
    """What was done to the data before the fit, and what else was tried."""
    blocks: list[Block] = []
    if record.get("preprocessing"):
        blocks.append(Bullets([str(sentence) for sentence in record["preprocessing"]]))
    candidates = record.get("candidates") or []
    if candidates:
        rows = [
            [str(entry.get("name") or "–"), count(entry.get("rank")), significant(entry.get("validation_rmse"))]
            for entry in candidates
        ]
        marked = next((index for index, entry in enumerate(candidates) if entry.get("chosen")), None)
        caption = "Tried, and judged on entries set aside for the choice" + ("; the marked one was taken" if marked is not None else "")
        blocks.append(Table(caption, ["preparation", "rank", "validation RMSE"], rows, marked))
    return Section("What was done to the data", blocks) if blocks else None


def _still_empty(record: Record) -> Section | None:
    """The entries no method could know from this data."""
    rows, columns = (list(record.get(key) or []) for key in ("empty_rows", "empty_columns"))
    holes, filled = finite(record.get("holes")), finite(record.get("holes_filled"))
    left = holes - filled if holes is not None and filled is not None else 0
    if not rows and not columns and left <= 0:
        return None
    blocks: list[Block] = []
    if left > 0:
        stayed = "entry stayed a hole" if left == 1 else "entries stayed holes"
        blocks.append(Text(f"{count(left)} {stayed}."))
    if rows or columns:
        blocks.append(Text("Where a whole row or column was never observed, nothing in this table says what belongs there:"))
    lists = [f"{plural(len(names), word)}: {listing(names)}" for names, word in ((rows, "row"), (columns, "column")) if names]
    return Section("Still empty", [*blocks, Bullets(lists)] if lists else blocks)


def _repeat(record: Record) -> Section | None:
    """The command and every setting."""
    blocks: list[Block] = []
    if record.get("command"):
        command = record["command"]
        blocks.append(Command(command if isinstance(command, str) else shlex.join(command)))
    settings = dict(record.get("settings") or {})
    if record.get("output"):
        settings["output"] = record["output"]
    if settings:
        rows = [[str(name), _setting(value)] for name, value in settings.items()]
        blocks.append(Table("Settings", ["setting", "value"], rows, text_columns=(0, 1)))
    return Section("How to repeat it", blocks) if blocks else None


def _setting(value: Any) -> str:
    """A setting as one would type it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return listing(value) if isinstance(value, (list, tuple)) else str(value)
