"""`rankwise solve --checkpoint`: what a kill leaves is gone on from, and nothing else is taken for it."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SPEC = """
max_steps = 3000
track = ["nuclear_norm"]

[problem]
count = 1200
truth = { shape = [50, 50], rank = 3 }

[solver]
name = "principal_component_pursuit"
gap = 1e-15
"""
KEEP = ("--checkpoint", "run.checkpoint", "--every", "0.1")


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "run.toml").write_text(SPEC)
    return tmp_path / "run.toml"


def saved_at(folder):
    """When the run last saved itself."""
    place = folder / "run.checkpoint"
    return place.stat().st_mtime_ns if place.exists() else None


def left_by(end, folder):
    """Begin the run, end it with a signal when it has saved itself; its status and what it said."""
    before, command = saved_at(folder), [sys.executable, "-m", "rankwise", "solve", "run.toml", *KEEP]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while saved_at(folder) == before:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(end)
    out, err = process.communicate(timeout=60)
    assert not (folder / "run").exists()
    return process.returncode, out, err


def results(folder):
    """What a record says of the run itself, and the bytes of its matrix."""
    record = json.loads((folder / "record.json").read_text())
    with np.load(folder / "matrix.npz") as arrays:
        matrix = {name: arrays[name].tobytes() for name in arrays.files}
    return {key: record[key] for key in ("result", "steps", "rank", "history")}, matrix


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_run_goes_on_to_the_same_bits(shell, spec, tmp_path):
    assert shell("solve", spec, "-o", "whole") == 0
    assert left_by(signal.SIGKILL, tmp_path)[0] == -signal.SIGKILL
    status, out, err = left_by(signal.SIGINT, tmp_path)
    assert (status, out) == (130, "")
    assert err == "rankwise: interrupted; the same command goes on from run.checkpoint\n"
    assert shell("solve", spec, *KEEP) == 0, shell.err
    assert "of the steps were taken before" in shell.out
    assert not (tmp_path / "run.checkpoint").exists()
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_what_is_no_checkpoint_of_this_run_is_refused_and_kept(shell, spec, tmp_path):
    assert "no checkpoint of rankwise" in shell.refuses("solve", spec, "--checkpoint", "run.toml", "-o", "out")
    assert "--checkpoint takes a file name" in shell.refuses("solve", spec, "--checkpoint", "")
    assert "is a folder" in shell.refuses("solve", spec, "--checkpoint", ".")
    assert "does not exist" in shell.refuses("solve", spec, "--checkpoint", "none/run.checkpoint")
    assert "both the checkpoint and the folder" in shell.refuses("solve", spec, "--checkpoint", "run")
    assert "name its file" in shell.refuses("solve", spec, "--every", "5")
    assert "every must be positive" in shell.refuses("solve", spec, "--checkpoint", "run.checkpoint", "--every", "0")


def test_a_checkpoint_of_other_arguments_is_refused(shell, spec, tmp_path):
    left_by(signal.SIGKILL, tmp_path) if sys.platform != "win32" else pytest.skip("signals of POSIX")
    spec.write_text(SPEC.replace("nuclear_norm", "effective_rank"))
    told = shell.refuses("solve", spec, *KEEP)
    assert "run.checkpoint is the checkpoint of another run: run.track[0] was 'nuclear_norm'" in told
    spec.write_text(SPEC.replace("count = 1200", "count = 1201"))
    assert "problem.rows was" in shell.refuses("solve", spec, *KEEP)
    assert not (tmp_path / "run").exists()
