"""Records: each address once after a run has ended, whoever ran besides; nothing lost on the way; every column told."""

import errno
import json
import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import polars
import pytest
from fragile import Fragile

from rankwise import source
from rankwise.studies import build_study, records, run_study
from rankwise.studies.cases import Case
from rankwise.studies.records import SCHEMA, Records, failure, row
from rankwise.studies.running import here
from rankwise.studies.tasks import TASKS, Outcome

DOCS = Path(__file__).resolve().parents[2] / "docs" / "studies.md"


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setitem(TASKS, "halved", made := Fragile())
    made.fails = "odd"
    return made


def study(**more):
    return build_study({"case": {"task": "halved"}, "seeds": 6, **more}, "trial")


def raw(folder):
    """Number and result of every row, as another reader of Parquet has them."""
    frame = polars.read_parquet(folder / "records" / "*.parquet")
    numbers = [json.loads(text)["number"] for text in frame["settings"]]
    assert frame["address"].n_unique() == len(set(numbers))
    return sorted(zip(numbers, frame["result"], frame["sentence"], strict=True))


def kept(number, result="done", sentence="fine"):
    """The row of a case whose address is its number."""
    case = Case("all", {}, {"task": "halved", "number": number}, str(number))
    return failure(case, sentence) if result == "failed" else row(case, Outcome(result, sentence, 0.0), 1, "")


def test_after_a_retry_every_address_stands_once(tmp_path, task):
    fine = [(i, "done", "fine") for i in range(6)]
    assert run_study(study(), tmp_path).failed == 3
    task.fails = "odd still"
    run_study(study(), tmp_path, retry=True)
    odd = [(i, "failed", "ZeroDivisionError: odd still") for i in (1, 3, 5)]
    assert raw(tmp_path) == sorted([*fine[::2], *odd])  # of failures the newest
    task.fails = ""
    assert run_study(study(), tmp_path, retry=True).failed == 0
    assert raw(tmp_path) == fine


def test_after_two_runs_at_once_every_address_stands_once(tmp_path, task):
    task.fails = ""

    def beside_another(waiting, folder, check, scratch):
        run_study(study(batch=4), tmp_path)
        yield from here(waiting, folder, check, scratch)

    run_study(study(), tmp_path, engine=beside_another)
    assert raw(tmp_path) == [(i, "done", "fine") for i in range(6)]


def test_what_the_study_no_longer_asks_for_stays(tmp_path, task):
    run_study(study(), tmp_path)
    run_study(study(seeds=2), tmp_path)
    assert len(raw(tmp_path)) == 6


def overlapping(folder):
    """Three files: the best row of case 1 is in the second, of 2 and 4 in the third, the only one of 3 in the first."""
    there = Records(folder / "records")
    files = [
        [kept(1, "failed"), kept(2, sentence="old"), kept(3), kept(4, "failed", "old")],
        [kept(1), kept(2, "failed")],
        [kept(1, "failed"), kept(2, sentence="new"), kept(4, "failed", "new")],
    ]
    for i, rows in enumerate(files):
        there.put(f"batch{i}", rows)
        for path in there.folder.glob(f"batch{i}*"):
            os.utime(path, ns=(i * 10**9, i * 10**9))
    return there


BEST = [(1, "done", "fine"), (2, "done", "new"), (3, "done", "fine"), (4, "failed", "new")]


