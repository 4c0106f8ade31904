"""Runs described by names and numbers: built as told, and refused with the path of the key that is wrong."""

import copy
import json
import math
import re

import numpy as np
import pytest

from rankwise.data.synthetic import GENERATORS
from rankwise.factorizations import Deep, Orthogonal
from rankwise.penalties import Ratio
from rankwise.problems import PROBLEMS, Huber
from rankwise.solvers import GradientDescent, Greedy
from rankwise.spec import build_spec, read_spec, write_record
from rankwise.studies.overlay import put

RUN = {
    "key": 2,
    "max_steps": 5,
    "checkpoints": [0, 5],
    "track": ["effective_rank"],
    "problem": {
        "name": "completion",
        "count": 30,
        "noise": 0.1,
        "holdout": 0.2,
        "loss": "mean",
        "dtype": "float32",
        "truth": {"shape": [8, 7], "rank": 2, "key": 1, "kappa": 10.0},
    },
    "solver": {
        "name": "gradient_descent",
        "tolerance": 1e-6,
        "factorization": {"name": "deep", "depth": 3, "start": {"name": "orthogonal", "scale": 0.1}},
        "optimizer": {"name": "adam", "learning_rate": 0.01, "b1": 0.8},
        "penalty": {"name": "ratio", "weight": 1e-2},
    },
}


def changed(path, value):
    """`RUN` with another value at a dotted path; None takes the key out."""
    made = copy.deepcopy(RUN)
    *parents, last = path.split(".")
    inner = made
    for key in parents:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return made


def test_everything_is_built_as_told():
    spec = build_spec(RUN)
    assert isinstance(spec.solver, GradientDescent)
    assert spec.solver.factorization == Deep(3, Orthogonal(0.1))
    assert spec.solver.penalty == Ratio(1e-2)
    assert dict(spec.solver.optimizer.settings) == {"b1": 0.8}
    assert spec.problem.shape == (8, 7)
    assert spec.problem.values.dtype == np.float32
    assert (spec.problem.size, spec.heldout.size) == (24, 6)
    assert spec.problem.scale == pytest.approx(2 / 24)
    assert spec.truth.rank == 2
    assert spec.arguments == {key: RUN[key] for key in ("key", "max_steps", "checkpoints", "track")}


def test_names_alone_take_the_defaults():
    spec = build_spec({"problem": changed("problem.loss", None)["problem"], "solver": "greedy"})
    assert spec.solver == Greedy()
    assert spec.problem.scale == 1


def test_a_run_is_the_same_twice_and_its_record_is_plain(tmp_path):
    spec = build_spec(RUN)
    first, second = spec.solve(), build_spec(RUN).solve()
    assert np.asarray(first.matrix).tobytes() == np.asarray(second.matrix).tobytes()
    write_record(spec, first, tmp_path / "run")
    made = json.loads((tmp_path / "run" / "record.json").read_text())
    assert made["spec"] == RUN
    assert made["steps"] == 5
    assert made["result"]["name"] == first.result.name
    assert set(made["versions"]) >= {"rankwise", "numpy", "jax"}
    assert len(made["history"]["effective_rank"]) == 2


def test_a_flow_takes_lists_of_times_and_infinite_depth(tmp_path):
    solver = {"name": "end_to_end_flow", "depth": math.inf, "start": {"name": "identity", "scale": 0.1}}
    flow = {**RUN, "max_steps": 2, "solver": {**solver, "times": [0.5, 2]}, "checkpoints": 2}
    flow["problem"] = {**RUN["problem"], "dtype": "float64"}
    spec = build_spec(flow)
    write_record(spec, spec.solve(), tmp_path / "run")
    made = json.loads((tmp_path / "run" / "record.json").read_text())
    assert made["history"]["time"] == [0.0, 0.5, 2.0]
    assert made["spec"]["solver"]["depth"] == "inf"
    with pytest.raises(ValueError, match="times must be a positive horizon"):
        build_spec({**flow, "solver": {**solver, "times": [2.0, 0.5]}})


def test_a_table_in_a_file_is_found_beside_the_spec(tmp_path):
    (tmp_path / "t.csv").write_text("u,i,v\na,x,1\na,y,2\nb,x,3\n")
    (tmp_path / "run.toml").write_text('solver = "greedy"\n[problem]\nfile = "t.csv"\nlong = ["u", "i", "v"]\n')
    spec = read_spec(tmp_path / "run.toml")
    assert spec.problem.shape == (2, 2)
    assert spec.problem.size == 3
    assert spec.truth is None


