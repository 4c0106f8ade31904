"""How the matrix is found: iterative methods, run by the one loop in `rankwise.loop`."""

from rankwise.solvers.base import Solver
from rankwise.solvers.end_to_end_flow import EndToEndFlow
from rankwise.solvers.gradient_descent import GradientDescent
from rankwise.solvers.gradient_flow import GradientFlow
from rankwise.solvers.greedy import Greedy
from rankwise.solvers.spectral_flow import SpectralFlow

SOLVERS: dict[str, type[Solver]] = {
    "gradient_descent": GradientDescent,
    "greedy": Greedy,
    "gradient_flow": GradientFlow,
    "end_to_end_flow": EndToEndFlow,
    "spectral_flow": SpectralFlow,
}

__all__ = ["SOLVERS", "EndToEndFlow", "GradientDescent", "GradientFlow", "Greedy", "Solver", "SpectralFlow"]
