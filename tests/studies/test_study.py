"""A study: what its file says becomes cases, and what is wrong is refused with the path of the key."""

import copy
from datetime import date

import pytest

from rankwise.spec import build_problem
from rankwise.studies import build_study, plan, read_study
from rankwise.studies.overlay import overlay, put
from rankwise.studies.tasks import TASKS, solve

STUDY = {
    "title": "trial",
    "seeds": 2,
    "case": {
        "max_steps": 20,
        "checkpoints": {"count": 2},
        "problem": {"count": 40, "truth": {"shape": [8, 7], "rank": 1}},
        "solver": {"name": "gradient_descent", "factorization": {"name": "deep", "depth": 2}},
    },
    "axes": {
        "depth": {"key": "solver.factorization.depth", "values": [2, 3]},
        "method": {
            "choices": {
                "plain": {"solver.penalty": "none"},
                "ratio": {"solver.penalty": {"name": "ratio", "weight": 1e-2}, "max_steps": 30},
            }
        },
        "count": {"label": "entries", "keys": ["problem.count"], "values": [40, 50]},
    },
    "grid": {
        "deep": {"axes": ["depth", "count"]},
        "greedy": {"axes": ["count"], "seeds": [5], "case": {"solver": {"name": "greedy"}}},
        "auto": {"axes": [], "case": {"task": "recover"}},
    },
    "quick": {"seeds": 1, "axes": {"depth": {"values": [2]}}},
}


def changed(path, value):
    """`STUDY` with another value under a dotted key."""
    return put(STUDY, path, value)


def test_a_grid_is_the_product_of_its_axes_and_seeds():
    cases = build_study(STUDY, "trial").cases()
    deep = [case for case in cases if case.grid == "deep"]
    assert [tuple(case.labels.values()) for case in deep] == [
        (depth, count, seed) for depth in (2, 3) for count in (40, 50) for seed in (0, 1)
    ]
    assert deep[-1].settings["solver"]["factorization"]["depth"] == 3
    assert deep[-1].settings["problem"]["count"] == 50
    assert [case.labels for case in cases if case.grid == "greedy"] == [
        {"count": 40, "seed": 5},
        {"count": 50, "seed": 5},
    ]


def test_a_seed_decides_every_key():
    case = next(case for case in build_study(STUDY, "trial").cases() if case.labels["seed"] == 5)
    problem = case.settings["problem"]
    assert (case.settings["key"], problem["truth"]["key"], problem["key"]) == (5, 10, 11)


def test_what_is_listed_takes_no_key():
    study = changed("grid", {})
    study["case"]["problem"] = {"truth": {"matrix": [[1, 2], [2, 4]]}, "observed": [[0, 1], [1, 0]]}
    study["grid"] = {"deep": {"axes": ["depth"]}}
    first, second = build_study(study, "trial").cases()[:2]
    assert first.settings["problem"] == {**study["case"]["problem"], "holdout_key": 0}
    assert TASKS["solve"].alike(first.settings) == TASKS["solve"].alike(second.settings) is not None
    assert TASKS["solve"].work(first.settings).operations > 0


def test_choices_change_several_keys_and_named_tables_replace():
    study = changed("title", "choices") | {"grid": {"all": {"axes": ["method"]}}}
    study["axes"]["method"]["choices"]["plain"] = {"solver": "soft_impute"}
    plain, ratio = (build_study(study, "trial").cases()[i].settings for i in (0, 2))
    assert plain["solver"] == "soft_impute"
    assert ratio["solver"]["penalty"] == {"name": "ratio", "weight": 1e-2}
    assert ratio["max_steps"] == 30
    assert ratio["solver"]["factorization"]["depth"] == 2


def test_some_of_the_choices_can_be_taken():
    study = changed("quick.axes.method", {"only": ["ratio"]}) | {"grid": {"all": {"axes": ["method"]}}}
    study["axes"]["method"]["choices"]["plain"] = {"solver": "soft_impute"}
    assert [case.labels["method"] for case in build_study(study, "trial").cases()] == ["plain"] * 2 + ["ratio"] * 2
    assert [case.labels["method"] for case in build_study(study, "trial", quick=True).cases()] == ["ratio"]


DEPTH, FORM = "solver.factorization.depth", "solver.factorization"


