"""1.043 and 1,043: a little more than one, a little more than a thousand, or what nobody can tell."""

import numpy as np
import pytest

from rankwise.data.tables import read_table, write_table

POINT = "the point is taken to separate thousands"
COMMA = "the comma is taken to separate thousands"
DECIMAL = "the decimal sign is taken to be the comma"


def read(tmp_path, text, name="t.csv", **told):
    (tmp_path / name).write_text(text)
    return read_table(tmp_path / name, **told)


@pytest.mark.parametrize(
    ("text", "value", "notes"),
    [
        # Thousands of the size of the whole numbers beside them.
        ("a;b\n933;469\n1.043;519\n;3\n", 1043, (f"{POINT}, as in '1.043'; --decimal . if it does not",)),
        ("a;b\n933;469\n1,043;519\n;3\n", 1043, (f"{COMMA}, as in '1,043'; --decimal , if it does not",)),
        ('a,b\n933,469\n"1,043",519\n,3\n', 1043, (f"{COMMA}, as in '1,043'; --decimal , if it does not",)),
        ('a,b\n7,469\n"1,043",519\n,3\n', 1043, (f"{COMMA}, as in '1,043'; --decimal , if it does not",)),
        ("a\tb\n933\t469\n1.043\t519\n\t3\n", 1043, (f"{POINT}, as in '1.043'; --decimal . if it does not",)),
        # Signs that show themselves.
        ("a;b\n1;2\n1.043.500;519\n;3\n", 1043500, (POINT,)),
        ("a;b\n7,5;2\n1.043;519\n;3\n", 1043, (DECIMAL, POINT)),
        ("a;b\n7;2\n1.043,5;519\n;3\n", 1043.5, (DECIMAL, POINT)),
        ('a,b\n7.5,2\n"1,043",519\n,3\n', 1043, (COMMA,)),
        ('a,b\n7,2\n"-1,043.5",519\n,3\n', -1043.5, (COMMA,)),
        ('a,b\n"1,043",2.125\n"1,043",3.375\n,3.500\n', 1043, (f"{COMMA}, as in '1,043'; --decimal , if it does not",)),
        # Decimals.
        ("a;b\n0.125;469\n1.043;519\n;3\n", 1.043, ()),
        ("a;b\n0,125;469\n1,043;519\n;3\n", 1.043, (DECIMAL,)),
        ("a,b\n2.345,469\n1.043,519\n,3\n", 1.043, ("point", "'2.345'; --thousands . if it is not")),
        ("a,b\n1,469\n1.043,519\n,3\n", 1.043, ("point", "'1.043'; --thousands . if it is not")),
        ("a;b\n100;469\n66.667;519\n;3\n", 66.667, ("point", "'66.667'; --thousands . if it is not")),
        ("a;b\n1500;469\n66.667;519\n;3\n", 66.667, ("point", "'66.667'; --thousands . if it is not")),
        ("a;b\n2,345;469\n1,043;519\n;3\n", 1.043, ("comma", "'2,345'; --thousands , if it is not")),
        # A column of words says nothing about thousands, nor does a number that stands for a hole.
        ("a;b;c\n9;469;1.043\n8;519;x\n;3;2.500\n", 8, ()),
        ("a,b\n-999,469\n1.043,519\n2.345,\n", 1.043, ("point", "'1.043'; --thousands . if it is not")),
        # One column tells for another.
        ("a;b\n20.125;933\n30.250;1.043\n;3\n", 30250, (f"{POINT}, as in '20.125'; --decimal . if it does not",)),
    ],
)
def test_what_a_sign_means(tmp_path, text, value, notes):
    table = read(tmp_path, text)
    assert table.values[1, 0] == value
    if notes and notes[0] in ("point", "comma"):
        notes = (f"the decimal sign is taken to be the {notes[0]}, as in {notes[1]}",)
    assert tuple(note for note in table.notes if "column 'c'" not in note) == notes


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n2.345;469\n1.043;519\n",  # the custom of semicolons is against the point, that of programs for it
        "a;b\n28;469\n1.043;519\n",
        "a\tb\n2,345\t469\n1,043\t519\n",
        'a,b\n1500,469\n"1,043",519\n',
        "a;b\n933;469\n1500;7\n1.043;519\n",
    ],
)
def test_what_can_only_be_guessed_is_refused_until_it_is_told(tmp_path, text):
    sign = "." if "." in text else ","
    with pytest.raises(ValueError, match=r"^t\.csv: the \w+ in '\d.\d{3}' may separate thousands or be ") as caught:
        read(tmp_path, text)
    assert str(caught.value).endswith(f"say --thousands {sign} or --decimal {sign}")
    for told, value in (({"decimal": sign}, 1.043), ({"thousands": sign}, 1043)):
        table = read(tmp_path, text, **told)
        assert (table.values[-1, 0], table.notes) == (value, ())


def test_filled_numbers_take_the_decimal_sign_and_the_rest_stays(tmp_path):
    table = read(tmp_path, "a;b\n933;469\n1.043;519\n;3\n")
    write_table(table, np.where(np.isnan(table.values), 1404.5, table.values), tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text() == "a;b\n933;469\n1.043;519\n1404,5;3\n"


def test_long_form_and_its_notes(tmp_path):
    lines = "u;i;v\na;x;933\na;y;1.043\nb;x;\n"
    table = read(tmp_path, lines, long=("u", "i", "v"))
    assert table.values[0, 1] == 1043
    assert table.notes == (f"{POINT}, as in '1.043'; --decimal . if it does not",)
    assert read(tmp_path, lines, long=("u", "i", "v"), decimal=".").values[0, 1] == 1.043


def test_signs_that_contradict_each_other_are_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"^the point cannot both be the decimal sign and separate thousands$"):
        read(tmp_path, "a\n1\n", decimal=".", thousands=".")
    with pytest.raises(ValueError, match=r"^thousands must be ',' or '.', not ' '$"):
        read(tmp_path, "a\n1\n", thousands=" ")
    with pytest.raises(
        ValueError, match=r"^a decimal sign can only be set for a CSV or TSV table, which t\.npy is not$"
    ):
        read_table(tmp_path / "t.npy", decimal=",")
