"""Published numbers beside those of a study: what is claimed, what came out, and whether it is the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rankwise.spec.reading import check_kind, refuse_unknown, section, table
from rankwise.studies.records import FAILED, Row
from rankwise.studies.scope import Scope
from rankwise.studies.shared import lacking
from rankwise.studies.values import KEYS as VALUE_KEYS
from rankwise.studies.values import Value, read_number, read_value
from rankwise.vocabulary import NOT_REPRODUCED, NOT_RUN, ORIGINS, RELATIONS, REPRODUCED

if TYPE_CHECKING:
    from rankwise.studies.folder import Folder

KEYS = (
    "text", "published", "than", "source", "relation", "factor", "tolerance", "within", "quick", "origin", "yes", "no",
    *VALUE_KEYS,
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A number, or the ratio of a number to another one (`than`), and what it should be.

    relation "=" holds within a factor either way, within a tolerance relative to `published` (absolute where that is
    0), within an interval, or, with none of these, exactly; "<=" and ">=" if `published` is not passed by more than
    factor or tolerance. origin: one of `ORIGINS`. yes, no: what the verdict answers, for the top of the page.
    """

    text: str
    value: Value
    than: Value | None
    published: float | None
    relation: str
    factor: float | None
    tolerance: float | None
    within: tuple[float, float] | None
    source: str
    origin: str
    yes: str = ""
    no: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest number that agree with the claim."""
        if self.within is not None:
            return self.within
        published = self.published or 0.0
        if self.factor is not None:
            ends = sorted((published / self.factor, published * self.factor))
        else:
            slack = (self.tolerance or 0.0) * (abs(published) or 1.0)
            ends = [published - slack, published + slack]
        return (-math.inf if self.relation == "<=" else ends[0]), (math.inf if self.relation == ">=" else ends[1])


def read_claim(given: Mapping[str, Any], path: str, scope: Scope) -> Claim:
    """The claim that a table of keys makes.

    Raises:
        ValueError: naming the key's path.
    """
    refuse_unknown(given, KEYS, f"{path}.")
    for key in ("text", "source", "origin", "relation", "yes", "no", "quick"):
        if key in given:
            check_kind(given[key], {"bool" if key == "quick" else "str"}, f"{path}.{key}")
    for key in ("published", "factor", "tolerance"):
        if key in given:
            read_number(given[key], f"{path}.{key}")
    origin, relation = given.get("origin", "paper" if "published" in given else "words"), given.get("relation", "=")
    for key, value, known in (("origin", origin, ORIGINS), ("relation", relation, RELATIONS)):
        if value not in known:
            raise ValueError(f"{path}.{key} must be {', '.join(map(repr, known))}, not {value!r}")
    if origin == "paper" and "published" not in given:
        raise ValueError(f'{path}.published is missing: what a paper says in words has origin = "words"')
    if ("yes" in given) != ("no" in given):
        raise ValueError(f"{path} has only one of yes and no: an answer needs both")
    value = read_value(given, path, scope)
    than = None
    if "than" in given:
        other = table(given["than"], f"{path}.than")
        refuse_unknown(other, VALUE_KEYS, f"{path}.than.")
        than = read_value(other, f"{path}.than", scope, like=value)
    within = _within(given["within"], f"{path}.within") if "within" in given else None
    published = given.get("published", 1.0 if than is not None and relation != "=" else None)
    _check_slack(given, path, relation, published)
    return Claim(
        section(given, "text", f"{path}."), value, than, published, relation, given.get("factor"),
        given.get("tolerance"), within, given.get("source", ""), origin, given.get("yes", ""), given.get("no", ""),
    )  # fmt: skip


def _within(given: Any, path: str) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != 2 or not all(type(end) in (int, float) for end in given):
        raise ValueError(f"{path} must be two numbers, not {given!r}")
    low, high = (read_number(end, path) for end in given)
    if low > high:
        raise ValueError(f"{path}: {given[0]} is above {given[1]}")
    return low, high


def _check_slack(given: Mapping[str, Any], path: str, relation: str, published: float | None) -> None:
    """One way to say how near is near enough, and only one."""
    slacks = [key for key in ("factor", "tolerance", "within") if key in given]
    if len(slacks) > 1:
        raise ValueError(f"{path} has {slacks[0]} and {slacks[1]}: one of them must go")
    if published is None and "within" not in given:
        raise ValueError(f"{path}.published is missing: a claim needs it, or an interval `within`")
    if relation != "=" and "within" in given:
        raise ValueError(f"{path}.within has two ends already: leave out relation")
    if "factor" in given and (given["factor"] < 1 or not published):
        raise ValueError(f"{path}.factor must be at least 1, and published not 0")
    if given.get("tolerance", 0) < 0:
        raise ValueError(f"{path}.tolerance must not be negative, not {given['tolerance']}")


def judge(claim: Claim, folder: Folder) -> dict[str, Any]:
    """The claim with our number, the verdict and by how much, as plain numbers and words."""
    ours, runs, lack, miss = _measure(claim.value, folder)
    parts = None
    if claim.than is not None:
        other, _, *more = _measure(claim.than, folder)
        lack, miss, parts = lack or more[0], miss or more[1], [ours, other]
        ours, odd = _divided(ours, other)
        if odd and ours is None:
            lack = odd
        miss = miss or odd
    low, high = claim.limits
    kept = ours is not None and low <= ours <= high
    verdict = NOT_RUN if lack else REPRODUCED if kept else NOT_REPRODUCED
    unknown = f"Not known yet: {claim.text}" if claim.yes else ""
    answer = {REPRODUCED: claim.yes, NOT_REPRODUCED: claim.no}.get(verdict, unknown)
    ours = ours if ours is not None and math.isfinite(ours) else None
    return {
        "text": claim.text, "source": claim.source, "origin": claim.origin, "published": claim.published,
        "relation": claim.relation, "factor": claim.factor, "tolerance": claim.tolerance, "within": claim.within,
        "limits": [end if math.isfinite(end) else None for end in claim.limits],
        "value": claim.value.words, "statistic": claim.value.statistic, "ratio": claim.than is not None,
        "parts": parts, "ours": ours, "runs": runs, "verdict": verdict, "difference": _difference(claim, ours),
        "reason": lack or miss, "answer": answer,
    }  # fmt: skip


def _measure(value: Value, folder: Folder) -> tuple[float | None, int, str, str]:
    """The number, of how many runs it is, why it could not be had, and why there is none though it could."""
    entries = folder.select(value.grid, value.where)
    if not entries:
        return None, 0, "this version of the study has no such case", ""
    numbers = folder.numbers(entries, value)
    if not numbers:
        return None, 0, lacking(0, len(entries)), ""
    rows = [folder.rows[entry.address] for entry in entries if entry.address in folder.rows]
    if all(row["result"] == FAILED for row in rows):
        return None, len(numbers), "all its cases failed", ""
    if len(numbers) < len(entries):
        return value.over(numbers), len(numbers), lacking(len(numbers), len(entries)), ""
    if lack := value.lacking(rows):
        return value.over(numbers), len(numbers), lack, ""
    if all(number is None for number in numbers):
        more = folder.curves([row["address"] for row in rows])
        whole = [row | more.get(row["address"], {}) for row in rows]
        if not any(value.is_in(row) for row in whole):
            return None, len(numbers), f"no run has this number{_meant(value, whole)}", ""
        if value.over(numbers) is None:
            never = isinstance(value.at, tuple)
            return None, len(numbers), "", "it never happens in any run" if never else "it is not finite in any run"
    return value.over(numbers), len(numbers), "", ""


def _meant(value: Value, rows: Sequence[Row]) -> str:
    """The nearest name that some run has, where there is one."""
    names = {name for row in rows for held in ("numbers", "curves", "vectors") for name in row.get(held, ())}
    close = get_close_matches(value.name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _divided(ours: float | None, other: float | None) -> tuple[float | None, str]:
    """The ratio, beyond all numbers where only `other` is 0, and what is odd about it."""
    if ours is None or other is None:
        return None, ""
    if other:
        return ours / other, ""
    if ours:
        return math.copysign(math.inf, ours), "the number it is divided by is 0"
    return None, "both numbers of the ratio are 0"


def _difference(claim: Claim, ours: float | None) -> dict[str, float] | None:
    """Ours over the published number, or minus it where there is no such ratio."""
    if ours is None or claim.published is None:
        return None
    if claim.published and ours / claim.published > 0:
        return {"ratio": ours / claim.published}
    return {"absolute": ours - claim.published}
