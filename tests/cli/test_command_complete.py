"""`rankwise complete` as a user meets it: what comes out, what is refused, what is never destroyed."""

import errno
import gzip
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def cells(text):
    return [line.split(",") for line in text.splitlines()]


def test_observed_cells_labels_and_words_come_back_letter_for_letter(shell, table, tmp_path):
    assert shell("complete", table) == 0
    before, after = cells((tmp_path / "t.csv").read_text()), cells((tmp_path / "t.filled.csv").read_text())
    for old, new in zip(before, after, strict=True):
        assert [x for x, y in zip(old, new, strict=True) if x and x != y] == []
        assert all(new)
    lines = shell.out.splitlines()
    assert lines[0].startswith("t.csv: 12 x 8, ")
    assert lines[0].endswith(" holes filled")
    assert "rank 2" in lines[1]
    assert "held-out RMSE" in lines[2]
    assert "column means" in lines[2]
    assert any(line.startswith("stopped: ") for line in lines)
    assert lines[-1].endswith(" s; filled table: t.filled.csv")
    assert shell.err == ""


def test_filled_cells_are_the_missing_ones_of_a_rank_two_table(shell, tmp_path):
    rng = np.random.default_rng(3)
    full = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 10))
    holes = rng.random(full.shape) < 0.2
    np.save("t.npy", np.where(holes, np.nan, full))
    assert shell("complete", "t.npy") == 0
    np.testing.assert_allclose(np.load("t.filled.npy"), full, atol=1e-8)
    np.testing.assert_array_equal(np.load("t.filled.npy")[~holes], full[~holes])


def test_json_is_one_object_with_what_is_printed(shell, table):
    made = shell.json("complete", table, "-o", "out.csv", "--report", "page.html")
    assert shell.out.count("\n") == 1
    assert made["shape"] == [12, 8]
    assert made["holes"] == made["holes_filled"] > 0
    assert made["rank"] == 2
    assert made["holdout_rmse"] < 1e-3 < made["holdout_rmse_column_means"]
    assert made["result"]["sentence"]
    assert made["output"] == "out.csv"
    assert made["report"] == "page.html"
    assert made["seconds"] >= 0
    assert made["command"] == "rankwise complete t.csv -o out.csv --report page.html --json"
    first = made["members"][0]
    assert set(first) == {
        *["name", "rank", "train_rmse", "validation_rmse", "result", "seconds", "certified", "certificate"]
    }
    assert first["rank"] == made["rank"]
    assert first["validation_rmse"] < 1e-3


@pytest.mark.parametrize("method", ["means", "effects"])
def test_fillings_of_no_low_rank_say_that_they_are_uncertified(shell, table, method):
    made = shell.json("complete", table, "--method", method)
    assert made["certified"] is False
    assert made["certificate"].startswith("uncertified: no low-rank part")
    assert made["members"] == []


def test_quiet_says_nothing(shell, table):
    assert shell("complete", table, "--quiet") == 0
    assert (shell.out, shell.err) == ("", "")


def test_pipes(shell, table, tmp_path):
    assert shell("complete", table, "-o", "o.csv") == 0
    assert shell("complete", "-", stdin=(tmp_path / table).read_bytes()) == 0
    assert shell.raw == (tmp_path / "o.csv").read_bytes()
    assert shell.err.startswith("standard input: 12 x 8")
    assert shell("complete", table, "-o", "-", "--json") == 0
    assert shell.raw == (tmp_path / "o.csv").read_bytes()
    assert json.loads(shell.err)["output"] == "-"


@pytest.mark.parametrize("kind", ["parquet", "feather", "npy", "npz", "mtx", "csv.gz"])
def test_piped_formats_are_known_by_their_first_bytes(shell, matrix, tmp_path, kind):
    from rankwise.data.tables import read_table, table_from, write_table

    write_table(table_from(matrix), matrix, tmp_path / f"t.{kind}")
    assert shell("complete", "-", "--method", "means", stdin=(tmp_path / f"t.{kind}").read_bytes()) == 0
    (tmp_path / f"o.{kind}").write_bytes(shell.raw)
    seen = ~np.isnan(matrix)
    np.testing.assert_array_equal(read_table(tmp_path / f"o.{kind}").values[seen], matrix[seen])


