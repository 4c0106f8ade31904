"""What stands for a hole: known words, and what is named."""

import numpy as np
import pandas as pd
import pytest

from rankwise.data.tables import read_table, write_table


def read(tmp_path, text, **settings):
    (tmp_path / "t.csv").write_text(text)
    return read_table(tmp_path / "t.csv", **settings)


@pytest.mark.parametrize(
    "word",
    ["#N/A", "n.a.", "-", "--", "\u2013", ".", "..", "...", "missing", "<NA>", "#DIV/0!", "-1.#IND", ":", "Nil", " - "],
)
def test_words_that_everybody_uses(tmp_path, word):
    table = read(tmp_path, f"a,b\n1,2\n{word},3.5\n7,{word}\n")
    np.testing.assert_array_equal(table.values, [[1, 2], [np.nan, 3.5], [7, np.nan]])
    assert table.notes == ()


def test_a_minus_before_a_number_is_none(tmp_path):
    assert read(tmp_path, "a,b\n-.5,2\n-,-3\n").values[:, 0].tolist()[0] == -0.5


def test_named_words_and_numbers_become_holes_and_are_counted(tmp_path):
    text = "n,a,b\nx,-999,2\ny,-999.0,N.K.\nz,1,3\n-999,5,n.k.\n"
    table = read(tmp_path, text, holes=["n.k.", -999, "7"])
    np.testing.assert_array_equal(table.values, [[np.nan, 2], [np.nan, np.nan], [1, 3], [5, np.nan]])
    assert table.notes == ("4 cells are taken for holes: 'n.k.' in 2, -999 in 2, 7 in none",)
    assert table.row_labels[3] == "-999"
    write_table(table, np.where(np.isnan(table.values), 9, table.values), tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "n,a,b\nx,9,2\ny,9,9\nz,1,3\n-999,5,9\n"


def test_named_numbers_in_long_form(tmp_path):
    table = read(tmp_path, "u,i,v\n-1,x,2\n-1,y,-1\n", long=("u", "i", "v"), holes=["-1"])
    np.testing.assert_array_equal(table.values, [[2, np.nan]])
    assert table.notes == ("1 cell is taken for a hole: -1 in 1",)


def test_named_numbers_in_typed_formats(tmp_path):
    given = pd.DataFrame({"a": [1, -99, 3], "b": [0.5, 1.5, -99]})
    given.to_parquet(tmp_path / "t.parquet")
    np.save(tmp_path / "t.npy", given.to_numpy().astype(np.float32))
    for name in ("t.parquet", "t.npy"):
        table = read_table(tmp_path / name, holes=[-99])
        np.testing.assert_array_equal(table.values, [[1, 0.5], [np.nan, 1.5], [3, np.nan]])
        assert table.notes == ("2 cells are taken for holes: -99 in 2",)
        write_table(table, np.where(np.isnan(table.values), 7, table.values), tmp_path / f"o{name}")
    assert pd.read_parquet(tmp_path / "ot.parquet")["a"].tolist() == [1, 7, 3]
    assert np.load(tmp_path / "ot.npy").tolist() == [[1, 0.5], [7, 1.5], [3, 7]]
    with pytest.raises(ValueError, match=r"^only numbers can be named as holes of t\.npy, not the word 'x'$"):
        read_table(tmp_path / "t.npy", holes=["x"])
    with pytest.raises(ValueError, match="holes must be named by words or numbers"):
        read_table(tmp_path / "t.npy", holes=[" "])


@pytest.mark.parametrize(
    ("numbers", "told"), [("-999 -999 3", True), ("-999 3 3", False), ("-999 -999 -400", False), ("-998 -998 3", False)]
)
def test_a_number_that_looks_like_a_hole_is_told(tmp_path, numbers, told):
    note = "-999 stands in 2 cells and is taken for a number; --holes -999 if it marks holes"
    assert read(tmp_path, "\n".join(["a", *numbers.split()])).notes == (note,) * told
