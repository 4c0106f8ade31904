"""Parquet, Feather, arrays, Matrix Market and long form: types and observed cells come back bit for bit."""

import io
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.io
import scipy.sparse
from pyarrow import feather, parquet

from rankwise.data.tables import filling_losses, read_table, table_from, write_table, writing_losses

READ = {"parquet": parquet.read_table, "feather": feather.read_table}
WRITE = {"parquet": parquet.write_table, "feather": feather.write_feather}
HOLES = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, np.nan], [0.1, 1e-300, 1e300], [-0.0, 2.0, 3.0]])
BIG = 2**53 + 1


def filled(table, fill=7.4):
    return np.where(np.isnan(table.values), fill, table.values)


def round_trip(path, out, **settings):
    table = read_table(path, **settings)
    write_table(table, filled(table), out)
    return table


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_columns_keep_types_order_and_bits(tmp_path, kind):
    given = pa.table(
        {
            "word": pa.array(["a", None, "c"]),
            "whole": pa.array([BIG, None, 3], pa.int64()),
            "small": pa.array([200, None, 3], pa.uint8()),
            "single": pa.array([0.1, None, 3], pa.float32()),
            "half": pa.array(np.array([0.1, 2, 3], np.float16)),
            "real": pa.array([0.1, float("nan"), 1e300]),
            "truth": pa.array([True, None, False]),
            "day": pa.array([1, 2, None], pa.date32()),
            "class": pa.array(["x", "y", None]).dictionary_encode(),
            "none": pa.nulls(3),
        },
        metadata={"who": "me"},
    )
    WRITE[kind](given, tmp_path / f"t.{kind}")
    table = round_trip(tmp_path / f"t.{kind}", tmp_path / f"out.{kind}")
    back = READ[kind](tmp_path / f"out.{kind}")
    assert table.row_labels == ("a", "None", "c")
    assert table.column_names == ("whole", "small", "single", "half", "real")
    assert back.schema.equals(READ[kind](tmp_path / f"t.{kind}").schema, check_metadata=True)
    expected = given.to_pylist()
    expected[1] |= {"whole": 7, "small": 7, "single": float(np.float32(7.4)), "real": 7.4}
    assert back.to_pylist() == expected