@pytest.mark.parametrize(
    ("axis", "told"),
    [
        ({"key": DEPTH, "values": [4, 5]}, f"axes 'depth' and 'more' both set {DEPTH}"),
        ({"choices": {"a": {FORM: {"name": "deep", "depth": 4}}}}, f"axis 'more' sets {FORM}, and so not {DEPTH} as"),
        ({"choices": {"a": {}, "b": {FORM: "full"}}}, f"axis 'more' sets {FORM}, and so not {DEPTH} as"),
        ({"choices": {"a": {}, "b": {"solver": "greedy"}}}, f"axis 'more' sets solver, and so not {DEPTH} as"),
        ({"choices": {"a": {}, "b": {"task": "recover"}}}, f"axis 'depth' sets {DEPTH}, which task 'recover' does not"),
        ({"key": "problem.truth.key", "values": [1, 2]}, "'more' sets problem.truth.key, which follows from the seed"),
        ({"choices": {"a": {"max_steps": 20}, "b": {}}}, "more = a and more = b are one and the same case"),
    ],
)
def test_an_axis_whose_values_a_case_would_not_have_is_refused(axis, told):
    study = changed("axes.more", axis) | {"grid": {"all": {"axes": ["depth", "more"]}}}
    with pytest.raises(ValueError, match=r"^grid\.all: ") as caught:
        build_study(study, "trial").cases()
    assert told in str(caught.value)


def test_what_lies_in_a_table_of_another_axis_is_no_conflict():
    start = {"choices": {"plain": {FORM: {"name": "deep"}}, "deepest": {FORM: {"name": "deep", "depth": 3}}}}
    study = changed("axes.start", start) | {"grid": {"all": {"axes": ["start", "depth"], "where": {"depth": [3]}}}}
    with pytest.raises(ValueError, match="start = plain and start = deepest are one and the same"):
        build_study(study, "trial").cases()
    study["axes"]["start"]["only"] = ["deepest"]
    assert {case.settings["solver"]["factorization"]["depth"] for case in build_study(study, "trial").cases()} == {3}
    study["grid"]["all"]["where"] = {"depth": [2]}
    with pytest.raises(ValueError, match=rf"axis 'depth' sets {DEPTH}, which axis 'start' sets with {FORM}"):
        build_study(study, "trial").cases()


def test_what_follows_from_the_truth_may_coincide():
    told = {"choices": {"told": {"solver.noise": "truth"}, "blind": {}}}
    study = {**STUDY, "axes": {"noise": {"key": "problem.noise", "values": [0.0, 0.1]}, "told": told}, "quick": {}}
    study["grid"] = {"all": {"case": {"solver": {"name": "greedy"}}}}
    cases = build_study(study, "trial").cases()
    assert len(cases) == 2 * 2 * 2
    assert len({case.address for case in cases}) == 3 * 2


def test_what_no_case_could_run_is_told_before_claims_on_it():
    claim = {"text": "t", "value": "stable_rank", "where": {"depth": 3}, "published": 1}
    for path, value, told in (
        ("axes.depth.values", [2, "three"], "depth = three.*depth must be a whole number, not 'three'"),
        ("axes.depth.values", [[2], [3]], r"depth must be a whole number, not \[2\]"),
        ("case.track", "stable_rank", "track must be a list of names, not 'stable_rank'"),
        ("axes.depth.values", [2, 4], r"^claims\[0\].where.depth: 3 is no value of axis"),
    ):
        with pytest.raises(ValueError, match=told):
            build_study(changed(path, value) | {"claims": [claim]}, "trial")


def test_equal_problems_are_drawn_once_to_be_checked(monkeypatch):
    drawn = []
    monkeypatch.setattr(solve, "build_problem", lambda *given: drawn.append(given) or build_problem(*given))
    study = changed("case.problem.noise", 0.125) | {"grid": {"all": {"axes": ["depth"]}}}
    assert len(build_study(study, "trial").cases()) == 4
    assert len(drawn) == 1


def test_another_task_takes_of_what_is_common_only_what_it_reads():
    auto = [case for case in build_study(STUDY, "trial").cases() if case.grid == "auto"]
    assert auto[0].settings.keys() == {"task", "problem", "key"}


def test_quick_is_laid_over_and_changes_win():
    quick = build_study(STUDY, "trial", quick=True, changes={"seeds": [7], "case.max_steps": 3})
    assert len(quick.cases()) == 2 + 2 + 1
    assert {case.labels["seed"] for case in quick.cases()} == {5, 7}
    assert quick.cases()[0].settings["max_steps"] == 3


def test_a_grid_takes_of_an_axis_what_this_version_has():
    study = {**STUDY, "grid": {"one": {"axes": ["depth"], "where": {"depth": [2, 3]}}}}
    assert [case.labels["depth"] for case in build_study(study, "trial", quick=True).cases()] == [2]
    with pytest.raises(ValueError, match=r"grid.one.where.depth is empty, so there is nothing to run"):
        build_study(study, "trial", changes={"axes.depth.values": [4]})


