"""What observations determine: the rank of the derivative, by elimination and by the whole Jacobian alike."""

import numpy as np
import pytest

import rankwise as rw
from rankwise import tangent
from rankwise.identifiability import completable, identifiability
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.solvers.symmetric_part import folded


def jacobian_rank(problem, matrix):
    u, _, v = matrix.svd()
    values = np.linalg.svd(problem.factor_jacobian(u, v).toarray(), compute_uv=False)
    return int((values > 1e-10 * values[0]).sum())


@pytest.mark.parametrize("shape", [(12, 15), (15, 12)])
@pytest.mark.parametrize("rho", [1.0, 1.1, 1.3])
def test_the_verdict_is_that_of_the_rank_of_the_whole_jacobian(shape, rho):
    degrees = degrees_of_freedom(2, shape)
    truth = rw.low_rank(shape, 2, key=0)
    for key in range(8):
        problem = rw.observe(truth, int(np.ceil(rho * degrees)), key=key, min_degree=2)
        full = jacobian_rank(problem, truth) == degrees
        assert identifiability(problem, truth).holds == full
        assert completable(problem, 2, key) == full


def test_both_outcomes_occur_at_this_size():
    truth = rw.low_rank((12, 15), 2, key=0)
    degrees = degrees_of_freedom(2, (12, 15))
    found = {completable(rw.observe(truth, int(1.1 * degrees), key=key, min_degree=2), 2) for key in range(8)}
    assert found == {True, False}


def test_a_full_matrix_is_completable_at_every_rank_and_too_few_entries_at_none():
    everything = rw.observe(rw.low_rank((6, 5), 2, key=0), 30, key=0)
    assert all(completable(everything, rank) for rank in range(1, 6))
    few = rw.observe(rw.low_rank((6, 5), 2, key=0), 9, key=0)
    assert not completable(few, 1)


def test_a_diagonal_block_pattern_is_not_completable():
    rows, cols = np.nonzero(np.kron(np.eye(2), np.ones((3, 3))))
    assert not completable(rw.Completion((6, 6), rows, cols, np.ones(len(rows))), 1)


def test_the_condition_number_of_the_matrix_plays_no_part():
    truth = rw.low_rank((30, 25), 3, key=1)
    problem = rw.observe(truth, 400, key=2)
    u, _, v = truth.svd()
    steep = LowRank(u * np.array([1e8, 1.0, 1e-8]), v)
    assert identifiability(problem, steep).stiffness == pytest.approx(
        identifiability(problem, truth).stiffness, rel=1e-3
    )


def test_iteration_and_decomposition_find_the_same_stiffness(monkeypatch):
    truth = rw.low_rank((60, 70), 3, key=3)
    problem = rw.observe(truth, 900, key=4, min_degree=4)
    exact = identifiability(problem, truth).stiffness
    monkeypatch.setattr(tangent, "DENSE_UNKNOWNS", 0)
    monkeypatch.setattr(tangent, "DOUBTFUL", 0.0)
    assert identifiability(problem, truth).stiffness == pytest.approx(exact, rel=1e-3)


def test_sensing_needs_as_many_generic_measurements_as_degrees_of_freedom():
    truth = rw.low_rank((7, 6), 2, key=0)
    degrees = degrees_of_freedom(2, (7, 6))
    assert not identifiability(rw.sense(truth, degrees - 1, key=1), truth).holds
    enough = identifiability(rw.sense(truth, degrees, key=1), truth)
    assert enough.holds
    assert not enough.overdetermined


def test_symmetric_matrices_have_fewer_directions():
    truth = rw.low_rank((7, 7), 2, key=0, symmetric=True)
    degrees = degrees_of_freedom(2, (7, 7), symmetric=True)
    assert identifiability(rw.sense(truth, degrees, key=1, symmetric=True), truth, symmetric=True).holds
    assert not identifiability(rw.sense(truth, degrees - 1, key=1, symmetric=True), truth, symmetric=True).holds


def test_bad_input_is_named():
    problem = rw.observe(rw.low_rank((6, 5), 2, key=0), 20, key=0)
    with pytest.raises(ValueError, match="the matrix has shape"):
        identifiability(problem, rw.low_rank((5, 6), 2, key=0))
    with pytest.raises(ValueError, match="must be square"):
        identifiability(problem, rw.low_rank((6, 5), 2, key=0), symmetric=True)
    with pytest.raises(ValueError, match="full column rank"):
        identifiability(problem, LowRank(np.zeros((6, 1)), np.zeros((5, 1))))
    with pytest.raises(ValueError, match="rank must lie between 1 and 5"):
        completable(problem, 6)


