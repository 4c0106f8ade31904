"""What the papers prove, executable: each function builds an instance, runs it, returns measured beside proved."""

from collections.abc import Callable

from rankwise.theory.finding import Chart, Check, Curve, Finding, Panel
from rankwise.theory.motion import singular_value_motion, stationary_vectors, three_ways
from rankwise.theory.predictions import TRACK, Predictions, half_times, neighbours, predict, takeoff_times
from rankwise.theory.toy_modes import mode_time, mode_value, toy_modes

RESULTS_PROVED: dict[str, Callable[..., Finding]] = {
    "singular_value_motion": singular_value_motion,
    "three_ways": three_ways,
    "stationary_vectors": stationary_vectors,
    "toy_modes": toy_modes,
}

__all__ = [
    "RESULTS_PROVED",
    "TRACK",
    "Chart",
    "Check",
    "Curve",
    "Finding",
    "Panel",
    "Predictions",
    "half_times",
    "mode_time",
    "mode_value",
    "neighbours",
    "predict",
    "singular_value_motion",
    "stationary_vectors",
    "takeoff_times",
    "three_ways",
    "toy_modes",
]