def test_filled_whole_numbers_stay_within_their_type(tmp_path):
    parquet.write_table(pa.table({"a": pa.array([1, None], pa.int8()), "b": [1.0, 2.0]}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    write_table(table, np.array([[1, 1], [1000.0, 2]]), tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").column("a").to_pylist() == [1, 127]


def test_filled_numbers_stay_finite_in_short_floats(tmp_path):
    half = np.array([[1, np.nan], [3, 4]], np.float16)
    np.save(tmp_path / "t.npy", half)
    write_table(read_table(tmp_path / "t.npy"), np.array([[1, 1e9], [3, 4]]), tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.array([[1, 65504], [3, 4]], np.float16))


def test_pandas_index_comes_back_and_names_the_rows(tmp_path):
    given = pd.DataFrame(HOLES, columns=list("abc"), index=pd.Index([1990, 1991, 1995, 1996], name="year"))
    given.to_parquet(tmp_path / "t.parquet")
    table = round_trip(tmp_path / "t.parquet", tmp_path / "out.parquet")
    assert table.row_labels == ("1990", "1991", "1995", "1996")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), given.fillna(7.4), check_exact=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_npy_keeps_precision_and_bits(tmp_path, dtype):
    given = np.array([[1, np.nan, 0.1], [-0.0, 5, 6]], dtype)
    np.save(tmp_path / "t.npy", given)
    table = round_trip(tmp_path / "t.npy", tmp_path / "out.npy")
    assert table.values.dtype == ("float32" if dtype == "float32" else "float64")
    back = np.load(tmp_path / "out.npy")
    expected = np.where(np.isnan(given), np.asarray(7.4, dtype), given)
    assert back.tobytes() == expected.tobytes()
    assert back.dtype == dtype


def test_whole_numbers_beyond_doubles_survive(tmp_path):
    np.save(tmp_path / "t.npy", np.array([[BIG, 2], [3, 4]]))
    round_trip(tmp_path / "t.npy", tmp_path / "out.npy")
    assert np.load(tmp_path / "out.npy")[0, 0] == BIG


def test_npz_keeps_the_array_s_name_and_its_neighbours(tmp_path):
    np.savez(tmp_path / "t.npz", X=HOLES, rows=np.array(["a", "b", "c", "d"]), old=np.array([None, "x"]))
    round_trip(tmp_path / "t.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as back:
        assert back.files == ["X", "rows", "old"]
        assert list(back["rows"]) == ["a", "b", "c", "d"]
        np.testing.assert_array_equal(back["X"], np.where(np.isnan(HOLES), 7.4, HOLES))


def test_sparse_matrices_are_read_with_explicit_zeros_observed(tmp_path):
    stored = scipy.sparse.coo_array(([0.0, 2.5], ([0, 1], [1, 0])), shape=(2, 2))
    scipy.sparse.save_npz(tmp_path / "t.npz", stored)
    scipy.io.mmwrite(tmp_path / "t.mtx", stored)
    for name in ("t.npz", "t.mtx"):
        np.testing.assert_array_equal(read_table(tmp_path / name).values, [[np.nan, 0], [2.5, np.nan]])


def test_matrix_market_comes_back_bit_for_bit(tmp_path):
    scipy.io.mmwrite(tmp_path / "t.mtx", HOLES, precision=17)
    round_trip(tmp_path / "t.mtx", tmp_path / "out.mtx")
    expected = np.where(np.isnan(HOLES), 7.4, HOLES)
    np.testing.assert_array_equal(scipy.io.mmread(tmp_path / "out.mtx"), expected)
    assert read_table(tmp_path / "out.mtx").values.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: a + a.T,
        lambda a: a - a.T,
        lambda a: np.round(10 * a).astype(int),
        lambda a: a[:, :1],
        lambda a: scipy.sparse.coo_array(np.triu(a) + np.triu(a, 1).T),
        lambda a: scipy.sparse.coo_array(a - a.T),
        lambda a: scipy.sparse.coo_array(np.round(10 * a).astype(int)),
    ],
)
def test_matrix_market_is_read_as_scipy_reads_it(make):
    from rankwise.data.tables.matrix_market import read_matrix_market

    file = io.BytesIO()
    scipy.io.mmwrite(file, make(np.random.default_rng(0).normal(size=(5, 5))), precision=17)
    read = read_matrix_market(file.getvalue())
    file.seek(0)
    theirs = scipy.io.mmread(file)
    dense = [x.toarray() if scipy.sparse.issparse(x) else x for x in (read, theirs)]
    np.testing.assert_array_equal(*dense)
    assert dense[0].dtype == dense[1].dtype


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "its first line"),
        ("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 1\n", "'complex' in its first line"),
        ("%%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1\n", "'pattern' in its first line"),
        ("%%MatrixMarket matrix array real general\n% nothing\n", "the line with its size is missing"),
        ("%%MatrixMarket matrix array real general\n2 1\n1\n", "it holds 1 entries, and should hold 2"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 1.0\n", "line 3 lies outside the 2 x 2 matrix"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1\n", "line 3 has a number too few"),
        ("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 x\n", "line 3: 'x' is no such number"),
        (
            "%%MatrixMarket matrix coordinate real general\n2 2 2\n2 1 1\n2 1 3\n",
            "the cell in row 2, column 1 stands in it more than once",
        ),
        ("%%MatrixMarket matrix coordinate real general\n1000000 1000000 1\n1 1 3\n", "cells are too many"),
        ("%%MatrixMarket matrix array real general\n1 1\ninf\n", "row '1', column 'c1' is infinite"),
    ],
)
def test_broken_matrix_market_files_are_refused(tmp_path, text, message):
    (tmp_path / "t.mtx").write_text(text)
    with pytest.raises(ValueError, match=r"^t\.mtx") as caught:
        read_table(tmp_path / "t.mtx")
    assert message in str(caught.value)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".parquet", ".feather", ".mtx"])
@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 3])
def test_broken_files_are_refused_by_name(tmp_path, ending, content):
    (tmp_path / f"t{ending}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^t\{ending} is not a readable") as caught:
        read_table(tmp_path / f"t{ending}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": HOLES, "b": HOLES}, r"several arrays \(a, b\); name one of them X"),
        ({}, "it holds no array"),
        ({"X": HOLES[0]}, "has 1 dimensions, a table has two"),
        ({"X": HOLES + 1j}, "is complex; real numbers are needed"),
        ({"X": np.array([["a"]])}, "has no numeric column: its type is <U1"),
        ({"X": np.zeros((0, 3))}, "has no rows"),
    ],
)
def test_unsuitable_archives_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.npz")


LONG = ("user", "item", "stars")
LINES = "when,user,item,stars\n1,u1,i1,5.0\n2,u2,i1,\n3,u2,i2,4.50\n"


