"""Settings: what counts as a number, a flag or an integer, and the one sentence for what does not."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.penalties import PENALTIES
from rankwise.plain import boolean, checked
from rankwise.problems import Huber

TABLE = rw.Completion.from_dense(np.eye(3))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array(np.nan), "rate must be positive and finite, not nan"),
        (np.array(-1.0), "rate must be positive and finite, not -1"),
        (np.array([1.0, -2.0]), "rate must be positive and finite, not -2"),
        (np.array([True]), "rate must be a number"),
        (np.array("a"), "rate must be a number, not"),
        (np.array([1j]), "rate must be a number"),
        (np.bool_(True), "rate must be a number"),
        (10**4299, "rate must be positive and finite, not an integer beyond the floats"),
    ],
)
def test_numbers_out_of_range_are_refused_however_they_are_wrapped(value, words):
    with pytest.raises(ValueError, match=words):
        checked(value, "rate", above=0)


def test_numbers_in_range_pass():
    assert checked(np.array(2), "rate", above=0) == 2.0
    assert isinstance(checked(np.array(2), "rate"), float)
    batch = np.array([1.0, 2.0])
    assert checked(batch, "rate", above=0) is batch


def test_traced_numbers_pass_as_they_are():
    import jax

    assert jax.jit(lambda x: checked(x, "rate", above=0))(-1.0) == -1.0


@pytest.mark.parametrize("value", [np.array(-1.0), np.array(np.nan), np.array([1.0, 2.0]), 10**400])
def test_the_scale_of_a_loss_is_one_positive_number(value):
    with pytest.raises(ValueError, match="scale must be"):
        TABLE.replace(scale=value)


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("value", [np.array(-1.0), 10**400])
def test_penalties_refuse_weights_out_of_range(name, value):
    with pytest.raises(ValueError, match="weight must be"):
        PENALTIES[name](weight=value)


@pytest.mark.parametrize("value", [0, None, "a", 1.0, [True]])
def test_flags_are_true_or_false(value):
    with pytest.raises(ValueError, match="polish must be True or False"):
        boolean(value, "polish")
    for make, name in (
        (rw.Greedy, "polish"),
        (rw.Greedy, "refit"),
        (rw.Greedy, "semidefinite"),
        (rw.AlternatingLeastSquares, "by_count"),
        (rw.SpectralFlow, "bridge"),
        (rw.EndToEndFlow, "symmetric"),
    ):
        with pytest.raises(ValueError, match=f"{name} must be True or False"):
            make(**{name: value})


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (Huber, {"delta": np.array(-1.0)}, "delta must be"),
        (rw.Greedy, {"ridge": np.array(np.nan)}, "ridge must be"),
        (rw.Greedy, {"inner": [1]}, "inner must be"),
        (rw.GaussNewton, {"variant": {}}, "variant must be"),
        (rw.AmplitudeFlow, {"basin": None}, "basin must be a number"),
        (rw.AmplitudeFlow, {"reweight": None}, "reweight must be a number"),
        (rw.Nuclear, {"resolution": "a"}, "resolution must be a number"),
        (rw.Ratio, {"resolution": None}, "resolution must be a number"),
        (rw.IRLS, {"rank": 3, "max_rank": 1}, "rank is 3, above max_rank, which is 1"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(make, settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_integers_of_numpy_are_integers():
    assert rw.IRLS(spare=np.int64(1)).spare == 1


def test_a_run_takes_no_array_for_a_number():
    with pytest.raises(ValueError, match="stationary is an array: a run takes one number"):
        rw.solve(TABLE, rw.IRLS(stationary=np.array([0.1, 0.2])))