def test_tab_separated_input_is_understood_in_a_pipe(shell):
    assert shell("complete", "-", stdin=b"a\tb\n1\t2\n3\t\n4\t5\n") == 0
    assert shell.out.startswith("a\tb\n1\t2\n3\t")


def test_denoise_changes_observed_cells_and_nothing_else_does(shell, tmp_path):
    rng = np.random.default_rng(1)
    given = rng.normal(size=(40, 1)) @ rng.normal(size=(1, 8)) + 0.05 * rng.normal(size=(40, 8))
    given[3, 4] = np.nan
    np.save("t.npy", given)
    seen = ~np.isnan(given)
    for words in ([], ["--denoise"]):
        assert shell("complete", "t.npy", "-o", "o.npy", *words) == 0
        assert (np.load("o.npy")[seen] == given[seen]).all() == (not words)


def test_long_form(shell, matrix, tmp_path):
    lines = [f"u{i},i{j},{x:.6f}" for (i, j), x in np.ndenumerate(matrix) if not np.isnan(x)]
    (tmp_path / "t.csv").write_text("\n".join(["user,item,stars", *lines]) + "\n")
    assert shell("complete", "t.csv", "--long", "user,item,stars") == 0
    after = (tmp_path / "t.filled.csv").read_text().splitlines()
    assert after[1 : len(lines) + 1] == lines
    assert len(after) == 1 + matrix.size
    assert "'itm'; did you mean 'item'" in shell.refuses("complete", "t.csv", "--long", "user,itm,stars")
    assert "ROW,COL,VALUE" in shell.refuses("complete", "t.csv", "--long", "user,item")
    (tmp_path / "t.csv").write_text("user,item,stars\na,b,1\nc,b,2\na,b,3\n")
    told = shell.refuses("complete", "t.csv", "--long", "user,item,stars")
    assert told == "rankwise: t.csv: row 'a', column 'b' stands in line 2 and again in line 4"


# What a table may look like at its edges.


def test_no_holes_copies_through(shell, tmp_path):
    (tmp_path / "t.csv").write_text('a,"b"\n1.50,2\n3,4')
    assert shell("complete", "t.csv") == 0
    assert "no holes in the numeric columns: nothing to do" in shell.out
    assert (tmp_path / "t.filled.csv").read_text() == 'a,"b"\n1.50,2\n3,4'


def test_empty_rows_and_columns_are_kept_named_and_filled_when_asked(shell, tmp_path):
    lines = ["n,a,b,c", "x,1,2,", "y,,,", "z,3,4,", "w,5,,"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert shell("complete", "t.csv") == 0
    assert "rows without any observed cell (kept as holes; --fill-empty fills them): y" in shell.out
    assert "columns without any observed cell (kept as holes; --fill-empty fills them): c" in shell.out
    after = cells((tmp_path / "t.filled.csv").read_text())
    assert after[2] == ["y", "", "", ""]
    assert [line[3] for line in after[1:]] == [""] * 4
    assert after[4][2]
    made = shell.json("complete", "t.csv", "--fill-empty")
    assert (made["empty_rows"], made["empty_columns"]) == (["y"], ["c"])
    assert all(all(line) for line in cells((tmp_path / "t.filled.csv").read_text()))


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (np.outer(np.arange(1, 11), np.arange(1, 7)), 12),
        (np.full((10, 6), 3.0), 3),
        (np.zeros((10, 6)), 0),
        (np.outer(np.arange(1, 11), np.arange(1, 7)) * 1e300, 12e300),
        (np.outer(np.arange(1, 11), np.arange(1, 7)) * 1e-300, 12e-300),
        (np.outer(np.arange(1, 11), 10.0 ** np.arange(-150, 150, 50)), 3.0),
    ],
)
def test_one_missing_value(shell, given, filled):
    given = given.astype(float)
    given[2, 3] = np.nan
    np.save("t.npy", given)
    made = shell.json("complete", "t.npy")
    assert np.load("t.filled.npy")[2, 3] == pytest.approx(filled, rel=1e-8)
    assert made["holes_filled"] == 1


