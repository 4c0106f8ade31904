"""Findings as cases: their checks become numbers, their panels stay with the record."""

import json
from pathlib import Path

import pytest

from rankwise.studies.tasks import TASKS
from rankwise.theory import RESULTS_PROVED, Check, Curve, Finding, Panel


def finding(slack: float = 0.1, key: int = 0) -> Finding:
    """One plus the key is one."""
    panel = Panel("made up", "x", "y", (Curve("c", [0, 1], [1, 2]),))
    return Finding("made_up", "1 + key = 1", "", (Check("one", 1.0 + key, 1.0, "=", slack),), (panel,))


@pytest.mark.parametrize(("seed", "holds"), [(0, 1.0), (1, 0.0)])
def test_checks_become_numbers_and_panels_details(seed, holds, monkeypatch):
    monkeypatch.setitem(RESULTS_PROVED, "made_up", finding)
    task = TASKS["theory"]
    settings = task.seeded({"finding": "made_up", "arguments": {"slack": 0.5}}, seed)
    task.check(settings, Path())
    (outcome,) = task.run([settings], Path())
    assert outcome.numbers == {"one": 1.0 + seed, "holds": holds}
    assert outcome.result == ("holds" if holds else "does_not_hold")
    assert json.loads(outcome.details)["panels"][0]["title"] == "made up"


def test_what_no_finding_takes_is_named():
    with pytest.raises(ValueError, match=r"^arguments\.depht is not a key; did you mean 'depths'\?"):
        TASKS["theory"].check({"finding": "greedy_limit", "arguments": {"depht": [2]}}, Path())
    with pytest.raises(ValueError, match="unknown finding 'greedy'"):
        TASKS["theory"].check({"finding": "greedy"}, Path())
