"""Files are written whole or not at all."""

import errno
import os
import stat

import pytest

from rankwise.data.tables import write_atomically, write_together


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o640)
    write_atomically(target, lambda file: file.write(b"new"))
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(tmp_path) == ["a"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomically(tmp_path / "link", lambda file: file.write(b"new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, MemoryError])
def test_an_interrupted_writer_leaves_the_older_file_and_nothing_else(tmp_path, stop):
    (tmp_path / "a").write_text("old")

    def writer(file):
        file.write(b"half of it")
        raise stop

    with pytest.raises(stop):
        write_atomically(tmp_path / "a", writer)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("where", ["fsync", "chmod", "replace"])
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, where, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(tmp_path / "a", lambda file: file.write(b"new"))
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == []


def test_files_written_together_are_all_there_or_none(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("old")

    def fails(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_together({tmp_path / "a": lambda file: file.write(b"new"), tmp_path / "b": fails})
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a", "b"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"the folder {tmp_path / 'no'} does not exist"):
        write_atomically(tmp_path / "no" / "a", lambda file: file.write(b"new"))
