"""Long batches of a study: what a kill leaves is gone on from, to the same records, or refused in one line."""

import errno
from functools import partial

import pytest

from rankwise.checkpoint import RefusedCheckpoint, resuming
from rankwise.studies import build_study, run_study
from rankwise.studies.records import CIRCUMSTANCES, Records
from rankwise.studies.tasks import solve

STUDY = {
    "seeds": 4,
    "case": {
        "max_steps": 300,
        "checkpoints": {"count": 12},
        "track": ["mean_square_error"],
        "problem": {"count": 40, "loss": "mean", "truth": {"shape": [8, 7], "rank": 1}},
        "solver": {
            "name": "gradient_descent",
            "factorization": {"name": "deep", "depth": 2, "start": {"name": "gaussian", "scale": 0.1}},
        },
    },
}


@pytest.fixture
def long(monkeypatch):
    """Every batch takes long, and is run in short parts and as many groups as on two cores."""
    monkeypatch.setenv("RANKWISE_CORES", "2")
    monkeypatch.setattr(solve, "LONG", 0)
    monkeypatch.setattr(resuming, "SECONDS", 0.01)


def interrupted(study, folder, call):
    """Run a study until it asks for the so-manieth time whether to go on."""
    calls = []

    def check():
        calls.append(None)
        if len(calls) == call:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, folder, check=check)
    return list((folder / "checkpoints").iterdir())


def numbers(folder):
    """All rows, without what depends on where and when they were made."""
    rows = Records(folder / "records").rows()
    return {name: {key: value for key, value in row.items() if key not in CIRCUMSTANCES} for name, row in rows.items()}


def test_a_batch_goes_on_from_its_checkpoint_to_the_same_records(tmp_path, long):
    study = build_study(STUDY, "trial")
    run_study(study, tmp_path / "whole")
    assert list((tmp_path / "whole" / "checkpoints").iterdir()) == []
    (left,) = interrupted(study, tmp_path / "parts", 30)
    begun = left.stat().st_mtime_ns
    assert interrupted(study, tmp_path / "parts", 30) == [left]
    assert left.stat().st_mtime_ns > begun
    assert run_study(study, tmp_path / "parts").failed == 0
    assert not left.exists()
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_short_batches_leave_no_folder(tmp_path):
    run_study(build_study({**STUDY, "seeds": 1}, "trial"), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_a_damaged_checkpoint_and_a_full_disk_end_the_run_in_one_line(tmp_path, long, monkeypatch):
    study = build_study(STUDY, "trial")
    (left,) = interrupted(study, tmp_path, 30)
    whole = left.read_bytes()
    left.write_bytes(whole[:-1])
    with pytest.raises(RefusedCheckpoint, match=rf"{left.name} is damaged .*: delete it to begin anew"):
        run_study(study, tmp_path)
    assert left.read_bytes() == whole[:-1]
    assert numbers(tmp_path) == {}
    for content in (b"a text", whole):
        left.write_bytes(content)
        with monkeypatch.context() as later:
            later.setattr(resuming, "surroundings", lambda: {"the code of rankwise": "another"})
            with pytest.raises(RefusedCheckpoint, match=rf"{left.name} is .*[:;] delete it to begin anew$"):
                run_study(study, tmp_path)
    left.unlink()
    with monkeypatch.context() as full:

        def no_space(place, *_):
            raise OSError(errno.ENOSPC, "no space left", str(place))

        full.setattr(resuming, "save", no_space)
        full.setattr(solve, "solve_batch_resumable", partial(resuming.solve_batch_resumable, every=0.01))
        with pytest.raises(OSError, match="no space left"):
            run_study(study, tmp_path)
    assert numbers(tmp_path) == {}
    assert run_study(study, tmp_path).done == 4
