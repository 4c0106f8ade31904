"""The studies that are shipped: both versions can run as they stand, and so can the grids that need a file."""

import pytest

from rankwise.cli import main
from rankwise.studies import read_study
from rankwise.studies.library import shipped

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