def test_a_sparse_join_of_large_blocks_is_not_taken_for_firm():
    # Two blocks of rank 3 are held together by nothing: each can be moved by itself. Iterations alone would not tell.
    rng = np.random.default_rng(0)
    mask = np.kron(np.eye(2), np.ones((450, 450))) * (rng.random((900, 900)) < 0.05) > 0
    rows, cols = np.nonzero(mask)
    problem = rw.Completion((900, 900), rows, cols, np.ones(len(rows)))
    assert tangent.DENSE_UNKNOWNS < 900 * 3
    assert not completable(problem, 3)


def test_measurements_given_twice_count_once():
    truth = rw.low_rank((6, 5), 1, key=0)
    once = rw.sense(truth, 8, key=1)
    twice = rw.Sensing(np.concatenate([once.sensors] * 2), np.concatenate([once.values] * 2))
    assert identifiability(twice, truth).observations == 8
    assert not identifiability(twice, truth).overdetermined


def test_operators_that_are_never_written_out_are_tested_too():
    truth = rw.low_rank((8, 7), 1, key=0)
    problem = rw.sense_fourier(truth, 40, key=1)
    assert identifiability(problem, truth).holds


def leverages(problem, matrix, symmetric=False):
    u, _, v = matrix.svd()
    jacobian = problem.factor_jacobian(u, u if symmetric else v)
    jacobian = jacobian if isinstance(jacobian, np.ndarray) else jacobian.toarray()
    half = jacobian.shape[1] // 2
    jacobian = jacobian[:, :half] + jacobian[:, half:] if symmetric else jacobian
    left, sigma, _ = np.linalg.svd(jacobian, full_matrices=False)
    return (left[:, sigma > 1e-10 * sigma[0]] ** 2).sum(axis=1)


@pytest.mark.parametrize("rho", [1.05, 1.1, 1.2])
@pytest.mark.parametrize("iterated", [False, True])
def test_observations_of_leverage_one_are_counted(rho, iterated, monkeypatch):
    if iterated:
        monkeypatch.setattr(tangent, "DENSE_UNKNOWNS", 0)
        monkeypatch.setattr(tangent, "DOUBTFUL", 0.0)
        monkeypatch.setattr(tangent, "ITERATIONS", 1_000)
    truth, counts = rw.low_rank((20, 25), 2, key=0), []
    for key in range(12):
        problem = rw.observe(truth, int(rho * degrees_of_freedom(2, (20, 25))), key=key, min_degree=2)
        found = identifiability(problem, truth)
        if found.holds:
            counts.append(found.untested)
            assert found.untested == np.count_nonzero(leverages(problem, truth) > 1 - 1e-8)
    assert max(counts) > 0


def test_a_row_with_as_many_entries_as_the_rank_is_not_tested_by_the_others():
    truth = rw.low_rank((20, 20), 3, key=0)
    mask = np.random.default_rng(0).random((20, 20)) < 0.8
    mask[0] = False
    for entries, untested in ((3, 3), (4, 0)):
        mask[0, :entries] = True
        rows, cols = np.nonzero(mask)
        assert (
            identifiability(rw.Completion((20, 20), rows, cols, truth.entries(rows, cols)), truth).untested == untested
        )


def test_measurements_are_tested_once_there_is_one_more_than_needed():
    truth = rw.low_rank((7, 6), 2, key=0)
    degrees = degrees_of_freedom(2, (7, 6))
    assert identifiability(rw.sense(truth, degrees, key=1), truth).untested == degrees
    assert identifiability(rw.sense(truth, degrees + 1, key=1), truth).untested == 0
    assert identifiability(rw.sense(truth, degrees - 1, key=1), truth).untested is None


@pytest.mark.parametrize("iterated", [False, True])
def test_of_symmetric_entries_and_their_mirror_images_both_count(iterated, monkeypatch):
    if iterated:
        monkeypatch.setattr(tangent, "DENSE_UNKNOWNS", 0)
        monkeypatch.setattr(tangent, "DOUBTFUL", 0.0)
    left = np.random.default_rng(0).standard_normal((25, 2))
    truth = LowRank(left * [1, -1], left)
    problem = rw.observe(truth, 130, key=1, min_degree=3)
    found = identifiability(problem, truth, symmetric=True)
    assert found.holds
    assert found.degrees == 49
    assert found.observations == problem.distinct(symmetric=True) < 130
    assert found.untested == np.count_nonzero(leverages(problem, truth, symmetric=True) > 1 - 1e-8)


BLOCKS = np.kron(np.eye(2), np.ones((8, 8))) > 0


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("key", range(6))
def test_rounding_in_single_precision_is_not_taken_for_stiffness(rank, key):
    truth = rw.low_rank((16, 16), rank, key=key).astype(np.float32)
    rows, cols = np.nonzero(BLOCKS)
    problem = rw.Completion((16, 16), rows, cols, truth.entries(rows, cols))
    found = identifiability(problem, truth)
    assert found.overdetermined
    assert found.stiffness < 1e-14
    assert not found.holds


