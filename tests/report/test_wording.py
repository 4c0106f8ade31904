"""Numbers, shares and lists in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankwise.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.35817, "0.358"),
        (17.04, "17.0"),
        (9.996, "10.0"),
        (12345.6, "12,346"),
        (-2.214, "−2.21"),
        (1e-7, "1.00 × 10⁻⁷"),
        (2.5e12, "2.50 × 10¹²"),
        (5e-324, "4.94 × 10⁻³²⁴"),
        (0, "0"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        ("much", "–"),
        (True, "–"),
    ],
)
def test_significant(value: object, text: str) -> None:
    assert wording.significant(value) == text


@given(st.floats(min_value=1e-3, max_value=1e8))
def test_significant_stays_within_half_a_digit(value: float) -> None:
    assert float(wording.significant(value).replace(",", "")) == pytest.approx(value, rel=0.5001e-2)


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0, "0 %"), (0.9725, "97.2 %"), (0.9996, "99.96 %"), (1e-9, "less than 0.001 %")],
)
def test_percent_is_100_or_0_only_when_exact(share: float, text: str) -> None:
    assert wording.percent(share).replace("\u00a0", " ") == text


def test_percent_has_the_digits_that_are_asked_for() -> None:
    shown = [wording.percent(0.9499999, digits).replace("\u00a0", " ") for digits in (0, 3, 5, 7)]
    assert shown == ["95 %", "95 %", "95.000 %", "94.99999 %"]
    assert wording.percent(0.05123, 3).replace("\u00a0", " ") == "5.12 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0121, "12 ms"), (2.5, "2.5 s"), (119, "119 s"), (150, "2.5 min"), (7199, "120 min"), (7200, "2.0 h"),
        (4e5, "111 h"), (None, "–"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert wording.seconds(value).replace("\u00a0", " ") == text


def test_listing_says_how_many_it_leaves_out() -> None:
    assert wording.listing(["a", 2]) == "a, 2"
    assert wording.listing(range(2000), limit=3) == "0, 1, 2 and 1,997 more"


def test_plural() -> None:
    assert [wording.plural(n, "entry", "entries") for n in (0, 1, 1500)] == [
        "0 entries",
        "1 entry",
        "1,500 entries",
    ]