def test_a_change_names_keys_and_claims_of_the_quick_version_are_tables():
    with pytest.raises(ValueError, match="there is no quick version"):
        build_study({key: value for key, value in STUDY.items() if key != "quick"}, "trial", quick=True)
    with pytest.raises(ValueError, match=r"^sedes is not a key; did you mean 'seeds'"):
        build_study(STUDY, "trial", changes={"sedes": 3})
    with pytest.raises(ValueError, match=r"^claims\[0\] must be a table of keys, not 'found'"):
        build_study({**STUDY, "claims": ["found"]}, "trial", quick=True)


def test_addresses_tell_settings_apart_and_nothing_else():
    def addresses(study):
        return [case.address for case in build_study(study, "trial").cases()]

    base = addresses(STUDY)
    assert len(set(base)) == len(base)
    assert addresses(changed("title", "another")) == base
    assert addresses(changed("case.problem.noise", 1)) == addresses(changed("case.problem.noise", 1.0)) != base
    more = addresses(changed("seeds", 3))
    assert set(base) < set(more)
    assert not set(addresses(changed("case.max_steps", 21))) & set(base[:8])


def test_a_file_counts_by_its_content(tmp_path):
    study = changed("case.problem", {"name": "completion", "file": "table.csv"})
    study["grid"] = {"all": {"axes": ["depth"]}}
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n3,\n")
    before = [case.address for case in build_study(study, "trial", tmp_path).cases()]
    table.rename(tmp_path / "moved.csv")
    study["case"]["problem"]["file"] = "moved.csv"
    assert [case.address for case in build_study(study, "trial", tmp_path).cases()] == before
    (tmp_path / "moved.csv").write_text("a,b\n1,2\n4,\n")
    assert not {case.address for case in build_study(study, "trial", tmp_path).cases()} & set(before)


