"""The counterexample to the nuclear-norm conjecture."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.theory.proved import counterexample as theory


def test_every_claim_about_the_instance_and_the_flows_holds():
    finding = theory.counterexample(depths=(3,), scales=(1e-1, 1e-2, 1e-3))
    assert finding.holds, finding.table()
    assert finding.figure().axes


@pytest.mark.parametrize("R", [1.2, 3.0])
def test_no_completion_has_a_smaller_nuclear_norm(R):
    rng = np.random.default_rng(0)
    problem = theory.instance(R)
    for _ in range(50):
        matrix = rng.standard_normal((4, 4))
        matrix[problem.rows, problem.cols] = problem.values
        assert np.linalg.norm(matrix, "nuc") >= 4 * R - 1e-12


@pytest.mark.parametrize("R", [1.5, 3.0])
def test_greedy_learning_reaches_rank_one_in_one_phase(R):
    solution = rw.solve(theory.instance(R), rw.Greedy(rw.Symmetric()))
    assert (solution.steps, solution.rank) == (1, 1)
    assert np.allclose(np.asarray(solution.matrix), theory.least_rank_completion(R), rtol=1e-8)


def test_the_scale_matters_linearly_from_depth_three():
    finding = theory.counterexample_scaling(depths=(3,), deep_scales=(1e-4, 1e-6))
    assert finding.holds, finding.table()


@pytest.mark.parametrize(("depth", "power"), [(2, 0.3904), (3, 1.0), (4, 1.0)])
def test_the_predicted_powers(depth, power):
    predicted, values = theory.scaling_prediction(2.0, depth, [1e-4, 1e-6])
    assert predicted == pytest.approx(power, rel=1e-3)
    assert np.log(values[0] / values[1]) / np.log(100) == pytest.approx(power, rel=1e-3)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="R must"):
        theory.counterexample(R=1.0)
    with pytest.raises(ValueError, match="scales must"):
        theory.counterexample(scales=(1e-3, 1e-2))
    with pytest.raises(ValueError, match="scales must"):
        theory.counterexample_scaling(scales=(1e-3,))


# Distance to M_rank and second singular value at R = 2, by depth, at these scales: an earlier measurement. Two of its
# numbers at 1e-6 were only of the right order; the others hold to every digit given.
SCALES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
KNOWN = {
    2: (("5.73", "2.05"), ("4.60", "1.44"), ("3.55", "0.99"), ("2.61", "0.66"), ("1.14", "0.25")),
    3: (("4.38", "1.41"), ("1.17", "0.286"), ("0.0936", "0.0229"), ("0.0075", "0.0019"), ("6.65e-5", "1.73e-5")),
    4: (("3.45", "1.06"), ("0.365", "0.095"), ("0.0265", "0.0074"), ("0.0024", "6.8e-4"), ("2.54e-5", "6.59e-6")),
}


def written(value, like):
    """The value to as many digits as a written number has."""
    mantissa = like.partition("e")[0].replace(".", "").lstrip("0")
    return float(f"{value:.{len(mantissa) - 1}e}")


@pytest.mark.reproduction
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_table_of_gradient_descent(depth):
    optimizer = rw.Optimizer("gradient_descent", 5e-3)
    solvers = [rw.GradientDescent(rw.Deep(depth, rw.Identity(s)), optimizer, tolerance=1e-13) for s in SCALES]
    solutions = rw.solve_batch(theory.instance(2.0), solvers, max_steps=200_000)
    for scale, solution, known in zip(SCALES, solutions, KNOWN[depth], strict=True):
        sigma = np.linalg.svd(solution.matrix, compute_uv=False)
        found = np.linalg.norm(solution.matrix - theory.least_rank_completion(2.0)), sigma[1]
        print(
            f"\ndepth {depth}, scale {scale:g}: distance {found[0]:.3g}, sigma_2 {sigma[1]:.3g}, "
            f"norm {sigma.sum():.4g}",
            end="",
        )
        assert solution.result.name == "explained"
        assert [written(value, like) for value, like in zip(found, known, strict=True)] == [float(k) for k in known]
