"""The words and colors that records, pages and printed figures have in common: what is not here is not shown."""

from __future__ import annotations

from dataclasses import dataclass

# How a number is to relate to another one, and how that is written.
RELATIONS = {"=": "=", "<=": "≤", ">=": "≥"}
# What comes of a claim.
REPRODUCED, NOT_REPRODUCED, NOT_RUN = "reproduced", "not reproduced", "not run"
# What a curve can be to the measured one of the same name.
ROLES = ("predicted", "bound", "published")
# Distinguishable with any color vision (after Okabe and Ito), on paper as on light and dark ground; and more for names
# of a figure that has more of them.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7F7F7F")
MORE_COLORS = ("#8C510A", "#8A3FD1")


@dataclass(frozen=True)
class Origin:
    """What claims of one origin are called: over their table, over its numbers, where they are counted, in short."""

    title: str
    column: str
    counted: str
    short: str


# Where what is claimed comes from, in the order of a page. Verdicts of different origins are never added up unsaid.
ORIGINS = {
    # A number that a paper states or shows.
    "paper": Origin("Published numbers beside ours", "published", "published numbers", "published"),
    # Said in words by a paper; the bound is ours.
    "words": Origin("Said in words; the bounds are ours", "published", "said in words", "in words"),
    # Proved, or a number that follows from what is proved.
    "theorem": Origin("Theorems, and numbers that follow from them", "derived", "theorems", "theorems"),
    # Conjectured, by a paper or by us.
    "conjecture": Origin("Conjectures", "claimed", "conjectures", "conjectures"),
    # A published number under a hypothesis of ours about the instances, or on chosen ones.
    "conditional": Origin(
        "Published numbers under a hypothesis of ours, or on chosen instances",
        "published",
        "under a hypothesis",
        "hypothesis",
    ),
    # An earlier measurement of ours, or a bound made from one.
    "own": Origin("Our earlier measurements beside these", "claimed", "our own measurements", "own"),
    # What we want to reach.
    "target": Origin("Targets", "target", "targets", "targets"),
}


def name_of(label: str) -> str:
    """A curve's label without " (predicted)" or another role at its end."""
    for role in ROLES:
        label = label.removesuffix(f" ({role})")
    return label
