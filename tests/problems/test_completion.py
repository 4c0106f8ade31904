"""Matrix completion: how it is built, what it measures, what it refuses."""

import numpy as np
import pytest
import scipy.sparse

import rankwise as rw

HOLED = np.array([[1.0, np.nan, 3.0], [np.nan, 5.0, 0.0]])


def test_three_ways_to_the_same_problem():
    dense = rw.Completion.from_dense(HOLED)
    masked = rw.Completion.from_dense(np.ma.masked_invalid(HOLED))
    sparse = rw.Completion.from_sparse(scipy.sparse.coo_array(([1.0, 3.0, 5.0, 0.0], ([0, 0, 1, 1], [0, 2, 1, 2]))))
    triples = rw.Completion.from_triples([1, 0, 1, 0], [2, 2, 1, 0], [0.0, 3.0, 5.0, 1.0])
    for other in (masked, sparse, triples):
        np.testing.assert_array_equal(other.rows, dense.rows)
        np.testing.assert_array_equal(other.cols, dense.cols)
        np.testing.assert_array_equal(other.values, dense.values)
        assert other.shape == dense.shape == (2, 3)


def test_loss_conventions():
    problem = rw.Completion.from_dense(HOLED)
    squares = 1 + 9 + 25
    zero = np.zeros((2, 3))
    assert problem.loss(zero) == pytest.approx(squares / 2)
    assert problem.sum().loss(zero) == pytest.approx(squares)
    assert problem.mean().loss(zero) == pytest.approx(squares / 4)
    assert problem.mean().half_sum().scale == 1


def test_gradient_is_the_derivative_of_the_loss():
    problem = rw.Completion.from_dense(HOLED).mean()
    rng = np.random.default_rng(0)
    matrix, direction = rng.standard_normal((2, 2, 3))
    h = 1e-6
    slope = (problem.loss(matrix + h * direction) - problem.loss(matrix - h * direction)) / (2 * h)
    assert slope == pytest.approx((problem.gradient(matrix) * direction).sum(), rel=1e-8)


def test_low_rank_is_measured_without_being_formed():
    rng = np.random.default_rng(1)
    low_rank = rw.LowRank(rng.standard_normal((2, 2)), rng.standard_normal((3, 2)))
    problem = rw.Completion.from_dense(HOLED)
    np.testing.assert_allclose(problem.measure(low_rank), problem.measure(low_rank.dense()))


def test_factor_jacobian_is_the_derivative_of_the_measurements():
    rng = np.random.default_rng(2)
    problem = rw.Completion.from_dense(HOLED)
    left, right, dl, dr = (rng.standard_normal(shape) for shape in ((2, 2), (3, 2), (2, 2), (3, 2)))
    change = problem.factor_jacobian(left, right) @ np.concatenate([dl.ravel(), dr.ravel()])
    np.testing.assert_allclose(change, problem.measure(dl @ right.T + left @ dr.T))


def test_compiled_layout_has_the_same_loss_and_gradient():
    problem = rw.Completion.from_dense(HOLED).mean()
    matrix = np.arange(6.0).reshape(2, 3)
    layout = problem.compiled()
    assert layout.loss(matrix) == pytest.approx(problem.loss(matrix))
    np.testing.assert_allclose(layout.gradient(matrix), problem.gradient(matrix))
    assert layout.norm_estimate() == pytest.approx(problem.norm_estimate())


@pytest.mark.parametrize(
    ("given", "worked"), [("float32", "float32"), ("float64", "float64"), ("int64", "float64"), (">f4", "float32")]
)
def test_precision_follows_the_data(given, worked):
    problem = rw.Completion.from_triples([0, 1], [0, 1], np.array([1, 2], given))
    assert problem.values.dtype == problem.dtype == np.dtype(worked)


def test_duplicates_are_named_or_averaged():
    triples = ([0, 1, 0], [2, 0, 2], [1.0, 7.0, 3.0])
    with pytest.raises(ValueError, match=r"\(row 0, column 2\) is observed more than once"):
        rw.Completion.from_triples(*triples)
    assert list(rw.Completion.from_triples(*triples, duplicates="mean").values) == [2.0, 7.0]


def test_split_keeps_half_of_every_row_and_column():
    problem = rw.observe(rw.low_rank((30, 20), 2, key=0), 200, key=1, min_degree=2)
    kept, held = problem.split(0.3, 0)
    assert kept.size + held.size == problem.size
    for ours, all_of_them, d in ((kept.rows, problem.rows, 30), (kept.cols, problem.cols, 20)):
        assert (2 * np.bincount(ours, minlength=d) >= np.bincount(all_of_them, minlength=d)).all()
    again = problem.split(0.3, 0)[1]
    np.testing.assert_array_equal(held.values, again.values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.Completion((2, 2), [0], [0], [np.inf]), r"row 0, column 0\) is inf"),
        (lambda: rw.Completion((2, 2), [2], [0], [1.0]), "row index 2 lies outside 0..1"),
        (lambda: rw.Completion((2, 2), [0], [-1], [1.0]), "column index -1 lies outside 0..1"),
        (lambda: rw.Completion((2, 2), [0, 1], [0], [1.0]), "equal lengths"),
        (lambda: rw.Completion((3,), [0], [0], [1.0]), r"shape must be two positive integers, not \(3,\)"),
        (lambda: rw.Completion((3.7, 3), [0], [0], [1.0]), r"shape must be two positive integers, not \(3.7, 3\)"),
        (lambda: rw.Completion((0, 3), [0], [0], [1.0]), "shape must be two positive integers"),
        (lambda: rw.Completion.from_triples([0], [0], [1.0], 3, duplicates="mean"), "shape must be .*, not 3"),
        (lambda: rw.Completion((2, 2), [0.5], [0], [1.0]), "rows must be integers"),
        (lambda: rw.Completion((2, 2), [0], [0], [1j]), "complex"),
        (lambda: rw.Completion((2, 2), [0], [0], ["a"]), "not numbers"),
        (lambda: rw.Completion((2, 2), [0], [0], [1.0], scale=0), "scale must be positive"),
        (lambda: rw.Completion.from_dense(np.full((2, 2), np.nan)), "no entry is observed"),
        (lambda: rw.Completion.from_dense(np.ones(3)), "1 dimensions"),
        (lambda: rw.Completion.from_dense(HOLED, scale="a"), "scale must be a number"),
        (lambda: rw.Completion.from_triples([-1], [0], [1.0]), "row index -1 is negative"),
        (lambda: rw.Completion.from_sparse(HOLED), "a SciPy sparse matrix of two dimensions is needed, not ndarray"),
        (lambda: rw.Completion.from_sparse(scipy.sparse.dia_array(np.eye(3))), "DIA matrix stores zeros"),
        (lambda: rw.Completion.from_sparse(scipy.sparse.bsr_array(np.eye(4))), "BSR matrix stores zeros"),
        (lambda: rw.Completion.from_dense(HOLED).split(1.0, 0), "fraction must lie"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
