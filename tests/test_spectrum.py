"""Functions of singular values: known answers, limits, and measures in their registry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rankwise as rw
from rankwise import spectrum
from rankwise.lowrank import LowRank
from rankwise.measures import MEASURES, balancedness, relative_error


def test_known_answers():
    sigma = np.array([3.0, 4.0, 0.0])
    assert rw.spectrum.nuclear_norm(sigma) == 7
    assert rw.spectrum.frobenius_norm(sigma) == 5
    assert rw.spectrum.schatten_norm(sigma, 2) == pytest.approx(5)
    assert rw.spectrum.stable_rank(sigma) == pytest.approx(25 / 16)
    assert rw.spectrum.nuclear_frobenius_ratio(sigma) == pytest.approx(7 / 5)
    assert rw.spectrum.numerical_rank(sigma) == 2
    assert rw.spectrum.effective_rank(np.ones(4)) == pytest.approx(4)
    assert rw.spectrum.effective_rank(np.array([1.0, 0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("name", ["effective_rank", "stable_rank", "nuclear_frobenius_ratio", "numerical_rank"])
def test_zero_matrix_has_rank_zero_and_scale_does_not_matter(name):
    function = getattr(rw.spectrum, name)
    assert function(np.zeros(3)) == 0
    sigma = np.array([5.0, 2.0, 1.0])
    assert function(1e-150 * sigma) == pytest.approx(function(sigma))


def test_low_rank_has_the_singular_values_of_its_dense_form():
    matrix = rw.low_rank((8, 6), 3, key=0)
    np.testing.assert_allclose(matrix.singular_values(), np.linalg.svdvals(matrix.dense())[:3])
    np.testing.assert_allclose(matrix.balanced().dense(), matrix.dense())
    assert relative_error(matrix.truncate(2), matrix) == pytest.approx(
        matrix.singular_values()[2] / np.linalg.norm(matrix.singular_values())
    )


def test_alignment_is_diagonal_when_the_gradient_shares_the_singular_vectors():
    matrix = np.diag([3.0, 2.0, 1.0])
    problem = rw.Completion.from_dense(np.diag([4.0, 4.0, 4.0]))
    assert MEASURES["alignment_diagonal"].function(matrix, problem) == pytest.approx(2)
    assert MEASURES["alignment_offdiagonal"].function(matrix, problem) == pytest.approx(0)
    turned = np.diag([4.0, 4.0, 4.0]) - [[0, 1.5, 0], [0, 0, 0], [0, 0, 0]]
    other = rw.Completion.from_dense(turned)
    assert MEASURES["alignment_offdiagonal"].function(matrix, other) == pytest.approx(1.5 / 6)


def test_norms_of_tiny_and_huge_values():
    for size in (1e-200, 1e200):
        assert spectrum.frobenius_norm(size * np.array([3.0, 4.0])) == pytest.approx(5 * size)
        assert spectrum.nuclear_frobenius_ratio(size * np.array([3.0, 4.0])) == pytest.approx(7 / 5)


def test_predicted_speeds_are_those_of_the_product():
    rng = np.random.default_rng(0)
    layers = tuple(rng.normal(size=(4, 4)) for _ in range(3))
    matrix = layers[2] @ layers[1] @ layers[0]
    problem = rw.Completion.from_dense(rng.normal(size=(4, 4)))
    u, sigma, vt = np.linalg.svd(matrix)
    expected = -3 * sigma ** (4 / 3) * np.diag(u.T @ problem.gradient(matrix) @ vt.T)
    given = {"matrix": matrix, "problem": problem, "layers": layers}
    np.testing.assert_allclose(MEASURES["singular_speeds"](given), expected)


@pytest.mark.parametrize("name", [name for name, measure in MEASURES.items() if name != "matrix"])
@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
def test_measures_of_what_is_not_finite_are_not_and_lapack_says_nothing(name, xp, capfd):
    layers = np.eye(3, dtype=np.float32), np.full((3, 3), np.inf, np.float32)
    problem = rw.Completion.from_dense(np.eye(3, dtype=np.float32))
    given = {"matrix": layers[1], "truth": layers[0], "layers": layers}
    with np.errstate(invalid="ignore"):
        value = MEASURES[name](jax.tree.map(xp.asarray, given) | {"problem": problem, "heldout": problem})
    assert (value == 0) if name == "numerical_rank" else not np.isfinite(value).any()
    assert capfd.readouterr() == ("", "")


def test_balancedness_of_one_and_of_two_layers():
    assert balancedness((np.eye(2),)) == 0
    assert balancedness((np.eye(2), 2 * np.eye(2))) == pytest.approx(3 * 2**0.5)


def test_synthetic_truths_are_what_they_say():
    truth = rw.low_rank((30, 20), 4, key=0, kappa=100)
    sigma = truth.singular_values()
    assert (truth.dense() ** 2).mean() == pytest.approx(1)
    assert sigma[0] / sigma[3] == pytest.approx(100)
    symmetric = rw.low_rank((9, 9), 2, key=0, symmetric=True).dense()
    np.testing.assert_allclose(symmetric, symmetric.T)


def test_masks_have_the_degrees_asked_for():
    problem = rw.observe(rw.low_rank((40, 50), 2, key=0), 200, key=1, min_degree=3)
    assert problem.size == 200
    assert np.bincount(problem.rows).min() >= 3
    assert np.bincount(problem.cols).min() >= 3
    with pytest.raises(ValueError, match="cannot give every row"):
        rw.observe(rw.low_rank((40, 50), 2, key=0), 100, key=1, min_degree=3)


def test_factors_that_are_not_finite_have_no_singular_values():
    bad = LowRank(np.full((4, 2), np.nan), np.ones((3, 2)))
    assert np.isnan(MEASURES["nuclear_norm"]({"matrix": bad}))
    assert np.isnan(MEASURES["singular_values"]({"matrix": bad})).all()
    assert MEASURES["numerical_rank"]({"matrix": bad}) == 0
