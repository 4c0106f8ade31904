"""How the matrix is found: iterative methods, run by the one loop in `rankwise.loop`."""

from rankwise.solvers.base import Solver
from rankwise.solvers.gradient_descent import GradientDescent
from rankwise.solvers.greedy import Greedy

SOLVERS: dict[str, type[Solver]] = {"gradient_descent": GradientDescent, "greedy": Greedy}

__all__ = ["SOLVERS", "GradientDescent", "Greedy", "Solver"]
