"""Every factorization and initialization: shapes, scales, balance."""

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.compiled import operations
from rankwise.factorizations import FACTORIZATIONS, INITIALIZATIONS
from rankwise.measures import balancedness

KEY = jax.random.key(0)
SHAPES = [(12, 12), (9, 14), (14, 9)]


def make(kind, shape, scale=0.1):
    """A start of a kind; a given matrix is positive semidefinite where it is square, of singular values 1."""
    return INITIALIZATIONS[kind](np.eye(*shape), scale) if kind == "given" else INITIALIZATIONS[kind](scale)


def layers(start, shape, depth=3, width=None):
    return rw.Deep(depth, start, width).init(shape, key=KEY, dtype=np.float32)


@pytest.mark.parametrize("kind", INITIALIZATIONS)
@pytest.mark.parametrize("name", FACTORIZATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_has_the_shape_and_precision_asked_for(name, kind, shape):
    factorization = FACTORIZATIONS[name](start=make(kind, shape))
    if name == "symmetric" and shape[0] != shape[1]:
        with pytest.raises(ValueError, match="square"):
            factorization.check(shape)
        return
    factorization.check(shape)
    matrix = factorization.matrix(factorization.init(shape, key=KEY, dtype=np.float32))
    assert matrix.shape == shape
    assert matrix.dtype == np.float32


@pytest.mark.parametrize("form", [*(make() for make in FACTORIZATIONS.values()), rw.Deep(1), rw.Deep(5)])
def test_the_matrix_is_made_of_as_many_products_as_are_told(form):
    params = form.init((6, 6), key=KEY, dtype=np.float32)
    program = jax.make_jaxpr(form.matrix)(params).jaxpr
    assert sum(step.primitive.name == "dot_general" for step in operations(program)) == form.products


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_layers_multiply_in_order(shape, depth):
    params = layers(rw.Gaussian(1.0), shape, depth)
    product = np.eye(shape[1])
    for layer in params:
        product = np.asarray(layer) @ product
    np.testing.assert_allclose(rw.Deep(depth).matrix(params), product, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
@pytest.mark.parametrize("shape", [(60, 60), (40, 90)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_independent_kinds_have_the_scale_as_root_mean_square_singular_value(kind, shape, depth):
    start = INITIALIZATIONS[kind](1e-2)
    squares = []
    for seed in range(20):
        params = rw.Deep(depth, start).init(shape, key=jax.random.key(seed), dtype=np.float32)
        squares.append(float((rw.Deep(depth).matrix(params) ** 2).sum()))
    assert np.mean(squares) == pytest.approx(1e-4 * min(shape), rel=0.1)


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_symmetric_start_has_the_same_scale(kind):
    matrices = [
        rw.Symmetric(INITIALIZATIONS[kind](1e-2)).init((50, 50), key=jax.random.key(seed), dtype=np.float32)[0]
        for seed in range(20)
    ]
    assert np.mean([float(((z @ z.T) ** 2).sum()) for z in matrices]) == pytest.approx(1e-4 * 50, rel=0.1)


@pytest.mark.parametrize("kind", ["orthogonal", "identity", "given"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [None, 5, 20])
def test_balanced_kinds_are_balanced_with_all_singular_values_at_the_scale(kind, shape, width):
    with jax.enable_x64(True):
        start = make(kind, shape, 0.3)
        if kind == "given" and width == 5:
            start = rw.Given(np.eye(shape[0], 5) @ np.eye(5, shape[1]), 0.3)
        params = rw.Deep(3, start, width).init(shape, key=KEY, dtype=np.float64)
        assert float(balancedness(params)) < 1e-14
        sigma = np.linalg.svdvals(np.asarray(rw.Deep(3).matrix(params)))
    k = min(*shape, width or min(shape))
    np.testing.assert_allclose(sigma[:k], 0.3, rtol=1e-13)
    np.testing.assert_allclose(sigma[k:], 0, atol=1e-15)


def test_identity_start_is_a_multiple_of_the_identity():
    np.testing.assert_allclose(rw.Deep(2).matrix(layers(rw.Identity(0.04), (6, 8), 2)), 0.04 * np.eye(6, 8), rtol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_given_matrix_is_where_every_product_starts(shape, depth):
    matrix = np.random.default_rng(0).standard_normal(shape)
    deep = rw.Deep(depth, rw.Given(matrix, 0.1), width=20)
    with jax.enable_x64(True):
        params = deep.init(shape, key=KEY, dtype=np.float64)
        np.testing.assert_allclose(deep.matrix(params), 0.1 * matrix, atol=1e-14)
        assert float(balancedness(params)) < 1e-13
        (whole,) = rw.Full(rw.Given(matrix)).init(shape, key=KEY, dtype=np.float64)
    np.testing.assert_array_equal(whole, matrix)


@pytest.mark.parametrize("width", [None, 2, 7])
def test_a_given_semidefinite_matrix_is_where_a_root_starts(width):
    truth = rw.low_rank((5, 5), 2, key=0, symmetric=True)
    symmetric = rw.Symmetric(rw.Given(truth, 0.3), width)
    symmetric.check((5, 5))
    with jax.enable_x64(True):
        (z,) = params = symmetric.init((5, 5), key=KEY, dtype=np.float64)
        np.testing.assert_allclose(symmetric.matrix(params), 0.3 * truth.dense(), atol=1e-14)
    assert z.shape == (5, width or 5)
    # What is rounding beside the largest eigenvalue is no part of the matrix.
    assert np.count_nonzero(np.abs(z).sum(axis=0)) == 2


def test_a_batch_of_given_matrices_is_the_runs_one_by_one():
    problem = rw.observe(rw.low_rank((4, 3), 1, key=0), 9, key=1)
    starts = [rw.Given(matrix, 0.1) for matrix in np.random.default_rng(0).standard_normal((3, 4, 3))]
    solvers = [rw.GradientDescent(rw.Deep(2, start), rw.Optimizer("gradient_descent", 1e-2)) for start in starts]
    for solver, run in zip(solvers, rw.solve_batch(problem, solvers, max_steps=50), strict=True):
        np.testing.assert_allclose(run.matrix, rw.solve(problem, solver, max_steps=50).matrix, atol=1e-12)


def test_a_solver_goes_on_from_another_ones_matrix():
    problem = rw.observe(rw.low_rank((6, 5), 1, key=0), 24, key=1)
    found = rw.solve(problem, rw.Greedy())
    again = rw.solve(problem, rw.GradientDescent(rw.Deep(2, rw.Given(found.matrix)), tolerance=1e-8), max_steps=10)
    assert (again.result.name, again.steps) == ("explained", 0)


@pytest.mark.parametrize(
    ("form", "shape", "words"),
    [
        (rw.Deep(2, rw.Given(np.eye(3))), (3, 4), r"has shape \(3, 3\); the start needs \(3, 4\)"),
        (rw.Full(rw.Given(np.eye(3))), (4, 4), r"has shape \(3, 3\); the start needs \(4, 4\)"),
        (rw.Deep(2, rw.Given(np.eye(3)), width=2), (3, 3), "rank 3, more than a layer of width 2"),
        (rw.Symmetric(rw.Given(np.eye(3)), width=2), (3, 3), "rank 3, more than a layer of width 2"),
        (rw.Symmetric(rw.Given(np.diag([1.0, -1.0]))), (2, 2), "symmetric and positive semidefinite"),
        (rw.Symmetric(rw.Given(np.triu(np.ones((2, 2))))), (2, 2), "symmetric and positive semidefinite"),
    ],
)
def test_a_given_matrix_that_does_not_fit_is_refused(form, shape, words):
    problem = rw.Completion.from_dense(np.ones(shape))
    solvers = [rw.GradientDescent(form), rw.GradientFlow(form)]
    if isinstance(form, rw.Symmetric):
        solvers += [rw.EndToEndFlow(2, form.start, symmetric=True)] if form.width is None else []
    elif form != rw.Deep(2, form.start, width=2):
        solvers += [rw.EndToEndFlow(2, form.start), rw.SpectralFlow(2, form.start)]
    for solver in solvers:
        with pytest.raises(ValueError, match=words):
            rw.solve(problem, solver)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.Deep(0), "depth must be an integer of at least 1"),
        (lambda: rw.Deep(2.0), "depth must be an integer"),
        (lambda: rw.Deep(2, width=0), "width must be an integer"),
        (lambda: rw.Gaussian(-1.0), "scale must be finite"),
        (lambda: rw.Identity(float("nan")), "scale must be finite"),
        (lambda: rw.Given(np.eye(2), -1.0), "scale must be finite"),
        (lambda: rw.Given(0.1), "matrix must be a two-dimensional array of finite real numbers"),
        (lambda: rw.Given([1.0, 2.0]), "matrix must be a two-dimensional array"),
        (lambda: rw.Given(np.array([[1.0, np.nan]])), "matrix must be a two-dimensional array of finite"),
        (lambda: rw.Given(np.array([["a"]])), "matrix must be a two-dimensional array of finite"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
