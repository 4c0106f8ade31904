"""What the papers prove, executable: each function builds an instance, runs it, returns measured beside proved."""

from collections.abc import Callable

from rankwise.theory.finding import Chart, Check, Curve, Finding, Panel
from rankwise.theory.predictions import TRACK, Predictions, neighbors, predict
from rankwise.theory.proved.acceleration import acceleration
from rankwise.theory.proved.adam import adam_preconditioner
from rankwise.theory.proved.commuting import commuting
from rankwise.theory.proved.commuting_instability import commuting_instability
from rankwise.theory.proved.connectivity import connectivity, observation_components
from rankwise.theory.proved.counterexample import counterexample, counterexample_scaling
from rankwise.theory.proved.depth_one import minimum_frobenius
from rankwise.theory.proved.discretization import discretization, largest_step, sharpness
from rankwise.theory.proved.greedy_limit import distance_to_greedy, flow_trajectory, greedy_limit, greedy_trajectory
from rankwise.theory.proved.lazy import lazy_regime
from rankwise.theory.proved.motion import singular_value_motion, stationary_vectors, three_ways
from rankwise.theory.proved.one_measurement import one_measurement
from rankwise.theory.proved.preconditioning import preconditioning
from rankwise.theory.proved.ratio import ratio_infimum
from rankwise.theory.proved.ratio_conjectures import ratio_conjectures
from rankwise.theory.proved.ratio_map import ratio_map
from rankwise.theory.proved.schatten import schatten_not_minimal
from rankwise.theory.proved.toy_modes import mode_time, mode_value, toy_modes
from rankwise.theory.proved.unbounded_norm import unbounded_norm, unbounded_norm_steps
from rankwise.theory.takeoff import half_times, takeoff_times

RESULTS_PROVED: dict[str, Callable[..., Finding]] = {
    "minimum_frobenius": minimum_frobenius,
    "singular_value_motion": singular_value_motion,
    "stationary_vectors": stationary_vectors,
    "three_ways": three_ways,
    "toy_modes": toy_modes,
    "one_measurement": one_measurement,
    "discretization": discretization,
    "commuting": commuting,
    "commuting_instability": commuting_instability,
    "schatten_not_minimal": schatten_not_minimal,
    "counterexample": counterexample,
    "counterexample_scaling": counterexample_scaling,
    "unbounded_norm": unbounded_norm,
    "unbounded_norm_steps": unbounded_norm_steps,
    "greedy_limit": greedy_limit,
    "connectivity": connectivity,
    "preconditioning": preconditioning,
    "acceleration": acceleration,
    "adam_preconditioner": adam_preconditioner,
    "lazy_regime": lazy_regime,
    "ratio_infimum": ratio_infimum,
    "ratio_map": ratio_map,
    "ratio_conjectures": ratio_conjectures,
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
    "acceleration",
    "adam_preconditioner",
    "commuting",
    "commuting_instability",
    "connectivity",
    "counterexample",
    "counterexample_scaling",
    "discretization",
    "distance_to_greedy",
    "flow_trajectory",
    "greedy_limit",
    "greedy_trajectory",
    "half_times",
    "largest_step",
    "lazy_regime",
    "minimum_frobenius",
    "mode_time",
    "mode_value",
    "neighbors",
    "observation_components",
    "one_measurement",
    "preconditioning",
    "predict",
    "ratio_conjectures",
    "ratio_infimum",
    "ratio_map",
    "schatten_not_minimal",
    "sharpness",
    "singular_value_motion",
    "stationary_vectors",
    "takeoff_times",
    "three_ways",
    "toy_modes",
    "unbounded_norm",
    "unbounded_norm_steps",
]
