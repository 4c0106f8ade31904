"""Every penalty: closed forms against exact arithmetic and finite differences, and laws of the norms."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rankwise as rw
from rankwise.penalties import PENALTIES
from rankwise.penalties.base import closed_form
from rankwise.plain import register

ALL = [
    rw.Nuclear(1.0), rw.Frobenius(1.0), rw.Ratio(1.0), rw.Schatten(1.0, 0.5), rw.Schatten(1.0, 1.5),
    rw.Schatten(1.0, 2.0), rw.SchattenRatio(1.0, 1 / 2, 2 / 3), rw.SchattenRatio(1.0, 1 / 3, 2 / 3),
    rw.SchattenRatio(1.0, 1 / 3, 1 / 2),
]  # fmt: skip
IDS = [repr(penalty) for penalty in ALL]
SPECTRA = {
    "distinct": [3, 2, 1, Fraction(1, 2)],
    "repeated": [2, 2, 1, 1],
    "all equal": [1, 1, 1, 1],
    "tiny": [1, 1, Fraction(1, 10**8), Fraction(1, 10**8)],
    "zero": [2, 1, 0, 0],
}


def reflection(vector):
    """An exactly orthogonal matrix of rationals: I - 2 v v^T / |v|^2."""
    square = sum(x * x for x in vector)
    return [
        [Fraction(int(i == j)) - Fraction(2 * a * b, square) for j, b in enumerate(vector)]
        for i, a in enumerate(vector)
    ]


LEFT, RIGHT = reflection([1, 2, 3, 4, 5, 6]), reflection([2, -1, 3, 1, -2])


def assemble(diagonal):
    """LEFT diag RIGHT^T in exact arithmetic where the diagonal is rational, rounded once."""
    product = [[sum(LEFT[i][k] * diagonal[k] * RIGHT[j][k] for k in range(4)) for j in range(5)] for i in range(6)]
    return np.array([[float(x) for x in row] for row in product])


def exact_slopes(penalty, sigma):
    """df/dsigma from the definition, in double precision on the exact singular values, zero at zero."""
    s = np.array([float(x) for x in sigma])
    on = s > 0

    def norm(p):
        return np.sum(s[on] ** p) ** (1 / p)

    def slope(p):
        return np.where(on, np.where(on, s, 1) ** (p - 1), 0) * norm(p) ** (1 - p)

    exponents = {"Nuclear": (1,), "Frobenius": (2,), "Ratio": (1, 2)}
    p, *q = exponents.get(type(penalty).__name__) or [x for x in (penalty.p, getattr(penalty, "q", None)) if x]
    if not q:
        return norm(p), slope(p)
    return norm(p) / norm(q[0]), slope(p) / norm(q[0]) - norm(p) * slope(q[0]) / norm(q[0]) ** 2


@pytest.mark.parametrize("penalty", ALL, ids=IDS)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_value_and_gradient_against_exact_arithmetic(penalty, spectrum):
    sigma = SPECTRA[spectrum]
    matrix = assemble(sigma)
    value, slopes = exact_slopes(penalty, sigma)
    expected = assemble([Fraction(x) for x in slopes])
    assert penalty(matrix) == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(penalty.gradient(matrix), expected, atol=3e-7 * np.abs(expected).max() + 1e-13)


@pytest.mark.parametrize("penalty", ALL, ids=IDS)
def test_gradient_against_finite_differences(penalty):
    rng = np.random.default_rng(0)
    matrix, direction = rng.standard_normal((2, 5, 4))
    h = 1e-6
    slope = (penalty(matrix + h * direction) - penalty(matrix - h * direction)) / (2 * h)
    assert slope == pytest.approx((penalty.gradient(matrix) * direction).sum(), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("penalty", ALL, ids=IDS)
@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 4)), np.ones((3, 4)), np.eye(4), 1e-150 * np.eye(3, 4), 1e-310 * np.ones((3, 4))], ids=str
)
def test_never_nan_nor_infinite(penalty, matrix):
    assert np.isfinite(penalty(matrix))
    assert np.isfinite(penalty.gradient(matrix)).all()


@pytest.mark.parametrize("penalty", ALL, ids=IDS)
def test_jax_agrees_with_numpy_and_differentiates_by_the_closed_form(penalty):
    matrix = np.random.default_rng(1).standard_normal((5, 4))
    register()
    with jax.enable_x64(True):
        value, grad = jax.value_and_grad(lambda w: closed_form()(penalty, w))(jnp.asarray(matrix))
    assert float(value) == pytest.approx(float(penalty(matrix)))
    np.testing.assert_allclose(grad, penalty.gradient(matrix), atol=1e-12)


@pytest.mark.parametrize("penalty", [rw.Nuclear(1.0), rw.Ratio(1.0), rw.Schatten(1.0), rw.SchattenRatio(1.0)], ids=repr)
def test_what_is_not_finite_is_nan_beside_finite_members_of_a_batch_and_lapack_says_nothing(penalty, capfd):
    finite = np.random.default_rng(7).standard_normal((4, 3))
    several = np.stack([finite, finite, finite])
    several[1], several[2, 0, 0] = np.inf, np.nan
    register()
    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(jax.value_and_grad(lambda w: closed_form()(penalty, w))))
        value, grad = map(np.asarray, both(jnp.asarray(several)))
    np.testing.assert_allclose(grad[0], penalty.gradient(finite), atol=1e-12)
    assert value[0] == pytest.approx(penalty(finite))
    for k in (1, 2):
        assert np.isnan([value[k], penalty(several[k])]).all()
        assert np.isnan([grad[k], penalty.gradient(several[k])]).all()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("penalty", ALL, ids=IDS)
def test_invariance_and_homogeneity(penalty):
    matrix = np.random.default_rng(2).standard_normal((4, 4))
    degree = 0 if penalty.scale_invariant else 1
    assert penalty(3 * matrix) == pytest.approx(3**degree * penalty(matrix))
    assert (penalty.gradient(matrix) * matrix).sum() == pytest.approx(degree * penalty(matrix), abs=1e-12)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0]
    np.testing.assert_allclose(penalty.gradient(turn @ matrix), turn @ penalty.gradient(matrix), atol=1e-12)


def test_weight_multiplies():
    matrix = np.random.default_rng(4).standard_normal((3, 3))
    for cls in PENALTIES.values():
        np.testing.assert_allclose(cls(0.5)(matrix), 0.5 * cls(1.0)(matrix))
        np.testing.assert_allclose(cls(0.5).gradient(matrix), 0.5 * cls(1.0).gradient(matrix))


@pytest.mark.parametrize("penalty", [rw.Nuclear(0.7), rw.Frobenius(0.7)], ids=repr)
def test_prox_minimizes(penalty):
    rng = np.random.default_rng(5)
    matrix, step = rng.standard_normal((4, 3)), 0.9
    best = penalty.prox(matrix, step)

    def objective(x):
        return penalty(x) + ((x - matrix) ** 2).sum() / (2 * step)

    assert all(objective(best) <= objective(best + 1e-3 * rng.standard_normal((4, 3))) for _ in range(20))


@pytest.mark.parametrize("penalty", [rw.Nuclear(1.0, resolution=1e-9), rw.Ratio(1.0, resolution=1e-9)], ids=repr)
def test_products_only_agrees_with_the_exact_route_above_the_resolution(penalty):
    matrix = np.random.default_rng(6).standard_normal((20, 15))
    with jax.enable_x64(True):
        fast = np.asarray(penalty.gradient(jnp.asarray(matrix)))
    np.testing.assert_allclose(fast, type(penalty)(1.0).gradient(matrix), atol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rw.Nuclear(-1.0), "weight must be finite"),
        (lambda: rw.Schatten(1.0, 2.5), r"p must lie in \(0, 2\]"),
        (lambda: rw.SchattenRatio(1.0, 1.0, 0.5), "p must be smaller than q"),
        (lambda: rw.Ratio(1.0, resolution=1.0), "resolution must be"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
