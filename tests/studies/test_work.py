"""How much arithmetic runs take: one count, from which the dry run tells time and long batches are saved."""

import pytest

from rankwise.studies.cases import Case
from rankwise.studies.estimate import estimate
from rankwise.studies.overlay import overlay
from rankwise.studies.plan import batches
from rankwise.studies.tasks import TASKS, solve

PROBLEM = {"count": 100_000, "truth": {"shape": [1000, 1000], "rank": 5, "symmetric": True}}


def descent(**more):
    """A run of gradient descent whose unknown is written so."""
    return {"problem": PROBLEM, "solver": {"name": "gradient_descent", **more}, "max_steps": 1900}


def test_a_symmetric_factorization_takes_what_two_layers_take():
    symmetric, two, full = (
        TASKS["solve"].work(descent(factorization=form)) for form in ("symmetric", {"name": "deep", "depth": 2}, "full")
    )
    assert symmetric == two
    assert two.products == pytest.approx(2 * 1900)
    assert full.products == 0


def test_a_run_is_measured_at_most_at_each_of_its_steps():
    every, more = (
        TASKS["solve"].work(descent() | {"track": ["stable_rank"], "checkpoints": n}) for n in (1901, 1_000_000)
    )
    assert every == more


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (descent(factorization="symmetric"), True),
        (overlay(descent(), {"problem": {"count": 500, "truth": {"shape": [50, 50]}}}), False),
        ({"problem": PROBLEM, "solver": {"name": "gradient_flow", "times": [0, 1.0]}}, True),
        ({"problem": PROBLEM, "solver": "greedy"}, True),
    ],
)
def test_what_can_take_longer_than_a_minute_saves_itself(settings, kept, tmp_path, monkeypatch):
    """What is of unknown length can; of known length is what the dry run tells the time of."""

    def stop(**given):
        raise InterruptedError(str("path" in given))

    for name in ("solve_batch", "solve_batch_resumable"):
        monkeypatch.setattr(solve, name, stop)
    monkeypatch.setattr(solve, "_build", lambda *_: [solve.Spec(None, solve.build_solver(settings["solver"]))])
    with pytest.raises(InterruptedError, match=str(kept)):
        TASKS["solve"].run([settings], tmp_path, keep=tmp_path / "checkpoints" / "one")
    cost = estimate(batches([Case("all", {}, {"task": "solve", **settings}, "a")], 64))
    known = TASKS["solve"].work(settings) is not None
    assert (cost.fixed, cost.unknown) == (known, not known)
    assert not known or (cost.seconds > 20) == kept
