"""Make mauna-loa-co2.csv, the example table, from the `co2` data set that statsmodels carries.

Run: pip install statsmodels && python examples/make_co2.py
"""

import csv
from pathlib import Path

import pandas as pd
from statsmodels.datasets import co2

WEEKS = [f"w{week:02d}" for week in range(1, 53)]


def cells(series: pd.Series) -> dict[tuple[int, int], str]:
    """Every measured value at its (year, week), as it was published: ppm, one decimal.

    Week k holds the days 7k - 6 to 7k of the year, so measurements a week apart never share a cell. What falls
    on day 365 or 366 belongs to no week and is left out: a 53rd column would be empty in most years because
    they have no such Saturday, not because a measurement is missing.
    """
    measured = series.dropna()
    keys = [(day.year, (day.day_of_year - 1) // 7 + 1) for day in measured.index]
    if len(set(keys)) < len(keys):
        raise ValueError("two measurements fall into one week of one year")
    texts = [f"{value:.1f}" for value in measured]
    return {key: text for key, text in zip(keys, texts, strict=True) if key[1] <= len(WEEKS)}


def main() -> None:
    """Write the table beside this file, one row a year, a hole where no measurement was made."""
    table = cells(co2.load_pandas().data["co2"])
    years = range(min(year for year, _ in table), max(year for year, _ in table) + 1)
    path = Path(__file__).with_name("mauna-loa-co2.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["year", *WEEKS])
        for year in years:
            writer.writerow([year, *(table.get((year, week), "") for week in range(1, len(WEEKS) + 1))])
    holes = len(years) * len(WEEKS) - len(table)
    print(f"{path.name}: {len(years)} years x {len(WEEKS)} weeks, {len(table)} measured, {holes} holes")


if __name__ == "__main__":
    main()
