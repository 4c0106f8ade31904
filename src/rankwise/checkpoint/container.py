"""The file of a checkpoint: a line that says what it is, a hash of all that follows, and arrays that run no code.

After the line `rankwise checkpoint 1` and one with the SHA-256 of the rest comes an `.npz` archive: numbered arrays,
and as `structure` the UTF-8 bytes of a JSON text that says what they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from rankwise.data.tables.atomic import write_atomically

MAGIC, FORMAT = b"rankwise checkpoint ", 1
# The kinds of NumPy types that an archive holds without Python objects.
KINDS = "biufcSU"


class RefusedCheckpoint(ValueError):
    """A file that is no checkpoint, is damaged, or is that of another run: nothing is taken from it.

    fault: what is wrong with it, up to the mark before the advice.
    """

    def __init__(self, fault: str, advice: str = "delete it to begin anew") -> None:
        super().__init__(fault, advice)
        self.fault = fault

    def __str__(self) -> str:
        return " ".join(self.args)


def write(path: str | os.PathLike[str], structure: Any, arrays: list[np.ndarray]) -> None:
    """Write a JSON structure and its arrays; the file appears whole or not at all.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    text = np.frombuffer(json.dumps(structure, allow_nan=False).encode(), np.uint8)
    packed = io.BytesIO()
    named = {str(i): array for i, array in enumerate(arrays)}
    np.savez(packed, structure=text, **named)  # pyright: ignore[reportArgumentType]
    content = packed.getbuffer()
    head = b"%s%d\n%s\n" % (MAGIC, FORMAT, hashlib.sha256(content).hexdigest().encode())
    # As an absolute path, for which "-" is a file like any other.
    write_atomically(Path(path).absolute(), lambda file: (file.write(head), file.write(content)))


def read(path: str | os.PathLike[str]) -> tuple[Any, list[np.ndarray]]:
    """What `write` wrote.

    Raises:
        RefusedCheckpoint: if the file is no checkpoint, one of another format, or damaged.
        OSError: if it cannot be read.
    """
    content = Path(path).read_bytes()
    if not content.startswith(MAGIC):
        raise RefusedCheckpoint(f"{path} is no checkpoint of rankwise:", "name another file")
    line, _, rest = content.partition(b"\n")
    if line[len(MAGIC) :] != str(FORMAT).encode():
        raise RefusedCheckpoint(f"{path} is a checkpoint of another format than {FORMAT}:")
    told, _, packed = rest.partition(b"\n")
    if told != hashlib.sha256(packed).hexdigest().encode():
        raise RefusedCheckpoint(f"{path} is damaged (its content does not have its hash):")
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            structure = json.loads(archive["structure"].tobytes())
            return structure, [archive[str(i)] for i in range(len(archive.files) - 1)]
    except (ValueError, KeyError, OSError, EOFError, RecursionError) as error:
        raise RefusedCheckpoint(f"{path} is no checkpoint that rankwise wrote:") from error
