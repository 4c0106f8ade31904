"""One measurement: the relation between two singular values that each depth conserves."""

import numpy as np
import pytest

from rankwise.theory.proved.one_measurement import ceiling, conserved, one_measurement, partner


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("ratio", [0.4, 1.0, 2.5])
def test_partner_undoes_conserved_and_has_the_slope_of_the_flow(depth, ratio):
    constant = float(conserved(0.3, 0.2, depth, ratio))
    assert partner(0.2, constant, depth, ratio) == pytest.approx(0.3)
    slope = (partner(0.2 + 1e-6, constant, depth, ratio) - partner(0.2 - 1e-6, constant, depth, ratio)) / 2e-6
    assert slope == pytest.approx(ratio * (0.3 / 0.2) ** (2 - 2 / depth), rel=1e-6)


def test_equal_couplings_keep_equal_values_equal():
    sigma = np.geomspace(1e-3, 1, 5)
    for depth in (1, 2, 3, 4):
        assert partner(sigma, float(conserved(0.1, 0.1, depth, 1.0)), depth, 1.0) == pytest.approx(sigma)


def test_the_weaker_value_saturates_only_at_depth_three_and_more():
    for depth in (3, 4):
        constant = float(conserved(0.01, 0.01, depth, 0.5))
        assert ceiling(constant, depth) == pytest.approx(0.01 * 0.5 ** (-depth / (depth - 2)))
        assert partner(1e12, constant, depth, 0.5) == pytest.approx(ceiling(constant, depth), rel=1e-3)
    assert ceiling(1.0, 2) == np.inf
    # A stronger first value has no ceiling.
    assert ceiling(float(conserved(0.01, 0.01, 3, 2.0)), 3) == np.inf


def test_the_finding_holds_and_draws():
    found = one_measurement(depths=(2, 3), ratio=0.3, starts=(2.0, 1.0), scales=(1e-1, 1e-3))
    assert found.holds, found.table()
    assert len(found.figure().axes) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ratio": 1.5}, "ratio must lie strictly between 0 and 1"),
        ({"depths": (0,)}, "depth must be an integer of at least 1"),
        ({"scales": (0.0,)}, "starts and scales must be positive"),
        ({"shape": (3, 1)}, "shape must hold two singular values"),
    ],
)
def test_bad_arguments(arguments, said):
    with pytest.raises(ValueError, match=said):
        one_measurement(**arguments)
