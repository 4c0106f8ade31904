"""The history of a run that went on is that of the uninterrupted one."""

import numpy as np
import pytest

import rankwise as rw
from rankwise.solution import History


def test_the_histories_of_two_halves_make_the_whole():
    problem = rw.observe(rw.low_rank((20, 15), 2, key=0), 200, key=1)
    track = ["singular_values"]
    whole = rw.solve(problem, rw.Greedy(max_rank=3, tolerance=0), track=track)
    part = rw.solve(problem, rw.Greedy(max_rank=3, tolerance=0), track=track, max_steps=1)
    rest = rw.solve(problem, rw.Greedy(max_rank=3, tolerance=0), track=track, state=part.state)
    joined = part.history.then(rest.history)
    assert set(joined) == set(whole.history)
    for name in whole.history:
        np.testing.assert_array_equal(joined[name], whole.history[name])


def test_histories_of_other_measures_do_not_join():
    one, other = (History(np.arange(2), {name: np.zeros(2)}) for name in ("train_loss", "rank"))
    with pytest.raises(ValueError, match="the histories hold"):
        one.then(other)
