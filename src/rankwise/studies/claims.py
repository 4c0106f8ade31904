"""Published numbers beside those of a study: what is claimed, what came out, and whether it is the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rankwise.spec.reading import check_kind, refuse_unknown, section, table
from rankwise.studies.records import FAILED
from rankwise.studies.scope import Scope
from rankwise.studies.values import KEYS as VALUE_KEYS
from rankwise.studies.values import Value, read_number, read_value

if TYPE_CHECKING:
    from rankwise.studies.folder import Folder

KEYS = (
    "text", "published", "than", "source", "relation", "factor", "tolerance", "within", "quick", "origin", *VALUE_KEYS,
)  # fmt: skip
RELATIONS = ("=", "<=", ">=")
ORIGINS = ("paper", "own", "target", "conjecture")
REPRODUCED, NOT_REPRODUCED, NOT_RUN = "reproduced", "not reproduced", "not run"


@dataclass(frozen=True)
class Claim:
    """A number, or the ratio of a number to another one (`than`), and what it should be.

    relation "=" holds within a factor either way, within a tolerance relative to `published` (absolute where that is
    0), within an interval, or, with none of these, exactly; "<=" and ">=" if `published` is not passed by more than
    factor or tolerance.
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
    for key, kind in {"text": "str", "source": "str", "quick": "bool"}.items():
        if key in given:
            check_kind(given[key], {kind}, f"{path}.{key}")
    for key in ("published", "factor", "tolerance"):
        if key in given:
            read_number(given[key], f"{path}.{key}")
    origin, relation = given.get("origin", "paper"), given.get("relation", "=")
    for key, value, known in (("origin", origin, ORIGINS), ("relation", relation, RELATIONS)):
        if value not in known:
            raise ValueError(f"{path}.{key} must be {', '.join(map(repr, known))}, not {value!r}")
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
        given.get("tolerance"), within, given.get("source", ""), origin,
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
    ours, runs, reason = _measure(claim.value, folder)
    parts = None
    if claim.than is not None:
        other, _, lack = _measure(claim.than, folder)
        reason, parts = reason or lack, [ours, other]
        ours = ours / other if ours is not None and other else None
    low, high = claim.limits
    verdict = NOT_RUN if reason else REPRODUCED if ours is not None and low <= ours <= high else NOT_REPRODUCED
    return {
        "text": claim.text, "source": claim.source, "origin": claim.origin, "published": claim.published,
        "relation": claim.relation, "factor": claim.factor, "tolerance": claim.tolerance, "within": claim.within,
        "value": claim.value.words, "statistic": claim.value.statistic, "ratio": claim.than is not None,
        "parts": parts, "ours": ours, "runs": runs, "verdict": verdict, "difference": _difference(claim, ours),
        "reason": reason or ("" if ours is not None else "no run has this number"),
    }  # fmt: skip


def _measure(value: Value, folder: Folder) -> tuple[float | None, int, str]:
    """The number, of how many runs it is, and why it could not be had."""
    entries = folder.select(value.grid, value.where)
    if not entries:
        return None, 0, "this version of the study has no such case"
    numbers = folder.numbers(entries, value)
    if not numbers:
        return (
            None,
            0,
            f"none of its {len(entries)} cases is on record" if len(entries) > 1 else "its case is not on record",
        )
    if all(folder.rows[entry.address]["result"] == FAILED for entry in entries if entry.address in folder.rows):
        return None, len(numbers), "all its cases failed"
    reason = f"only {len(numbers)} of its {len(entries)} cases are on record" if len(numbers) < len(entries) else ""
    return value.over(numbers), len(numbers), reason


def _difference(claim: Claim, ours: float | None) -> dict[str, float] | None:
    """Ours over the published number, or minus it where there is no such ratio."""
    if ours is None or claim.published is None:
        return None
    if claim.published and ours / claim.published > 0:
        return {"ratio": ours / claim.published}
    return {"absolute": ours - claim.published}
