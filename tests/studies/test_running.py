"""Running a study: nothing twice, nothing lost, one failure not fatal, and batches that change no case."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pyarrow.parquet as pq
import pytest
from fragile import Fragile

from rankwise.studies import build_study, read_study, run_study
from rankwise.studies.folder import Folder
from rankwise.studies.index import read_index, refuse_another, write_index
from rankwise.studies.library import shipped
from rankwise.studies.overlay import put
from rankwise.studies.plan import batches
from rankwise.studies.records import CIRCUMSTANCES, SCHEMA, Records
from rankwise.studies.running import run_batch, stored_standing
from rankwise.studies.summary import command
from rankwise.studies.tasks import TASKS
from rankwise.studies.tasks.base import Outcome

STUDY = {
    "seeds": 2,
    "case": {
        "max_steps": 30,
        "checkpoints": {"count": 3},
        "track": ["singular_values", "effective_rank"],
        "problem": {"count": 40, "loss": "mean", "truth": {"shape": [8, 7], "rank": 1}},
        "solver": {
            "name": "gradient_descent",
            "factorization": {"name": "deep", "depth": 2, "start": {"name": "gaussian", "scale": 0.1}},
        },
    },
    "axes": {
        "scale": {"key": "solver.factorization.start.scale", "values": [0.1, 0.2]},
        "count": {"key": "problem.count", "values": [40, 50]},
    },
    "grid": {"descent": {}, "greedy": {"axes": ["count"], "case": {"solver": {"name": "greedy"}}}},
}


def same(one, other):
    """Whether two rows tell the same but for when and where they were made."""
    return all(one[key] == other[key] for key in SCHEMA.names if key not in CIRCUMSTANCES)


def test_a_study_runs_to_the_end_and_only_once(tmp_path):
    study = build_study(STUDY, "trial")
    counts = []
    assert run_study(study, tmp_path, progress=counts.append).__dict__ == {"cases": 12, "done": 12, "failed": 0}
    assert counts == [0, 8, 1, 1, 1, 1]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()}
    counts.clear()
    run_study(study, tmp_path, progress=counts.append)
    assert counts == [12]
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "records").iterdir()}
    assert stored_standing(tmp_path).done == 12


def test_changing_an_axis_runs_only_what_is_new(tmp_path):
    run_study(build_study(STUDY, "trial"), tmp_path)
    before = Records(tmp_path / "records").rows()
    counts = []
    longer = build_study(put(STUDY, "axes.count.values", [40, 50, 45]), "trial")
    run_study(longer, tmp_path, progress=counts.append)
    assert counts == [12, 4, 1, 1]
    after = Records(tmp_path / "records").rows()
    assert all(after[address] == row for address, row in before.items())


def test_what_an_interrupted_run_leaves_is_run_to_the_same_bits(tmp_path):
    study = build_study({**STUDY, "batch": 3}, "trial")
    run_study(study, tmp_path / "whole")

    def interrupted(waiting, folder, check, scratch):
        for batch in waiting[1::2]:
            yield batch, run_batch(batch, folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "parts", engine=interrupted)
    assert 0 < stored_standing(tmp_path / "parts").done < 12
    run_study(study, tmp_path / "parts")
    whole, parts = (Records(tmp_path / name / "records").rows() for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(same(row, parts[address]) for address, row in whole.items())


def test_a_batch_gives_what_its_members_give_alone():
    study = build_study(STUDY, "trial")
    (batch, *_) = batches(study.cases(), 64)
    assert len(batch.cases) == 8
    alone = [run_batch(one, study.folder)[0] for one in batches(batch.cases, 1)]
    for together, single in zip(run_batch(batch, study.folder), alone, strict=True):
        assert together["address"] == single["address"]
        np.testing.assert_allclose(together["curves"]["train_loss"], single["curves"]["train_loss"], rtol=1e-12)
        np.testing.assert_allclose(together["vectors"]["singular_values"][-1], single["vectors"]["singular_values"][-1])
        assert (together["batch"], single["batch"]) == (8, 1)


def test_a_failing_case_takes_no_other_down(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "fragile", Fragile())
    study = build_study({"case": {"task": "fragile"}, "seeds": 4}, "trial")
    standing = run_study(study, tmp_path)
    assert (standing.done, standing.failed) == (4, 2)
    rows = Records(tmp_path / "records").rows()
    told = {json.loads(row["settings"])["number"]: (row["result"], row["sentence"]) for row in rows.values()}
    assert told[1] == told[3] == ("failed", "ZeroDivisionError: odd number")
    assert told[2] == ("done", "fine")
    monkeypatch.setattr(Fragile, "run", lambda self, many, *_: [Outcome("done", "mended", 0.0) for _ in many])
    counts = []
    assert run_study(study, tmp_path, progress=counts.append).failed == 2
    assert counts == [4]
    assert run_study(study, tmp_path, retry=True).failed == 0


def test_an_interruption_for_which_another_error_stands_is_no_result(tmp_path, monkeypatch):
    stopped = []

    def run(self, many, *_):
        stopped.append(True)
        raise RuntimeError("in the middle of a class statement")

    def check():
        if stopped:
            raise KeyboardInterrupt

    monkeypatch.setitem(TASKS, "fragile", Fragile())
    monkeypatch.setattr(Fragile, "run", run)
    with pytest.raises(KeyboardInterrupt):
        run_study(build_study({"case": {"task": "fragile"}, "seeds": 2}, "trial"), tmp_path, check=check)
    assert not Records(tmp_path / "records").rows()


def test_a_case_that_leaves_has_failed(tmp_path, monkeypatch):
    def run(self, many, *_):
        raise SystemExit(3)

    monkeypatch.setitem(TASKS, "fragile", Fragile())
    monkeypatch.setattr(Fragile, "run", run)
    assert run_study(build_study({"case": {"task": "fragile"}, "seeds": 2}, "trial"), tmp_path).failed == 2
    assert {row["sentence"] for row in Records(tmp_path / "records").rows().values()} == {"SystemExit: 3"}


def test_the_share_of_the_batch_in_hand_grows_to_its_cases(tmp_path):
    given = {**STUDY, "grid": {"descent": {"axes": []}}}
    told = []
    run_study(build_study(put(given, "case.max_steps", 300), "trial"), tmp_path, share=told.append)
    assert told == sorted(told)
    assert len(told) > 3
    assert told[-1] == 2.0


def test_cases_that_are_run_alone_are_shares_of_their_batch(monkeypatch):
    def run(self, many, folder, progress):
        if len(many) > 1:
            raise ValueError("too many")
        progress(1, 2)
        return [Outcome("done", "fine", 0.0)]

    monkeypatch.setitem(TASKS, "fragile", Fragile())
    monkeypatch.setattr(Fragile, "run", run)
    (batch,) = batches(build_study({"case": {"task": "fragile"}, "seeds": 3}, "trial").cases(), 64)
    told = []
    assert len(run_batch(batch, Path(), lambda step, last: told.append(step / last))) == 3
    assert told == [0, 1 / 6, 3 / 6, 5 / 6]


def test_records_are_read_without_rankwise(tmp_path):
    run_study(build_study(STUDY, "trial"), tmp_path)
    frame = polars.read_parquet(tmp_path / "records" / "*.parquet")
    cases = polars.read_parquet(tmp_path / "cases.parquet")
    joined = cases.join(frame, on="address")
    assert joined.height == 12
    assert set(joined["count"]) == {40, 50}
    file = next(path for path in (tmp_path / "records").iterdir() if pq.ParquetFile(path).num_row_groups == 8)
    assert pq.ParquetFile(file).metadata.num_rows == 8


def test_a_broken_record_is_named(tmp_path):
    study = build_study(STUDY, "trial")
    run_study(study, tmp_path)
    broken = sorted((tmp_path / "records").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{broken.name} cannot be read"):
        run_study(study, tmp_path)
    broken.unlink()
    assert run_study(study, tmp_path).done == 12


def test_a_draft_left_by_a_killed_run_is_no_record(tmp_path):
    study = build_study(STUDY, "trial")
    run_study(study, tmp_path)
    (tmp_path / "records" / f".left.{os.getpid() + 1}").write_bytes(b"PAR1")
    assert run_study(study, tmp_path).done == 12


def test_a_folder_of_another_study_is_refused(tmp_path):
    run_study(build_study({**STUDY, "grid": {"g": {"axes": [], "seeds": 1}}}, "one"), tmp_path)
    with pytest.raises(ValueError, match="holds the study 'one', not 'other'"):
        run_study(build_study(STUDY, "other"), tmp_path)
    assert read_index(tmp_path)["name"] == "one"
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study\.json is broken: delete it and run the study again"):
        read_index(tmp_path)
    (tmp_path / "study.json").unlink()
    with pytest.raises(ValueError, match=r"holds no study: it has no study\.json"):
        read_index(tmp_path)
    assert run_study(build_study({**STUDY, "grid": {"g": {"axes": [], "seeds": 1}}}, "one"), tmp_path).done == 1


def written(place, **more):
    """A study in a file; JSON will do for what it has."""
    place.parent.mkdir(exist_ok=True)
    text = {"title": "of one", "seeds": 2, "count": 40, "grid": "g", **more}
    place.write_text(f"""
