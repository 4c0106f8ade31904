"""Gradient flows: three ways to one trajectory, what it conserves, its symmetries, its stops, and what is refused."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import rankwise as rw
from rankwise.factorizations.initializations import Initialization
from rankwise.results import RESULTS

TRUTH = rw.low_rank((5, 4), 2, key=0)
PROBLEM = rw.sense(TRUTH, 12, key=1)
# Few enough that every checkpoint is a segment of its own: one compiled program serves all these runs.
TIMES = np.linspace(0, 6, 20)


@dataclass(frozen=True, eq=False)
class Layers(Initialization):
    """Layers handed in as they are."""

    factors: tuple[Any, ...] = ()
    scale: Any = 1.0

    def layers(self, widths, *, key, dtype):
        import jax.numpy as jnp

        return tuple(jnp.asarray(factor) for factor in self.factors)

    def root(self, shape, *, key, dtype):
        raise NotImplementedError


def random_start(shape, seed=0, size=0.2):
    return size * np.random.default_rng(seed).standard_normal(shape)


def run(problem, solver, track=("matrix",), **settings):
    changes = {"times": TIMES, "tolerance": 1e-10, "explained": 0.0, "stationary": 0.0} | settings
    return rw.solve(problem, solver.replace(**changes), track=track)


def layered(problem, start, depth=2, **settings):
    return run(problem, rw.GradientFlow(rw.Deep(depth, start)), ("matrix", "balancedness"), **settings)


def apart(one, other):
    """The largest distance over the run, relative to the largest entry."""
    a, b = one.history["matrix"], other.history["matrix"]
    assert a.shape == b.shape
    return np.abs(a - b).max() / np.abs(b).max()


def test_layers_product_and_spectrum_agree_past_three_take_offs():
    problem = rw.observe(rw.low_rank((20, 20), 3, key=0), 200, key=1).mean()
    start, settings = rw.Identity(1e-3), {"times": np.linspace(0, 400, 20), "tolerance": 1e-10}
    layers = rw.solve(problem, rw.GradientFlow(rw.Deep(3, start), **settings), track=["matrix", "singular_values"])
    sigma = layers.history["singular_values"]
    assert sigma[0] == pytest.approx(1e-3)
    assert (sigma[-1, :3] > 5).all()
    assert (sigma[-1, 3:] < 0.05).all()
    for other in (rw.EndToEndFlow(3, start, **settings), rw.SpectralFlow(3, start, **settings)):
        assert apart(rw.solve(problem, other, track=["matrix"]), layers) < 1e-8


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_they_agree_at_every_depth_and_the_loss_falls(depth):
    start = rw.Given(random_start((5, 4)))
    layers = layered(PROBLEM, start, depth)
    for other in (rw.EndToEndFlow(depth, start), rw.SpectralFlow(depth, start)):
        assert apart(run(PROBLEM, other), layers) < 1e-7
    loss = layers.history["train_loss"]
    assert (np.diff(loss) <= 0).all()
    assert loss[-1] < 0.1 * loss[0]
    assert layers.history["balancedness"].max() < 1e-8


def test_infinite_depth_is_approached_by_depth_per_layer():
    start = rw.Given(random_start((5, 4), size=0.5))
    limit = run(PROBLEM, rw.EndToEndFlow(math.inf, start))
    assert apart(run(PROBLEM, rw.SpectralFlow(math.inf, start)), limit) < 1e-7
    deep = run(PROBLEM, rw.EndToEndFlow(60, rw.Given(start.matrix)), times=TIMES / 60)
    assert 1e-4 < apart(deep, limit) < 0.1


def test_rounding_does_not_lead_a_start_of_rank_one_out_of_its_spaces_at_infinite_depth():
    left, right = (np.linalg.qr(random_start((size, 1), seed=size))[0] for size in (5, 4))
    solution = run(PROBLEM, rw.EndToEndFlow(math.inf, rw.Given(0.3 * left @ right.T)))
    assert solution.result is RESULTS.end_time
    sigma = (left.T @ solution.history["matrix"] @ right).ravel()
    np.testing.assert_allclose(solution.history["matrix"], sigma[:, None, None] * (left @ right.T), atol=1e-12)
    # sigma' = sigma^2 (drive - curvature sigma), integrated.
    seen = PROBLEM.measure(left @ right.T)
    target = (seen @ PROBLEM.values) / (seen @ seen)
    spent = (1 / 0.3 - 1 / sigma) / target + np.log(sigma * (target - 0.3) / (0.3 * (target - sigma))) / target**2
    np.testing.assert_allclose(spent / (seen @ seen), solution.history["time"], atol=1e-8)


def test_a_symmetric_product_follows_its_own_equation():
    problem = rw.sense(rw.low_rank((4, 4), 2, key=0, symmetric=True), 8, key=1)
    factor = run(problem, rw.GradientFlow(rw.Symmetric(rw.Identity(0.1))))
    product = run(problem, rw.EndToEndFlow(2, rw.Identity(0.1), symmetric=True))
    assert apart(product, factor) < 1e-8
    np.testing.assert_allclose(product.matrix, product.matrix.T, atol=1e-9)


def test_unbalanced_layers_keep_their_imbalance_and_leave_the_equation_of_the_product():
    rng = np.random.default_rng(3)
    start = Layers((0.9 * rng.standard_normal((4, 4)), 0.1 * rng.standard_normal((5, 4))))
    layers = layered(PROBLEM, start)
    drift = layers.history["balancedness"]
    assert drift[0] > 1
    np.testing.assert_allclose(drift, drift[0], rtol=1e-8)
    assert apart(run(PROBLEM, rw.EndToEndFlow(2, start)), layers) > 0.05


def test_orthogonal_changes_of_basis_commute_with_the_flow():
    p, q = (np.linalg.qr(random_start((n, n), seed))[0] for n, seed in ((5, 1), (4, 2)))
    turned = PROBLEM.replace(sensors=p @ PROBLEM.sensors @ q.T)
    w = random_start((5, 4))
    plain, other = layered(PROBLEM, rw.Given(w)), layered(turned, rw.Given(p @ w @ q.T))
    np.testing.assert_allclose(other.history["matrix"], p @ plain.history["matrix"] @ q.T, atol=1e-8)


def square(seed=4):
    """Four by four, all entries measured, with a target of negative determinant."""
    target = np.diag([3.0, 1.0, 0.5, -0.3])
    rng = np.random.default_rng(seed)
    sensors = np.eye(16).reshape(16, 4, 4) + 0.1 * rng.standard_normal((16, 4, 4))
    return rw.Sensing(sensors, (sensors * target).sum((1, 2)))


def test_transposition_commutes_with_the_flow():
    problem, w = square(), random_start((4, 4))
    turned = problem.replace(sensors=problem.sensors.transpose(0, 2, 1))
    plain, other = layered(problem, rw.Given(w)), layered(turned, rw.Given(w.T))
    np.testing.assert_allclose(other.history["matrix"].transpose(0, 2, 1), plain.history["matrix"], atol=1e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_determinant_keeps_its_sign(sign):
    w = random_start((4, 4))
    w[0] *= sign * np.sign(np.linalg.det(w))
    solution = layered(square(), rw.Given(w), times=2 * TIMES)
    assert (np.sign(np.linalg.det(solution.history["matrix"])) == sign).all()
    # The target has a negative determinant: only from that side can it be reached.
    assert (solution.history["train_loss"][-1] < 1e-3) == (sign < 0)


def test_going_on_gives_the_same_bits():
    solver = rw.GradientFlow(
        rw.Deep(2, rw.Given(random_start((5, 4)))), times=TIMES, tolerance=1e-10, explained=0.0, stationary=0.0
    )
    track = ("matrix", "balancedness")
    whole = rw.solve(PROBLEM, solver, track=track)
    part = rw.solve(PROBLEM, solver, max_steps=7, track=track)
    assert (part.result, whole.result) == (RESULTS.max_steps, RESULTS.end_time)
    rest = rw.solve(PROBLEM, solver, state=part.state, track=track)
    np.testing.assert_array_equal(rest.matrix, whole.matrix)
    np.testing.assert_array_equal(rest.history["time"], TIMES[7:])


def test_later_times_go_on_from_the_last():
    start = rw.Given(random_start((5, 4)))
    shorter = layered(PROBLEM, start)
    longer = rw.GradientFlow(
        rw.Deep(2, start), times=np.append(TIMES, [7.0, 8.0]), tolerance=1e-10, explained=0.0, stationary=0.0
    )
    more = rw.solve(PROBLEM, longer, state=shorter.state)
    np.testing.assert_array_equal(more.history["time"], [6, 7, 8])
    np.testing.assert_array_equal(more.matrix, rw.solve(PROBLEM, longer).matrix)


def test_a_batch_of_scales_is_the_runs_one_by_one():
    starts = [rw.Given(random_start((5, 4), size=size)) for size in (0.02, 0.2, 0.6)]
    solvers = [
        rw.GradientFlow(rw.Deep(2, start), times=TIMES, tolerance=1e-10, explained=0.0, stationary=0.0)
        for start in starts
    ]
    for start, together in zip(starts, rw.solve_batch(PROBLEM, solvers, track=["matrix"]), strict=True):
        assert apart(together, layered(PROBLEM, start)) < 1e-8


def test_stops_at_a_loss_or_where_nothing_moves():
    start = rw.Given(random_start((5, 4)))
    fitted = layered(PROBLEM, start, times=10 * TIMES, explained=0.01)
    assert fitted.result is RESULTS.explained
    assert fitted.history["train_loss"][-1] <= 0.01 < fitted.history["train_loss"][-2]
    still = layered(PROBLEM, start, times=60 * TIMES, stationary=1e-3)
    assert still.result is RESULTS.converged
    assert still.steps < len(TIMES) - 1
    assert np.linalg.norm(PROBLEM.gradient(still.matrix)) < 0.1


@pytest.mark.parametrize("solver", [rw.GradientFlow(), rw.EndToEndFlow(start=rw.Gaussian(0.1))])
def test_a_stuck_integrator_is_a_result(solver):
    solution = rw.solve(PROBLEM, solver.replace(times=[0, 10], inner_steps=1))
    assert solution.result is RESULTS.integrator_stuck
    assert np.isfinite(solution.matrix).all()


def crossing():
    """Three modes that never mix: the first is driven faster to 1, the second more slowly past it, to 3."""
    weights, target = np.ones((3, 3)) + np.diag([2.0, 0.0, -0.5]), np.diag([1.0, 3.0, 0.3])
    sensors = np.eye(9).reshape(9, 3, 3) * weights
    return rw.Sensing(sensors, (sensors * target).sum((1, 2))), rw.Given(np.diag([2e-2, 1e-2, 5e-3]))


@pytest.mark.parametrize("gap", [1e-3, 0.1])
def test_singular_values_that_cross_are_bridged(gap):
    problem, start = crossing()
    product = run(problem, rw.EndToEndFlow(2, start), times=2 * TIMES)
    spectral = run(problem, rw.SpectralFlow(2, start), times=2 * TIMES, gap=gap)
    assert apart(spectral, product) < 1e-8
    order = np.abs(product.history["matrix"][:, [0, 1], [0, 1]])
    assert order[0, 0] > order[0, 1]
    assert order[-1, 1] > order[-1, 0]
    # Modes that do not mix pass through each other; only a step that ends within the gap meets them.
    assert spectral.history["bridged"][-1] == (1 if gap == 0.1 else 0)
    assert spectral.result is RESULTS.end_time


def test_without_a_bridge_a_crossing_is_reported_by_name():
    problem, start = crossing()
    solution = run(problem, rw.SpectralFlow(2, start, bridge=False), times=2 * TIMES, gap=0.1)
    assert solution.result is RESULTS.crossing
    assert np.isfinite(solution.matrix).all()
    sigma = np.linalg.svdvals(solution.matrix)
    assert sigma[1] == pytest.approx(sigma[0], rel=0.12)
    equal = run(problem, rw.SpectralFlow(2, rw.Given(0.1 * np.eye(3)), bridge=False), times=2 * TIMES)
    assert equal.result is RESULTS.crossing


@pytest.mark.parametrize(
    ("target", "start"),
    [(np.diag([2.0, -1.0]), rw.Gaussian(0.5)), (TRUTH, rw.Identity(0.0))],
    ids=["negative", "from zero"],
)
def test_at_depth_one_singular_values_pass_through_zero(target, start):
    problem = rw.Completion.from_dense(np.asarray(target))
    spectral, product = (run(problem, flow(1, start)) for flow in (rw.SpectralFlow, rw.EndToEndFlow))
    assert apart(spectral, product) < 1e-8
    assert spectral.result is RESULTS.end_time
    assert spectral.history["bridged"][-1] > 0


def test_without_a_bridge_a_zero_at_depth_one_is_reported_by_name():
    problem = rw.Completion.from_dense(np.array([[-0.5]]))
    stopped = run(problem, rw.SpectralFlow(1, rw.Given([[0.5]]), bridge=False))
    assert abs(stopped.matrix[0, 0]) < 1e-3
    assert stopped.result is RESULTS.crossing
    assert np.isfinite(stopped.matrix).all()


@pytest.mark.parametrize(
    "solver",
    [
        rw.GradientFlow(rw.Deep(3, rw.Identity(0.0))),
        rw.EndToEndFlow(2, rw.Identity(0.0)),
        rw.SpectralFlow(2, rw.Identity(0.0)),
        rw.SpectralFlow(math.inf, rw.Identity(0.0)),
    ],
)
def test_a_start_at_zero_is_at_rest(solver):
    solution = rw.solve(PROBLEM, solver.replace(times=[0, 10]))
    assert (solution.result, solution.steps) == (RESULTS.converged, 0)
    np.testing.assert_array_equal(solution.matrix, 0)


@pytest.mark.parametrize("depth", [2, 3])
def test_singular_values_that_start_at_zero_stay_there(depth):
    start = rw.Given(0.1 * rw.low_rank((5, 4), 2, key=3).dense())
    spectral = run(PROBLEM, rw.SpectralFlow(depth, start))
    assert apart(spectral, layered(PROBLEM, start, depth)) < 1e-8
    assert spectral.history["bridged"][-1] == 0
    assert (np.linalg.svdvals(spectral.matrix)[2:] < 1e-14).all()


def test_all_take_offs_are_reached_from_a_start_of_1e_12():
    problem = rw.observe(rw.low_rank((8, 8), 2, key=0), 48, key=1).mean()
    times = np.geomspace(1, 3e5, 31)
    solution = rw.solve(
        problem, rw.GradientFlow(rw.Deep(3, rw.Identity(1e-12)), times=times, explained=1e-8), track=["singular_values"]
    )
    sigma = solution.history["singular_values"]
    assert solution.result is RESULTS.explained
    assert (sigma[-1, :2] > 1).all()
    assert (sigma[-1, 2:] < 1e-10).all()
    plateau = solution.history["integrator_steps"][sigma[:, 0] < 1e-9][-1]
    assert plateau < 200


@pytest.mark.parametrize("flow", [rw.GradientFlow, rw.EndToEndFlow, rw.SpectralFlow])
def test_bad_settings_are_refused_in_a_sentence(flow):
    for times in ([0, 2, 1], [0, 1, 1], [-1, 1], [0.0], 0.0, -3.0, [0, math.inf], [0, math.nan], [[0, 1]]):
        with pytest.raises(ValueError, match="times must"):
            flow(times=times)
    for tolerance in (0, -1e-3, math.nan, math.inf):
        with pytest.raises(ValueError, match="tolerance must be positive and finite"):
            flow(tolerance=tolerance)
    for name in ("explained", "stationary"):
        with pytest.raises(ValueError, match=f"{name} must be finite and not negative"):
            flow(**{name: -1.0})
    with pytest.raises(ValueError, match="did you mean 'dopri8'"):
        flow(method="dopri5")
    with pytest.raises(ValueError, match="inner_steps must be an integer of at least 1"):
        flow(inner_steps=0)


def test_bad_depths_gaps_shapes_and_precisions_are_refused():
    for flow in (rw.EndToEndFlow, rw.SpectralFlow):
        with pytest.raises(ValueError, match="depth must be an integer of at least 1 or infinity"):
            flow(0)
    with pytest.raises(ValueError, match="gap must lie strictly between 0 and 1"):
        rw.SpectralFlow(gap=1.0)
    with pytest.raises(ValueError, match="has depth 2, not 3"):
        rw.EndToEndFlow(3, symmetric=True)
    for solver in (rw.GradientFlow(rw.Symmetric()), rw.EndToEndFlow(2, symmetric=True)):
        with pytest.raises(ValueError, match="square"):
            rw.solve(PROBLEM, solver)
    single = rw.sense(TRUTH, 12, key=1, dtype=np.float32)
    for solver in (rw.GradientFlow(), rw.EndToEndFlow(), rw.SpectralFlow()):
        with pytest.raises(ValueError, match="integrated in float64; the observations are float32"):
            rw.solve(single, solver)


@pytest.mark.reproduction
def test_integrator_steps_from_small_scales():
    """Steps of the integrator: on the first plateau, past every take-off, and the size of what stays unlearned."""
    problem = rw.observe(rw.low_rank((8, 8), 2, key=0), 48, key=1).mean()
    runs: list[tuple[int, float, Any]] = [
        *((depth, scale, "dopri8") for depth in (2, 3) for scale in (1e-3, 1e-6, 1e-12)),
        (2, 1e-12, "kvaerno5"),
        (3, 1e-12, "kvaerno5"),
    ]
    rows = ["depth  scale  method    plateau: time  steps   to loss 1e-8: time   steps  third singular value / scale"]
    for depth, scale, method in runs:
        flow = rw.GradientFlow(
            rw.Deep(depth, rw.Identity(scale)), times=np.geomspace(1, 1e6, 121), method=method, explained=1e-8
        )
        solution = rw.solve(problem, flow, track=["singular_values"])
        sigma, time, steps = (solution.history[name] for name in ("singular_values", "time", "integrator_steps"))
        # The plateau ends when the first mode has grown to a hundredth of its final size.
        off = int(np.argmax(sigma[:, 0] > 0.01 * sigma[-1, 0])) - 1
        plateau, whole = f"{time[off]:13.3g}  {steps[off]:5d}", f"{time[-1]:18.3g}  {steps[-1]:6d}"
        rows.append(f"{depth:5d}  {scale:5.0e}  {method:8s}  {plateau}  {whole}  {sigma[-1, 2] / scale:10.3g}")
        assert solution.result is RESULTS.explained
        assert steps[off] < 1000
        assert (sigma[-1, :2] > 1).all()
    print("\n" + "\n".join(rows))


@pytest.mark.parametrize("later", [20.0, [0.0, 1.0, 15.0, 20.0], [20.0]])
def test_another_grid_of_times_goes_on_from_where_the_flow_stands(later):
    problem = rw.observe(rw.low_rank((4, 4), 2, key=0), 12, key=1).mean()
    form = rw.Deep(2, rw.Identity(0.1))
    first = rw.solve(problem, rw.GradientFlow(form, times=10.0))
    on = rw.solve(problem, rw.GradientFlow(form, times=later), state=first.state, track=["matrix"])
    whole = rw.solve(problem, rw.GradientFlow(form, times=[10.0, 20.0]))
    assert on.result is RESULTS.end_time
    assert (np.diff(on.history["time"]) > 0).all()
    assert (on.history["time"][0], on.history["time"][-1]) == (10.0, 20.0)
    np.testing.assert_allclose(on.matrix, whole.matrix, atol=1e-7)
    back = rw.solve(problem, rw.GradientFlow(form, times=5.0), state=first.state)
    assert (back.result, back.history["time"][-1]) == (RESULTS.end_time, 10.0)
