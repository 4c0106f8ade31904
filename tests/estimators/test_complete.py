"""`complete`: recovery, honesty where there is nothing to recover, and tables at their edges."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import rankwise as rw
from rankwise.estimators import record
from rankwise.estimators.fitting import FULL_RANK, Task
from rankwise.estimators.holdout import ColumnError, Holdout
from rankwise.estimators.scaling import SCALINGS, remove_effects
from rankwise.estimators.selection import exact_fits, fit
from rankwise.results import RESULTS

RNG = np.random.default_rng


def holed(matrix, share, seed=0):
    table = np.array(matrix, float)
    table[RNG(seed).random(table.shape) < share] = np.nan
    return table


LOW_RANK = rw.low_rank((60, 25), 2, key=0).dense() * np.geomspace(1, 1e3, 25)


def test_an_exactly_low_rank_table_comes_back_exactly():
    table = holed(LOW_RANK, 0.4)
    done = rw.complete(table)
    assert (done.method, done.rank, done.result, done.low_rank) == ("greedy", 2, RESULTS.explained, True)
    np.testing.assert_allclose(done.matrix, LOW_RANK, rtol=1e-6, atol=1e-6)
    seen = ~np.isnan(table)
    np.testing.assert_array_equal(done.matrix[seen], table[seen])
    assert done.holdout_rmse < 1e-6 * done.holdout_rmse_column_means


def test_rank_and_error_are_found_under_noise():
    noise = 0.1
    clean = rw.low_rank((120, 40), 3, key=1).dense()
    done = rw.complete(holed(clean + noise * RNG(2).standard_normal(clean.shape), 0.2))
    assert done.rank in (3, 4)
    holes = np.isnan(done.table.values)
    true_error = np.sqrt(np.mean((done.matrix - clean)[holes] ** 2))
    # The held-out cells carry noise of their own.
    assert np.hypot(true_error, noise) == pytest.approx(done.holdout_rmse, rel=0.25)
    assert true_error < 0.6 * noise


def test_noise_alone_is_said_to_have_no_structure():
    done = rw.complete(holed(RNG(3).standard_normal((80, 20)), 0.2))
    assert (done.low_rank, done.rank) == (False, 0)
    assert done.method in ("means", "effects")
    assert "no low-rank structure" in done.verdict


def test_row_and_column_effects_are_found():
    rows, cols = RNG(4).standard_normal((50, 1)), 5 * RNG(5).standard_normal((1, 12))
    table = holed(rows + cols + 0.05 * RNG(6).standard_normal((50, 12)), 0.2)
    done = rw.complete(table, method="effects")
    assert done.holdout_rmse < 0.1 < done.holdout_rmse_column_means
    assert rw.complete(table).holdout_rmse < 0.1


@pytest.mark.parametrize("method", ["deep", "ratio"])
def test_trained_methods_recover_too(method, monkeypatch):
    monkeypatch.setattr("rankwise.estimators.trained.MAX_STEPS", 12_000)
    done = rw.complete(holed(rw.low_rank((30, 20), 2, key=7).dense(), 0.3), method=method)
    assert done.method == method
    assert done.holdout_rmse < 0.01 * done.holdout_rmse_column_means


def test_same_key_same_completion_and_another_key_another_holdout():
    table = holed(LOW_RANK[:30, :10] + RNG(8).standard_normal((30, 10)), 0.3)
    one, two, other = rw.complete(table), rw.complete(table), rw.complete(table, key=1)
    np.testing.assert_array_equal(one.matrix, two.matrix)
    assert one.holdout_rmse == two.holdout_rmse != other.holdout_rmse


def test_frames_come_back_as_frames():
    frame = pd.DataFrame(holed(LOW_RANK[:, :5], 0.2), columns=list("abcde"))
    frame.insert(2, "name", [f"r{i}" for i in range(len(frame))])
    frame.index = pd.Index(range(10, 10 + len(frame)), name="site")
    done = rw.complete(frame)
    assert list(done.frame.columns) == list(frame.columns)
    assert not done.frame.drop(columns="name").isna().any().any()
    pd.testing.assert_index_equal(done.frame.index, frame.index)
    pd.testing.assert_series_equal(done.frame["name"], frame["name"])


def test_empty_rows_and_columns_stay_holes_unless_asked():
    table = holed(LOW_RANK, 0.2)
    table[3], table[:, 4] = np.nan, np.nan
    done = rw.complete(table)
    assert done.empty_rows == ("4",)
    assert done.empty_columns == ("c5",)
    assert np.isnan(done.matrix[3]).all()
    assert np.isnan(done.matrix[:, 4]).all()
    assert np.isnan(done.matrix).sum() == 60 + 25 - 1
    assert np.isfinite(rw.complete(table, fill_empty=True).matrix).all()


def test_denoise_replaces_observed_cells():
    clean = rw.low_rank((100, 30), 2, key=9).dense()
    noisy = holed(clean + 0.2 * RNG(10).standard_normal(clean.shape), 0.1)
    seen = ~np.isnan(noisy)
    smooth = rw.complete(noisy, denoise=True).matrix
    assert np.mean((smooth - clean)[seen] ** 2) < 0.5 * np.mean((noisy - clean)[seen] ** 2)


@pytest.mark.parametrize(
    "table",
    [
        [[1.0, 2.0], [3.0, np.nan]],
        [[1.0, np.nan]] * 3,
        np.where(np.eye(30, 8) > 0, np.nan, 7.0),
        np.where(np.eye(30, 8) > 0, np.nan, np.arange(8.0)),
        holed(1e200 * LOW_RANK, 0.2),
        holed(1e-200 * LOW_RANK, 0.2),
        holed(np.outer(np.arange(1, 31), np.arange(1, 9)), 0.1),
        holed(LOW_RANK, 0.2).astype(np.float32),
        holed(np.hstack([LOW_RANK, np.ones((60, 1))]), 0.2),
    ],
    ids=[
        "2x2",
        "column of holes",
        "constant",
        "constant columns",
        "huge",
        "tiny",
        "rank one",
        "float32",
        "one constant",
    ],
)
def test_edges_are_filled_with_finite_numbers(table):
    array = np.asarray(table)
    done = rw.complete(array)
    fillable = np.broadcast_to(~np.isnan(array).all(axis=0), array.shape)
    assert np.isfinite(done.matrix[fillable]).all()
    assert done.matrix.dtype == array.dtype


def test_nothing_to_do_and_nothing_to_learn():
    done = rw.complete(np.eye(3))
    np.testing.assert_array_equal(done.matrix, np.eye(3))
    assert done.method == "none"
    with pytest.raises(ValueError, match="the array has no observed cell"):
        rw.complete(np.full((3, 3), np.nan))


def test_scalings_restore_what_they_took():
    problem = rw.Completion.from_dense(holed(LOW_RANK + 5, 0.3))
    for make in SCALINGS.values():
        scaling = make(problem)
        standardized = scaling.standardize(problem)
        z = np.zeros(problem.shape)
        z[problem.rows, problem.cols] = standardized.values
        np.testing.assert_allclose(scaling.restore(z)[problem.rows, problem.cols], problem.values)


def test_row_effects_are_shrunk_to_nothing_when_there_are_none():
    problem = rw.Completion.from_dense(holed(RNG(11).standard_normal((400, 6)), 0.2))
    assert np.abs(remove_effects(problem).effects).max() < 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "gredy"}, "did you mean 'greedy'"),
        ({"holdout": 1.0}, "holdout must be"),
        ({"holdout": 0.0}, "holdout must be above 0"),
        ({"holdout": "x"}, "holdout must be a number, not 'x'"),
        ({"key": -1}, "key must be"),
        ({"max_rank": 0}, "max_rank must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        rw.complete(holed(LOW_RANK, 0.1), **arguments)


def test_too_few_held_out_cells_claim_nothing_and_an_exact_fit_is_used_all_the_same():
    exact = np.outer(np.arange(1, 11.0), np.arange(1, 7))
    exact[2, 3] = np.nan
    done = rw.complete(exact)
    assert done.holdout.problem.size < 10
    assert (done.method, done.rank, done.low_rank) == ("greedy", 1, False)
    assert done.matrix[2, 3] == pytest.approx(12)
    assert "too few held-out cells" in done.verdict
    noisy = rw.complete(exact + 5 * RNG(0).standard_normal(exact.shape))
    assert (noisy.method in ("means", "effects"), noisy.low_rank) == (True, False)


def holdout_of(errors, baseline, scales=1.0):
    problem = rw.Completion((len(errors), 1), np.arange(len(errors)), np.zeros(len(errors), int), 0 * errors)
    return Holdout(problem, errors, baseline, baseline + 1, scales * np.ones(len(errors)))


@pytest.mark.parametrize(("cells", "sure"), [(9, False), (10, True)])
def test_structure_is_claimed_from_ten_cells_on(cells, sure):
    assert holdout_of(np.linspace(0, 0.1, cells), np.ones(cells)).beaten() == sure


def test_structure_is_claimed_beyond_the_quantile_of_t():
    errors = np.zeros(10)
    wins = np.sqrt(np.arange(10.0))  # gains 0..9: t = 4.5 / (3.03 / sqrt(10)) = 4.7
    assert holdout_of(errors, wins).beaten()
    losses = np.sqrt(np.arange(10.0) + 10)
    assert not holdout_of(losses, np.sqrt(np.arange(10.0)[::-1] * 2 + 2)).beaten()


def test_the_error_of_the_held_out_error_covers_it():
    errors = RNG(0).standard_normal((2000, 50))
    found = [holdout_of(one, one) for one in errors]
    spread = np.mean([one.rmse_error(one.predicted) for one in found])
    assert spread == pytest.approx(np.std([one.rmse(one.predicted) for one in found]), rel=0.1)
    assert found[0].rmse_error(1e200 * errors[0]) == pytest.approx(1e200 * found[0].rmse_error(errors[0]))
    assert holdout_of(np.ones(1), np.ones(1)).rmse_error(np.ones(1)) is None


def test_a_rejected_low_rank_fit_keeps_its_error():
    noise = holed(RNG(12).standard_normal((40, 8)) + 0.5 * LOW_RANK[:40, :8] / LOW_RANK[:40, :8].std(axis=0), 0.2)
    made = next(
        found for key in range(20) if (found := record.full(rw.complete(noise, key=key), "o", "c"))["rejected_rank"]
    )
    assert made["holdout_rmse_rejected"] > 0
    assert not any(one["chosen"] for one in made["candidates"])
    assert made["taken_instead"] in ("column means", "row and column effects")


def test_units_matter_where_scales_differ_or_the_order_does():
    assert rw.complete(holed(LOW_RANK, 0.2)).units_matter
    assert not rw.complete(holed(RNG(3).standard_normal((80, 20)), 0.2)).units_matter


def test_every_column_has_its_error_in_its_units():
    table = holed(LOW_RANK + 0.1 * LOW_RANK.std(axis=0) * RNG(1).standard_normal(LOW_RANK.shape), 0.2)
    table[:, 4] = np.nan
    table[:, 7] = 5.0
    done = rw.complete(table)
    errors, held = done.column_errors, done.holdout
    assert [one.name for one in errors] == list(done.table.column_names)
    assert errors[4] == ColumnError("c5", 60, None, None, 0)
    assert (errors[7].holes, errors[7].deviation, errors[7].rmse) == (0, 0.0, pytest.approx(0, abs=1e-9))
    assert sum(one.count for one in errors) == held.problem.size
    squares = sum(one.count * one.rmse**2 for one in errors if one.count)
    assert np.sqrt(squares / held.problem.size) == pytest.approx(done.holdout_rmse)
    assert errors[9].deviation == pytest.approx(np.nanstd(table[:, 9]))
    assert record.summary(done, "o", "c")["column_errors"][4]["rmse"] is None
    assert rw.complete([[1.0, 2.0], [3.0, np.nan]]).column_errors == ()


def test_even_noise_in_one_unit_stays_even():
    # Columns of unlike size, noise alike in all: least squares on the table as it is is the right fit.
    rng = RNG(0)
    clean = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 20))
    table = holed(clean + 0.01 * rng.normal(size=clean.shape), 0.3)
    done, plain = rw.complete(table), rw.solve(rw.Completion.from_dense(table), rw.Greedy(max_rank=2))
    assert (done.rank, done.members[0].scaling) == (2, "one scale")
    holes = np.isnan(table)
    wrong, least = (np.sqrt(np.mean((np.asarray(one) - clean)[holes] ** 2)) for one in (done.matrix, plain.matrix))
    assert wrong == pytest.approx(least, rel=1e-6)
    # Errors of candidates are in column standard deviations, however a candidate was scaled.
    scaled = next(one for one in done.members if one.name == "scaled, no ridge")
    assert done.members[0].path[0].holdout_rmse == pytest.approx(scaled.path[0].holdout_rmse)


def test_columns_too_unlike_for_one_scale():
    table = LOW_RANK * np.where(np.arange(25) % 2, 1e-200, 1e150) * (1 + 0.1 * RNG(2).standard_normal(LOW_RANK.shape))
    done = rw.complete(holed(table, 0.2))
    assert not any("one scale" in one.scaling for one in done.members)
    assert done.units_matter


def test_why_it_stopped_is_told_to_the_owner_of_a_table():
    for result in (*record.STOPPED, RESULTS.holdout_stopped, RESULTS.holdout_step, RESULTS.budget, RESULTS.closed_form):
        words = record.STOPPED.get(result, result.value)
        assert not re.search(r"loss|learning rate|solver|inner_steps|norm_limit|state|residual", words), words
    done = rw.complete(holed(LOW_RANK, 0.4))
    assert record.summary(done, "o", "c")["result"] == {
        "name": "explained",
        "sentence": "The observed cells are fitted to rounding.",
    }


def test_a_fit_of_full_rank_is_no_low_rank_structure():
    task, better = Task("greedy", 0.1, 0, None, False, print), holdout_of(np.zeros(20), np.ones(20))
    assert task._verdict(better, SimpleNamespace(rank=1)) == (False, FULL_RANK.format("column means"))


def test_methods_that_cannot_be_run_are_refused_and_auto_falls_back():
    few = [[1.0, 2.0], [3.0, np.nan]]
    for method in ("greedy", "deep", "ratio"):
        with pytest.raises(ValueError, match=f"method '{method}' cannot be run.*only 3 cells are observed"):
            rw.complete(few, method=method)
    assert rw.complete(few).method == "effects"


def test_a_baseline_says_nothing_about_structure():
    assert "No low-rank fit was asked for" in rw.complete(holed(LOW_RANK, 0.2), method="means").verdict


def test_fewer_held_out_cells_than_asked_are_noted():
    done = rw.complete(holed(LOW_RANK, 0.2), holdout=0.9, method="means")
    assert done.warnings[0].startswith(f"{done.holdout.problem.size} of the ")


def test_row_effects_that_shrank_to_nothing_are_not_named():
    done = rw.complete(holed(RNG(11).standard_normal((400, 6)), 0.2), method="effects")
    assert ("row effects" in done.scaling.sentence) == bool(done.scaling.effects.any())
    rows = holed(RNG(4).standard_normal((50, 1)) + np.zeros((1, 12)) + 0.1 * RNG(5).standard_normal((50, 12)), 0.2)
    assert "row effects removed" in rw.complete(rows, method="effects").scaling.sentence


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers_whose_sums_overflow_are_refused_by_column(dtype):
    table = holed(LOW_RANK, 0.2).astype(dtype)
    table[:, 3] = np.finfo(dtype).max
    with pytest.raises(ValueError, match=r"^the array: the numbers in column 'c4' are too large"):
        rw.complete(table)
    frozen = np.full((2, 2), np.finfo(dtype).max)
    np.testing.assert_array_equal(rw.complete(frozen).matrix, frozen)


def test_trained_methods_name_the_step_that_held_out_error_chose(monkeypatch):
    monkeypatch.setattr("rankwise.estimators.trained.MAX_STEPS", 200)
    done = rw.complete(holed(LOW_RANK[:20, :8], 0.2), method="deep")
    assert done.result is RESULTS.holdout_step
    assert done.result.successful


def test_constant_tables_leave_nothing_to_train_on_and_say_so():
    table = np.where(np.eye(30, 8) > 0, np.nan, 7.0)
    assert any("nothing was left to train on" in one for one in rw.complete(table, method="deep").warnings)


def test_a_bound_on_the_rank_that_was_met_is_told():
    rng = np.random.default_rng(0)
    full = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 12))
    holed = np.where(rng.random(full.shape) < 0.15, np.nan, full)
    assert rw.complete(holed, max_rank=1, method="greedy").result is RESULTS.max_rank
    assert rw.complete(holed).result is not RESULTS.max_rank


def test_a_search_that_time_cut_short_says_so_and_denies_nothing():
    table = holed(rw.low_rank((40, 30), 6, key=0).dense() + 0.1 * RNG(0).standard_normal((40, 30)), 0.2)
    done = rw.complete(table, budget=1e-9, method="greedy")
    assert (done.rank, done.result, done.result.successful) == (1, RESULTS.budget, False)
    assert done.warnings == (
        "the budget ended the search at rank 1, with 6 preparations not tried: more time may find a higher rank",
    )
    noise = rw.complete(holed(RNG(3).standard_normal((80, 20)), 0.2), budget=1e-9)
    assert "could not be told in the time given" in noise.verdict
    assert (noise.method in ("means", "effects"), noise.result) == (True, RESULTS.budget)
    assert [one.cut for one in noise.members if one.exact_by is None] == [True, True]
    ample = rw.complete(table[:20].round(), budget=60, method="greedy")  # rounded: no exact fit is sought
    assert ample.warnings == ()
    assert not any(one.cut for one in ample.members)


def test_a_certified_fit_is_told_with_what_ran():
    truth = rw.low_rank((60, 60), 2, key=3, kappa=1)
    problem = rw.observe(truth, 420, key=4, min_degree=4)
    table = np.full((60, 60), np.nan)
    table[problem.rows, problem.cols] = problem.values
    done = rw.complete(table, budget=20)
    assert done.certified
    assert done.rank == 2
    assert np.abs(done.matrix - truth.dense()).max() < 1e-6
    assert any(member.certified for member in done.members) or done.result is RESULTS.explained
    assert ", certified," in repr(done)


def test_cells_that_hang_on_one_untested_cell_are_counted():
    # Two blocks of rank one that one cell joins: what lies across is filled in from that cell.
    rng = RNG(3)
    table = np.full((20, 12), np.nan)
    for rows, cols in ((slice(0, 10), slice(0, 6)), (slice(10, 20), slice(6, 12))):
        block = np.outer(rng.random(10) + 1, rng.random(6) + 1)
        block[1, 2] = np.nan
        table[rows, cols] = block
    table[0, 6] = 1.5
    done = rw.complete(table)
    assert done.certified
    across = np.kron(1 - np.eye(2), np.ones((10, 6))).astype(bool)
    across[0, 6] = False
    np.testing.assert_array_equal(done.untested, across)
    assert any(words.startswith("119 of the filled cells hang on 1 of the observed") for words in done.warnings)


def test_rows_and_columns_are_certified_one_by_one():
    rng = RNG(1)
    noise, low_rank = rng.standard_normal((40, 12)), rng.standard_normal((40, 2)) @ rng.standard_normal((2, 12))
    seen = rng.random(noise.shape) < 0.7
    seen[0] = True
    stamps = np.vstack([1.7e18 + 1e12 * rng.random(12), noise[1:]])
    low_rank[5] = 0
    tables = {"stamps": stamps, "offset": 1e12 + noise, "rows": low_rank * 10.0 ** rng.uniform(-4, 4, (40, 1))}
    done = {name: rw.complete(np.where(seen, table, np.nan)).certified for name, table in tables.items()}
    assert done == {"stamps": False, "offset": False, "rows": True}


def test_a_certified_fit_is_not_sought_again(monkeypatch):
    truth = rw.low_rank((30, 20), 2, key=0)
    part, problem = (rw.observe(truth, count, key=1, min_degree=3) for count in (160, 170))
    found = exact_fits(part, 0, None, None, lambda words: None)[0]
    assert found.certificate.holds
    monkeypatch.setattr("rankwise.estimators.selection.recover", lambda *_, **__: pytest.fail("sought again"))
    for given in (part, problem):
        scaling, solution = fit(given, found, 0)
        np.testing.assert_allclose(scaling.restore(solution.matrix), truth.dense(), atol=1e-8)


def test_a_noisy_table_is_uncertified():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 12)) + 0.1 * rng.normal(size=(30, 12))
    table[rng.random(table.shape) < 0.2] = np.nan
    done = rw.complete(table)
    assert not done.certified
    assert ", uncertified," in repr(done)
    assert done.members
    assert not any(member.certified for member in done.members)


def test_bounds_hold_what_is_filled_and_refuse_what_is_given():
    rng = np.random.default_rng(0)
    ratings = np.clip(np.round(3 + rng.normal(size=(40, 1)) + rng.normal(size=(1, 15))), 1, 5)
    ratings[rng.random(ratings.shape) < 0.5] = np.nan
    free, held = rw.complete(ratings), rw.complete(ratings, bounds=(1, 5))
    assert held.matrix.min() >= 1
    assert held.matrix.max() <= 5
    assert held.holdout_rmse <= free.holdout_rmse
    with pytest.raises(ValueError, match=r"row '.*', column '.*' holds 1, outside the bounds 2 to 5"):
        rw.complete(ratings, bounds=(2, 5))
    with pytest.raises(ValueError, match="budget"):
        rw.complete(ratings, budget=-1)


def test_noise_is_not_certified_by_the_means_it_is_centred_on():
    # A column of two cells becomes (a, -a) once its mean is taken off: rank one fits any.
    for seed in range(4):
        X = np.random.default_rng(seed).standard_normal((2, 14))
        X[0, 3:9] = X[1, 9:] = np.nan
        assert not rw.complete(X, key=seed).certified


def test_a_low_rank_table_around_means_is_certified_with_them():
    truth = rw.low_rank((30, 20), 2, key=0).dense() + np.arange(20)
    seen = np.random.default_rng(0).random(truth.shape) < 0.45
    done = rw.complete(np.where(seen, truth, np.nan))
    assert done.certified
    assert np.allclose(done.matrix, truth)


def test_choices_are_made_on_cells_that_the_scaling_has_not_seen():
    # The mean of a column of three, two of them kept, would tell the third.
    X = np.random.default_rng(0).standard_normal((3, 30))
    assert min(one.holdout_rmse for one in rw.complete(X, denoise=True).members if one.exact_by is None) > 0.1


def test_too_few_cells_to_set_some_aside_twice():
    # Only the last row can spare a cell, and only once.
    X = np.full((11, 2), np.nan)
    X[np.arange(11), np.arange(11) % 2] = np.arange(11) ** 1.5
    X[10] = 3.0, 4.0
    done = rw.complete(X)
    assert done.method == "effects"
    assert "cannot hold out" in " ".join(done.warnings)


def test_bounds_beyond_single_precision():
    table = holed(LOW_RANK, 0.3).astype(np.float32)
    assert np.array_equal(rw.complete(table, bounds=(-1e300, 1e300)).matrix, rw.complete(table).matrix)


def test_a_column_that_is_constant_where_it_is_seen_proves_nothing_by_that():
    rng = np.random.default_rng(0)
    levels = rng.integers(1, 3, 60).astype(float)
    truth = np.outer(levels, rng.uniform(1, 3, 20))
    table = np.where(rng.random(truth.shape) < 0.5, np.nan, truth)
    table[:, -1] = np.nan
    table[np.flatnonzero(levels == 1)[:4], -1] = truth[np.flatnonzero(levels == 1)[0], -1]
    done = rw.complete(table)
    assert np.abs(done.matrix - truth).max() > 1
    assert not done.certified


def test_cells_moved_into_bounds_are_not_certified():
    truth = rw.low_rank((30, 30), 2, key=1)
    seen = rw.observe(truth, int(1.35 * 116), key=1, min_degree=3)
    table = np.full((30, 30), np.nan)
    table[seen.rows, seen.cols] = seen.values
    assert rw.complete(table).certified
    done = rw.complete(table, bounds=(np.nanmin(table), np.nanmax(table)))
    assert not done.certified
    assert "moved into them" in " ".join(done.warnings)


def test_parts_that_share_nothing_are_told():
    table = np.full((40, 40), np.nan)
    truth = rw.low_rank((40, 40), 2, key=0).dense()
    table[:20, :20], table[20:, 20:] = truth[:20, :20], truth[20:, 20:]
    done = rw.complete(table)
    assert "fall into 2 parts" in " ".join(done.warnings)
    assert not done.certified
