"""What no file may replace: devices, pipes and files that are read-only."""

import os
import stat

import pytest

from rankwise.data.tables import write_atomically


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
