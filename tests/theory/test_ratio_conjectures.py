"""The instruments of the conjectures: spans, alternating sweeps and rotated bases, and that every verdict is given."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved.ratio_conjectures import ratio_conjectures
from rankwise.theory.ratio_tools import Rotated, alternating_sweep, completion_instance, outside_span


def orthogonal(n, key):
    return np.linalg.qr(np.random.default_rng(key).standard_normal((n, n)))[0]


def test_the_share_outside_the_span_of_a_coordinate_matrix():
    matrix = np.diag([2.0, 0.0])
    assert outside_span(matrix, np.diag([1.0, 0])) == 0
    assert outside_span(matrix, np.diag([0, 1.0])) == 1
    assert outside_span(matrix, np.diag([3.0, 4])) == pytest.approx(0.8)


def test_nothing_lies_outside_the_span_of_a_full_matrix():
    matrix, step = np.random.default_rng(0).standard_normal((2, 5, 5))
    assert outside_span(matrix, step) == pytest.approx(0, abs=1e-12)


def test_the_penalty_stays_in_the_span_whatever_the_basis():
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 5))
    for turned in (matrix, orthogonal(6, 0) @ matrix @ orthogonal(5, 1)):
        for penalty in (rw.Ratio(1.0), rw.Nuclear(1.0), rw.Frobenius(1.0)):
            assert outside_span(turned, penalty.gradient(turned)) == pytest.approx(0, abs=1e-12)


def test_the_truth_is_a_fixed_point_of_alternating_sweeps_and_attracts_its_neighbors():
    given = completion_instance(12, 2, 100, 0, dtype=np.float64)
    near = given.truth + 1e-3 * np.random.default_rng(0).standard_normal((12, 12))
    np.testing.assert_allclose(alternating_sweep(given.problem, given.truth, 2), given.truth, atol=1e-12)
    once = alternating_sweep(given.problem, near, 2)
    assert np.linalg.norm(once - given.truth) < np.linalg.norm(near - given.truth)


@pytest.mark.parametrize(("name", "equivariant"), [("group_rmsprop", True), ("adam", False)])
def test_a_rotated_basis_matters_to_element_wise_scaling_alone(name, equivariant):
    problem = completion_instance(8, 1, 40, 0, dtype=np.float64).problem
    start, penalty = rw.Gaussian(1e-2), rw.Ratio(1e-2, resolution=1e-4)
    turned = Rotated(orthogonal(8, 0), orthogonal(8, 1), start)
    own, other = (
        np.asarray(rw.solve(problem, rw.GradientDescent(how, rw.Optimizer(name, 1e-2), penalty), max_steps=50).matrix)
        for how in (rw.Full(start), turned)
    )
    assert bool(np.linalg.norm(own - other) < 1e-9 * np.linalg.norm(own)) is equivariant


def test_every_conjecture_has_a_verdict_and_a_panel():
    finding = ratio_conjectures(size=12, rank=1, count=90, rate=1e-2, steps=800, seeds=1, levels=(0.0, 0.1))
    assert finding.kind == "conjecture"
    assert {check.label[0] for check in finding.checks if check.label[0].isdigit()} == set("1234")
    assert len(finding.panels) == 4
    assert np.isfinite(finding.measured).all()


@pytest.mark.parametrize("bad", [{"seeds": 0}, {"levels": ()}, {"levels": (-1.0,)}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ratio_conjectures(**bad)


@pytest.mark.reproduction
@pytest.mark.parametrize("count", [350, 240])
def test_the_conjectures_at_two_numbers_of_observations(count):
    finding = ratio_conjectures(count=count, steps=8000, seeds=5)
    noise, starts = finding.details["noise"], finding.details["starts"]
    print(f"\n{count} of 900 observed\n" + finding.table())
    for level, error, least, told in zip(*(noise[name] for name in ("levels", "errors", "least", "told")), strict=True):
        print(f"  noise {level:g}: hidden error {error:.2g}, at best {least:.2g}, told the rank {told:.2g}")
    for name in ("noise", "zero-filled"):
        first = [int(starts["steps"][np.argmax(path < 1e-3)]) if (path < 1e-3).any() else None for path in starts[name]]
        print(f"  first checkpoint below 1e-3 from {name}: {first}")
