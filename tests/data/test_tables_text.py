"""CSV and TSV: what is not filled comes back letter for letter, whatever the file looks like."""

import csv
import gzip
import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rankwise.data.tables import read_table, write_table


def read(tmp_path, text, name="t.csv", **settings):
    path = tmp_path / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_table(path, **settings)


def written(tmp_path, table, fill=7.25, name="out.csv", **settings):
    write_table(table, np.where(np.isnan(table.values), fill, table.values), tmp_path / name, **settings)
    return (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a,b\n1.50,2\n,-0\n", "a,b\n1.50,2\n7.25,-0\n"),
        ("1,2\n3,NA\n", "1,2\n3,7.25\n"),
        ("a,b\r\n1,null\r\n3,NaN", "a,b\r\n1,7.25\r\n3,7.25"),
        ("\ufeffa,b\n1,\n3,4\n", "\ufeffa,b\n1,7.25\n3,4\n"),
        ('"a","b"\n"x",""\n"y","1e3"\n', '"a","b"\n"x",7.25\n"y","1e3"\n'),
        ('n,a\n"two\nlines",1\n"z,""q""",\n', 'n,a\n"two\nlines",1\n"z,""q""",7.25\n'),
        ("\n\na,b\n\n1, 2 \n  \n3,\n\n", "\n\na,b\n\n1, 2 \n  \n3,7.25\n\n"),
        ("a;b;c\n1;x;2\n;y;4\n", "a;b;c\n1;x;2\n7.25;y;4\n"),
        ("a;b\n1,5;2,25\n;3\n", "a;b\n1,5;2,25\n7,25;3\n"),
        ("a|b\n1|2\n|3\n", "a|b\n1|2\n7.25|3\n"),
        ("a\tb\n1\t2\n\t3\n", "a\tb\n1\t2\n7.25\t3\n"),
        ("x\n1\n\n3\n\n", "x\n1\n7.25\n3\n\n"),
        ("a,a,a\n1,2,3\n4,,6\n", "a,a,a\n1,2,3\n4,7.25,6\n"),
        ("1\r2\r3\r", "1\r2\r3\r"),
        ("a,b\n1e300,1e-300\n,2\n", "a,b\n1e300,1e-300\n7.25,2\n"),
        ('a,b\n"1,5","2,1234"\n,3\n', 'a,b\n"1,5","2,1234"\n"7,25",3\n'),
        ('a,b\n"1,234",2\n5,\n', 'a,b\n"1,234",2\n5,7.25\n'),
        ('a,b,c\n"1,5","1,234,567",2\n,3,\n', 'a,b,c\n"1,5","1,234,567",2\n,3,7.25\n'),
    ],
)
def test_only_holes_change(tmp_path, text, filled):
    assert written(tmp_path, read(tmp_path, text)).decode() == filled


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_its_mark_is_read_and_written(tmp_path, encoding):
    table = read(tmp_path, "\ufeffn\ta\nB\u00e9la\t1.50\nz\t\n".encode(encoding), "t.txt")
    assert table.row_labels == ("B\u00e9la", "z")
    assert written(tmp_path, table, name="o.txt") == "\ufeffn\ta\nB\u00e9la\t1.50\nz\t7.25\n".encode(encoding)


