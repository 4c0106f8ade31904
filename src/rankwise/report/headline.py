"""The top of a completion's page: verdict, headline numbers, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blocks import Block, Card, Cards, Section, Text
from .held_out import STANDARDIZED, better_guess, compared, with_spread
from .wording import count, finite, percent, plural, seconds, significant

Record = Mapping[str, Any]


def subtitle(record: Record) -> str:
    """Shape, method, time and date in one line."""
    shape = record.get("shape")
    parts = [
        f"{count(shape[0])} rows × {count(shape[1])} columns" if shape else "",
        f"method {record['method']}" if record.get("method") else "",
        seconds(record["seconds"]) if finite(record.get("seconds")) is not None else "",
        str(record.get("created") or ""),
    ]
    return " · ".join(part for part in parts if part)


def headline(record: Record) -> Section:
    """The verdict and the numbers a reader came for."""
    makers = (_rank_card, _error_card, _share_card, _certificate_card, _stop_card)
    cards = [card for card in (make(record) for make in makers) if card is not None]
    blocks: list[Block] = [Cards(cards)] if cards else []
    if record.get("verdict"):
        low_rank = record.get("low_rank")
        tone = "" if low_rank is None else "good" if low_rank else "caution"
        blocks.insert(0, Text(str(record["verdict"]), tone))
    return Section("", blocks)


def warnings(record: Record) -> Section | None:
    """What a reader should know before trusting the numbers; None when there is nothing."""
    texts = [Text(str(warning), "caution") for warning in record.get("warnings") or []]
    return Section("Take note", texts) if texts else None


def _rank_card(record: Record) -> Card | None:
    if finite(record.get("rank")) is None:
        return None
    shape = record.get("shape")
    return Card("Rank", count(record["rank"]), f"of at most {count(min(shape))}" if shape else "")


def _error_card(record: Record) -> Card | None:
    holdout = record.get("holdout") or {}
    if finite(holdout.get("rmse")) is None:
        return None
    error, spread = with_spread(holdout["rmse"], holdout.get("rmse_error")), holdout.get("rmse_error" + STANDARDIZED)
    if not holdout.get("units_matter") or finite(holdout.get("rmse" + STANDARDIZED)) is None:
        return Card("Held-out RMSE", error, _beside(holdout, ""))
    # One number for columns in unlike units means something in standard deviations alone.
    notes = (_beside(holdout, STANDARDIZED), f"in the table's own units {error}", _beside(holdout, ""))
    first = with_spread(holdout["rmse" + STANDARDIZED], spread)
    return Card("Held-out RMSE, in column standard deviations", first, "; ".join(note for note in notes if note))


def _beside(holdout: Record, units: str) -> str:
    """The error beside that of the better simple filling, in words."""
    best = better_guess(holdout, units)
    beside = best and compared(holdout.get("rmse" + units), best[1])
    return f"{beside} {best[0]} ({significant(best[1])})" if best and beside else ""


def _share_card(record: Record) -> Card | None:
    if finite(record.get("observed_share")) is None:
        return None
    holes, filled = finite(record.get("holes")), finite(record.get("holes_filled"))
    note = "" if holes is None else plural(holes, "hole")
    if holes and filled is not None:
        note += ", all filled" if filled == holes else f", {count(filled)} filled"
    return Card("Observed", percent(record["observed_share"]), note)


def _certificate_card(record: Record) -> Card | None:
    if not record.get("certificate"):
        return None
    word, _, sentence = str(record["certificate"]).partition(": ")
    return Card("Certificate", word.capitalize(), sentence)


def _stop_card(record: Record) -> Card | None:
    result = record.get("result") or {}
    if not result.get("name"):
        return None
    name = str(result["name"]).replace("_", " ").capitalize()
    return Card("Why it stopped", name, str(result.get("sentence") or ""))
