"""Header or data: no line of numbers is lost for a header, and no line of names is taken for numbers."""

import numpy as np
import pytest

from rankwise.data.tables import read_table


def read(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    return read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("user,1,2,3,4,5\nu1,5,,3,,1\nu2,1,2,,5,4\n", ("1", "2", "3", "4", "5")),
        ("user,3,7,19,22,40\nu1,5,,3,,1\nu2,1,2,,5,4\n", ("3", "7", "19", "22", "40")),
        (",7,3,19\nu1,5,,3\nu2,1,2,\n", ("7", "3", "19")),
        (",1958,1959\n0,3.5,\n1,,4\n", ("1958", "1959")),
        (",0,1,2\n4,3.5,,1\n9,,4,2\n", ("0", "1", "2")),
    ],
)
def test_numbers_that_are_names_make_a_header(tmp_path, text, columns):
    table = read(tmp_path, text)
    assert table.column_names == columns
    assert table.values.shape == (2, len(columns))


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (",2,3\n4,5,6\n7,8,1\n", (3, 3)),
        (",5,6\n4,,9\n", (2, 3)),
        ("u1,1,2,4,6,9\nu2,2,3,5,8,9\nu3,1,3,,8,12\n", (3, 5)),
        ("alice,1,2,3\nbob,3,,1\n", (2, 3)),
        ("alice,,\nbob,1,2\n", (2, 2)),
        ("u1,5,4,3,2,1\nu2,1,2,,5,4\n", (2, 5)),
    ],
)
def test_a_first_line_of_data_is_kept(tmp_path, text, shape):
    assert read(tmp_path, text).values.shape == shape


def test_without_a_header_only_a_counter_is_taken_for_labels(tmp_path):
    grid = np.arange(1.0, 13).reshape(4, 3)
    table = read(tmp_path, "\n".join(",".join(f"{x:g}" for x in line) for line in grid))
    np.testing.assert_array_equal(table.values, grid)
    assert read(tmp_path, "1,5,3\n2,,4\n3,2,2\n").row_labels == ("1", "2", "3")


def test_a_line_of_words_alone_is_a_header_without_rows(tmp_path):
    with pytest.raises(ValueError, match=r"^t\.csv has no rows below its header$"):
        read(tmp_path, "a,b\n")
    assert read(tmp_path, "a,1,,4\n").values.shape == (1, 3)


@pytest.mark.parametrize(("line", "axis"), [(",x,1", "row"), ("b, ,1", "column")])
def test_long_form_needs_a_label_in_every_line(tmp_path, line, axis):
    (tmp_path / "t.csv").write_text(f"u,i,r\na,x,1\n{line}\n")
    with pytest.raises(ValueError, match=rf"^t\.csv: line 3 has no {axis} label$"):
        read_table(tmp_path / "t.csv", long=("u", "i", "r"))


@pytest.mark.parametrize("name", ["sample_id", "customer id", "userId", "ID", "user.ID", "timestamp", "No.", "nr", "#"])
def test_whole_numbers_under_the_name_of_an_id_are_labels(tmp_path, name):
    table = read(tmp_path, f"{name},a,b\n1518,1,2\n67422,,3\n86,4,5\n")
    assert table.row_labels == ("1518", "67422", "86")
    assert table.notes == (
        f"the numbers in column {name!r} are taken for row labels, not for data; --no-labels if they are data",
    )


@pytest.mark.parametrize(
    ("name", "third"), [("acid", "86"), ("humid", "86"), ("COVID", "86"), ("sample_id", "8.5"), ("sample_id", "1518")]
)
def test_other_numbers_stay_data(tmp_path, name, third):
    assert read(tmp_path, f"{name},a,b\n1518,1,2\n67422,,3\n{third},4,5\n").column_names == (name, "a", "b")


def test_labels_of_a_column_without_a_name_are_noted_as_the_first_column(tmp_path):
    told = "the numbers in the first column are taken for row labels, not for data; --no-labels if they are data"
    assert read(tmp_path, ",a\n7,5\n3,\n").notes == (told,)
    assert read(tmp_path, "1,5,3\n2,,4\n3,2,2\n").notes == (told,)


@pytest.mark.parametrize(
    ("name", "start", "step", "labels"),
    [
        ("subject", 1, 1, True),
        ("subject", 101, 1, True),
        ("subject", 10001, 1, True),
        ("season", 1998, 1, True),
        ("season", 2010, -1, True),
        ("temperature", 20, 5, False),
        ("temperature", 0, 1, False),
        ("temperature", 20, 1, False),
        ("pressure", 1000, 100, False),
        ("", 20, 5, True),
        ("time", 0, 10, True),
    ],
)
def test_numbers_in_equal_steps_are_labels_only_where_they_count_rows(tmp_path, name, start, step, labels):
    lines = [f"{start + step * i},{i * i % 7},{3 - i}" for i in range(6)]
    table = read(tmp_path, "\n".join([f"{name},a,b", *lines]))
    assert table.values.shape == (6, 2 if labels else 3)
    told = "for row labels, not for data; --no-labels if they" if labels else "for data; --labels if they name the rows"
    assert len(table.notes) == 1
    assert told in table.notes[0]


def test_a_first_line_of_numbers_taken_for_names_is_noted(tmp_path):
    told = "the numbers in the first line are taken for column names, not for data; --no-header if they are data"
    assert read(tmp_path, "2001,2002\n1.5,2\n7,3\n").notes == (told,)
    assert read(tmp_path, "user,1,2,3,4,5\nu1,5,,3,,1\nu2,1,2,,5,4\n").notes == (told,)
    assert read_table(tmp_path / "t.csv", header=True).notes == ()
