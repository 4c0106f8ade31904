"""Frames and arrays: the same kind of object comes back, index, types and observed cells unchanged."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from rankwise.data.tables import fill_like, table_from

HOLES = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan], [0.1, 8.0, 9.0]])


def back(given, fill=7.4):
    table = table_from(given)
    return fill_like(table, np.where(np.isnan(table.values), fill, table.values))


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "b", "c"]),
        pd.date_range("2020-01-01", periods=3),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["p", "q"]),
        pd.Index([0, 0, 0]),
    ],
)
def test_pandas_indexes(index):
    given = pd.DataFrame(HOLES, columns=list("abc"), index=index)
    pd.testing.assert_frame_equal(back(given), given.fillna(7.4), check_exact=True)
    assert table_from(given).row_labels == tuple(map(str, index))


@pytest.mark.parametrize("columns", [[0, 1, 2], [1990, 1991, 1992], [("a", 1), ("a", 2), ("b", 1)]])
def test_pandas_columns_need_no_words_for_names(columns):
    names = pd.MultiIndex.from_tuples(columns) if isinstance(columns[0], tuple) else columns
    given = pd.DataFrame(HOLES, columns=names)
    pd.testing.assert_frame_equal(back(given), given.fillna(7.4), check_exact=True)
    assert table_from(given).column_names == tuple(map(str, columns))


def test_pandas_types():
    given = pd.DataFrame(
        {
            "word": ["a", "b", None],
            "day": pd.date_range("2020-01-01", periods=3),
            "class": pd.Categorical(["x", None, "x"]),
            "truth": [True, False, True],
            "maybe": pd.array([True, None, False], "boolean"),
            "whole": pd.array([2**53 + 1, None, 3], "Int64"),
            "small": pd.array([200, None, 3], "UInt8"),
            "single": np.array([0.1, np.nan, 3], np.float32),
            "nullable": pd.array([0.1, None, 3], "Float64"),
            "arrow": pd.array([1, None, 3], "int64[pyarrow]"),
            "brief": pd.array([0.1, None, 3], "float[pyarrow]"),
            "full": [1, 2, 3],
        }
    )
    done = back(given, 1000.4)
    assert (done.dtypes == given.dtypes).all()
    assert list(done.columns) == list(given.columns)
    new = {
        "whole": 1000,
        "small": 255,
        "single": np.float32(1000.4),
        "nullable": 1000.4,
        "arrow": 1000,
        "brief": np.float32(1000.4),
    }
    for name in given:
        seen = given[name].notna()
        assert (done[name][seen] == given[name][seen]).all()
        if name in new:
            assert done[name][1] == new[name]


def test_polars_types():
    given = pl.DataFrame(
        {
            "word": ["a", None, "c"],
            "truth": [True, None, False],
            "real": [0.1, None, float("nan")],
            "whole": pl.Series([2**63, None, 3], dtype=pl.UInt64),
            "small": pl.Series([1, None, 3], dtype=pl.Int8),
            "single": pl.Series([0.1, None, 3], dtype=pl.Float32),
            "lists": [[1], None, [2]],
        }
    )
    done = back(given)
    assert done.schema == given.schema
    assert done["whole"].to_list() == [2**63, 7, 3]
    assert done["real"].to_list() == [0.1, 7.4, 7.4]
    assert done["word"].to_list() == ["a", None, "c"]
    assert table_from(given).row_labels == ("a", "None", "c")


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_numbers_that_name_rows_are_no_data(make):
    columns = {"year": [1990, 1992, 1991], "a": [1.0, 2.0, None], "b": [1.0, 2.0, 4.0]}
    table = table_from(make(columns))
    assert (table.row_labels, table.column_names) == (("1990", "1992", "1991"), ("a", "b"))
    told = "the numbers in column 'year' are taken for row labels, not for data"
    assert table.notes == (f"{told}; put another column first if they are data",)
    assert table_from(make({**columns, "year": [1990, 1990, 1991]})).column_names == ("year", "a", "b")


def test_an_index_of_its_own_names_the_rows_of_a_pandas_frame():
    given = pd.DataFrame({"id": [7, 8, 9], "a": [1.0, 2.0, None]}, index=["x", "y", "z"])
    assert table_from(given).column_names == ("id", "a")
    assert table_from(given).row_labels == ("x", "y", "z")


@pytest.mark.parametrize(
    ("column", "noted"), [([1, "x", 2.5], True), (["x", "y", 1], False), ([None, None, None], True)]
)
def test_pandas_columns_of_objects_that_are_numbers_are_noted(column, noted):
    table = table_from(pd.DataFrame({"a": [1.0, 2.0, 5.0], "odd": pd.Series(column, dtype=object)}))
    assert table.column_names == ("a",)
    assert [note[:29] for note in table.notes] == ["column 'odd' is left as it is"] * noted


def test_arrow_tables():
    given = pa.table({"a": pa.array([2**53 + 1, None], pa.int64()), "b": [1.5, 2.5], "c": ["x", "y"]})
    assert back(given).to_pylist() == [{"a": 2**53 + 1, "b": 1.5, "c": "x"}, {"a": 7, "b": 2.5, "c": "y"}]


@pytest.mark.parametrize(
    "given",
    [
        HOLES,
        HOLES.astype(np.float32),
        np.asfortranarray(HOLES),
        np.ma.masked_invalid(HOLES),
        [[1, None, 3], [4, 5, None], [0.1, 8, 9]],
        scipy.sparse.coo_array((HOLES[~np.isnan(HOLES)], np.nonzero(~np.isnan(HOLES)))),
    ],
)
def test_arrays(given):
    done = back(given)
    np.testing.assert_array_equal(np.isnan(table_from(given).values), np.isnan(HOLES))
    np.testing.assert_array_equal(done, np.where(np.isnan(HOLES), 7.4, HOLES).astype(done.dtype))
    assert done.dtype == (given.dtype if hasattr(given, "dtype") else np.float64)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"a": ["x"]}), "the frame has no numeric column"),
        (pd.DataFrame(), "the frame has no numeric column"),
        (pd.DataFrame(HOLES, columns=["a", "b", "a"]), "two columns of one name"),
        (pd.DataFrame({"a": [1, np.inf]}, index=["p", "q"]), "row 'q', column 'a' is infinite"),
        (pl.LazyFrame({"a": [1.0]}), "collect it first"),
        (np.zeros(3), "has 1 dimensions"),
        (np.zeros((2, 2)) * 1j, "is complex; real numbers are needed"),
        (np.zeros((0, 3)), "has no rows"),
        ([[1, "a"], [2, 3]], "has no numeric column"),
        ([[1, 2], [3]], "is no table: its rows differ in length or kind"),
        ([[1, None], [2, "a"]], "holds something that is not a number"),
        ("abc", "has 0 dimensions"),
        (scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1]))), "row 1, column 2 stands in it more than once"),
        (np.array([[1.0, -np.inf]]), "row '1', column 'c2' is infinite"),
    ],
)
def test_what_is_no_table_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        table_from(given)


@pytest.mark.parametrize("hole", [None, float("nan"), pd.NA])
def test_pandas_columns_of_objects_that_are_only_numbers_are_numeric(hole):
    given = pd.DataFrame({"a": [1.0, None, 5.0], "odd": pd.Series([1, hole, 2.5], dtype=object)})
    assert table_from(given).column_names == ("a", "odd")
    done = back(given)
    assert done["odd"].tolist() == [1, 7.4, 2.5]
    assert (done.dtypes == given.dtypes).all()


def test_columns_left_out_with_holes_are_noted_and_only_the_first_five_named():
    words = {f"w{j}": ["x", None, "y"] for j in range(9)}
    given = pd.DataFrame({"n": ["p", "q", "r"], "a": [1.0, 2.0, 5.0], "full": [True, False, True], **words})
    notes = table_from(given).notes
    assert notes[0].startswith("column 'w0' is left as it is, its holes too: its type is ")
    assert len(notes) == 6
    assert notes[5] == "4 more columns are left as they are"


def test_integers_of_128_bits_are_refused_in_one_line():
    given = pl.DataFrame({"a": [1.0, None], "big": pl.Series([1, None], dtype=pl.Int128)})
    with pytest.raises(ValueError, match=r"^column 'big' is of type Int128: cast it to Int64 or Float64$"):
        table_from(given)


def test_truth_values_come_back():
    given = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(back(given), given)
    assert back(given).dtype == bool


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_truth_values_name_no_rows_and_their_holes_are_noted(make):
    given = {"truth": [True, None, False], "a": [1.0, None, 3.0]}
    if make is pd.DataFrame:
        given["truth"] = pd.array(given["truth"], "boolean")
    table = table_from(make(given))
    assert table.column_names == ("a",)
    assert "True" not in table.row_labels
    assert [note.partition(":")[0] for note in table.notes] == ["column 'truth' is left as it is, its holes too"]