def test_a_constant_column_is_filled_with_its_constant(shell):
    given = np.outer(np.arange(1, 11.0), np.arange(1, 7))
    given[:, 2] = 7
    given[4, 2] = given[5, 3] = np.nan
    np.save("t.npy", given)
    assert shell("complete", "t.npy") == 0
    np.testing.assert_allclose(np.load("t.filled.npy")[[4, 5], [2, 3]], [7, 24], rtol=1e-8)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("1,2,,4,5\n", 0, "columns without any observed cell"),
        ("x\n1\n\n3\n", 0, "rows without any observed cell"),
        ("1,2\n3,\n", 0, "1 of 1 holes filled"),
        ("1\n", 0, "no holes"),
        ("a,b\n1,1\n1,\n", 0, "1 of 1 holes filled"),
        (",\n", 2, "no observed cell"),
        ("a,b\n,NA\nnull,\n", 2, "t.csv has no observed cell"),
        ("", 2, "t.csv is empty"),
        ("a,b\nx,y\n", 2, "no numeric column"),
        ("a,b\n1,2\n3\n", 2, "line 3 has 1 cell"),
        ("a,b\n1,inf\n,3\n", 2, "row '1', column 'b' is infinite"),
    ],
)
def test_small_and_broken_tables(shell, tmp_path, text, status, words):
    (tmp_path / "t.csv").write_text(text)
    if status == 2:
        assert words in shell.refuses("complete", "t.csv")
    else:
        assert shell("complete", "t.csv") == 0
        assert words in shell.out


def test_whole_numbers_in_parquet_stay_whole(shell):
    given = pd.DataFrame(np.outer(np.arange(1, 11), np.arange(1, 7)), columns=list("abcdef")).astype("Int64")
    given.iloc[2, 3] = None
    given.to_parquet("t.parquet")
    assert shell("complete", "t.parquet") == 0
    done = pd.read_parquet("t.filled.parquet")
    assert (done.dtypes == "Int64").all()
    assert done.iloc[2, 3] == 12


def test_duplicate_labels_do_not_confuse_the_page(shell, matrix, tmp_path):
    matrix[4] = np.nan
    text = "\n".join("same," + ",".join("" if np.isnan(x) else f"{x:.6f}" for x in row) for row in matrix)
    (tmp_path / "t.csv").write_text("n" + ",x" * 8 + "\n" + text)
    assert shell("complete", "t.csv", "--report", "page.html") == 0
    assert (tmp_path / "page.html").exists()


def test_mistyped_numbers_are_told(shell, tmp_path):
    (tmp_path / "t.csv").write_text("n,a,b,c\nx,1,1,1\ny,2x,2,\nz,3,,4\n")
    assert shell("complete", "t.csv") == 0
    assert "note: column 'a' is left as it is: '2x' in row 'y' is not a number" in shell.out


def test_one_huge_value_is_no_trouble(shell, tmp_path):
    (tmp_path / "t.csv").write_text("1;2,5;\n;3,25;4\n5;6;7\n" * 3 + "5;1e307;7\n1;2,5;\n")
    assert shell("complete", "t.csv", "--method", "effects") == 0
    assert shell("complete", "t.csv", "--json") == 0
    assert json.loads(shell.out)["holes_filled"] == 7


