"""What was observed: a map from a matrix to numbers, and the numbers."""

from rankwise.problems.base import Problem
from rankwise.problems.completion import Completion
from rankwise.problems.sensing import Sensing

PROBLEMS: dict[str, type[Problem]] = {"completion": Completion, "sensing": Sensing}

__all__ = ["PROBLEMS", "Completion", "Problem", "Sensing"]
