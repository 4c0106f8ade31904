"""A folder to work in, and the command line called in this process."""

import io
import json

import numpy as np
import pytest

from rankwise.cli import main


class Shell:
    """`shell("complete", ...)` gives the status; `out` and `err` are what was printed since."""

    def __init__(self, folder, capfdbinary, monkeypatch):
        self.folder, self.capture, self.monkeypatch = folder, capfdbinary, monkeypatch

    def __call__(self, *words, stdin=None):
        if stdin is not None:
            self.monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self.capture.readouterr()
        self.status = main([str(word) for word in words])
        self.raw, err = self.capture.readouterr()
        self.out, self.err = self.raw.decode(errors="replace"), err.decode()
        return self.status

    def refuses(self, *words, **more):
        """The one line in which the command refuses, having written nothing."""
        before = self.state()
        assert self(*words, **more) == 2, self.err
        assert self.state() == before
        assert self.out == ""
        assert self.err.startswith("rankwise")
        assert self.err.count("\n") == 1
        return self.err.strip()

    def json(self, *words):
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)

    def state(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


@pytest.fixture
def shell(tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capfdbinary, monkeypatch)


@pytest.fixture
def matrix():
    """12 x 8 of rank 2, a tenth of it missing."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(12, 2)) @ rng.normal(size=(2, 8))
    return np.where(rng.random(full.shape) < 0.1, np.nan, full)


@pytest.fixture
def table(tmp_path, matrix):
    """The same as t.csv, with labels and words."""
    lines = ["name,kind," + ",".join(f"x{j}" for j in range(8))]
    for i, row in enumerate(matrix):
        lines.append(f"r{i},k{i % 3}," + ",".join("" if np.isnan(x) else repr(float(x)) for x in row))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    return "t.csv"
