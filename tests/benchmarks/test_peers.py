"""Other people's packages as a task of studies, and who beat the portfolio where it failed."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.recovery import peers
from benchmarks.recovery.beaten import beaten, main
from benchmarks.recovery.peers import PEERS, Peer

from rankwise.cli import main as rankwise
from rankwise.spec import build_problem
from rankwise.studies import build_study, read_study
from rankwise.studies.folder import Folder
from rankwise.studies.index import write_index
from rankwise.studies.library import shipped
from rankwise.studies.records import Records, failure, row
from rankwise.studies.tasks import TASKS, Outcome

PLACE = Path(peers.__file__).with_name("peers.toml")
PROBLEM = {"rho": 3.0, "min_degree": "rank + 1", "truth": {"shape": [12, 10], "rank": 1}}


def case_of(peer, seed=0):
    given = {"case": {"task": "peer", "peer": peer, "problem": PROBLEM}, "seeds": [seed]}
    (case,) = build_study(given, "trial").cases()
    return case.of_task


def test_the_module_brings_the_task_and_its_study_the_instances_of_the_other():
    assert TASKS["peer"].keys == ("problem", "peer", "key")
    study, other = read_study(PLACE), read_study(shipped()["recovery"])
    assert study.axes["case"].values == other.axes["case"].values
    ours, theirs = (
        {(case.labels["case"], case.labels["seed"]): case.settings["problem"] for case in one.cases()}
        for one in (study, other)
    )
    assert len(ours) == 5 * 16
    assert ours.items() <= theirs.items()


@pytest.mark.parametrize(("seed", "factor"), [(0, 1.0), (3, 0.9)])
def test_a_filler_is_told_the_rank_and_seed_and_measured_by_its_whole_table(seed, factor, monkeypatch):
    settings = case_of("spalor", seed)
    problem, truth, _ = build_problem(settings["problem"])
    asked = []

    def fill(table, rank, key):
        asked.append((table, rank, key))
        return factor * truth.dense()

    monkeypatch.setitem(PEERS, "spalor", Peer("numpy", "numpy", fill))
    (outcome,) = TASKS["peer"].run([settings], Path())
    ((table, rank, key),) = asked
    assert (rank, key) == (1, seed)
    assert np.isnan(table).sum() == table.size - problem.size
    np.testing.assert_array_equal(table[problem.rows, problem.cols], problem.values)
    assert (outcome.result, outcome.sentence) == ("filled", f"numpy {np.__version__}")
    assert outcome.numbers["relative_error"] == pytest.approx(1 - factor, abs=1e-15)
    assert outcome.seconds > 0


def test_a_table_that_is_not_finite_has_no_numbers(monkeypatch):
    monkeypatch.setitem(PEERS, "spalor", Peer("numpy", "numpy", lambda table, rank, seed: table))
    (outcome,) = TASKS["peer"].run([case_of("spalor")], Path())
    assert (outcome.result, outcome.numbers) == ("not_finite", {})


def test_a_package_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(PEERS, "spalor", Peer("no-such-package", "no_such_module", lambda *_: pytest.fail("not here")))
    with pytest.raises(ImportError, match="no-such-package is not installed: pip install no-such-package"):
        TASKS["peer"].run([case_of("spalor")], Path())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--import", "benchmarks.recovery.pears"], "No module named 'benchmarks.recovery.pears'"),
        (["--set", "case.peer=spallor"], "did you mean 'spalor'"),
        (["--set", "case.key=x"], "key must be a whole number"),
        (
            ["--set", 'case.problem={name="sensing",count=60,truth={shape=[12,10],rank=1}}'],
            "must be a completion whose truth is known",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(words, said, tmp_path, capsys):
    (tmp_path / "one.toml").write_text('[case]\ntask = "peer"\npeer = "spalor"\n[case.problem]\ncount = 60\n'
                                       "[case.problem.truth]\nshape = [12, 10]\nrank = 1\n")  # fmt: skip
    assert rankwise(["study", "run", str(tmp_path / "one.toml"), "--out", str(tmp_path / "out"), *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


# Made-up results: by instance and seed, who has which error and is how far off in rank. Who is not there has failed.
RESULTS = {
    ("plain", 0): {"auto": (1e-9, 0), "greedy": (1e-9, 0)},
    ("plain", 1): {"greedy": (0.5, 0), "log_det": (1e-9, 1), "spalor": (1e-5, None)},
    ("noisy", 0): {"auto": (1e-9, 1), "greedy": (0.5, 0)},
    ("noisy", 1): {"auto": (0.5, 2), "greedy": (0.5, 1), "spalor": (1e-9, None)},
}


METHODS = {"auto": {"task": "recover"}, "greedy": {}, "log_det": {"solver": {"name": "log_det"}}}


def made_up(case):
    labels = case.labels
    found = RESULTS[labels["case"], labels["seed"]].get(labels.get("method", labels.get("peer")))
    if found is None:
        return failure(case, "no")
    numbers = dict(zip(("relative_error", "rank_error"), found, strict=True))
    return row(case, Outcome("made up", "", 0.1, numbers=numbers), 1, "")


@pytest.fixture
def folders(tmp_path):
    """Two studies on record: methods, and a peer, on an instance without and one with noise."""
    places = []
    for name, own, choices in (
        ("method", {"solver": {"name": "greedy"}}, METHODS),
        ("peer", {"task": "peer", "peer": "spalor"}, {"spalor": {}}),
    ):
        noise = {"plain": {"problem.noise": 0.0}, "noisy": {"problem.noise": 0.1}}
        axes = {"case": {"choices": noise}, name: {"choices": choices}}
        study = build_study({"seeds": 2, "case": {"problem": PROBLEM, **own}, "axes": axes}, name)
        places.append(tmp_path / name)
        write_index(study, study.cases(), places[-1])
        Records(places[-1] / "records").put("all", [made_up(case) for case in study.cases()])
    return places


def test_the_instances_are_named_on_which_the_portfolio_is_beaten(folders, capsys):
    """What failed is no success; with noise the rank decides, which a peer does not say."""
    assert beaten(map(Folder, folders[:1])) == ["case plain, seed 1: log_det", "case noisy, seed 0: greedy"]
    assert main([str(folder) for folder in folders]) == 1
    assert capsys.readouterr().out.splitlines() == ["case plain, seed 1: log_det, spalor", "case noisy, seed 0: greedy"]
    assert main([str(folders[1])]) == 0
    assert capsys.readouterr().out == "none\n"


def test_a_folder_without_a_study_is_refused_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err


def test_no_folder_is_no_proof_of_anything(capsys):
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("name the folders")