def test_long_text_keeps_its_lines_and_gets_new_ones(tmp_path):
    (tmp_path / "t.csv").write_text(LINES)
    table = round_trip(tmp_path / "t.csv", tmp_path / "out.csv", long=LONG)
    assert (table.row_labels, table.column_names) == (("u1", "u2"), ("i1", "i2"))
    np.testing.assert_array_equal(table.values, [[5, np.nan], [np.nan, 4.5]])
    expected = "when,user,item,stars\n1,u1,i1,5.0\n2,u2,i1,7.4\n3,u2,i2,4.50\n,u1,i2,7.4\n"
    assert (tmp_path / "out.csv").read_text() == expected


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_long_arrow_keeps_its_types(tmp_path, kind):
    given = pa.table(
        {
            "user": pa.array([3, 4, 4], pa.int32()),
            "item": pa.array(["a", "a", "b"]).dictionary_encode(),
            "stars": [5, None, 4],
        }
    )
    WRITE[kind](given, tmp_path / f"t.{kind}")
    round_trip(tmp_path / f"t.{kind}", tmp_path / f"out.{kind}", long=LONG)
    back = READ[kind](tmp_path / f"out.{kind}")
    assert back.schema.types == given.schema.types
    assert [list(line.values()) for line in back.to_pylist()] == [[3, "a", 5], [4, "a", 7], [4, "b", 4], [3, "b", 7]]


@pytest.mark.parametrize(
    ("lines", "long", "message"),
    [
        (LINES, ("user", "itm", "stars"), "has no column 'itm'; did you mean 'item'"),
        (LINES, ("user", "user", "stars"), "three different columns"),
        (LINES + "4,u1,i1,3\n", LONG, "row 'u1', column 'i1' stands in line 2 and again in line 5"),
        (LINES + "4,u1,i3,good\n", LONG, "line 5: the value 'good' is not a number"),
        (LINES + "4,u1,i3,inf\n", LONG, "row 'u1', column 'i3' is infinite"),
        ("user,item,stars\n", LONG, "has no rows below its header"),
        ("user,item,stars,stars\na,b,1,2\n", LONG, "has 2 columns named 'stars'"),
    ],
)
def test_broken_long_tables_are_refused(tmp_path, lines, long, message):
    (tmp_path / "t.csv").write_text(lines)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.csv", long=long)


def test_long_form_needs_names(tmp_path):
    np.save(tmp_path / "t.npy", HOLES)
    with pytest.raises(ValueError, match="long form needs named columns"):
        read_table(tmp_path / "t.npy", long=LONG)


def test_tables_change_format(tmp_path):
    (tmp_path / "t.csv").write_text("n,a,b\nx,1,\ny,3,4\n")
    for name in ("o.parquet", "o.feather", "o.npy", "o.npz", "o.mtx", "o.tsv.gz"):
        round_trip(tmp_path / "t.csv", tmp_path / name)
        np.testing.assert_array_equal(read_table(tmp_path / name).values, [[1, 7.4], [3, 4]])
    round_trip(tmp_path / "o.parquet", tmp_path / "o.csv")
    assert read_table(tmp_path / "o.csv").row_labels == ("x", "y")
    np.testing.assert_array_equal(read_table(tmp_path / "o.csv").values, [[1, 7.4], [3, 4]])
    round_trip(tmp_path / "o.npy", tmp_path / "o2.csv.gz")
    assert read_table(tmp_path / "o2.csv.gz").column_names == ("c1", "c2")


