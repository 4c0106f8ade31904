"""What no file may replace: devices, pipes and files that are read-only."""

import os
import stat
import threading

import numpy as np
import pytest

from rankwise.data.tables import is_device, read_table, write_atomically, write_table, write_together


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, lambda file: file.write(b"table"))
        assert os.read(reader, 100) == b"table"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_read_only_file_is_kept(tmp_path, monkeypatch):
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # what root may write is read-only to others
    with pytest.raises(PermissionError, match="the file is read-only") as caught:
        write_atomically(target, lambda file: file.write(b"new"))
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_no_place_for_a_table(tmp_path):
    with pytest.raises(OSError, match=r".") as caught:
        write_atomically(tmp_path, lambda file: file.write(b"new"))
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="open streams have no names here")
def test_an_open_stream_is_written_on_and_read_by_its_name(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    (tmp_path / "link").symlink_to("stream")
    with open(log, "ab") as stream:
        (tmp_path / "stream").symlink_to(f"/dev/fd/{stream.fileno()}")
        write_atomically(f"/dev/fd/{stream.fileno()}", lambda file: file.write(b"a,b\n"))
        write_atomically(tmp_path / "link", lambda file: file.write(b"1,2\n"))
        assert os.path.samestat(os.fstat(stream.fileno()), log.stat())
    assert log.read_bytes() == b"before\na,b\n1,2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "log", "stream"]
    log.write_bytes(b"a,b\n1,2\n")
    with open(log, "rb") as stream:
        name = f"/dev/fd/{stream.fileno()}"
        table = read_table(name)
    assert table.name == name
    assert table.values.tolist() == [[1, 2]]


def test_files_are_no_devices_wherever_they_are(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    assert not any(is_device(tmp_path / name) for name in ("file", "link", "circle", "none", "."))
    assert is_device(os.devnull)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_device_that_is_full_leaves_no_file_either(tmp_path):
    def writer(file):
        return file.write(b"new")

    with pytest.raises(OSError, match="No space left on device") as caught:
        write_together({tmp_path / "a": writer, "/dev/full": writer})
    assert caught.value.filename == "/dev/full"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_and_written_without_an_ending(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    try:
        threading.Timer(0.1, lambda: (os.write(end, b"a,b\n1,2\n3,\n"), os.close(end))).start()
        table = read_table(pipe)
        assert table.values.shape == (2, 2)
        end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        write_table(table, np.full((2, 2), 9.0), pipe)
        assert os.read(end, 100) == b"a,b\n1,2\n3,9\n"
    finally:
        os.close(end)