RATINGS = {"file": "u.data", "format": "tsv", "header": False, "long": ["c1", "c2", "c3"]}


def test_of_a_table_so_many_cells_are_observed_and_all_others_held_out(tmp_path):
    cells = [(user, item) for user in range(6) for item in range(5)]
    (tmp_path / "u.data").write_text("".join(f"{u}\t{i}\t{5 * u + i}\t88125094\n" for u, i in cells))

    def built(**changes):
        return build_spec({"problem": {**RATINGS, "count": 4, "loss": "mean", **changes}, "solver": "greedy"}, tmp_path)

    spec = built()
    assert (spec.problem.size, spec.heldout.size, spec.problem.scale) == (4, 26, 0.5)
    assert sorted([*spec.problem.values, *spec.heldout.values]) == list(range(30))
    np.testing.assert_array_equal(spec.problem.values, built().problem.values)
    assert not np.array_equal(spec.problem.values, built(holdout_key=1).problem.values)
    for changes, told in (
        ({"count": 30}, "problem.count must lie between 1 and 29"),
        ({"count": 0.1}, "problem.count must be a whole number"),
        ({"holdout": 0.1}, "leave problem.holdout out"),
        ({"format": "tvs"}, "problem.format: unknown format 'tvs'; did you mean 'tsv'?"),
        ({"header": "no"}, "problem.header must be true or false"),
        ({"decimal": ";"}, "problem.decimal: unknown decimal ';'"),
        ({"holes": -999}, "problem.holes must be a list of words and numbers, not -999"),
        ({"truth": {}}, "problem.truth is not a key"),
        ({"center": 3.5}, "problem.center must be true or false"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            built(**changes)
    assert sorted([*(few := built(holes=[29, 0])).problem.values, *few.heldout.values]) == list(range(1, 29))
    centered = built(center=True)
    mean = spec.problem.values.mean()
    np.testing.assert_allclose(centered.problem.values, spec.problem.values - mean)
    np.testing.assert_allclose(centered.heldout.values, spec.heldout.values - mean)
    assert built(count=29, center=True).problem.values.mean() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match=re.escape("problem.center is for tables in a file")):
        build_spec({**RUN, "problem": {**RUN["problem"], "center": True}})


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("problem", None, "problem is missing"),
        ("problem", 3, "problem must be a table of keys, not 3"),
        ("problem.name", "completoin", "problem.name: unknown problem 'completoin'; did you mean 'completion'?"),
        ("problem.name", ["completion"], "problem.name must be a name"),
        ("problem.cuont", 3, "problem.cuont is not a key; did you mean 'count'?"),
        ("problem.count", None, "problem.count, the number of observations, is missing"),
        ("problem.count", "many", "problem.count must be a whole number, not 'many'"),
        ("problem.count", -1, "problem: count"),
        ("problem.count", 10**9, "problem: "),
        ("problem.name", "phase_retrieval", "problem.name: a PhaseRetrieval is made of arrays, which only Python can"),
        ("problem.misfit", "hubr", "problem.misfit.name: unknown misfit 'hubr'; did you mean 'huber'?"),
        ("problem.misfit", "huber", "problem.misfit.delta is missing"),
        ("problem.misfit", {"name": "huber", "delta": "x"}, "problem.misfit.delta must be a number, not 'x'"),
        ("problem.misfit", {"name": "huber", "delta": 0}, "problem.misfit: delta must be positive and finite"),
        ("problem.misfit", {"name": "squared", "delta": 1}, "problem.misfit.delta is not a key"),
        ("problem.misfit", {"delta": 1}, "problem.misfit.name is missing"),
        ("problem.misfit", 2, "problem.misfit must be a table of keys, not 2"),
        ("problem.loss", "mena", "problem.loss must be 'half_sum', 'mean' or 'sum', not 'mena'"),
        ("problem.dtype", "float16", "problem.dtype must be 'float32' or 'float64'"),
        ("problem.holdout", 1, "problem.holdout must be a number at least 0 and below 1, not 1"),
        ("problem.holdout", "a", "problem.holdout must be a number"),
        ("problem.file", 3, "problem.file must be a file name, not 3"),
        ("problem.truth", None, "problem.truth is missing"),
        ("problem.truth", [1], "problem.truth must be a table of keys"),
        ("problem.truth.rnak", 3, "problem.truth.rnak is not a key; did you mean 'rank'?"),
        ("problem.truth.rank", None, "problem.truth.rank is missing"),
        ("problem.truth.shape", 8, "problem.truth.shape must be two numbers, not 8"),
        ("problem.truth.shape", [8, 2.5], "problem.truth.shape must be a whole number, not 2.5"),
        ("problem.truth.symmetric", "yes", "problem.truth.symmetric must be true or false, not 'yes'"),
        ("solver", None, "solver is missing"),
        ("solver", "gredy", "solver.name: unknown solver 'gredy'; did you mean 'greedy'?"),
        ("solver", [], "solver must be a table of keys"),
        ("solver.name", None, "solver.name is missing; known: "),
        ("solver.ranks", 3, "solver.ranks is not a key"),
        ("solver.tolerance", "small", "solver.tolerance must be a number, not 'small'"),
        (
            "solver.factorization.name",
            "deeep",
            "solver.factorization.name: unknown factorization 'deeep'; did you mean",
        ),
        ("solver.factorization.depth", 2.5, "solver.factorization.depth must be a whole number, not 2.5"),
        ("solver.factorization.depth", 0, "solver.factorization: depth"),
        ("solver.factorization.depth", 10**12, "solver.factorization.depth is too large"),
        ("solver.factorization.start.scale", "x", "solver.factorization.start.scale must be a number, not 'x'"),
        ("solver.factorization.start", "given", "solver.factorization.start: Given needs a matrix, which only Python"),
        ("solver.factorization.start", {"name": "given", "matrix": [[1.0]]}, "Given needs a matrix, which only Python"),
        ("solver.factorization.start", "gausian", "unknown start 'gausian'; did you mean 'gaussian'?"),
        ("solver.optimizer", 3, "solver.optimizer must be a table of keys"),
        ("solver.optimizer", "rmsprp", "solver.optimizer.name: unknown optimizer 'rmsprp'; did you mean 'rmsprop'?"),
        ("solver.optimizer.learning_rate", True, "solver.optimizer.learning_rate must be a number, not True"),
        ("solver.optimizer.beta", 0.9, "solver.optimizer: "),
        ("solver.penalty.weight", [1], "solver.penalty: weight must be a number, not [1]"),
        ("max_stpes", 3, "max_stpes is not a key; did you mean 'max_steps'?"),
        ("max_steps", "few", "max_steps must be a whole number, not 'few'"),
        ("max_steps", -5, "max_steps must be at least 0, not -5"),
        ("key", -1, "key must be at least 0, not -1"),
        ("key", "a", "key must be a whole number, not 'a'"),
        ("checkpoints", "many", "checkpoints must be a whole number"),
        ("checkpoints", 100_000_000, "checkpoints must lie between 1 and 1,000,000, not 100000000"),
        ("checkpoints", {"a": 1}, "checkpoints.a is not a key; known: count, spacing"),
        ("checkpoints", {"count": 0}, "checkpoints.count must lie between 1 and 1,000,000, not 0"),
        ("checkpoints", {"count": 2_000_000_000}, "checkpoints.count must lie between 1 and 1,000,000"),
        ("checkpoints", {"count": 3, "spacing": "wide"}, "checkpoints.spacing must be 'log' or 'linear', not 'wide'"),
        ("solver.penalty", ["nuclear", {"name": "ratios"}], "solver.penalty[1].name: unknown penalty 'ratios'"),
        ("problem.holdout_key", 0.5, "problem.holdout_key must be a whole number, not 0.5"),
        ("track", "effective_rank", "track must be a list of names"),
        ("track", ["efective_rank"], "track: unknown track 'efective_rank'; did you mean 'effective_rank'?"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(path, value, told):
    with pytest.raises(ValueError, match=r"^[a-z]") as caught:
        build_spec(changed(path, value))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("track", ["heldout_loss"], "track has 'heldout_loss', which needs problem.holdout above 0"),
        ("solver", "amplitude_flow", "solver: AmplitudeFlow takes intensities"),
        ("solver", {"name": "alternating_least_squares", "rank": 8}, "solver: rank must be at most 7"),
        ("checkpoints", [0, 6], "checkpoints must lie between 0 and max_steps = 5"),
    ],
)
def test_what_solver_and_problem_refuse_is_named_with_its_key(path, value, told):
    plain = {**RUN, "solver": {"name": "gradient_descent"}, "problem": {**RUN["problem"], "holdout": 0}}
    build_spec(plain).check()
    with pytest.raises(ValueError, match=f"^{told}"):
        build_spec(put(plain, path, value)).check()


