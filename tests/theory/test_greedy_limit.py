"""The distance of two paths, and how near gradient flow comes to greedy learning."""

import numpy as np
import pytest

from rankwise.problems import Completion
from rankwise.theory.frechet import frechet_distance
from rankwise.theory.proved.counterexample import instance
from rankwise.theory.proved.greedy_limit import (
    distance_to_greedy,
    flow_trajectory,
    greedy_limit,
    greedy_trajectory,
    local_slopes,
    second_mode,
)

CIRCLE = np.linspace(0, np.pi, 60)
PATH = np.stack([np.cos(CIRCLE), np.sin(CIRCLE), CIRCLE, 0 * CIRCLE], axis=1).reshape(-1, 2, 2)


def discrete(first, second):
    """The discrete Fréchet distance by its recursion."""
    apart = np.linalg.norm(first[:, None] - second[None], axis=(2, 3))
    best = np.full(apart.shape, np.inf)
    for i in range(len(first)):
        for j in range(len(second)):
            before = [best[k, m] for k, m in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if min(k, m) >= 0]
            best[i, j] = max(apart[i, j], min(before, default=0.0))
    return best[-1, -1]


def test_identical_and_delayed_and_finer_paths_are_at_distance_zero():
    assert distance_to_greedy(PATH, PATH) == 0
    assert distance_to_greedy(np.repeat(PATH, 3, axis=0), PATH) == 0
    waiting = np.concatenate([PATH[:1].repeat(20, axis=0), PATH, PATH[-1:].repeat(7, axis=0)])
    assert distance_to_greedy(waiting, PATH) == 0
    finer = np.sort(np.concatenate([np.arange(60.0), np.random.default_rng(0).uniform(0, 59, 40)]))
    flat = np.stack([np.interp(finer, np.arange(60), column) for column in PATH.reshape(60, 4).T], axis=1)
    assert distance_to_greedy(flat.reshape(-1, 2, 2), PATH) < 1e-12


def test_it_is_symmetric_and_a_shift_is_as_far_as_it_is_long():
    other = 1.3 * PATH[::2] + 0.1
    assert distance_to_greedy(PATH, other) == pytest.approx(distance_to_greedy(other, PATH), rel=2e-3)
    shift = np.array([[0.0, 0.0], [0.0, 0.4]])
    assert distance_to_greedy(PATH + shift, PATH) == pytest.approx(0.4, rel=1e-3)
    assert distance_to_greedy(PATH, PATH[::-1]) >= np.linalg.norm(PATH[0] - PATH[-1]) * (1 - 1e-12)


def test_a_step_back_costs_half_of_what_it_goes_back():
    line = np.array([[0.0], [3.0]])
    back = np.array([[0.0], [2.0], [1.0], [3.0]])
    assert frechet_distance(back, line) == pytest.approx(0.5, rel=2e-3)


def test_the_discrete_distance_comes_down_to_it():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 8, 2, 2)).cumsum(axis=1)

    def fine(path):
        at = np.linspace(0, 7, 141)
        flat = np.stack([np.interp(at, np.arange(8), column) for column in path.reshape(8, 4).T], axis=1)
        return flat.reshape(-1, 2, 2)

    exact, coarse, close = (
        distance_to_greedy(first, second),
        discrete(first, second),
        discrete(fine(first), fine(second)),
    )
    assert exact <= coarse * 1.001
    assert exact <= close * 1.001
    assert close == pytest.approx(exact, abs=0.15)


def test_one_point_is_as_far_as_the_farthest():
    assert distance_to_greedy(PATH[:1], PATH) == pytest.approx(np.linalg.norm(PATH - PATH[0], axis=(1, 2)).max())


def test_the_flow_comes_nearer_and_greedy_ends_at_rank_one():
    problem, vector = instance(2.0), np.array([1.0, 2.0, 1.0, 2.0])
    greedy = greedy_trajectory(problem, 3)
    assert greedy.path[-1].rank == 1
    np.testing.assert_allclose(greedy.matrices[-1], np.outer(vector, vector), atol=1e-6)
    assert (np.diff(greedy.times) >= 0).all()
    gaps = [distance_to_greedy(flow_trajectory(problem, 3, s, 200), greedy) for s in (1e-2, 1e-3)]
    assert gaps[1] < gaps[0] / 8


def test_powers():
    np.testing.assert_allclose(local_slopes([1e-1, 1e-2, 1e-4], [1.0, 0.1, 0.1]), [1.0, 0.0], atol=1e-12)
    assert second_mode(2, 0.25, 16.0) == pytest.approx(8.0)
    assert second_mode(3, 0.5, 1e-3) == pytest.approx(8e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"R": 1.0}, "R must be above 1"),
        ({"depths": (1,)}, "depths must be"),
        ({"scales": (1e-3, 1e-2)}, "scales must be"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        greedy_limit(**arguments)
    with pytest.raises(ValueError, match="one shape"):
        distance_to_greedy(PATH, np.zeros((3, 2, 3)))
    with pytest.raises(ValueError, match="flow must be a stack"):
        distance_to_greedy(np.full((2, 2, 2), np.nan), PATH)
    with pytest.raises(ValueError, match="scale must be positive"):
        flow_trajectory(instance(2.0), 2, 0.0)
    with pytest.raises(ValueError, match=r"no direction to grow in: .* at 0 is -2"):
        flow_trajectory(Completion.from_dense(-2 * np.eye(3)), 2, 1e-2)
    wide = Completion.from_dense(np.ones((3, 4)))
    with pytest.raises(ValueError, match="compared on square problems"):
        flow_trajectory(wide, 2, 1e-2)
    with pytest.raises(ValueError, match="semidefinite=True needs a square problem"):
        greedy_trajectory(wide)


@pytest.mark.reproduction
@pytest.mark.parametrize(("ratio", "far"), [(2.0, (1e-9, 1e-12, 1e-16)), (3.0, (1e-12, 1e-20, 1e-25, 1e-30))])
def test_the_greedy_limit_in_full(ratio, far):
    """For R = 2: power 0.39 at depth 2, and sigma_2 / s falls to 16.8 and 6.6 at depths 3 and 4."""
    finding = greedy_limit(
        depths=(2, 3, 4, 6), scales=(1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), R=ratio, far=far, points=2000
    )
    print("\n" + finding.table())
    for depth, scales in finding.details["scales"].items():
        print(f"depth {depth}: s, distance of the paths, of the ends, sigma_2 / s")
        rows = zip(
            scales, finding.details["distances"][depth], finding.details["end_distances"][depth],
            finding.details["second_values"][depth] / scales, strict=True,
        )  # fmt: skip
        for row in rows:
            print("  " + "  ".join(f"{number:9.3g}" for number in row))
    assert finding.holds
