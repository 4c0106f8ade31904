"""What was observed: a map from a matrix to numbers, and the numbers."""

from rankwise.problems.base import Problem
from rankwise.problems.bounds import checked_bounds, within
from rankwise.problems.coded_diffraction import CodedDiffraction
from rankwise.problems.completion import Completion
from rankwise.problems.misfit import MISFITS, Huber, Misfit, Squared
from rankwise.problems.operator import Operator
from rankwise.problems.outliers import outliers
from rankwise.problems.phase import Intensities, PhaseRetrieval
from rankwise.problems.rank_one import RankOneSensing
from rankwise.problems.sensing import Sensing

PROBLEMS: dict[str, type[Problem]] = {
    "completion": Completion,
    "sensing": Sensing,
    "rank_one_sensing": RankOneSensing,
    "operator": Operator,
    "phase_retrieval": PhaseRetrieval,
    "coded_diffraction": CodedDiffraction,
}

__all__ = [
    "MISFITS",
    "PROBLEMS",
    "CodedDiffraction",
    "Completion",
    "Huber",
    "Intensities",
    "Misfit",
    "Operator",
    "PhaseRetrieval",
    "Problem",
    "RankOneSensing",
    "Sensing",
    "Squared",
    "checked_bounds",
    "outliers",
    "within",
]
