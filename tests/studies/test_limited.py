"""Cases with a limit: ended whatever they are doing, in a process with one thread, timed without what comes before."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rankwise as rw
from rankwise.studies import build_study, limited, run_study
from rankwise.studies.cases import Case
from rankwise.studies.estimate import PROCESS, estimate
from rankwise.studies.plan import batches
from rankwise.studies.records import Records
from rankwise.studies.tasks import TASKS

# A module as `--import` takes it. Every task is told in `do` what is to happen.
MODULE = """
import ctypes, sys, time
from rankwise.studies.tasks import TASKS, Outcome, Task

def threads():
    import scipy.linalg
    from threadpoolctl import threadpool_info
    print("a line on standard output")
    return max(pool["num_threads"] for pool in threadpool_info())

def deaf():
    ctypes.PyDLL(None).sleep(60)  # in C, with the interpreter locked

class Own(Task):
    keys = ("do",)
    def seeded(self, settings, seed):
        return settings
    def check(self, settings, folder):
        pass
    def run(self, many, folder, progress=None):
        found = {"threads": threads, "deaf": deaf, "leave": sys.exit, "fail": lambda: int("one\\ntwo")}[many[0]["do"]]()
        return [Outcome("done", "fine", 0.0, numbers={"found": float(found)})]

