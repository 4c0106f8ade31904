"""Files that are either written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

Writer = Callable[[BinaryIO], Any]


def write_atomically(path: str | os.PathLike[str], writer: Writer) -> None:
    """Let `writer` fill a temporary file in the same folder, then put it in the place of `path`.

    Whatever interrupts the writer, Ctrl-C and a full disk included, an older file at `path` stays as it
    was and nothing is left behind. An existing file's permissions are kept. Devices and pipes are written
    into, once the writer is through.

    Raises:
        OSError: naming `path`, if the folder does not exist, the file is read-only or cannot be written.
    """
    write_together({path: writer})


def write_together(writers: Mapping[Any, Writer]) -> None:
    """`write_atomically` for several files: none is put in its place before all are written whole.

    "-" is standard output. It, devices and pipes come before any file, since they may fail while they are written.
    """
    with contextlib.ExitStack() as stack:
        moves = [_stage(path, writer, stack) for path, writer in writers.items()]
        streams = [str(path) == "-" or is_device(path) for path in writers]
        for _, move in sorted(zip(streams, moves, strict=True), key=lambda one: not one[0]):
            move()


def is_device(path: str | os.PathLike[str]) -> bool:
    """Whether no file may replace what a path names: a device such as /dev/null, a pipe, or an open stream of this
    process by its name, such as /dev/stderr, even where that is redirected into a file.
    """
    place = Path(path)
    return place.exists() and not place.is_dir() and (not place.is_file() or _is_stream(place))


def _is_stream(place: Path) -> bool:
    """Whether an existing path, or a link on its way, lies among the open streams: /dev/fd, on Linux /proc/self/fd."""
    if os.path.realpath(place.parent) == os.path.realpath("/dev/fd"):
        return True
    return place.is_symlink() and _is_stream(place.parent / os.readlink(place))


def _stage(path: Any, writer: Writer, stack: contextlib.ExitStack) -> Callable[[], None]:
    """Write everything; what puts it in its place. The stack removes what has not been put there."""
    if str(path) == "-":
        buffer = io.BytesIO()
        writer(buffer)
        return lambda: _print_bytes(buffer.getvalue())
    if is_device(path):
        buffer = io.BytesIO()
        writer(buffer)
        return lambda: _pour(buffer.getvalue(), path)
    with _naming(path):
        target = Path(os.path.realpath(path))
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"the folder {target.parent} does not exist", str(path))
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only", str(path))
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:60]}.", suffix=".part")
        stack.callback(_remove, part)
        with os.fdopen(handle, "wb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, _mode(target))
    return lambda: _move(part, target, path)


def _move(part: str, target: Path, path: Any) -> None:
    with _naming(path):
        os.replace(part, target)


def _pour(data: bytes, path: Any) -> None:
    # Not created if it has gone meanwhile; and a stream redirected into a file keeps what was written before.
    with _naming(path), open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as device:
        device.write(data)


def _print_bytes(data: bytes) -> None:
    if sys.stdout is None:
        raise ValueError("standard output is closed")
    with _naming("standard output"):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def _naming(path: Any) -> Iterator[None]:
    """Let an OSError name `path`, not the temporary file or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _remove(part: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)


def _mode(target: Path) -> int:
    """The permissions of the existing file, or those a new one gets."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