# What is refused, before anything is written.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no/t.csv"], "no/t.csv: No such file or directory"),
        (["t.csv/t.csv"], "t.csv/t.csv: Not a directory"),
        (["circle.csv"], "circle.csv: Too many levels of symbolic links"),
        (["t.csv", "-o", "circle.csv"], "circle.csv: symbolic links lead in a circle there"),
        (["t.csv", "-o", "t.csv/o.csv"], "t.csv is a file"),
        (["t.csv", "-o", "o"], "o: a file name without an ending tells no format; known: .arrow, .csv, "),
        (["t.csv", "--header", "--no-header"], "--no-header: not allowed with argument --header"),
        (["t.csv", "--no-labels", "--labels"], "--labels: not allowed with argument --no-labels"),
        (["t.csv", "--json", "--quiet"], "--quiet: not allowed with argument --json"),
        (["t.csv", "--report", "/dev/stdout"], "--report takes a file name"),
        (["object.npy"], "object.npy holds Python objects, which are refused because loading them can run code"),
        (["object.npz"], "object.npz holds Python objects, which are refused because loading them can run code"),
        (["no.csv"], "no.csv: No such file or directory"),
        (["no.xyz"], "unknown file ending '.xyz'"),
        (["t.csv", "-o", "o.cvs"], "unknown file ending '.cvs'; did you mean '.csv'"),
        (["folder.csv"], "folder.csv is a folder, not a file"),
        (["."], ". is a folder, not a file"),
        ([""], "TABLE is an empty name"),
        (["t.csv", "-o", ""], "-o takes a file name"),
        (["t.csv", "--long", "name,kind,x0", "--no-header"], "--long needs the header"),
        (["t.csv", "--long", 'name,"kind,x0'], "--long takes three column names"),
        (["t.csv", "-o", "no/o.csv"], "no/o.csv: the folder"),
        (["t.csv", "-o", "folder.csv"], "folder.csv is a folder, not a file"),
        (["t.csv", "-o", "t.csv"], "t.csv is the input itself; --force allows"),
        (["t.csv", "-o", "./folder.csv/../t.csv"], "is the input itself"),
        (["t.csv", "-o", "link.csv"], "link.csv is the input itself"),
        (["t.csv", "--report", "no/p.html"], "no/p.html: the folder"),
        (["t.csv", "--report", "t.csv", "--force"], "the report needs a place of its own"),
        (["t.csv", "--report", "-"], "--report takes a file name"),
        (["t.csv", "-o", "o.csv", "--report", "o.csv"], "the output and the report cannot be the same file"),
        (["t.csv", "--report", "t.filled.csv"], "the output and the report cannot be the same file"),
        (["t.csv", "--method", "gredy"], "unknown method 'gredy'; did you mean 'greedy'?"),
        (["t.csv", "--method", ""], "unknown method ''; known: auto, "),
        (["t.csv", "--metod", "greedy"], "unknown option --metod; did you mean '--method'?"),
        (["t.csv", "--quite"], "unknown option --quite; did you mean '--quiet'?"),
        (["t.csv", "--holdout", "0"], "holdout must be above 0"),
        (["t.csv", "--holdout", "1"], "holdout must be at least 0 and below 1, not 1.0"),
        (["t.csv", "--holdout", "nan"], "holdout must be finite, not nan"),
        (["t.csv", "--holdout", "-0.1"], "holdout must be at least 0"),
        (["t.csv", "--holdout", "some"], "--holdout: invalid float value: 'some'"),
        (["t.csv", "--seed", "-1"], "--seed must be at least 0, not -1"),
        (["t.csv", "--seed", "1.5"], "--seed: invalid int value: '1.5'"),
        (["t.csv", "--max-rank", "0"], "max_rank must be an integer of at least 1, not 0"),
        (["t.csv", "--max-rank", "2", "--method", "means"], "method 'means' tries none"),
        (["t.csv", "--max-rank", "2", "--method", "deep"], "method 'deep' tries none"),
        (["-x.csv"], "'-x.csv' begins with '-', as options do: if it is a file, write ./-x.csv"),
        (["--quiet", "--y.csv"], "write ./--y.csv"),
        (["t.csv", "-o", "-x.csv"], "write ./-x.csv"),
        (["t.csv", "-x.csv"], "write ./-x.csv"),
        (["t.csv", "-otable.csv", "--quite"], "unknown option --quite"),
        (["--bounds", "-1.5", "2"], "arguments are required: TABLE"),
        (["t.csv", "t.csv"], "one argument too many: 't.csv'"),
        ([], "arguments are required: TABLE"),
        (["t.npy", "--header"], "a header can only be set for a CSV or TSV table"),
        (["t.npy", "--no-labels"], "labels can only be set for a table with named columns"),
        (["t.npy", "--long", "a,b,c"], "long form needs named columns"),
    ],
)
def test_mistakes_are_told_in_one_line(shell, table, matrix, tmp_path, words, told):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("t.csv")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    (tmp_path / "--y.csv").touch()
    np.save("t.npy", matrix)
    np.save("object.npy", matrix.astype(object))
    np.savez("object.npz", X=matrix.astype(object))
    assert told in shell.refuses("complete", *words)


