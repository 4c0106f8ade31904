"""Claims on a page: what was published beside ours with the verdict, and how many of each origin are reproduced."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rankwise.vocabulary import NOT_REPRODUCED, NOT_RUN, ORIGINS, RELATIONS, REPRODUCED

from .blocks import Block, Bullets, Card, Section, Table, Text
from .wording import count, exact, percent, plural, significant

Record = Mapping[str, Any]

# What stands before a verdict, and the tone of its cell.
VERDICTS = {REPRODUCED: ("✓", "good"), NOT_REPRODUCED: ("✗", "caution"), NOT_RUN: ("–", "quiet")}
# More digits than a double has would be invented.
MOST_DIGITS = 17
ALL = "all claims"


def claim_cards(record: Record) -> list[Card]:
    """How many claims of each origin are reproduced, and of all where there are several origins, which comes last."""
    return [Card(name.capitalize(), kept(own), rest(own)) for name, own in totals([record]).items()]


def totals(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """The verdicts of all studies by what each origin is called; those of all claims last, if origins differ."""
    made = {}
    for key, origin in ORIGINS.items():
        own = [record["origins"][key] for record in records if key in record["origins"]]
        if own:
            made[origin.counted] = {verdict: sum(one[verdict] for one in own) for verdict in VERDICTS}
    if len(made) > 1:
        made[ALL] = {verdict: sum(one[verdict] for one in made.values()) for verdict in VERDICTS}
    return made


def kept(verdicts: Mapping[str, int]) -> str:
    """How many are reproduced, of how many."""
    return f"{count(verdicts[REPRODUCED])} of {count(sum(verdicts.values()))}"


def rest(verdicts: Mapping[str, int]) -> str:
    """How many are not reproduced, and not run."""
    return ", ".join(f"{count(verdicts[verdict])} {verdict}" for verdict in (NOT_REPRODUCED, NOT_RUN))


def answers(claims: Sequence[Record]) -> list[Block]:
    """What the verdicts answer, where the study says it of its claims, with the numbers."""
    items = [_answer(claim) for claim in claims if claim["answer"]]
    return [Text("What the verdicts below answer:"), Bullets(items)] if items else []


def _answer(claim: Record) -> str:
    if claim["verdict"] == NOT_RUN:
        return f"{claim['answer']}: {claim['reason']}."
    spelled, digits = percent if claim["statistic"].startswith("share") else significant, _digits(claim)
    numbers = claim["parts"] if claim["parts"] and None not in claim["parts"] else [claim["ours"]]
    return f"{claim['answer']} ({' against '.join(spelled(number, digits) for number in numbers)})."


def claim_sections(claims: Sequence[Record]) -> list[Section]:
    """A table of verdicts for each origin."""
    return [Section(ORIGINS[key].title, (claims_table(own, key),)) for key, own in by_origin(claims).items()]


def by_origin(claims: Sequence[Record]) -> dict[str, list[Record]]:
    """The claims of each origin that has any."""
    made = {key: [claim for claim in claims if claim["origin"] == key] for key in ORIGINS}
    return {key: own for key, own in made.items() if own}


def claims_table(claims: Sequence[Record], origin: str, before: str = "") -> Table:
    """Each claim with the number it is of, ours, how near is near enough, and the verdict; before: in the caption."""
    sourced = any(claim["source"] for claim in claims)
    head = ("claim", *["source"] * sourced, ORIGINS[origin].column, "ours", "holds if", "verdict")
    rows = [
        (
            claim["text"],
            *[claim["source"]] * sourced,
            claimed(claim),
            ours(claim),
            allowed(claim),
            verdict(claim).replace(" ", "\u00a0", 1),
        )
        for claim in claims
    ]
    reproduced = sum(claim["verdict"] == REPRODUCED for claim in claims)
    tones = [VERDICTS[claim["verdict"]][1] for claim in claims]
    caption = f"{before}{count(reproduced)} of {plural(len(claims), 'claim')} reproduced"
    return Table(caption, head, rows, None, (0, 1, 4, 5) if sourced else (0, 3, 4), True, tones)


def claimed(claim: Record) -> str:
    """The number that is claimed, with its own digits; of what is said in words there is none."""
    return "in words" if claim["origin"] == "words" else exact(claim["published"])


def ours(claim: Record) -> str:
    """Our number, with as many digits as the verdict needs; of a ratio with what it is the ratio of."""
    parts = [one for one in claim["parts"] or () if one is not None]
    if claim["ours"] is None:
        return "–" if len(parts) < 2 else f"– ({significant(parts[0])} / {significant(parts[1])})"
    digits = _digits(claim)
    number, *of = (
        exact(one) if float(one).is_integer() else significant(one, digits) for one in (claim["ours"], *parts)
    )
    return f"{number} ({' / '.join(of)})" if of else number


def needed(number: float, low: float, high: float) -> int:
    """How many digits, at least three, show how far inside or outside the limits a number is.

    One in the last place is no more than half the width of the interval, and what is shown is on the side where the
    number is.
    """
    slack, digits = (high - low) / 2, 3
    if number and 0 < slack < math.inf:
        digits = max(digits, 1 + math.floor(math.log10(abs(number) / slack)))
    inside = low <= number <= high
    while digits < MOST_DIGITS and (low <= float(f"{number:.{digits - 1}e}") <= high) != inside:
        digits += 1
    return min(digits, MOST_DIGITS)


def _digits(claim: Record) -> int:
    """How many digits of our number, and of the two that it is the ratio of, show the verdict."""
    if claim["ours"] is None:
        return 3
    low, high = _limits(claim)
    digits, parts = needed(claim["ours"], low, high), claim["parts"]
    while parts and digits < MOST_DIGITS:
        one, other = (float(f"{part:.{digits - 1}e}") for part in parts)
        if (low <= one / other <= high) == (low <= claim["ours"] <= high):
            break
        digits += 1
    return digits


def _limits(claim: Record, zero: float = 0.0, unit: float = 1.0) -> tuple[float, float]:
    """The least and the greatest number that agree with the claim, counted from a zero in a unit."""
    low, high = claim["limits"]
    ends = (-math.inf if low is None else low - zero) / unit, (math.inf if high is None else high - zero) / unit
    return min(ends), max(ends)


def allowed(claim: Record) -> str:
    """How near is near enough, in words."""
    published, factor, tolerance = claim["published"], claim["factor"], claim["tolerance"]
    if claim["within"]:
        low, high = map(exact, claim["within"])
        return f"exactly {low}" if low == high else f"from {low} to {high}"
    share = f"{exact(float(f'{100 * tolerance:.12g}'))}\u00a0%" if tolerance else ""
    slack = f"a\u00a0factor of\u00a0{exact(factor)}" if factor else share if published else exact(tolerance or None)
    what = "ratio" if claim["ratio"] else "ours"
    if claim["relation"] != "=":
        bound = f"{what} {RELATIONS[claim['relation']]} {exact(published)}"
        return f"{bound} (up to {slack})" if factor or tolerance else bound
    # Where the number is not in the column of what is published, it is here.
    told = exact(published) if claim["origin"] == "words" else ""
    if factor or tolerance:
        return f"within {slack} of\u00a0{told}" if told else f"within {slack}"
    return f"exactly {told}".rstrip()


def verdict(claim: Record) -> str:
    """The verdict in plain words, and if it is not reproduced by how much."""
    words = f"{VERDICTS[claim['verdict']][0]} {claim['verdict']}"
    if claim["reason"]:
        return f"{words}: {claim['reason']}"
    if claim["verdict"] == REPRODUCED:
        return words
    difference = claim["difference"] or {}
    if "ratio" in difference:
        digits = needed(difference["ratio"], *_limits(claim, unit=claim["published"]))
        bound = claim["relation"] != "=" or claim["origin"] == "words"
        what = "bound" if bound else f"{ORIGINS[claim['origin']].column} value"
        return f"{words}: {significant(difference['ratio'], digits)} × the {what}"
    if "absolute" in difference:
        digits = needed(difference["absolute"], *_limits(claim, zero=claim["published"]))
        return f"{words}: off by {significant(difference['absolute'], digits)}"
    return words