title = "{text["title"]}"
seeds = {text["seeds"]}
[case]
max_steps = 2
[case.solver]
name = "gradient_descent"
[case.problem]
count = {text["count"]}
truth = {{ shape = [8, 7], rank = 1 }}
[grid.{text["grid"]}]
[quick]
seeds = 1
""")
    return place


def test_a_folder_goes_on_with_its_own_file_and_version_alone(tmp_path):
    file, out = written(tmp_path / "a" / "one.toml"), tmp_path / "a" / "out"
    assert run_study(read_study(file), out).done == 2
    assert run_study(read_study(written(file, seeds=3, title="edited")), out).cases == 3
    assert run_study(read_study(file, changes={"case.max_steps": 3}), out).done == 3
    with pytest.raises(ValueError, match=r"holds the full version of 'one', not the quick one: name another folder"):
        run_study(read_study(file, quick=True), out)
    with pytest.raises(ValueError, match=r"a study 'one' of another file, .*a.one\.toml, not of .*b.one\.toml: name"):
        run_study(read_study(written(tmp_path / "b" / "one.toml", seeds=3)), out)
    with pytest.raises(ValueError, match=r"holds 'one' with another title and other grids"):
        run_study(read_study(written(file, title="another", grid="h")), out)
    assert read_index(out)["options"]["changes"] == {"case.max_steps": 3}
    written(file)
    moved = (tmp_path / "a").rename(tmp_path / "c")
    assert run_study(read_study(moved / "one.toml"), moved / "out").done == 2


def test_a_copy_of_a_shipped_study_is_another_study(tmp_path):
    given = shipped()["li2021_distance"]
    copied = tmp_path / given.name
    copied.write_bytes(given.read_bytes())
    own, original = read_study(copied, quick=True), read_study(given, quick=True)
    assert own.home == original.home == "li2021_distance-quick"
    write_index(original, original.cases(), tmp_path / "out")
    with pytest.raises(ValueError, match=r"another file, li2021_distance, not of .*li2021_distance\.toml"):
        refuse_another(own, tmp_path / "out")
    write_index(own, own.cases(), tmp_path / "own")
    words = {name: command(Folder(tmp_path / name)) for name in ("out", "own")}
    end = ["--quick", "--out"]
    assert words["out"] == ["rankwise", "study", "run", "li2021_distance", *end, str(tmp_path / "out")]
    assert words["own"] == ["rankwise", "study", "run", str(copied), *end, str(tmp_path / "own")]


def test_a_broken_list_of_cases_is_named(tmp_path):
    run_study(build_study({**STUDY, "grid": {"g": {"axes": [], "seeds": 1}}}, "one"), tmp_path)
    place = tmp_path / "cases.parquet"
    place.write_bytes(place.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"cases\.parquet is broken: delete it and run the study again"):
        stored_standing(tmp_path)
    place.unlink()
    with pytest.raises(ValueError, match=r"cases\.parquet is missing: run the study again"):
        stored_standing(tmp_path)


def test_what_may_not_be_read_is_not_missing(tmp_path, monkeypatch):
    run_study(build_study({**STUDY, "grid": {"g": {"axes": [], "seeds": 1}}}, "one"), tmp_path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rankwise.studies.records.pq.ParquetFile", refuse)
    with pytest.raises(PermissionError, match=r"parquet cannot be read: permission denied"):
        Records(tmp_path / "records").rows()
    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(PermissionError):
        Records(tmp_path / "records").rows()


def test_batches_hold_what_is_alike_up_to_their_size():
    cases = build_study(STUDY, "trial").cases()
    assert [len(batch.cases) for batch in batches(cases, 3)] == [3, 3, 2, 1, 1, 1, 1]
    twice = batches([*cases, *cases], 64)
    assert sum(len(batch.cases) for batch in twice) == len(cases)


COUNTED = """
from pathlib import Path
from threadpoolctl import threadpool_info
from rankwise.studies import build_study
from rankwise.studies.plan import batches
from rankwise.studies.running import run_batch
from rankwise.studies.tasks import TASKS, Outcome, Task

class Count(Task):
    keys = ()
    def seeded(self, settings, seed): return settings
    def check(self, settings, folder): pass
    def run(self, many, folder, progress=None):
        import scipy.linalg
        pools = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
        return [Outcome("done", "counted", 0.0, numbers={"threads": max(pools)})]

TASKS["count"] = Count()
(batch,) = batches(build_study({"case": {"task": "count"}}, "count").cases(), 1)
print(run_batch(batch, Path())[0]["numbers"]["threads"])
"""


def test_a_blas_that_a_task_loads_first_has_one_thread_too():
    # In a process of its own, where no test has loaded SciPy's yet.
    many = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", COUNTED], env={**many, "OPENBLAS_NUM_THREADS": "2"}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "1", done.stderr