def test_holes_left_open_come_back_as_they_were(tmp_path):
    table = read(tmp_path, "a,b\nNA,1\nnull,2\n")
    write_table(table, table.values, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "a,b\nNA,1\nnull,2\n"


def test_packed_files_stay_packed_and_other_text_formats_keep_the_cells(tmp_path):
    table = read(tmp_path, 'n,a\n"x,y",1.50\nz,\n', "t.csv.gz")
    assert gzip.decompress(written(tmp_path, table, name="out.csv.gz")) == b'n,a\n"x,y",1.50\nz,7.25\n'
    assert written(tmp_path, table, name="out.csv") == b'n,a\n"x,y",1.50\nz,7.25\n'
    assert written(tmp_path, table, name="out.tsv") == b"n\ta\nx,y\t1.50\nz\t7.25\n"
    back = read(tmp_path, "n\ta\nx,y\t1.50\nz\t\n", "t.tsv")
    assert written(tmp_path, back, name="out.csv") == b'n,a\n"x,y",1.50\nz,7.25\n'


def test_denoise_replaces_observed_cells_too(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n,4\n")
    write_table(table, np.full((2, 2), 0.1), tmp_path / "out.csv", denoise=True)
    assert (tmp_path / "out.csv").read_text() == "a,b\n0.1,0.1\n0.1,0.1\n"


@pytest.mark.parametrize(
    ("text", "rows", "columns", "first"),
    [
        ("a,b\n1,2\n3,4\n", ("1", "2"), ("a", "b"), 1),
        ("1.5,2\n3,4\n", ("1", "2"), ("c1", "c2"), 1.5),
        ("x,1,2\ny,3,4\n", ("x", "y"), ("c2", "c3"), 1),
        (",a,b\nx,1,2\ny,3,4\n", ("x", "y"), ("a", "b"), 1),
        ("year,a\n1990,5\n1992,\n1999,7\n", ("1990", "1992", "1999"), ("a",), 5),
        ("id,a\n7,5\n3,6\n", ("7", "3"), ("a",), 5),
        ("k,a\n1,5\n2,9\n3,6\n", ("1", "2", "3"), ("a",), 5),
        ("country,2000,2001,2003\nA,1,2,\nB,3,,4\n", ("A", "B"), ("2000", "2001", "2003"), 1),
        ("2000,2001,2002\n1.5,2.5,\n2,,4\n", ("1", "2"), ("2000", "2001", "2002"), 1.5),
        ("1001,1002,1003\n1004,,1006\n", ("1", "2"), ("c1", "c2", "c3"), 1001),
        ("name,1,2,3\nA,7,8,\nB,9,,4\n", ("A", "B"), ("1", "2", "3"), 7),
        ("A,1,2,3\nB,9,,4\n", ("A", "B"), ("c2", "c3", "c4"), 1),
        ("a\n1\n2\n5\n", ("1", "2", "3"), ("a",), 1),
    ],
)
def test_headers_and_labels_are_found_out(tmp_path, text, rows, columns, first):
    table = read(tmp_path, text)
    assert (table.row_labels, table.column_names, table.values[0, 0]) == (rows, columns, first)


def test_headers_and_labels_can_be_told(tmp_path):
    table = read(tmp_path, "1,2\n3,4\n5,7\n", header=True, labels=True)
    assert (table.row_labels, table.column_names) == (("3", "5"), ("2",))
    table = read(tmp_path, "1,2\n2,4\n3,6\n", header=False, labels=False)
    assert table.values.shape == (3, 2)


def test_words_stay_and_a_mistyped_number_is_noted(tmp_path):
    table = read(tmp_path, "n,day,a,b\nx,2020-01-01,1,True\ny,2020-01-02,,False\n")
    assert table.column_names == ("a",)
    assert table.notes == ()
    table = read(tmp_path, "n,a,b\nx,1,1\ny,2x,2\nz,3,\n")
    assert table.notes == ("column 'a' is left as it is: '2x' in row 'y' is not a number",)


def test_what_was_guessed_is_noted(tmp_path):
    table = read(tmp_path, "id;a\n7;1,5\n3;\n9;2\n")
    assert table.notes == (
        "the decimal sign is taken to be the comma",
        "the numbers in column 'id' are taken for row labels, not for data; --no-labels if they are data",
    )
    assert read(tmp_path, "id;a\n7;1.5\n3;\n9;2\n", labels=True).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv is empty"),
        ("\n  \n", "t.csv is empty"),
        ("\ufeff", "t.csv is empty"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cell, the lines before have 2"),
        ('a,b\n"x\ny",2\n\n1,2,3\n', "line 5 has 3 cells, the lines before have 2"),
        ('a,b\n1,"2\n3,4\n', "line 2: a quote is opened and never closed"),
        ('a,b\n1,"2"x\n3,4\n', "line 2: there is text after a closing quote"),
        ("a,b\nx,y\nz,w\n", "has no numeric column: 'y' is not a number"),
        ("a,b\nx,\ny,\n", None),
        ("a,b\n1,2\n,inf\n", "the cell in row '2', column 'b' is infinite"),
        ("n,b\nx,2\ny,-1e999\n", "the cell in row 'y', column 'b' is infinite"),
        (
            b"a,b\n1,2\n\xff\xfe,3\n",
            "line 3 is not UTF-8 text; it may be Windows-1252 (Latin-1): save it as UTF-8, or ",
        ),
        (bytes(range(256)), "line 2 is not UTF-8 text: save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-be"), "seems to be UTF-16BE text without its mark: save it as UTF-8, or iconv"),
        ("\ufeffa,b\n1,2\n".encode("utf-16-le") + b"\n", "line 3 is not UTF-16 text"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, text, message):
    if message is None:
        assert np.isnan(read(tmp_path, text).values).all()
        return
    with pytest.raises(ValueError, match=r"^t\.csv") as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_alone_has_no_rows(tmp_path):
    with pytest.raises(ValueError, match="has no rows below its header"):
        read(tmp_path, "a,b\n", header=True)


def test_a_broken_archive_is_refused(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"t\.csv\.gz is not a readable gzip file"):
        read_table(tmp_path / "t.csv.gz")


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "NA", "nan", "1.50", " 2", "-0", "1e3", "?"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5),
)


@given(st.integers(2, 4).flatmap(lambda p: st.lists(st.lists(CELLS, min_size=p, max_size=p), min_size=1, max_size=5)))
@example([["a", "b"], ["1", ""], ["\ufeff", '"']])
def test_any_cells_come_back_letter_for_letter(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("cells")
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["head", *("w" for _ in lines[0])], *[["label", *line] for line in lines]])
    data = text.getvalue().encode()
    try:
        table = read(folder, data)
    except ValueError as error:
        assert str(error).startswith("t.csv")  # noqa: PT017
        return
    write_table(table, table.values, folder / "out.csv")
    assert (folder / "out.csv").read_bytes() == data


def test_columns_left_out_with_holes_are_noted(tmp_path):
    table = read(tmp_path, "n,a,share,ok\nx,1,21%,true\ny,2,,\nz,4,22%,false\n")
    assert table.notes == (
        "column 'share' is left as it is, its holes too: '21%' in row 'x' is not a number",
        "column 'ok' is left as it is, its holes too: 'true' in row 'x' is not a number",
    )


def test_a_first_line_of_data_beside_words_is_noted(tmp_path):
    told = "the first line is taken for data; --header if it names the columns"
    assert read(tmp_path, "x,1,2\ny,3,\n").notes == (told,)
    assert read(tmp_path, "x,1,2\ny,3,\n", header=False).notes == ()
    assert read(tmp_path, "1.5,2\n3,\n").notes == ()


def test_long_texts_are_shortened_in_messages(tmp_path):
    with pytest.raises(ValueError, match=r"row 'y{37}\.\.\.', column 'b' is infinite"):
        read(tmp_path, f"n,b\nx,2\n{'y' * 60},inf\n")
