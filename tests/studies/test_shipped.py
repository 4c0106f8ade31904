"""The studies that are shipped: both versions can run as they stand, and so can the grids that need a file."""

import re
from pathlib import Path

import pytest

from rankwise.cli import main
from rankwise.studies import read_study
from rankwise.studies.folder import Folder
from rankwise.studies.index import write_index
from rankwise.studies.library import shipped
from rankwise.studies.plan import batches
from rankwise.studies.records import Records
from rankwise.studies.running import run_batch
from rankwise.studies.summary import summarize
from rankwise.studies.tasks import TASKS

# A few lines in the form of the data sets that studies name.
LINES = {"movielens": "".join(f"{u}\t{i}\t{1 + (u * i) % 5}\t8811\n" for u in range(300) for i in range(300))}


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("quick", [False, True])
def test_every_case_of_a_shipped_study_can_be_run(name, quick):
    study = read_study(shipped()[name], quick=quick)
    cases = study.cases()
    assert cases
    assert study.title != name
    assert study.about
    assert {grid.name for grid in study.grids if not grid.lacks} == {case.grid for case in cases}


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_study_says_what_it_costs(name, tmp_path, capfd):
    assert main(["study", "run", name, "--quick", "--dry-run", "--out", str(tmp_path / "out")]) == 0
    assert "to run" in capfd.readouterr().out


@pytest.mark.parametrize("name", shipped())
def test_grids_that_need_a_file_can_be_run_with_it(name, tmp_path):
    path = shipped()[name]
    lacking = {grid.name: grid.lacks for grid in read_study(path).grids if grid.lacks}
    for place in lacking.values():
        (tmp_path / place).write_text(LINES[place])
    study = read_study(path, data={place: str(tmp_path / place) for place in lacking.values()})
    for grid in study.grids:
        if grid.name in lacking:
            case = next(grid.cases(study.folder))
            settings = {key: value for key, value in case.settings.items() if key != "task"}
            grid.task.check(settings, study.folder)


def test_a_case_of_a_shipped_study_is_run_and_its_claim_reproduced(tmp_path):
    """The least nuclear norm, 8, at a matrix of rank 4, where the least rank is 1."""
    study = read_study(shipped()["li2021_counterexample"])
    case = next(case for case in study.cases() if (case.grid, case.labels) == ("norm", {"R": "2"}))
    write_index(study, study.cases(), tmp_path)
    (row,) = run_batch(batches([case], 1)[0], study.folder)
    Records(tmp_path / "records").put("norm", [row])
    assert (row["rank"], row["numbers"]["rank_error"]) == (4, 3)
    known = [claim for claim in summarize(Folder(tmp_path))[0]["claims"] if claim["verdict"] != "not run"]
    assert [(claim["text"], claim["verdict"]) for claim in known] == [("R = 2: least nuclear norm", "reproduced")]
    (instance,) = TASKS["instance"].run([{"problem": case.settings["problem"]}], study.folder)
    assert instance.rank == 1


def test_one_command_makes_the_tables_of_recovery_and_its_success_against_rho():
    recipe = Path(__file__).parents[2].joinpath("Makefile").read_text(encoding="utf-8")
    run, told = (re.findall(rf"rankwise {word} (?:\S*/)?(recovery\w*)", recipe) for word in ("study run", "report"))
    studies = [read_study(shipped()[name]) for name in run]
    assert run == told
    assert "Every method: share of recovered runs" in {one["title"] for study in studies for one in study.tables}
    assert ("rho", "relative_error") in {(one["x"], one["y"]) for study in studies for one in study.figures}