def test_the_stiffness_at_a_matrix_is_the_same_in_both_precisions():
    truth = rw.low_rank((12, 10), 2, key=0).astype(np.float32)
    for problem in (
        rw.observe(truth, 70, key=1, min_degree=3), rw.sense(truth, 60, key=1), rw.sense_rank_one(truth, 60, key=1),
    ):  # fmt: skip
        names = [name for name in ("values", "sensors", "lefts", "rights") if hasattr(problem, name)]
        single = problem.replace(**{name: getattr(problem, name).astype(np.float32) for name in names})
        exact, found = identifiability(problem, truth.astype(float)), identifiability(single, truth)
        assert single.dtype == np.float32
        assert found.holds
        assert found.stiffness == pytest.approx(exact.stiffness, rel=1e-5)
        assert found.observations == exact.observations


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_too_few_generic_measurements_hold_nothing_in_either_precision(dtype):
    truth = rw.low_rank((7, 6), 2, key=0).astype(dtype)
    degrees = degrees_of_freedom(2, (7, 6))
    once = rw.sense(truth, degrees - 1, key=1, dtype=dtype)
    twice = once.replace(sensors=np.tile(once.sensors, (2, 1, 1)), values=np.tile(once.values, 2))
    assert identifiability(twice, truth).observations == degrees - 1
    assert not identifiability(twice, truth).holds
    assert identifiability(rw.sense(truth, degrees + 1, key=1, dtype=dtype), truth).holds


def shared_blocks(side, rank, shared, seed=0):
    """Two fully seen diagonal blocks of a symmetric matrix of a rank, with so many indices in both."""
    count = 2 * side - shared
    factor = np.random.default_rng(seed).standard_normal((count, rank))
    seen = np.zeros((count, count), bool)
    seen[:side, :side] = seen[count - side :, count - side :] = True
    return factor, rw.Completion.from_dense(np.where(seen, factor @ factor.T, np.nan))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_blocks_of_a_symmetric_matrix_are_fixed_by_rank_shared_indices(rank):
    # With one fewer either may be reflected: another matrix, as far from it as that is large, has the same entries.
    factor, problem = shared_blocks(7, rank, rank - 1)
    found = identifiability(problem, LowRank(factor, factor), symmetric=True)
    assert (found.holds, found.untested, found.alone) == (True, 0, False)
    shared = factor[7 - rank + 1 : 7]
    away = np.linalg.svd(shared, full_matrices=True)[2][-1] if rank > 1 else np.ones(1)
    other = factor.copy()
    other[7:] -= 2 * np.outer(other[7:] @ away, away)
    assert np.abs(problem.residual(LowRank(other, other))).max() < 1e-12
    assert np.abs(other @ other.T - factor @ factor.T).max() > 0.1
    factor, problem = shared_blocks(7, rank, rank)
    assert identifiability(problem, LowRank(factor, factor), symmetric=True).alone


def test_reflections_of_what_is_loose_are_no_matter_and_sensing_has_none():
    # The last index is seen with two others: its equations are quadratic, and hold at two matrices.
    factor = np.random.default_rng(0).standard_normal((9, 2))
    seen = np.ones((9, 9), bool)
    seen[8] = seen[:, 8] = False
    seen[8, :2] = seen[:2, 8] = True
    problem = folded(rw.Completion.from_dense(np.where(seen, factor @ factor.T, np.nan)), exact=True)
    found = identifiability(problem, LowRank(factor, factor), symmetric=True)
    assert found.alone
    hanging = ~seen
    hanging[8, :2] = hanging[:2, 8] = True
    np.testing.assert_array_equal(found.hanging, hanging)
    sensing = rw.sense(LowRank(factor, factor), 30, key=0)
    assert identifiability(sensing, LowRank(factor, factor), symmetric=True).alone


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_what_hangs_on_one_entry_that_joins_two_blocks(shape):
    truth = rw.low_rank(shape, 1, key=0)
    seen = np.zeros(shape, bool)
    seen[:12, :9] = seen[12:, 9:] = True
    seen[0, 9] = True
    found = identifiability(rw.Completion.from_dense(np.where(seen, truth.dense(), np.nan)), truth)
    assert (found.holds, found.untested) == (True, 1)
    expected = np.zeros(shape, bool)
    expected[:12, 9:] = expected[12:, :9] = True
    np.testing.assert_array_equal(found.hanging, expected)
    whole = identifiability(rw.Completion.from_dense(truth.dense()), truth)
    assert whole.hanging is None


def test_the_zero_matrix_is_held_only_where_every_row_and_column_is_seen():
    zero = LowRank(np.zeros((4, 0)), np.zeros((3, 0)))
    rows, cols = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 0])
    assert identifiability(rw.Completion((4, 3), rows, cols, np.zeros(4)), zero).holds
    assert not identifiability(rw.Completion((4, 3), rows[:3], cols[:3], np.zeros(3)), zero).holds
