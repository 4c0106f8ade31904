"""How the matrix is found: iterative methods, run by the one loop in `rankwise.loop`."""

from rankwise.solvers.alternating_least_squares import AlternatingLeastSquares
from rankwise.solvers.amplitude_flow import AmplitudeFlow
from rankwise.solvers.base import Solver
from rankwise.solvers.end_to_end_flow import EndToEndFlow
from rankwise.solvers.gauss_newton import GaussNewton
from rankwise.solvers.gradient_descent import GradientDescent
from rankwise.solvers.gradient_flow import GradientFlow
from rankwise.solvers.greedy import Greedy
from rankwise.solvers.hard_thresholding import HardThresholding, IterativeSVD
from rankwise.solvers.irls import IRLS
from rankwise.solvers.log_det import LogDet
from rankwise.solvers.nuclear_norm import NuclearNorm
from rankwise.solvers.principal_component_pursuit import PrincipalComponentPursuit
from rankwise.solvers.r2rils import R2RILS
from rankwise.solvers.ratio_continuation import RatioContinuation
from rankwise.solvers.riemannian import RiemannianCG
from rankwise.solvers.robust_greedy import RobustGreedy
from rankwise.solvers.scaled_gradient import ScaledGD
from rankwise.solvers.soft_impute import SoftImpute
from rankwise.solvers.spectral_flow import SpectralFlow

SOLVERS: dict[str, type[Solver]] = {
    "gradient_descent": GradientDescent,
    "greedy": Greedy,
    "gradient_flow": GradientFlow,
    "end_to_end_flow": EndToEndFlow,
    "spectral_flow": SpectralFlow,
    "scaled_gd": ScaledGD,
    "gauss_newton": GaussNewton,
    "r2rils": R2RILS,
    "riemannian_cg": RiemannianCG,
    "alternating_least_squares": AlternatingLeastSquares,
    "hard_thresholding": HardThresholding,
    "iterative_svd": IterativeSVD,
    "irls": IRLS,
    "log_det": LogDet,
    "nuclear_norm": NuclearNorm,
    "soft_impute": SoftImpute,
    "principal_component_pursuit": PrincipalComponentPursuit,
    "robust_greedy": RobustGreedy,
    "amplitude_flow": AmplitudeFlow,
    "ratio_continuation": RatioContinuation,
}

__all__ = [
    "IRLS",
    "R2RILS",
    "SOLVERS",
    "AlternatingLeastSquares",
    "AmplitudeFlow",
    "EndToEndFlow",
    "GaussNewton",
    "GradientDescent",
    "GradientFlow",
    "Greedy",
    "HardThresholding",
    "IterativeSVD",
    "LogDet",
    "NuclearNorm",
    "PrincipalComponentPursuit",
    "RatioContinuation",
    "RiemannianCG",
    "RobustGreedy",
    "ScaledGD",
    "SoftImpute",
    "Solver",
    "SpectralFlow",
]