def test_what_the_output_s_format_cannot_hold_is_noted(shell, table):
    note = "left out of the .npy file: the column names, column 'name', column 'kind'"
    assert shell.json("complete", table, "-o", "o.npy", "--report", "p.html")["warnings"] == [note]
    assert shell("complete", table, "-o", "o.npy") == 0
    assert f"note: {note}\n" in shell.out
    assert shell("complete", table, "-o", "o.npy", "--quiet") == 0
    assert (shell.out, shell.err) == ("", "")
    for kept in ("o.csv", "o.tsv", "o.parquet", "o.feather"):
        assert shell.json("complete", table, "-o", kept)["warnings"] == []


def test_rounded_cells_are_noted_where_they_are_rounded(shell):
    given = pd.DataFrame({"a": [1, 2, None, 5], "b": [1, 1, 1, 1], "c": [2.5, 1, 3, None]})
    given.astype({"a": "Int64"}).to_parquet("t.parquet")
    note = "what was filled in is rounded in columns of whole numbers: 'a'"
    assert shell.json("complete", "t.parquet", "--method", "means")["warnings"][:1] == [note]
    assert pd.read_parquet("t.filled.parquet")["a"].tolist() == [1, 2, 3, 5]
    noted = shell.json("complete", "t.parquet", "--method", "means", "-o", "o.npy")["warnings"]
    assert "left out of the .npy file: the column names" in noted
    assert note not in noted
    assert np.load("o.npy")[2, 0] == pytest.approx(8 / 3)
    given.fillna(3).astype({"a": "Int64"}).to_parquet("t.parquet")
    assert note not in shell.json("complete", "t.parquet", "--method", "means")["warnings"]


