"""How the unknown matrix is written, and how it starts."""

from rankwise.factorizations.base import Factorization
from rankwise.factorizations.deep import Deep
from rankwise.factorizations.full import Full
from rankwise.factorizations.initializations import (
    INITIALIZATIONS,
    Gaussian,
    Given,
    Identity,
    Initialization,
    Orthogonal,
    Uniform,
)
from rankwise.factorizations.symmetric import Symmetric

FACTORIZATIONS: dict[str, type[Factorization]] = {"full": Full, "deep": Deep, "symmetric": Symmetric}

__all__ = [
    "FACTORIZATIONS",
    "INITIALIZATIONS",
    "Deep",
    "Factorization",
    "Full",
    "Gaussian",
    "Given",
    "Identity",
    "Initialization",
    "Orthogonal",
    "Symmetric",
    "Uniform",
]