@pytest.mark.parametrize("name", GENERATORS)
def test_every_kind_of_measurement_is_drawn_by_name(name):
    given = {**RUN["problem"], "name": name, "count": 40, "misfit": {"name": "huber", "delta": 0.3}}
    spec = build_spec({"problem": given, "solver": "greedy"})
    assert type(spec.problem) is PROBLEMS[name]
    assert (spec.problem.size, spec.heldout.size, spec.problem.values.dtype) == (32, 8, np.float32)
    assert spec.problem.misfit == spec.heldout.misfit == Huber(0.3)
    assert np.isfinite(spec.problem.loss(spec.truth))
    assert np.sqrt(np.mean(spec.problem.residual(spec.truth) ** 2)) < 0.2  # its noise is 0.1


SMALL = {"truth": {"matrix": [[1, 2], [2, 4]]}, "observed": [[0, 1], [1, 0]]}


def test_a_truth_and_its_observed_entries_may_be_listed():
    spec = build_spec({"problem": SMALL, "solver": "greedy"})
    np.testing.assert_allclose(spec.truth.dense(), [[1, 2], [2, 4]], rtol=1e-15)
    assert (spec.problem.rows.tolist(), spec.problem.cols.tolist()) == ([0, 1], [1, 0])
    assert spec.problem.values.tolist() == [2, 2]
    assert spec.truth.rank == 1
    drawn = {"truth": SMALL["truth"], "name": "sensing", "count": 3}
    assert build_spec({"problem": drawn, "solver": "greedy"}).problem.size == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"truth": {"matrix": [[1, 2], [3]]}}, "problem.truth.matrix must be a list of rows"),
        ({"truth": {"matrix": [[1, 2]], "rank": 1}}, "problem.truth.rank is not a key"),
        ({"count": 3}, "problem.count is not a key"),
        ({"name": "sensing"}, "problem.observed lists entries of a completion, not of 'sensing'"),
        ({"observed": []}, "problem.observed must be a list of entries"),
        ({"observed": [[0]]}, "problem.observed: an entry is [row, column], not [0]"),
        ({"observed": [[0, 2]]}, "problem.observed: [0, 2] lies outside a matrix of shape (2, 2)"),
        ({"observed": [[0, 1], [0, 1]]}, "problem.observed: "),
    ],
)
def test_what_is_wrong_in_listed_entries_is_named(change, told):
    with pytest.raises(ValueError, match=r"^problem") as caught:
        build_spec({"problem": {**SMALL, **change}, "solver": "greedy"})
    assert told in str(caught.value)