TASKS["own"] = Own()
"""
SOLVE = {
    "problem": {"rho": 1.5, "min_degree": "rank", "truth": {"shape": [40, 40], "rank": 2, "kappa": 100.0}},
    "solver": {"name": "iterative_svd", "rank": 2, "patience": 300, "stationary": 1e-3},
}  # fmt: skip


def test_the_tiny_instance_takes_no_millions_of_steps():
    tiny = limited._tiny({**SOLVE, "max_steps": 10**6, "checkpoints": [0, 10**6]})
    assert (tiny["max_steps"], "checkpoints" in tiny, tiny["solver"]["rank"]) == (1000, False, 1)
    assert limited._tiny({**SOLVE, "max_steps": 40, "checkpoints": [0, 40]})["checkpoints"] == [0, 40]


def test_a_limit_bounds_what_is_estimated():
    long = {"solver": {"name": "gradient_descent"}, "problem": SOLVE["problem"], "max_steps": 10**8}
    cases = [Case("all", {}, {"task": "solve", **settings}, name) for name, settings in (
        ("a", {**long, "limit": 3.0}), ("b", {**SOLVE, "limit": 3.0}), ("c", SOLVE))]  # fmt: skip
    cost = estimate(batches(cases, 64))
    assert (cost.fixed, cost.bounded, cost.unknown, cost.seconds) == (0, 2, 1, 0.0)
    assert cost.most == pytest.approx(2 * (limited.hard_limit(3.0) + PROCESS))


def test_what_is_estimated_grows_with_steps_depth_and_decompositions():
    def seconds(**more):
        solver = {"name": "gradient_descent", "factorization": {"name": "deep", "depth": 2}, **more.pop("solver", {})}
        settings = {"problem": SOLVE["problem"], "max_steps": 10**7, "checkpoints": 2, **more, "solver": solver}
        cost = estimate(batches([Case("all", {}, {"task": "solve", **settings}, "a")], 64))
        assert cost.fixed + cost.bounded == 1
        return cost.seconds or -cost.most

    base = seconds()
    assert 0 < base < seconds(solver={"factorization": {"name": "deep", "depth": 4}})
    assert seconds(max_steps=10**8) > 5 * base
    assert seconds(solver={"penalty": {"name": "ratio", "weight": 0.1}}) > 2 * base
    assert seconds(checkpoints=10**6, track=["effective_rank"]) > seconds(checkpoints=10**6, track=["train_loss"])
    assert seconds(solver={"tolerance": 1e-6}) < 0


def test_programs_are_compiled_once_for_batches_that_are_alike():
    study = build_study({"case": {**SOLVE, "solver": {"name": "gradient_descent"}, "max_steps": 0}, "seeds": 4}, "t")
    one, two, uneven = (estimate(batches(study.cases()[:many], 2)).seconds for many in (2, 4, 3))
    assert one < two < 1.5 * one < uneven


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The module, imported; and a case of its task by what is to happen."""
    (tmp_path / "own_tasks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(TASKS, "own", None)
    monkeypatch.delitem(sys.modules, "own_tasks", raising=False)
    __import__("own_tasks")
    return lambda do, limit=60.0: Case("all", {}, {"task": "own", "limit": limit, "do": do}, "0" * 20)


def quiet():
    """Nobody interrupts."""


def test_a_child_has_one_thread_whatever_it_loads_and_answers_whatever_is_printed_there(own, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    outcome = limited.run_limited(own("threads"), Path(), quiet)
    assert (outcome.result, outcome.numbers) == ("done", {"found": 1.0})


@pytest.mark.skipif(sys.platform == "win32", reason="no alarms there: the parent ends the child")
def test_a_case_is_ended_at_its_limit_whatever_it_is_doing(own):
    outcome = limited.run_limited(own("deaf", 0.1), Path(), quiet)
    assert (outcome.result, outcome.seconds, outcome.numbers) == ("limit", 0.1, {})
    assert "0.1 s" in outcome.sentence


def test_a_process_that_never_gets_to_its_case_is_ended_by_its_parent(own, monkeypatch):
    monkeypatch.setattr(limited, "START", 0.0)
    monkeypatch.setattr(limited, "COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    begun = time.perf_counter()
    assert limited.run_limited(own("threads", 0.1), Path(), quiet).result == "limit"
    assert time.perf_counter() - begun < 30


def test_a_case_that_fails_says_its_last_line_and_is_run_again_only_if_asked(own, tmp_path):
    study = build_study({"case": {"task": "own", "limit": 60, "do": "fail"}}, "trial")
    assert run_study(study, tmp_path / "out").failed == 1
    (row,) = Records(tmp_path / "out" / "records").rows().values()
    assert (row["result"], row["sentence"][:10]) == ("failed", "ValueError")
    assert "'one\\ntwo'" in row["sentence"]
    run = []
    for retry in (False, True):
        run_study(study, tmp_path / "out", retry=retry, progress=run.append)
    assert run == [1, 0, 1]


def test_a_case_that_leaves_has_failed_whatever_its_status(own):
    outcome = limited.run_limited(own("leave"), Path(), quiet)
    assert (outcome.result, outcome.sentence) == ("failed", "SystemExit")


@pytest.mark.skipif(sys.platform == "win32", reason="no way there to ask whether a process lives")
def test_an_interruption_ends_the_process_too(own, tmp_path, monkeypatch):
    file = tmp_path / "pid"
    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(limited, "COMMAND", (sys.executable, "-c", code))

    def interrupt():
        if file.exists() and file.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        limited.run_limited(own("threads"), Path(), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_solver_hands_over_what_it_has_at_its_limit():
    (case,) = build_study({"case": SOLVE, "seeds": 1}, "trial").cases()
    (outcome,) = TASKS["solve"].run([case.of_task], Path(), limit=0.3)
    assert (outcome.result, outcome.rank) == ("max_steps", 2)
    assert outcome.seconds > 0.3
    assert 0 < outcome.steps < rw.IterativeSVD(rank=2).default_steps
    assert outcome.numbers["relative_error"] > 0
    assert outcome.at == list(range(outcome.steps + 1))


def test_a_limit_that_is_not_met_changes_no_number(tmp_path):
    given = {"case": {**SOLVE, "max_steps": 40}, "seeds": 1}
    rows = []
    for name, limit in (("with", {"limit": 60}), ("without", {})):
        run_study(build_study({**given, "case": {**given["case"], **limit}}, "trial"), tmp_path / name)
        rows += Records(tmp_path / name / "records").rows().values()
    one, other = rows
    assert one["address"] != other["address"]
    for key in ("result", "steps", "rank", "at"):
        assert one[key] == other[key]
    np.testing.assert_allclose(one["curves"]["train_loss"], other["curves"]["train_loss"], rtol=1e-9)
    assert one["numbers"]["relative_error"] == pytest.approx(other["numbers"]["relative_error"], rel=1e-9)


def test_the_clock_starts_after_a_tiny_instance_of_the_same_kind(monkeypatch):
    """What the first run of a method costs, imports above all, is not measured."""
    ran, solve = [], TASKS["solve"]
    monkeypatch.setattr(type(solve), "run", lambda self, many, *_, **more: ran.append((many[0], more)) or ["outcome"])
    monkeypatch.setattr(limited, "_alarm", lambda seconds: ran.append(seconds))
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = {"problem": {**SOLVE["problem"], "count": 234, "noise": 0.1}, "solver": {"name": "irls", "rank": 2}}
    sent = {"task": "solve", "settings": settings, "limit": 10.0, "folder": ".", "path": sys.path}
    assert limited._run(sent) == "outcome"
    (tiny, _), set_to, (whole, given), off = ran
    assert tiny["problem"]["truth"] == {"shape": [12, 12], "rank": 1}
    assert (tiny["problem"]["count"], tiny["problem"]["noise"], tiny["solver"]["rank"]) == (92, 0.1, 1)
    assert (set_to, off) == (limited.hard_limit(10.0), 0)
    assert (whole, given) == (settings, {"limit": 10.0})


@pytest.mark.parametrize("limit", [0, -1, "x", float("nan"), True, 1e6])
def test_a_limit_that_is_no_number_of_seconds_is_refused(limit):
    with pytest.raises(ValueError, match=r"grid all, seed = 0: limit must be .* not "):
        build_study({"case": {**SOLVE, "limit": limit}, "seeds": 2}, "trial").cases()


def test_what_may_be_ended_runs_alone():
    descent = {"name": "gradient_descent", "factorization": {"name": "deep", "depth": 2}}
    case = {**SOLVE, "solver": descent}
    sizes = [
        [len(batch.cases) for batch in batches(build_study({"case": {**case, **more}, "seeds": 3}, "t").cases(), 64)]
        for more in ({}, {"limit": 5})
    ]
    assert sizes == [[3], [1, 1, 1]]