@pytest.mark.parametrize("name", ["t.xlsx", "t.ODS"])
def test_spreadsheets_are_refused_with_a_way_out(tmp_path, name):
    with pytest.raises(ValueError, match=r": spreadsheets are neither read nor written: save it as CSV$"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.xslx", "t", "t.filled"])
def test_unknown_endings_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"unknown file ending|without an ending tells no format"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_numbers_that_name_rows_are_no_data(tmp_path, kind):
    given = pa.table({"id": [17, 3, 90], "a": [1.0, None, 3.0], "kind": ["x", "y", "z"]})
    WRITE[kind](given, str(tmp_path / f"t.{kind}"))
    table = round_trip(tmp_path / f"t.{kind}", tmp_path / f"out.{kind}")
    assert (table.row_labels, table.column_names) == (("17", "3", "90"), ("a",))
    assert table.notes == (
        "the numbers in column 'id' are taken for row labels, not for data; --no-labels if they are data",
    )
    told = read_table(tmp_path / f"t.{kind}", labels=False)
    assert (told.row_labels, told.column_names, told.notes) == (("1", "2", "3"), ("id", "a"), ())


def test_columns_that_may_hold_numbers_are_noted(tmp_path):
    given = pa.table({"a": [1.0, None], "price": [Decimal("1.50"), None], "none": pa.nulls(2), "word": ["x", "y"]})
    parquet.write_table(given, tmp_path / "t.parquet")
    table = round_trip(tmp_path / "t.parquet", tmp_path / "out.parquet")
    assert table.column_names == ("a",)
    assert table.notes == (
        "column 'price' is left as it is, its holes too: its type is decimal128(3, 2)",
        "column 'none' is left as it is, its holes too: its type is null",
    )
    assert parquet.read_table(tmp_path / "out.parquet").drop(["a"]).equals(given.drop(["a"]))


def test_header_is_no_setting_of_a_parquet_file(tmp_path):
    parquet.write_table(pa.table({"a": [1.0]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="only be set for a CSV or TSV table"):
        read_table(tmp_path / "t.parquet", header=True)


def test_truth_values_have_nothing_to_fill(tmp_path):
    given = np.array([[True, False], [False, True]])
    np.save(tmp_path / "t.npy", given)
    round_trip(tmp_path / "t.npy", tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "t.npy").read_bytes()


@pytest.mark.parametrize(("given", "value"), [("stars", 2), (" stars", 1), ("when", 3)])
def test_long_columns_are_found_by_name_or_but_for_blanks(tmp_path, given, value):
    (tmp_path / "t.csv").write_text("user,item, stars,stars, when \nx,p,1,2,3\n")
    assert read_table(tmp_path / "t.csv", long=("user", "item", given)).values == [[value]]


def test_long_columns_alike_but_for_blanks_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("user,b ,b  \nx,1,2\n")
    with pytest.raises(ValueError, match=r"^t\.csv has 2 columns named 'b'$"):
        read_table(tmp_path / "t.csv", long=("user", "b", "b "))


def test_long_form_notes_the_decimal_comma(tmp_path):
    (tmp_path / "t.csv").write_text("user;item;stars\na;x;1,5\na;y;\nb;x;2\n")
    assert read_table(tmp_path / "t.csv", long=LONG).notes == ("the decimal sign is taken to be the comma",)


def test_long_text_without_a_header_has_numbered_columns(tmp_path):
    (tmp_path / "t.data").write_text("196\t242\t3\t881250949\n186\t242\t\t891717742\n186\t7\t4\t878887116\n")
    told = {"long": ("c1", "c2", "c3"), "format": "tsv", "header": False}
    table = read_table(tmp_path / "t.data", **told)
    assert (table.row_labels, table.column_names) == (("196", "186"), ("242", "7"))
    np.testing.assert_array_equal(table.values, [[3, np.nan], [np.nan, 4]])
    assert table.source.besides() == ("the row and column labels", "column 'c4'")
    write_table(table, np.full((2, 2), 7.4), tmp_path / "out.tsv")
    expected = "196\t242\t3\t881250949\n186\t242\t7.4\t891717742\n186\t7\t4\t878887116\n196\t7\t7.4\t\n"
    assert (tmp_path / "out.tsv").read_text() == expected
    write_table(table, np.full((2, 2), 7.4), tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").column_names == ["c1", "c2", "c3", "c4"]
    with pytest.raises(ValueError, match=r"t\.data has no column 'user'"):
        read_table(tmp_path / "t.data", **{**told, "long": ("user", "c2", "c3")})


def test_what_filling_a_frame_rounds_is_told():
    frame = pd.DataFrame({"a": pd.array([1, None], "Int8"), "b": [0.5, np.nan], "c": pd.array([None, 4], "Int8")})
    note = "what was filled in is rounded in columns of whole numbers: 'a'"
    assert filling_losses(table_from(frame), np.array([[1, 0.5, 3], [1.5, 0.25, 4]])) == (note,)
    assert filling_losses(table_from(frame), np.array([[1, 0.5, 3], [2, 0.25, 4]])) == ()


def test_losses_of_a_frame_and_of_whole_arrays():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "day": ["x", "y"]})
    table = table_from(frame)
    denoised = np.array([[1.2, 0.5], [2, 0.25]])
    assert writing_losses(table, denoised, "o.npy") == ("left out of the .npy file: the column names, column 'day'",)
    rounded = "what was filled in is rounded in columns of whole numbers: "
    assert writing_losses(table, denoised, "o.csv", denoise=True) == (f"{rounded}'a'",)
    many = table_from(np.ones((1, 7), int))
    named = f"{rounded}'c1', 'c2', 'c3', 'c4', 'c5' and 2 more"
    assert writing_losses(many, np.full((1, 7), 0.5), "o.npy", denoise=True) == (named,)
    assert writing_losses(many, np.full((1, 7), 0.5), "o.npy") == ()
