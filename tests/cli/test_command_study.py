"""`rankwise study`: runs, goes on, says how far it is, and refuses in one line."""

import pytest

from rankwise.studies import read_study
from rankwise.studies.records import Records, failure

STUDY = """
title = "trial"
seeds = 2
[case]
max_steps = 20
checkpoints = 2
[case.problem]
count = 40
truth = { shape = [8, 7], rank = 1 }
[case.solver]
name = "gradient_descent"
[axes.count]
key = "problem.count"
values = [40, 50]
[grid.descent]
[grid.rated]
axes = []
case.problem = { name = "completion", file = "{ratings}" }
[data]
ratings = "a table of ratings"
[quick]
seeds = 1
"""


@pytest.fixture
def study(shell):
    (shell.folder / "trial.toml").write_text(STUDY)
    return shell


def test_a_study_from_start_to_status(study):
    assert study("study", "run", "trial.toml") == 0
    assert "grid rated is left out: give its file with --data ratings=PATH" in study.out
    assert "4 of 4 cases on record; folder: trial" in study.out
    assert study.json("study", "status", "trial") == {"cases": 4, "done": 4, "failed": 0}
    assert study.json("study", "run", "trial.toml", "--resume", "--set", "seeds=3")["done"] == 6
    (study.folder / "t.csv").write_text("a,b\n1,2\n3,\n")
    assert study("study", "run", "trial.toml", "--quick", "--data", "ratings=t.csv", "--out", "r", "--quiet") == 0
    assert study.out == ""
    assert study("study", "status", "r") == 0
    assert "3 of 3" in study.out


def test_a_dry_run_runs_nothing(study):
    told = study.json("study", "run", "trial.toml", "--dry-run")
    assert (told["cases"], told["to_run"], told["batches"], told["of_unknown_time"]) == (4, 4, 1, 0)
    assert (told["of_known_time"], told["of_bounded_time"], told["at_most_seconds"]) == (4, 0, 0)
    assert told["about_seconds"] > 0
    assert study("study", "run", "trial.toml", "--dry-run") == 0
    assert "4 cases, 4 to run in 1 batch\nabout " in study.out
    assert study("study", "run", "trial.toml", "--dry-run", "--set", "case.solver.tolerance=1e-3") == 0
    assert "\nat most about " in study.out
    assert not (study.folder / "trial").exists()
    assert study("study", "run", "trial.toml", "--quiet") == 0
    assert study("study", "run", "trial.toml", "--dry-run") == 0
    assert study.out == "4 cases, nothing left to run\n"


def test_a_dry_run_counts_what_the_run_would(study):
    failed = failure(read_study("trial.toml").cases()[0], "ValueError: no")
    Records(study.folder / "trial" / "records").put("failed", [failed])
    assert study.json("study", "run", "trial.toml", "--dry-run")["to_run"] == 3
    assert study.json("study", "run", "trial.toml", "--dry-run", "--retry")["to_run"] == 4


def test_the_quick_version_has_a_folder_of_its_own(study):
    assert study("study", "run", "trial.toml", "--quick") == 0
    assert "2 of 2 cases on record; folder: trial-quick" in study.out
    assert not (study.folder / "trial").exists()
    assert "holds the quick version" in study.refuses("study", "run", "trial.toml", "--out", "trial-quick")


def test_what_is_wrong_in_the_quick_version_is_told_without_it(study):
    (study.folder / "trial.toml").write_text(STUDY + "case.solver.tolernce = 1e-3\n")
    for more, where in ([], " (in the quick version)"), (["--dry-run"], " (in the quick version)"), (["--quick"], ""):
        told = study.refuses("study", "run", "trial.toml", *more)
        assert "trial.toml: grid descent, count = 40, seed = 0: solver.tolernce is not a key" in told
        assert told.endswith(f"did you mean 'tolerance'?{where}")