def test_what_stands_beside_an_array_or_long_form_is_noted(shell, matrix, tmp_path):
    np.savez("t.npz", X=matrix, rows=np.arange(12))
    assert shell.json("complete", "t.npz", "-o", "o.csv")["warnings"] == ["left out of the .csv file: array 'rows'"]
    assert shell.json("complete", "t.npz", "-o", "o.npz")["warnings"] == []
    lines = [f"u{i},i{j},d,{x:.6f}" for (i, j), x in np.ndenumerate(matrix) if not np.isnan(x)]
    (tmp_path / "l.csv").write_text("\n".join(["user,item,day,stars", *lines]) + "\n")
    noted = shell.json("complete", "l.csv", "--long", "user,item,stars", "-o", "o.mtx")["warnings"]
    assert noted == ["left out of the .mtx file: the row and column labels, column 'day'"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_the_null_device_takes_output_and_report_and_is_named_when_it_is_read(shell, table):
    before = os.stat(os.devnull)
    assert shell("complete", table, "-o", os.devnull, "--report", os.devnull) == 0
    assert shell.out.endswith(f"filled table: {os.devnull}; page: {os.devnull}\n")
    assert os.stat(os.devnull).st_ino == before.st_ino
    assert shell.refuses("complete", os.devnull) == f"rankwise: {os.devnull} is empty"


def test_an_unreadable_file_is_told(shell, table, monkeypatch):
    def denied(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", denied)
        assert shell("complete", table) == 2
    assert shell.err == "rankwise: t.csv: Permission denied\n"


def test_force_replaces_the_input(shell, table, tmp_path):
    assert shell("complete", table, "-o", table, "--force") == 0
    assert all(all(line) for line in cells((tmp_path / table).read_text()))


def test_closed_streams_are_told(shell, table, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input is closed" in shell.refuses("complete", "-")


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_older_files_alone(shell, table, tmp_path, monkeypatch):
    (tmp_path / "o.csv").write_text("old")
    (tmp_path / "p.html").write_text("old")
    monkeypatch.setattr(os, "fsync", full_disk)
    told = shell.refuses("complete", table, "-o", "o.csv", "--report", "p.html")
    assert told == "rankwise: o.csv: No space left on device"


def test_a_report_that_cannot_be_written_leaves_no_table_either(shell, table, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def full_for_the_second(handle):
        synced.append(handle)
        return fsync(handle) if len(synced) == 1 else full_disk()

    monkeypatch.setattr(os, "fsync", full_for_the_second)
    told = shell.refuses("complete", table, "-o", "o.csv", "--report", "p.html")
    assert told == "rankwise: p.html: No space left on device"


def test_too_little_memory_is_told(shell, table, monkeypatch):
    def needs_too_much(*_, **__):
        raise MemoryError("Unable to allocate 8 TiB")

    monkeypatch.setattr("rankwise.estimators.complete", needs_too_much)
    assert shell.refuses("complete", table) == "rankwise: not enough memory: Unable to allocate 8 TiB"


def test_errors_are_printed_in_both_units_where_the_columns_scales_differ(shell, matrix):
    alike = np.vstack([matrix] * 4) + np.random.default_rng(1).normal(size=(48, 8))
    for unit, lines in ((1.0, 0), (np.logspace(0, 3, 8), 1)):
        np.save("t.npy", alike / np.nanstd(alike, axis=0) * unit)
        assert shell("complete", "t.npy") == 0
        assert shell.out.count("in column standard deviations, which the verdict compares: ") == lines
        assert " ± " in shell.out.splitlines()[2]
    made = shell.json("complete", "t.npy")
    for guess in ("", "_error", "_column_means", "_effects"):
        assert 0 < made[f"holdout_rmse{guess}_standardized"] < made[f"holdout_rmse{guess}"]


def test_columns_with_holes_that_are_left_out_are_told(shell, tmp_path):
    (tmp_path / "t.csv").write_text("n,a,share\nx,1,21%\ny,2,\n")
    assert shell("complete", "t.csv") == 0
    assert "There are no holes in the numeric columns: nothing to do." in shell.out
    assert "note: column 'share' is left as it is, its holes too: '21%' in row 'x' is not a number" in shell.out


def test_names_in_long_form_may_hold_commas(shell, tmp_path):
    (tmp_path / "t.csv").write_text('"user,id",item,stars\na,p,1\na,q,2\nb,p,3\n')
    assert shell("complete", "t.csv", "--long", '"user,id", item, stars') == 0
    assert (tmp_path / "t.filled.csv").read_text().splitlines()[-1].startswith("b,q,")


def test_devices_take_and_give_tables_without_an_ending(shell, table, tmp_path):
    assert shell("complete", table, "-o", os.devnull) == 0
    assert shell.out.splitlines()[-1].endswith(f"filled table: {os.devnull}")
    assert shell("complete", "/dev/stdin", stdin=(tmp_path / table).read_bytes()) == 0
    assert shell.out.startswith("name,kind,x0")
    assert shell("complete", table, "-o", "/dev/stdout") == 0
    assert shell.out.startswith("name,kind,x0")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_report_on_a_full_device_leaves_no_table(shell, table):
    told = shell.refuses("complete", table, "-o", "o.csv", "--report", "/dev/full")
    assert told == "rankwise: /dev/full: No space left on device"


def test_numbers_near_the_end_of_doubles_are_refused(shell, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,1.7e308\n2,\n3,1.7e308\n")
    assert "t.csv: the numbers in column 'b' are too large" in shell.refuses("complete", "t.csv")


def test_long_labels_are_shortened(shell, tmp_path):
    (tmp_path / "t.csv").write_text(f"n,a,b\n{'x' * 60},,\ny,1,2\nz,3,\n")
    assert shell("complete", "t.csv") == 0
    assert f": {'x' * 37}...\n" in shell.out


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are text")
def test_a_file_name_that_is_no_text_breaks_nothing(shell, table, tmp_path):
    name = os.fsdecode(b"t\xff.csv")
    (tmp_path / name).write_bytes((tmp_path / table).read_bytes())
    made = shell.json("complete", name, "--report", os.fsdecode(b"p\xff.html"))
    assert (made["name"], made["report"]) == ("t\\udcff.csv", "p\\udcff.html")
    assert b"t\\udcff.csv" in (tmp_path / os.fsdecode(b"p\xff.html")).read_bytes()


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 10**6), st.one_of(st.binary(max_size=3), st.sampled_from([b",", b"\n", b'"', b"inf", b";"]))
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(MUTATIONS, st.integers(0, 10**6), st.booleans())
def test_no_mutation_of_a_table_ends_in_a_traceback(shell, tmp_path, changes, cut, packed):
    data = b"name,a,b,c\nx,1,2.5,\ny,,4,5e3\nz,7,8,-9\n"
    for place, new in changes:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + len(new) // 2 :]
    data = data[: cut % (len(data) + 1)] if cut % 3 == 0 else data
    name = "f.csv.gz" if packed else "f.csv"
    (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    status = shell("complete", name, "--method", "means", "--quiet")
    assert status in (0, 2)
    assert shell.err.count("\n") == (1 if status else 0)
    assert list(tmp_path.glob("*.part")) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.sampled_from(["csv", "tsv", "npy", "npz", "parquet", "feather", "mtx", "csv.gz"]), st.binary(max_size=60))
def test_no_bytes_end_in_a_traceback(shell, tmp_path, ending, data):
    starts = {"npy": b"\x93NUMPY\x01\x00", "npz": b"PK\x03\x04", "parquet": b"PAR1", "feather": b"ARROW1"}
    (tmp_path / f"f.{ending}").write_bytes(starts.get(ending, b"") + data)
    assert shell("complete", f"f.{ending}", "--method", "means", "--quiet") in (0, 2)
    assert shell.err.count("\n") <= 1


def test_named_holes_and_signs(shell, matrix, tmp_path):
    lines = [";".join(f"{1000 * x:.0f}" for x in np.nan_to_num(line, nan=-0.999)) for line in matrix]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n1.043" + ";1" * 7 + "\n")
    holes = np.isnan(matrix).sum()
    made = shell.json("complete", "t.csv", "--thousands", ".", "--holes=-999,n.k.", "--method", "means")
    assert made["holes_filled"] == holes
    assert made["warnings"][0] == f"{holes} cells are taken for holes: 'n.k.' in none, -999 in {holes}"
    assert "-999;" not in (tmp_path / "t.filled.csv").read_text()
    assert shell.json("complete", "t.csv", "--decimal", ".", "--holes", "-999")["holes"] == holes
    assert "--holes takes words and numbers" in shell.refuses("complete", "t.csv", "--holes", "")
    assert "--decimal: invalid choice: ';'" in shell.refuses("complete", "t.csv", "--decimal", ";")
    assert "the comma cannot both be" in shell.refuses("complete", "t.csv", "--decimal", ",", "--thousands", ",")
