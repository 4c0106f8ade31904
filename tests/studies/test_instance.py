"""What any method could know of an instance, and the instances of the studies of recovery."""

import re
from pathlib import Path

import numpy as np
import pytest

import rankwise as rw
from rankwise.lowrank import degrees_of_freedom, dense
from rankwise.spec import build_problem
from rankwise.studies import build_study, read_study
from rankwise.studies.library import shipped
from rankwise.studies.tasks import TASKS, recover
from rankwise.studies.tasks.instance import knowing_columns

GIVEN = {"rho": 3.0, "min_degree": "rank + 1", "truth": {"shape": [12, 10], "rank": 2, "kappa": 10.0}}
NAME = re.compile(r"(\d+)x(\d+)-r(\d+)-k(\d+(?:e\d+)?)-rho([\d.]+?)(?:-noise([\d.]+))?")


def look(problem, task="instance", seeds=1, **more):
    """The outcomes of a task on a problem, a seed each."""
    cases = build_study({"case": {"task": task, "problem": problem, **more}, "seeds": seeds}, "trial").cases()
    return [outcome for case in cases for outcome in TASKS[task].run([case.of_task], Path())]


def test_least_squares_that_knows_the_columns_is_exact_without_noise():
    truth = rw.low_rank((12, 10), 2, key=0)
    found = knowing_columns(rw.observe(truth, 80, key=1, min_degree=3), truth)
    np.testing.assert_allclose(found.dense(), truth.dense(), atol=1e-13)
    assert look(GIVEN)[0].numbers == {"completable": 1.0}


def test_with_noise_a_fit_that_knows_less_is_worse():
    """Least squares is linear in the noise here: half of it has half the error, to first order."""
    (half,), (whole,) = look({**GIVEN, "noise": 1e-4}), look({**GIVEN, "noise": 2e-4})
    assert 0 < whole.numbers["error_knowing_columns"] < whole.numbers["error_from_truth"] < 1e-2
    for name in ("error_knowing_columns", "error_from_truth"):
        assert whole.numbers[name] == pytest.approx(2 * half.numbers[name], rel=1e-2)


def test_the_local_minimum_next_to_the_truth_is_what_a_solver_with_the_rank_finds():
    (outcome,) = look({**GIVEN, "noise": 0.01, "rho": 2.2})
    truth = rw.low_rank((12, 10), 2, key=0, kappa=10.0)
    problem = rw.observe(truth, round(2.2 * 40), key=1, min_degree=3, noise=0.01)
    solution = rw.solve(problem, rw.Greedy(max_rank=2))
    error = np.linalg.norm(dense(solution.matrix) - truth.dense()) / np.linalg.norm(truth.dense())
    assert outcome.numbers["error_from_truth"] == pytest.approx(error, rel=1e-4)


def test_two_blocks_that_share_no_line_are_not_completable():
    apart = [[i, j] for i in range(4) for j in range(4) if (i < 2) == (j < 2)]
    truth = {"shape": [4, 4], "rank": 1}
    (outcome,) = look({"observed": apart, "truth": truth})
    assert (outcome.result, outcome.numbers) == ("not_completable", {"completable": 0.0})
    (outcome,) = look({"observed": [*apart, [0, 2]], "truth": truth})
    assert (outcome.result, outcome.numbers, outcome.rank) == ("completable", {"completable": 1.0}, 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"problem": {"name": "sensing", "count": 9, "truth": {"shape": [3, 3], "rank": 1}}},
            "must be a completion whose truth is known",
        ),
        ({"problem": {"truth": {"matrix": [[0, 0]]}, "observed": [[0, 1]]}}, "problem.truth.matrix must not be zero"),
        ({"problem": GIVEN, "solver": {"name": "greedy"}}, "solver"),
        ({}, "problem is missing"),
    ],
)
def test_what_has_no_instance_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TASKS["instance"].check(settings, Path())


@pytest.mark.parametrize(
    ("noise", "certified", "rank", "factor", "wrong"),
    [
        (None, True, 2, 1.5, 1.0),
        (None, False, 2, 1.5, 0.0),
        (None, True, 3, 1 + 1e-6, 0.0),
        (0.1, True, 3, 1.0, 1.0),
        (0.1, True, 2, 1.4, 0.0),
        (0.1, True, 2, 1.6, 1.0),
    ],
)
def test_certified_and_wrong(noise, certified, rank, factor, wrong, monkeypatch):
    """Without noise a wrong matrix, with noise a wrong rank or half of it: answers `factor` times the truth."""
    truth = rw.low_rank((12, 10), 2, key=0, kappa=10.0)
    answer = type("Answer", (), {
        "matrix": rw.LowRank(factor * truth.left, truth.right), "rank": rank, "certified": certified, "reason": "",
        "method": "none", "seconds": 0.1, "result": rw.RESULTS.explained, "solution": type("Run", (), {"steps": 1}),
    })  # fmt: skip
    monkeypatch.setattr(recover, "recover", lambda problem, **given: answer)
    problem = GIVEN | ({"noise": noise} if noise else {})
    (outcome,) = look(problem, "recover", noise="truth")
    assert outcome.numbers["falsely_certified"] == wrong
    assert outcome.numbers["certified"] == certified
    assert outcome.numbers["rank_error"] == abs(rank - 2)
    assert outcome.numbers["relative_error"] == pytest.approx(factor - 1, abs=1e-12)


def instances(name):
    """The instances of a shipped study by their names and seeds."""
    study = read_study(shipped()[name], changes={"seeds": [0, 301], "grid.methods.seeds": [0]})
    return {(c.labels["case"], c.labels["seed"]): c.settings for c in study.cases() if c.grid == "instances"}


def test_the_instances_of_the_study_are_what_their_names_say():
    """Truth from key 2s and entries from key 2s + 1 at seed s, whatever the condition; every line r + 1 times."""
    found = instances("recovery")
    assert len(found) == 2 * 16
    for (name, seed), settings in found.items():
        d1, d2, r, kappa, rho, noise = NAME.fullmatch(name).groups()
        shape, r, noise = (int(d1), int(d2)), int(r), float(noise or 0)
        problem, truth, _ = build_problem(settings["problem"], Path())
        same = rw.low_rank(shape, r, key=2 * seed, kappa=float(kappa))
        count = round(float(rho) * degrees_of_freedom(r, shape))
        again = rw.observe(same, count, key=2 * seed + 1, min_degree=r + 1, noise=noise)
        for one, other in (
            (truth.left, same.left), (truth.right, same.right), (problem.rows, again.rows), (problem.cols, again.cols),
            (problem.values, again.values),
        ):  # fmt: skip
            np.testing.assert_array_equal(one, other)
        for index, length in ((problem.rows, shape[0]), (problem.cols, shape[1])):
            assert np.bincount(index, minlength=length).min() > r


def test_every_case_of_the_study_has_a_target_for_its_share_and_its_seconds():
    study = read_study(shipped()["recovery"])
    claimed = [(one["where"]["case"], one["value"]) for one in study.claims if "case" in one.get("where", {})]
    for case in study.axes["case"].values:
        assert (case, "seconds") in claimed
        assert (case, "relative_error") in claimed or (case, "rank_error") in claimed
    rivals = {one["where"]["method"] for one in study.claims if "method" in one.get("where", {})}
    assert rivals | {"auto"} == set(study.axes["method"].values)
