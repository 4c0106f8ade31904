"""The recovery suite: what is drawn, what is kept, that it goes on where it stopped, and how results are judged."""

import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.recovery import __main__ as command
from benchmarks.recovery import records as disk
from benchmarks.recovery import suite, tables, trial
from benchmarks.recovery.cases import GRID, TABLE, Case, Target
from benchmarks.recovery.methods import METHODS, Method, solver
from benchmarks.recovery.peers import Peer
from benchmarks.recovery.picture import draw
from benchmarks.recovery.trial import errors, knowing_columns, look_at

import rankwise as rw

TINY = Case((12, 10), 1, 10.0, 3.0, target=Target(0.9, 60, True))
METHODS_RUN = ("auto", "alternating_least_squares")
PLAN = suite.Plan((TINY,), METHODS_RUN, seeds=2, rivals=1, limit=30, threads=1, version="test")
WORDS = ("--seeds", "2", "--rivals", "1", "--limit", "30", "--threads", "1", "--version", "test")


def quiet(line):
    del line


def result(**changes):
    return {
        "outcome": "done", "seconds": 1.0, "error": 1e-12, "error_sigma": 1e-12, "rank": 1, "certified": True,
        "words": "", **changes,
    }  # fmt: skip


def put(records, case, seed, method, **values):
    values = {"outcome": "done", "completable": True, **values} if method == "instance" else result(**values)
    records.put(PLAN.settings(case, seed, method), values)


