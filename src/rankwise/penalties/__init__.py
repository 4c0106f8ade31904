"""What is preferred: penalties on the matrix, with value and (sub)gradient in closed form."""

from rankwise.penalties.base import Penalty, SpectralPenalty, Total
from rankwise.penalties.frobenius import Frobenius
from rankwise.penalties.norm_cap import NormCap
from rankwise.penalties.nuclear import Nuclear
from rankwise.penalties.ratio import Ratio
from rankwise.penalties.schatten import Schatten, SchattenRatio

PENALTIES: dict[str, type[Penalty]] = {
    "nuclear": Nuclear,
    "frobenius": Frobenius,
    "ratio": Ratio,
    "norm_cap": NormCap,
    "schatten": Schatten,
    "schatten_ratio": SchattenRatio,
}

__all__ = [
    "PENALTIES",
    "Frobenius",
    "NormCap",
    "Nuclear",
    "Penalty",
    "Ratio",
    "Schatten",
    "SchattenRatio",
    "SpectralPenalty",
    "Total",
]