def test_the_best_row_of_each_case_is_left_and_no_empty_file(tmp_path):
    there = overlapping(tmp_path)
    before = there.rows()
    there.drop_superseded()
    assert raw(tmp_path) == BEST
    assert there.rows() == before
    ages = {path.name[:6]: path.stat().st_mtime_ns // 10**9 for path in there.folder.iterdir()}
    assert ages == {"batch0": 0, "batch1": 1, "batch2": 2}  # as old as they were: which row is the best never changes
    there.put("batch3", [kept(1), kept(2), kept(4)])
    there.drop_superseded()
    assert sorted(path.name[:6] for path in there.folder.iterdir()) == ["batch0", "batch3"]


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_interrupted_rewriting_loses_nothing(tmp_path, monkeypatch, call):
    there, calls = overlapping(tmp_path), []
    before, replace = there.rows(), os.replace

    def interrupted(*places):
        calls.append(places)
        if len(calls) == call:
            raise KeyboardInterrupt
        replace(*places)

    with monkeypatch.context() as patched:
        patched.setattr(records.os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            there.drop_superseded()
    assert there.rows() == before
    assert all(path.suffix == ".parquet" for path in there.folder.iterdir())
    there.drop_superseded()
    assert raw(tmp_path) == BEST


def test_two_that_end_at_once_lose_nothing(tmp_path, monkeypatch):
    there, taken = overlapping(tmp_path), []
    take_out = Records._take_out

    def late(self, path, addresses):
        if not taken:
            taken.append(path)
            there.put("batch0", [kept(1, sentence="newest")])  # under the name of another batch, by a third
            Records(there.folder).drop_superseded()
        take_out(self, path, addresses)

    monkeypatch.setattr(Records, "_take_out", late)
    there.drop_superseded()
    assert raw(tmp_path) == [(1, "done", "newest"), *BEST[1:]]


def test_a_row_that_two_who_write_one_file_bring_back_is_taken_out_again(tmp_path, monkeypatch):
    there, write = Records(tmp_path / "records"), Records._write
    there.put("old", [kept(1), kept(2), kept(3)])
    there.put("newer", [kept(1)])

    def late(self, *given):
        monkeypatch.setattr(Records, "_write", write)
        there.put("newest", [kept(2)])
        there.drop_superseded()
        write(self, *given)  # the file as it was before, without case 1 alone

    monkeypatch.setattr(Records, "_write", late)
    there.drop_superseded()
    assert raw(tmp_path) == [(i, "done", "fine") for i in (1, 2, 3)]


@pytest.mark.parametrize("moved", [[1], [1, 2]])
def test_what_is_taken_out_while_it_is_read_is_found_elsewhere(tmp_path, monkeypatch, moved):
    there, files = Records(tmp_path / "records"), Records._files
    there.put("old", [kept(1), kept(2)])

    def swept(self):
        found = files(self)
        monkeypatch.setattr(Records, "_files", files)
        there.put("newer", [kept(i) for i in moved])
        there.drop_superseded()  # the old file has one row less, or is gone
        return found

    monkeypatch.setattr(Records, "_files", swept)
    assert there.rows().keys() == {"1", "2"}


def test_many_that_put_and_end_at_once_lose_nothing(tmp_path):
    """Every writer puts each case in other company, and takes out what it sees superseded."""
    wrong = []

    def write(step):
        own = Records(tmp_path / "records")
        try:
            for first in range(0, 12, step):
                own.put(f"of{step}", [kept(i) for i in range(first, min(first + step, 12))])
                own.drop_superseded()
        except Exception as error:  # which a thread would keep to itself
            wrong.append(error)

    writers = [threading.Thread(target=write, args=(step,)) for step in (2, 3, 5)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert wrong == []
    assert raw(tmp_path) == [(i, "done", "fine") for i in range(12)]


def test_a_full_disk_is_told_with_its_folder(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    there = Records(tmp_path / "records")
    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="the same command goes on") as caught:
        there.put("batch", [kept(1)])
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(there.folder))
    assert list(there.folder.iterdir()) == []


def test_every_column_is_told_with_its_type():
    told = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(told) == {field.name: re.sub(r"\b(item|element): ", "", str(field.type)) for field in SCHEMA}


def test_words_and_colors_are_no_code_that_results_depend_on(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "rankwise", SimpleNamespace(__file__=tmp_path / "__init__.py"))

    def hashed(name, text):
        (tmp_path / name).write_text(text)
        return source.code.__wrapped__()

    before = hashed("loop.py", "a = 1")
    assert hashed("vocabulary.py", "COLORS = ()") == hashed("loop.py", '"""Text."""\na = 1  # one') == before
    assert hashed("loop.py", "a = 2") != before