def tiny_only(monkeypatch):
    monkeypatch.setattr(command, "TABLE", (TINY,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tiny plan, interrupted after its third trial and run again, in this process."""
    out = tmp_path_factory.mktemp("recovery")
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_alarm", lambda seconds: None)
        patch.setattr(suite, "in_child", lambda settings, _: trial.run(settings))
        _interrupted(out, said)
    return out


def _interrupted(out, said):
    """Run, be interrupted, run again."""

    def interrupt(line):
        said.append(line)
        if line.startswith("[3/"):
            raise KeyboardInterrupt

    records = disk.Records(out / "records")
    with pytest.raises(KeyboardInterrupt):
        suite.run(PLAN, records, interrupt)
    first = {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert len(first) == 3
    suite.run(PLAN, records, said.append)
    assert said[0].startswith("5 trials, 0 on record")
    assert "5 trials, 3 on record; 1 BLAS threads" in said
    after = {path.name: path.stat().st_mtime_ns for path in (out / "records").iterdir()}
    assert len(after) == 5
    assert first.items() <= after.items()


def test_goes_on_after_an_interruption_and_reports(folder, monkeypatch, capsys):
    tiny_only(monkeypatch)
    monkeypatch.setattr(suite, "in_child", lambda *_: pytest.fail("everything is on record"))
    assert command.main([*WORDS, "--methods", "auto,alternating_least_squares", "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "5 trials, 5 on record" in out
    assert "| 12x10-r1-k10-rho3 | 2/2 | 2/2 | 2/2 | 2 | 0 | 2 |" in out
    assert (folder / "table.md").read_text() in out


def test_a_trial_that_died_while_it_was_written_is_run_again(tmp_path, monkeypatch):
    records, settings = disk.Records(tmp_path), PLAN.settings(TINY, 0, "auto")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            records.put(settings, result())
    assert records.get(settings) is None
    records.put(settings, result())
    assert records.get(settings) == result()


def as_other(record):
    record["settings"]["seed"] += 1


def without_error(record):
    del record["result"]["error"]


def as_word(record):
    record["result"]["certified"] = "yes"


@pytest.mark.parametrize(
    "poison",
    [
        lambda text: text[:-5],
        lambda text: b"\xff\xfe" + text,
        lambda text: b"[]",
        lambda text: b"[" * 100_000,
        lambda text: text.replace(b'"error": ', b'"error": -', 1),
        lambda text: text.replace(b'"seconds": ', b'"seconds": NaN, "was": ', 1),
        lambda text: text.replace(b'"outcome": "done"', b'"outcome": "fine"'),
        as_other,
        without_error,
        as_word,
    ],
)
def test_a_poisoned_record_is_refused_in_one_line(poison, tmp_path, monkeypatch, capsys):
    tiny_only(monkeypatch)
    records = disk.Records(tmp_path / "records")
    put(records, TINY, 0, "auto")
    (path,) = records.folder.iterdir()
    if poison in (as_other, without_error, as_word):
        record = json.loads(path.read_bytes())
        poison(record)
        path.write_text(json.dumps(record))
    else:
        path.write_bytes(poison(path.read_bytes()))
    monkeypatch.setattr(suite, "in_child", lambda *_: pytest.fail("nothing may be run"))
    assert command.main([*WORDS, "--methods", "auto", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert path.name in err
    assert "delete it" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cases", "100x100-r5-k10-rho1.51"], "did you mean '100x100-r5-k10-rho1.5'"),
        (["--methods", "gredy"], "did you mean 'greedy'"),
        (["--seeds", "0"], "--seeds"),
        (["--first-seed", "-1"], "--first-seed"),
        (["--limit", "nan"], "--limit"),
        (["--report"], "on record"),
    ],
)
def test_bad_words_are_refused_in_one_line(words, said, tmp_path, capsys):
    assert command.main(["--methods", "auto", "--out", str(tmp_path), *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_a_child_answers_whatever_is_printed_there():
    found = suite.in_child(PLAN.settings(TINY, 0, "auto"), 1)
    assert found["outcome"] == "done"
    assert found["certified"] is True
    assert found["error"] < 1e-12


def test_a_trial_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(suite, "START", 0.0)
    monkeypatch.setattr(suite, "TRIAL", (sys.executable, "-c", "import time; time.sleep(60)"))
    begun = time.perf_counter()
    assert suite.in_child(PLAN.settings(TINY, 0, "auto") | {"limit": 0.1}, 1) == {"outcome": "limit"}
    assert time.perf_counter() - begun < 30


@pytest.mark.skipif(sys.platform == "win32", reason="no alarms there: the parent ends the child")
def test_a_trial_ends_itself_at_its_limit(monkeypatch):
    code = "import time; from benchmarks.recovery.trial import _alarm; _alarm(0.1); time.sleep(60)"
    monkeypatch.setattr(suite, "TRIAL", (sys.executable, "-c", code))
    assert suite.in_child(PLAN.settings(TINY, 0, "auto"), 1) == {"outcome": "limit"}


def test_a_trial_that_fails_is_kept_with_its_last_line(monkeypatch):
    monkeypatch.setattr(suite, "TRIAL", (sys.executable, "-c", "raise ValueError('no such thing')"))
    failed = suite.in_child(PLAN.settings(TINY, 0, "auto"), 1)
    assert failed == {"outcome": "failed", "words": "ValueError: no such thing"}


def test_what_failed_is_run_again_only_if_asked(tmp_path, monkeypatch):
    plan, records = replace(PLAN, methods=("auto",), seeds=1), disk.Records(tmp_path)
    for one in plan.trials():
        records.put(plan.settings(*one), {"outcome": "failed", "words": "no"})
    monkeypatch.setattr(suite, "in_child", lambda settings, _: result() if settings["method"] == "auto" else None)
    suite.run(plan, records, quiet)
    assert records.get(plan.settings(TINY, 0, "auto"))["outcome"] == "failed"
    monkeypatch.setattr(suite, "in_child", lambda settings, _: result(completable=True))
    suite.run(plan, records, quiet, retry=True)
    assert records.get(plan.settings(TINY, 0, "auto"))["outcome"] == "done"


def test_code_that_changes_while_a_trial_runs_is_not_kept(tmp_path, monkeypatch):
    plan, versions = replace(PLAN, version=None), iter(range(1000))
    monkeypatch.setattr(suite, "code_version", lambda instance: str(next(versions)))
    monkeypatch.setattr(suite, "in_child", lambda *_: result())
    with pytest.raises(ValueError, match="changed while a trial ran"):
        suite.run(plan, disk.Records(tmp_path), quiet)
    assert not any(tmp_path.iterdir())


def test_every_setting_has_its_own_record_and_targets_none():
    plan = replace(PLAN, version=None)
    base = plan.settings(TINY, 0, "auto")
    others = [
        plan.settings(replace(TINY, rho=2.9), 0, "auto"),
        plan.settings(replace(TINY, kappa=1.0), 0, "auto"),
        plan.settings(replace(TINY, noise=0.1), 0, "auto"),
        plan.settings(TINY, 1, "auto"),
        plan.settings(TINY, 0, "greedy"),
        replace(plan, limit=31).settings(TINY, 0, "auto"),
        replace(plan, budget=3.0).settings(TINY, 0, "auto"),
        replace(plan, threads=2).settings(TINY, 0, "auto"),
        replace(plan, version="other").settings(TINY, 0, "auto"),
    ]
    assert len({disk.address(settings) for settings in (base, *others)}) == 10
    assert plan.settings(replace(TINY, target=None, accuracy=1e-10), 0, "auto") == base


def test_the_hash_of_the_code_sees_code_and_no_comment(tmp_path):
    path = tmp_path / "one.py"
    seen = []
    for number, text in enumerate(['"""A."""\nx = 1\n', '"""B."""\n# why\nx  =  1\n', '"""A."""\nx = 2\n']):
        path.write_text(text)
        seen.append(disk._hash(((path, number),)))
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("case", [TINY, TABLE[3], replace(TABLE[3], noise=0.1)])
def test_instances_follow_from_the_seed_and_every_line_is_seen(case):
    truth, problem = case.draw(3)
    _, again = case.draw(3)
    _, other = case.draw(4)
    assert problem.size == case.observations
    for index, length in ((problem.rows, case.shape[0]), (problem.cols, case.shape[1])):
        assert np.bincount(index, minlength=length).min() >= case.rank + 1
    assert np.array_equal(problem.values, again.values)
    assert not np.array_equal(problem.values, other.values)
    sigma = truth.singular_values()
    assert np.isclose(sigma[0] / sigma[-1], case.kappa if case.rank > 1 else 1)


def test_names_are_unique_and_every_case_of_the_table_has_a_target():
    assert len({case.name for case in TABLE}) == len(TABLE)
    assert len({case.name for case in GRID}) == len(GRID)
    assert all(case.target is not None for case in TABLE)
    assert {case.rho for case in GRID} >= {1.05, 3.0}


def test_least_squares_that_knows_the_columns_is_exact_without_noise_and_worse_informed_fits_are_worse():
    truth, problem = TINY.draw(0)
    assert errors(knowing_columns(problem, truth), truth)[0] < 1e-13
    case = replace(TINY, noise=0.01)
    found = look_at(case, *case.draw(0))
    assert 0 < found["error_knowing_columns"] < found["error_from_truth"] < 0.1


def test_errors_are_relative_to_the_norm_and_to_the_largest_singular_value():
    truth = rw.low_rank((9, 7), 2, key=0, kappa=2)
    relative, beside_largest = errors(rw.LowRank(1.5 * truth.left, truth.right), truth)
    assert np.isclose(relative, 0.5)
    assert np.isclose(beside_largest, 0.5 * np.hypot(1, 0.5))
    assert errors(np.full((9, 7), np.nan), truth) == (None, None)


def test_a_solver_hands_over_what_it_has_at_the_limit():
    case = Case((40, 40), 2, 100.0, 1.5)
    make = METHODS["iterative_svd"].run.args[0]
    begun = time.perf_counter()
    answer = solver(make, case, case.draw(0)[1], 0, 0.1, None)
    assert answer.words == "max_steps"
    assert answer.rank == 2
    assert time.perf_counter() - begun < 5


def test_the_shares_are_those_of_the_records(tmp_path):
    records, plan = disk.Records(tmp_path), replace(PLAN, methods=("auto",), seeds=5)
    outcomes = [{}, {"error": 0.5}, {"error": None, "certified": False}, {"error": 1e-4, "seconds": 99.0}]
    for seed, values in enumerate(outcomes):
        put(records, TINY, seed, "auto", **values)
        put(records, TINY, seed, "instance", completable=seed != 2)
    records.put(plan.settings(TINY, 4, "auto"), {"outcome": "limit"})
    put(records, TINY, 4, "instance")
    (line,) = tables.summarize(plan, records)
    assert (line.trials, line.completable, line.successes, line.recovered) == (5, 4, 2, 2)
    assert (line.certified, line.false, line.failed) == (3, 1, 1)
    assert (line.seconds, line.error, line.share) == (1.0, 0.5, 0.5)
    assert line.verdict == "not reached: success 0.50 < 0.9, 1 false certificates"


def test_the_stricter_accuracy_is_relative_to_the_largest_singular_value():
    strict = replace(TINY, accuracy=1e-10)
    assert not tables.succeeds(strict, result(error=1e-11, error_sigma=2e-10))
    assert tables.succeeds(strict, result(error=1e-9, error_sigma=1e-11))


def test_with_noise_the_rank_decides_and_both_oracles_are_told(tmp_path):
    noisy = replace(TINY, noise=0.1, target=Target(0.9, 60))
    records, plan = disk.Records(tmp_path), replace(PLAN, cases=(noisy,), methods=("auto",))
    for seed in (0, 1):
        put(records, noisy, seed, "auto", error=0.18, rank=1)
        put(records, noisy, seed, "instance", error_knowing_columns=0.1, error_from_truth=0.18)
    (line,) = lines = tables.summarize(plan, records)
    assert (line.successes, line.false) == (2, 0)
    assert line.verdict == "not reached: error 1.80 x oracle > 1.2"
    assert "1.80 x that of least squares knowing the true column space, 1.000 x" in tables.noise_lines(lines)
    assert tables.falsely_certified(noisy, result(rank=2))


def test_the_instances_are_named_on_which_auto_is_beaten(tmp_path):
    records, plan = disk.Records(tmp_path), replace(PLAN, methods=("auto", "greedy", "log_det"), rivals=2)
    for seed, errors_of in enumerate([(1e-9, 1e-9, 0.5), (0.5, 0.5, 1e-9)]):
        for method, error in zip(plan.methods, errors_of, strict=True):
            put(records, TINY, seed, method, error=error)
    assert tables.beaten(plan, records) == f"{TINY.name}, seed 1: log_det"
    assert tables.beaten(replace(plan, seeds=1), records) == "none"


def test_a_peer_that_is_not_installed_is_skipped_with_a_line(monkeypatch):
    absent = Peer("no-such-package", "no_such_module", lambda table, rank, seed: table)
    monkeypatch.setitem(METHODS, "absent", Method(METHODS["auto"].run, peer=absent))
    said = []
    assert suite.installed(("auto", "absent"), said.append) == ("auto",)
    assert said == ["skipped: absent: no-such-package is not installed: pip install no-such-package"]


def test_the_picture_needs_two_rho(tmp_path):
    records = disk.Records(tmp_path / "records")
    plan = replace(PLAN, cases=(TINY, replace(TINY, rho=2.0)), methods=("auto", "greedy"), seeds=1)
    for case in plan.cases:
        for method in ("instance", *plan.methods):
            put(records, case, 0, method)
    draw(tables.summarize(plan, records), tmp_path / "success.png")
    assert (tmp_path / "success.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="at least two rho"):
        draw(tables.summarize(replace(plan, cases=(TINY,)), records), tmp_path / "none.png")