def test_what_is_wrong_in_the_whole_is_not_blamed_on_the_quick_version(study):
    (study.folder / "trial.toml").write_text(STUDY.replace("max_steps = 20", "max_steps = -20"))
    told = study.refuses("study", "run", "trial.toml", "--dry-run")
    assert "max_steps must be" in told
    assert "quick version" not in told


def test_more_memory_than_there_is_is_told_before_anything_runs(study, monkeypatch):
    monkeypatch.setattr("rankwise.studies.plan.memory", lambda: 2**10)
    deep = 'case.solver.factorization={name = "deep", depth = 2}'
    assert study("study", "run", "trial.toml", "--dry-run", "--set", deep) == 0
    told = "rankwise: grid descent, count = 40, seed = 0: needs about 1 MiB ("
    assert study.err == f"{told}problem.truth.shape, solver.factorization.depth), more than the 1 MiB of this machine\n"
    assert study("study", "run", "trial.toml", "--dry-run", "--set", "case.solver.name=greedy") == 0
    assert study.err == f"{told}problem.truth.shape), more than the 1 MiB of this machine\n"


def test_a_dry_run_for_a_scheduler_says_whose_time_it_tells(study):
    assert study("study", "run", "trial.toml", "--dry-run", "--scheduler", "tcp://127.0.0.1:9") == 0
    assert "\nin one process of this machine: about " in study.out
    assert study("study", "run", "trial.toml", "--dry-run", "--workers", "2") == 0
    assert "\nabout " in study.out


def test_no_bar_is_shown_where_no_scheduler_is_reached(study, monkeypatch):
    monkeypatch.setattr("rankwise.studies.cluster.REACH", 0.5)
    told = study.refuses("study", "run", "trial.toml", "--scheduler", "tcp://127.0.0.1:9")
    assert told.startswith("rankwise: the scheduler at tcp://127.0.0.1:9 cannot be reached")


def test_an_interruption_says_that_records_stay(study, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt(143)

    monkeypatch.setattr("rankwise.studies.running.run_batch", interrupt)
    assert study("study", "run", "trial.toml", "--quiet") == 143
    assert study.err == "rankwise: interrupted; what is on record stays, and the same command goes on\n"
    assert study.json("study", "status", "trial")["done"] == 0


def test_a_shipped_study_is_copied_here_unless_told_where_to(shell, tmp_path):
    assert shell("study", "new", "--from", "theory") == shell("study", "new", "mine.toml", "--from", "theory") == 0
    assert shell.out == "study: mine.toml\n"
    assert tmp_path.joinpath("theory.toml").read_bytes() == tmp_path.joinpath("mine.toml").read_bytes() != b""
    assert shell.refuses("study", "new", "--from", "theory") == "rankwise: theory.toml exists already"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["run", "none.toml"], "none.toml: No such file or directory"),
        (["run", "none"], "unknown study 'none'"),
        (["run", "trial.toml", "--resume"], "trial holds no study"),
        (["run", "trial.toml", "--set", "seeds"], "--set takes a name and a value with = between them, not 'seeds'"),
        (
            ["run", "trial.toml", "--set", "case.max_steps=few"],
            "rankwise: trial.toml: grid descent, count = 40, seed = 0: max_steps must be a whole number, not 'few'",
        ),
        (["run", "trial.toml", "--data", "rating=x"], "did you mean 'ratings'?"),
        (["run", "trial.toml", "--out", "trial.toml"], "trial.toml is a file, not a folder"),
        (["run", "trial.toml", "--out", "none/there"], "does not exist"),
        (["run", "trial.toml", "--out", ""], "--out takes the name of a folder"),
        (["run", "trial.toml", "--set", "sedes=3"], "trial.toml: sedes is not a key; did you mean 'seeds'?"),
        (["status", "nowhere"], "nowhere holds no study"),
        (["new", "trial.toml", "--from", "none"], "unknown study 'none'"),
        ([], "required: COMMAND"),
        (["rnu"], "invalid choice: 'rnu'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(study, given, told):
    assert told in study.refuses("study", *given)