def test_a_grid_waits_for_its_data(tmp_path):
    study = changed("data", {"ratings": "a table"})
    study["grid"]["greedy"]["case"]["problem"] = {"file": "{ratings}", "name": "completion"}
    study["grid"]["greedy"]["axes"] = []
    without = build_study(study, "trial")
    assert [grid.lacks for grid in without.grids] == ["", "ratings", ""]
    assert {case.grid for case in without.cases()} == {"deep", "auto"}
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,\n")
    given = build_study(study, "trial", data={"ratings": str(tmp_path / "t.csv")})
    assert {case.grid for case in given.cases()} == {"deep", "greedy", "auto"}
    with pytest.raises(ValueError, match="data: there is no 'rating'; did you mean 'ratings'"):
        build_study(study, "trial", data={"rating": "t.csv"})
    with pytest.raises(ValueError, match="data: there is no 'rating' nor any other"):
        build_study(STUDY, "trial", data={"rating": "t.csv"})


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("titel", "x", "titel is not a key; did you mean 'title'?"),
        ("title", 3, "title must be a word, not 3"),
        ("batch", 0, "batch must be at least 1, not 0"),
        ("seeds", 0, "seeds must be from 1 to 10,000,000, the most cases of a grid, not 0"),
        ("seeds", [], "seeds is empty, so there is nothing to run"),
        ("seeds", [-1], "seeds must be a number of seeds or a list of them, not [-1]"),
        ("seeds", True, "seeds must be a number of seeds or a list of them, not True"),
        ("axes.depth.values", [], "axes.depth.values is empty, so there is nothing to run"),
        ("axes.depth.values", 3, "axes.depth.values must be a list, not 3"),
        ("axes.depth.vales", [3], "axes.depth.vales is not a key; did you mean 'values'?"),
        ("axes.method.values", [3], "axes.method has choices, so values has no place in it"),
        ("axes.method.only", ["rato"], "axes.method.only[0]: there is no choice 'rato'; did you mean 'ratio'?"),
        ("axes.method.only", [], "axes.method.choices is empty, so there is nothing to run"),
        ("axes.depth.only", ["2"], "axes.depth.only is a choice among choices; here values says it"),
        ("axes.seed", {"values": [1]}, "axes.seed: seeds have a key of their own"),
        ("grid.deep.axes", ["dpth"], "grid.deep.axes: there is no axis 'dpth'; did you mean 'depth'?"),
        ("grid.deep.case", {"task": "sovle"}, "grid.deep.case.task: unknown task 'sovle'; did you mean 'solve'?"),
        ("seeds", [3, 1, 3], "seeds has 3 twice"),
        ("seeds", [2**31], "seeds: seeds must be below 2^31, not 2147483648"),
        ("axes.depth.values", [2, 2.0], "axes.depth.values has 2.0 twice"),
        ("axes.depth.key", "", "axes.depth.key is empty"),
        ("axes.depth.label", 3, "axes.depth.label must be a word, not 3"),
        ("axes.address", {"key": "key", "values": [1]}, "axes.address: an axis cannot be called 'address'"),
        ("axes.method.choices.ratio", 3, "axes.method.choices.ratio must be a table of keys, not 3"),
        ("grid.deep.axes", ["depth", "depth"], "grid.deep.axes has 'depth' twice"),
        (
            "grid.deep.where",
            {"depth": [2, 33]},
            "grid.deep.where.depth: 33 is no value of axis 'depth'; did you mean '3'?",
        ),
        ("quick.sedes", 1, "quick.sedes is not a key; did you mean 'seeds'?"),
        ("case.solver.since", date(2020, 1, 2), "case.solver.since: dates and times have no place in a study"),
        ("figures", {}, "figures must be a list of tables: [[figures]]"),
        ("case.max_steps.x", 1, "case.max_steps.x leads through 'max_steps', which is no table"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_by_its_path(path, value, told):
    with pytest.raises(ValueError, match=r"^[a-z]") as caught:
        build_study(changed(path, value), "trial")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "case.problem.truth.rank",
            9,
            "grid deep, depth = 2, count = 40, seed = 0: problem.truth: rank must lie between",
        ),
        (
            "axes.depth.values",
            [2, 0],
            "grid deep, depth = 0, count = 40, seed = 0: solver.factorization: depth must be",
        ),
        ("axes.count.values", [40, 57], "count = 57, seed = 0: problem: count must lie between 1 and 56, not 57"),
        ("case.problem.truth.shape", [0, 20], "problem.truth: shape must be two positive integers, not (0, 20)"),
        ("case.problem.truth.shape", [-3, 20], "problem.truth: shape must be two positive integers, not (-3, 20)"),
        (
            "case.problem",
            {"name": "operator", "truth": {"shape": [10**7, 10**7], "rank": 2}},
            "problem.truth.shape: drawing observations of a matrix of shape [10000000, 10000000] needs 745,058 GiB",
        ),
        ("case.track", ["rnk"], "track: unknown track 'rnk'"),
        ("case.track", ["heldout_loss"], "track has 'heldout_loss', which needs problem.holdout"),
        ("case.checkpoints", [0, 30], "checkpoints must lie between 0 and max_steps = 20"),
        ("grid.auto.case.budget", "long", "grid auto, seed = 0: budget must be a number, not 'long'"),
        ("grid.auto.case.max_steps", 3, "grid auto, seed = 0: max_steps is not a key"),
    ],
)
def test_what_no_case_could_run_is_named_before_anything_runs(path, value, told):
    with pytest.raises(ValueError, match=r"^grid ") as caught:
        build_study(changed(path, value), "trial").cases()
    assert told in str(caught.value)


def test_what_needs_more_memory_than_there_is_is_told_apart(monkeypatch):
    cases = build_study(changed("axes.depth.values", [2, 10**5]), "trial").cases()
    monkeypatch.setattr(plan, "memory", lambda: 10**8)
    assert {case.labels["depth"] for case, _ in plan.too_large(cases)} == {10**5}
    monkeypatch.setattr(plan, "memory", lambda: 0)
    assert not list(plan.too_large(cases))


def test_a_file_that_is_no_study(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("title = ")
    with pytest.raises(ValueError, match=r"broken\.toml is not a TOML file"):
        read_study(broken)
    with pytest.raises(FileNotFoundError):
        read_study(tmp_path / "none.toml")


def test_a_file_without_an_ending_has_a_folder_of_another_name(tmp_path):
    for name, home in (("trial", "trial-study"), ("trial.toml", "trial"), ("trial.study", "trial")):
        place = tmp_path / name
        place.write_text("[case.solver]\nname = 'greedy'\n[quick]\nseeds = 1\n")
        assert read_study(place).home == home
        assert read_study(place, quick=True).home == "trial-quick"


def test_overlay_leaves_both_tables_alone():
    below, above = {"a": {"b": 1, "c": [1]}, "s": {"name": "x", "k": 1}}, {"a": {"b": 2}, "s": {"name": "y"}}
    kept = copy.deepcopy((below, above))
    assert overlay(below, above) == {"a": {"b": 2, "c": [1]}, "s": {"name": "y"}}
    assert (below, above) == kept


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbf[case.solver]\nname = 'greedy'\n")
    assert read_study(tmp_path / "x.toml").name == "x"