def test_a_spec_that_is_no_text_is_told_in_one_line(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xff\x00\x01")
    with pytest.raises(ValueError, match=r"run\.toml is not a TOML file: it is not UTF-8 text$"):
        read_spec(tmp_path / "run.toml")


def test_a_broken_table_is_told_with_both_files(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "run.toml").write_text('solver = "greedy"\n[problem]\nfile = "t.csv"\n')
    with pytest.raises(ValueError, match=r"run\.toml: t\.csv: line 3 has 1 cell"):
        read_spec(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text('solver = "greedy"\n[problem]\nfile = "t.csv"\nlong = ["u", "i"]\n')
    with pytest.raises(ValueError, match=r"problem\.long must be three column names"):
        read_spec(tmp_path / "run.toml")


JUNK = [None, "x", [], [1, 2], -1, 1.5, float("nan"), True, {}, {"name": "x"}, {"name": ["a"]}, [[1]], 10**25]


def paths(inner, parents=()):
    for key, value in inner.items():
        yield ".".join((*parents, key))
        if isinstance(value, dict):
            yield from paths(value, (*parents, key))


@pytest.mark.parametrize("path", list(paths(RUN)))
def test_junk_anywhere_is_built_or_refused(path):
    for junk in JUNK:
        try:
            build_spec(changed(path, junk))
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_checkpoints_in_equal_ratios_or_intervals():
    log = build_spec({**RUN, "max_steps": 1000, "checkpoints": {"count": 4}})
    assert log.arguments["checkpoints"] == [0, 1, 10, 100, 1000]
    even = build_spec({**RUN, "checkpoints": {"count": 5, "spacing": "linear"}})
    assert even.arguments["checkpoints"] == [0, 1, 2, 3, 4, 5]


def test_a_list_of_penalties_is_their_sum():
    terms = [{"name": "ratio", "weight": 1e-2}, {"name": "norm_cap", "weight": 0.5}]
    spec = build_spec(changed("solver.penalty", terms))
    assert [type(term).__name__ for term in spec.solver.penalty.terms] == ["Ratio", "NormCap"]
    assert spec.solver.penalty.terms[1].weight == 0.5
