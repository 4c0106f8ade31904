"""Amplitude flow: exact recovery, convergence, noise, extremes and refusals."""

import jax
import numpy as np
import pytest

import rankwise as rw
from rankwise.problems.phase import distance

RNG = np.random.default_rng(0)
SIGNAL = RNG.standard_normal(100) + 1j * RNG.standard_normal(100)
SHORT = SIGNAL[:20]
IMAGE = RNG.random((20, 24))


@pytest.mark.parametrize(
    ("signal", "count"), [(SIGNAL, 600), (SIGNAL.real, 400), (SIGNAL[:1], 3), (SIGNAL.real[:2], 9)]
)
@pytest.mark.parametrize("key", range(4))
def test_recovers_signals_to_machine_precision(signal, count, key):
    problem = rw.diffract(signal, count, key=key)
    solution = rw.solve(problem, rw.AmplitudeFlow())
    assert (solution.rank, solution.result.name) == (1, "explained")
    assert distance(problem.signal(solution.matrix), signal) < 1e-12


def test_repeated_intensities_are_counted_once():
    few = rw.diffract(SHORT[:4], 5, key=0)
    vectors, values = np.tile(few.vectors, (20, 1)), np.tile(few.values, 20)
    assert rw.solve(rw.PhaseRetrieval(vectors, values), rw.AmplitudeFlow()).result.name == "underdetermined"


@pytest.mark.parametrize("image", [IMAGE, IMAGE + 1j * IMAGE[::-1]])
def test_recovers_images_from_coded_patterns(image):
    problem = rw.diffract_coded(image, 6, key=0)
    recovered = problem.signal(rw.solve(problem, rw.AmplitudeFlow()).matrix)
    assert recovered.shape == image.shape
    assert distance(recovered, image) < 1e-12


def test_recovers_behind_a_beam_stop():
    problem = rw.diffract_coded(IMAGE, 8, key=0)
    seen = np.setdiff1d(np.arange(problem.size), np.arange(8) * IMAGE.size)  # all but the brightest pixels
    part = problem.subset(seen)
    assert distance(part.signal(rw.solve(part, rw.AmplitudeFlow()).matrix), IMAGE) < 1e-12


def test_gauss_newton_steps_converge_quadratically():
    history = rw.solve(rw.diffract(SIGNAL, 600, key=0), rw.AmplitudeFlow()).history
    last = np.log(history["amplitude_residual"][history["newton"] == 1])
    assert last[0] < 1.8 * np.log(1e-4) + 3
    assert history["amplitude_residual"][history["newton"] == 0][-1] < 1e-4 < history["amplitude_residual"][0]


def test_noise_is_fitted_to_a_stationary_point_or_to_its_level():
    exact = rw.diffract(SHORT, 200, key=0)
    noise = 0.05 * exact.values.mean()
    noisy = rw.diffract(SHORT, 200, key=0, noise=noise)
    assert noisy.values.min() >= 0
    fitted = rw.solve(noisy, rw.AmplitudeFlow())
    assert fitted.result.name == "converged"
    moved = rw.solve(noisy, rw.AmplitudeFlow(), state=fitted.state)
    assert moved.steps == fitted.steps
    gradient = noisy.gradient(fitted.matrix) @ fitted.matrix.left
    assert np.linalg.norm(gradient) < 1e-4 * np.linalg.norm(noisy.gradient(0 * noisy.gradient(fitted.matrix)))
    stopped = rw.solve(noisy, rw.AmplitudeFlow(noise=noise))
    assert stopped.result.name == "noise_level"
    assert distance(noisy.signal(stopped.matrix), SHORT) < 0.05


def test_the_state_continues_to_the_same_bits():
    problem, solver = rw.diffract(SHORT, 90, key=0), rw.AmplitudeFlow()
    whole = rw.solve(problem, solver)
    half = rw.solve(problem, solver, max_steps=whole.steps // 2)
    assert half.result.name == "max_steps"
    rest = rw.solve(problem, solver, state=half.state)
    np.testing.assert_array_equal(rest.matrix.left, whole.matrix.left)
    assert rest.steps == whole.steps


@pytest.mark.parametrize("scale", [1e-290, 1e-100, 1e290])
def test_intensities_of_any_size(scale):
    problem = rw.diffract(SHORT, 120, key=0)
    scaled = problem.replace(values=problem.values * scale)
    matrix = rw.solve(scaled, rw.AmplitudeFlow()).matrix
    assert distance(problem.signal(rw.LowRank(matrix.left / scale**0.5, matrix.right / scale**0.5)), SHORT) < 1e-10


def test_zero_intensities():
    solution = rw.solve(rw.diffract(0 * SHORT, 90, key=0), rw.AmplitudeFlow())
    assert (solution.result.name, solution.steps) == ("explained", 0)
    assert not solution.matrix.dense().any()
    problem = rw.diffract(np.r_[1.0, 0.0, 0.0, 0.0], 40, key=0)
    one_dark = problem.replace(vectors=np.vstack([problem.vectors, [0, 1, 0, 0]]), values=np.r_[problem.values, 0])
    assert distance(one_dark.signal(rw.solve(one_dark, rw.AmplitudeFlow()).matrix), [1, 0, 0, 0]) < 1e-12


def test_too_few_intensities_are_told():
    solution = rw.solve(rw.diffract(SHORT, 30, key=0), rw.AmplitudeFlow())
    assert solution.result.name in ("underdetermined", "converged")
    single = rw.solve(rw.diffract(SHORT, 1, key=0), rw.AmplitudeFlow())
    assert single.result.name == "underdetermined"


def test_single_precision():
    problem = rw.diffract(SHORT, 120, key=0, dtype=np.float32)
    solution = rw.solve(problem, rw.AmplitudeFlow())
    assert solution.result.name == "explained"
    assert solution.matrix.dtype == np.float32
    assert distance(problem.signal(solution.matrix), SHORT) < 1e-6


def test_takes_jax_keys_and_plain_flow():
    problem = rw.diffract(SHORT, 160, key=0)
    solution = rw.solve(problem, rw.AmplitudeFlow(reweight=0), key=jax.random.key(1))
    assert distance(problem.signal(solution.matrix), SHORT) < 1e-12


def test_refusals():
    truth = rw.low_rank((5, 5), 1, key=0)
    with pytest.raises(ValueError, match="takes intensities"):
        rw.solve(rw.observe(truth, 12, key=0), rw.AmplitudeFlow())
    with pytest.raises(ValueError, match="misfit"):
        rw.solve(rw.diffract(SHORT, 90, key=0).replace(misfit=rw.Huber(1.0)), rw.AmplitudeFlow())
    with pytest.raises(ValueError, match="reweight must be"):
        rw.AmplitudeFlow(reweight=-1.0)
    with pytest.raises(ValueError, match="patience"):
        rw.AmplitudeFlow(patience=0)
