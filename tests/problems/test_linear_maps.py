"""Rank-one and implicit measurements: adjoints, factors, Jacobians, recovery and refusals."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

import rankwise as rw
from rankwise.problems import implicit
from rankwise.problems.operator import Operator
from rankwise.problems.phase import LiftedIntensities

RNG = np.random.default_rng(0)
LEFTS, RIGHTS, VALUES = RNG.standard_normal((9, 3)), RNG.standard_normal((9, 4)), RNG.standard_normal(9)
SENSORS = RNG.standard_normal((9, 3, 4))
VECTORS = RNG.standard_normal((9, 2)) + 1j * RNG.standard_normal((9, 2))
MASKS = np.exp(2j * np.pi * RNG.random((3, 2, 3)))


def forward(matrix):
    return SENSORS.reshape(9, 12) @ matrix.reshape(12)


def backward(vector):
    return np.tensordot(vector, SENSORS, 1)


OPERATOR = rw.Operator((3, 4), forward, backward, VALUES)
PROBLEMS = {
    "rank_one": rw.RankOneSensing(LEFTS, RIGHTS, VALUES),
    "operator": OPERATOR,
    "real_phases": rw.PhaseRetrieval(LEFTS, VALUES**2),
    "complex_phases": rw.PhaseRetrieval(VECTORS, VALUES**2),
    "patterns": rw.CodedDiffraction(MASKS, RNG.random((3, 2, 3))),
    "real_patterns": rw.CodedDiffraction(MASKS, RNG.random((3, 2, 3)), real=True),
    "hidden_patterns": rw.CodedDiffraction(MASKS, RNG.random(5), seen=np.array([0, 3, 9, 11, 17]), real=True),
    "lifted": LiftedIntensities(RNG.standard_normal((9, 2, 3)), VALUES**2),
}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]


def test_adjoint_and_its_operator_and_energy(problem, monkeypatch):
    matrix, vector = RNG.standard_normal(problem.shape), RNG.standard_normal(problem.size)
    adjoint = problem.adjoint(vector)
    assert problem.measure(matrix) @ vector == pytest.approx((adjoint * matrix).sum())
    for name in ("rank_one", "phase"):
        monkeypatch.setattr(f"rankwise.problems.{name}.DENSE_ADJOINT", 0)
    operator = problem.adjoint_operator(vector)
    np.testing.assert_allclose(operator @ np.eye(problem.shape[1]), adjoint, atol=1e-12)
    np.testing.assert_allclose(operator.T @ np.ones(problem.shape[0]), adjoint.sum(axis=0), atol=1e-12)
    rows = np.stack([problem.adjoint(row) for row in np.eye(problem.size)])
    if problem is not OPERATOR:
        assert problem.energy() == pytest.approx((rows**2).sum())


def test_factors_are_measured_as_their_product(problem):
    (d1, d2) = problem.shape
    matrix = rw.LowRank(RNG.standard_normal((d1, 2)), RNG.standard_normal((d2, 2)))
    np.testing.assert_allclose(problem.measure(matrix), problem.measure(matrix.dense()), atol=1e-12)


def test_the_jacobian_is_the_derivative_written_out_or_not(problem, monkeypatch):
    (d1, d2) = problem.shape
    left, right, dl, dr = (RNG.standard_normal(shape) for shape in ((d1, 2), (d2, 2), (d1, 2), (d2, 2)))
    step = np.concatenate([dl.ravel(), dr.ravel()])
    change = problem.measure(dl @ right.T + left @ dr.T)
    np.testing.assert_allclose(problem.factor_jacobian(left, right) @ step, change, atol=1e-12)
    implicitly = implicit.implicit_jacobian(problem, left, right)
    assert isinstance(implicitly, LinearOperator)
    np.testing.assert_allclose(implicitly @ step, change, atol=1e-12)
    vector = RNG.standard_normal(problem.size)
    assert step @ (implicitly.T @ vector) == pytest.approx(change @ vector)


def test_parts_of_the_observations(problem):
    index = np.array([0, 2, 3])
    part, matrix = problem.subset(index), RNG.standard_normal(problem.shape)
    np.testing.assert_allclose(part.measure(matrix), problem.measure(matrix)[index])
    vector = RNG.standard_normal(3)
    assert part.measure(matrix) @ vector == pytest.approx((part.adjoint(vector) * matrix).sum())


def zeros(problem):
    """The problem with measurements that see nothing."""
    if isinstance(problem, Operator):
        return {"forward": lambda w: 0 * forward(w), "backward": lambda v: 0 * backward(v), "squares": None}
    named = ("sensors", "lefts", "vectors", "masks")
    return {name: 0 * getattr(problem, name) for name in named if hasattr(problem, name)}


def times(problem, factor):
    """The problem with larger or smaller measurements, and values of one."""
    if isinstance(problem, Operator):
        return {
            "forward": lambda w: factor * forward(w), "backward": lambda v: factor * backward(v), "squares": None
        }  # fmt: skip
    return {name: factor * getattr(problem, name) for name in zeros(problem)}


CHECKED = {name: made for name, made in PROBLEMS.items() if name != "lifted"} | {"sensing": rw.Sensing(SENSORS, VALUES)}


@pytest.mark.parametrize("name", CHECKED)
def test_measurements_of_no_energy_or_an_infinite_one_are_refused(name):
    made = CHECKED[name]
    fields = {"tried": False} if isinstance(made, Operator) else {}
    for change in (zeros(made), times(made, 1e200), times(made, 1e-200)):
        with pytest.raises(ValueError, match=r"energy, sum_i \|A_i\|_F\^2, from|squares must be positive and finite"):
            made.replace(**fields, **change)
    # Intensities take the fourth power, which is a number still; and values may be of any size.
    assert made.replace(**fields, **times(made, 1e70)).energy() < np.inf
    assert made.replace(values=1e300 * made.values**2).energy() == made.energy()


def test_energy_of_functions_is_estimated_unless_given():
    problem = rw.sense(rw.low_rank((20, 20), 1, key=0), 300, key=1)
    guessed = rw.Operator((20, 20), problem.measure, problem.adjoint, problem.values)
    assert guessed.energy() == pytest.approx(problem.energy(), rel=0.1)
    assert guessed.replace(squares=7.0).energy() == 7.0


def test_rank_one_sensing_is_solved_with_a_jacobian_of_either_kind(monkeypatch):
    truth = rw.low_rank((24, 20), 2, key=0)
    problem = rw.sense_rank_one(truth, 260, key=1)
    assert rw.measures.relative_error(rw.solve(problem, rw.Greedy()).matrix, truth) < 1e-12
    monkeypatch.setattr(implicit, "DENSE_JACOBIAN", 0)
    solution = rw.solve(problem, rw.Greedy())
    assert solution.rank == 2
    assert rw.measures.relative_error(solution.matrix, truth) < 1e-9


def test_symmetric_rank_one_sensing():
    truth = rw.low_rank((20, 20), 2, key=0, symmetric=True)
    problem = rw.sense_rank_one(truth, 120, key=1, symmetric=True)
    assert problem.lefts is problem.rights
    solution = rw.solve(problem, rw.Greedy(rw.Symmetric()))
    assert rw.measures.relative_error(solution.matrix, truth) < 1e-9


def test_fourier_measurements_on_both_drivers():
    truth = rw.low_rank((24, 16), 2, key=0)
    problem = rw.sense_fourier(truth, 300, key=1)
    solution = rw.solve(problem, rw.Greedy())
    assert (solution.rank, solution.result.name) == (2, "explained")
    assert rw.measures.relative_error(solution.matrix, truth) < 1e-9
    kept, held = problem.split(0.1, 0)
    run = rw.solve(kept, rw.GradientDescent(rw.Deep(2)), max_steps=3, heldout=held, track=["heldout_loss"])
    assert np.isfinite(run.history["heldout_loss"]).all()


def test_jax_functions_run_in_the_precision_of_the_data():
    problem = rw.Operator(
        (3, 4), lambda w: jnp.fft.fft(w).real.ravel(), lambda v: jnp.fft.fft(v.reshape(3, 4)).real, np.ones(12)
    )
    assert problem.measure(np.eye(3, 4)).dtype == np.float64
    np.testing.assert_allclose(problem.measure(np.eye(3, 4)), np.fft.fft(np.eye(3, 4)).real.ravel(), atol=1e-15)


def test_single_precision():
    problem = rw.Operator((3, 4), forward, backward, VALUES.astype(np.float32))
    assert problem.dtype == np.float32
    assert rw.solve(problem, rw.Greedy()).matrix.dtype == np.float32


def test_functions_are_tried_once():
    calls = []

    def counted(matrix):
        calls.append(1)
        return forward(matrix)

    problem = rw.Operator((3, 4), counted, backward, VALUES)
    before = len(calls)
    assert problem.mean().subset(np.array([1, 2])).size == 2
    assert len(calls) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backward": lambda v: 1.001 * backward(v)}, "backward is not the adjoint of forward: .* differ by"),
        ({"forward": lambda w: forward(w) + 1}, "forward is not linear"),
        ({"forward": lambda w: forward(w) ** 2}, "forward is not linear"),
        ({"forward": lambda w: forward(w)[1:]}, r"forward must return an array of shape \(9,\), not \(8,\)"),
        ({"forward": lambda w: forward(w) + 0j}, "forward must return real numbers, not complex128"),
        ({"backward": lambda v: backward(v) * np.nan}, "backward does not return finite"),
        ({"backward": lambda v: backward(v).T}, r"backward must return an array of shape \(3, 4\)"),
        ({"values": np.r_[VALUES[:8], np.inf]}, "value 8 is not finite"),
        ({"values": VALUES + 0j}, "values are complex"),
        ({"squares": -1.0}, "squares must be positive"),
        ({"shape": (0, 4)}, "two positive integers"),
        ({"shape": (3.7, 4)}, r"two positive integers, not \(3.7, 4\)"),
        ({"values": VALUES[:, None]}, r"values \(m,\) are needed, not an array of shape \(9, 1\)"),
        ({"forward": lambda w: 1 / 0}, r"forward raises ZeroDivisionError \(division by zero\) on an argument"),
        ({"backward": lambda v: v["a"]}, r"backward raises IndexError .* on an argument of shape \(9,\)"),
    ],
)
def test_operators_that_are_none(changes, words):
    given = {"shape": (3, 4), "forward": forward, "backward": backward, "values": VALUES} | changes
    with pytest.raises(ValueError, match=words):
        Operator(**given)


def test_functions_that_jax_cannot_trace_are_refused_by_compiled_solvers():
    problem = rw.Operator(
        (3, 4), lambda w: np.fft.fft(w).real.ravel(), lambda v: np.fft.fft(v.reshape(3, 4)).real, np.ones(12)
    )
    with pytest.raises(ValueError, match="JAX cannot trace `forward`"):
        rw.solve(problem, rw.GradientDescent(), max_steps=1)


@pytest.mark.parametrize(
    ("lefts", "rights", "values", "words"),
    [
        (LEFTS[1:], RIGHTS, VALUES, "are needed, not"),
        (LEFTS, RIGHTS, VALUES[:, None], "are needed, not"),
        (LEFTS[:0], RIGHTS[:0], VALUES[:0], "at least one"),
        (np.where(np.arange(9)[:, None] == 4, np.inf, LEFTS), RIGHTS, VALUES, "left vector 4 is not finite"),
        (LEFTS, np.where(np.arange(9)[:, None] == 2, np.nan, RIGHTS), VALUES, "right vector 2 is not finite"),
        (LEFTS + 0j, RIGHTS, VALUES, "lefts are complex"),
    ],
)
def test_rank_one_refusals(lefts, rights, values, words):
    with pytest.raises(ValueError, match=words):
        rw.RankOneSensing(lefts, rights, values)


def test_flows_of_the_product_need_a_traceable_forward_only():
    def backward_by_numpy(vector):
        return np.tensordot(np.asarray(vector), SENSORS, 1)

    problem = rw.Operator((3, 4), forward, backward_by_numpy, VALUES)
    flow = rw.EndToEndFlow(2, rw.Gaussian(1e-2), times=[0.5])
    plain = rw.Sensing(SENSORS, VALUES)
    one, other = rw.solve(problem, flow, key=0), rw.solve(plain, flow, key=0)
    np.testing.assert_allclose(np.asarray(one.matrix), np.asarray(other.matrix), rtol=1e-6)
