"""What cases need in memory: about what they take."""

import tracemalloc

import pytest

from rankwise.studies.overlay import overlay
from rankwise.studies.tasks import TASKS

SMALL = {"problem": {"count": 150, "truth": {"shape": [20, 20]}}}


@pytest.mark.parametrize(
    ("task", "count", "more"),
    [
        ("solve", 2000, {"solver": {"name": "greedy"}}),
        ("solve", 125000, {"solver": {"name": "alternating_least_squares", "rank": 1}}),
        ("solve", 2000, {"solver": {"name": "nuclear_norm"}}),
        ("solve", 2000, {"solver": {"name": "principal_component_pursuit"}}),
        ("instance", 125000, {}),
        ("recover", 125000, {"budget": 0.5}),
    ],
)
def test_the_memory_of_a_case_on_the_host_is_about_what_it_takes(task, count, more, tmp_path):
    settings = {"problem": {"count": count, "truth": {"shape": [500, 500], "rank": 1}}, "max_steps": 2, **more}
    settings = {key: value for key, value in settings.items() if key in TASKS[task].keys}
    TASKS[task].run([overlay(settings, SMALL)], tmp_path)  # which imports everything
    tracemalloc.start()
    TASKS[task].run([settings], tmp_path)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken / 3 < TASKS[task].size(settings) < 3 * taken


def test_a_large_sparse_completion_is_not_told_to_need_dense_layers():
    problem = {"count": 400_000, "truth": {"shape": [20_000, 20_000], "rank": 2}}
    solve = TASKS["solve"]
    greedy, log_det = (solve.size({"problem": problem, "solver": {"name": name}}) for name in ("greedy", "log_det"))
    assert 6e9 < greedy < log_det < 7e9
    assert TASKS["recover"].size({"problem": problem}) == greedy
    assert TASKS["instance"].size({"problem": problem}) == 160 * 400_000
    assert TASKS["instance"].size({"problem": {**problem, "min_degree": 2}}) == 400_000_000
    assert TASKS["instance"].size({"problem": {**problem, "count": 40_000_000}}) >= 9 * 400_000_000
    assert TASKS["recover"].size({"problem": {"file": "t.csv", "count": 10}}) == 0
