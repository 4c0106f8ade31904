"""Other people's packages that fill matrices, each optional, as they are documented, and the task `peer` of studies.

rankwise study run benchmarks/recovery/peers.toml --import benchmarks.recovery.peers
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rankwise.spec.reading import check_kind, known, refuse_unknown, section
from rankwise.studies.tasks import TASKS, Outcome, Task
from rankwise.studies.tasks.base import Progress, Settings
from rankwise.studies.tasks.instance import drawn
from rankwise.studies.tasks.measuring import final_numbers

Filler = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class Peer:
    """A package, and how it fills a table with holes, given the rank (which some have no use for) and a seed.

    package: what to install; module: what is imported.
    """

    package: str
    module: str
    fill: Filler


def spalor(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """LMaFit at the rank given."""
    from spalor.models.mc import MC  # pyright: ignore[reportMissingImports]

    np.random.seed(seed)  # noqa: NPY002 (it draws from the global generator)
    model = MC(n_components=rank)
    model.fit(table)
    return model.to_matrix()


def cmfrec_defaults(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """CMF_imputer with the true rank and its defaults otherwise."""
    from cmfrec import CMF_imputer  # pyright: ignore[reportMissingImports]

    return CMF_imputer(k=rank, random_state=seed + 1, verbose=False).fit_transform(table)


def cmfrec_tuned(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """CMF_imputer without centering and biases, hardly any ridge, many iterations in double precision."""
    from cmfrec import CMF_imputer  # pyright: ignore[reportMissingImports]

    plain = {"center": False, "user_bias": False, "item_bias": False}
    model = CMF_imputer(k=rank, lambda_=1e-6, niter=500, use_float=False, random_state=seed + 1, verbose=False, **plain)
    return model.fit_transform(table)


def svt(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Singular value thresholding of matrix-completion."""
    from matrix_completion import svt_solve  # pyright: ignore[reportMissingImports]

    del rank, seed
    return svt_solve(np.nan_to_num(table), (~np.isnan(table)).astype(float), epsilon=1e-6)


def pmf(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Probabilistic matrix factorization of matrix-completion."""
    from matrix_completion import pmf_solve  # pyright: ignore[reportMissingImports]

    np.random.seed(seed)  # noqa: NPY002 (it draws from the global generator)
    mask = (~np.isnan(table)).astype(float)
    return pmf_solve(np.nan_to_num(table), mask, k=rank, mu=1e-6, epsilon=1e-10, max_iterations=1000)


def csmc_soft_impute(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Soft-Impute of csmc with a small threshold."""
    from csmc.mc.soft_impute import SoftImpute  # pyright: ignore[reportMissingImports]

    del rank, seed
    return SoftImpute(table, lambda_=1e-2, threshold=1e-6).fit_transform(table, np.isnan(table))


def csmc_svp(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Singular value projection of csmc."""
    from csmc.mc_sota.svp import SVP  # pyright: ignore[reportMissingImports]

    del seed
    return SVP(table, rank=rank).fit_transform(table)


def pca_impute(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """Iterated principal components of pca-impute."""
    from pca_impute import impute  # pyright: ignore[reportMissingImports]

    del seed
    return impute(table, n_components=rank, n_iter=1000)


def nearest_neighbors(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """KNNImputer of scikit-learn, its defaults."""
    from sklearn.impute import KNNImputer  # pyright: ignore[reportMissingImports]

    del rank, seed
    return KNNImputer(keep_empty_features=True).fit_transform(table)


def iterative_imputer(table: np.ndarray, rank: int, seed: int) -> np.ndarray:
    """IterativeImputer of scikit-learn, its defaults."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 # pyright: ignore[reportMissingImports]
    from sklearn.impute import IterativeImputer  # pyright: ignore[reportMissingImports]

    del rank
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return IterativeImputer(random_state=seed, keep_empty_features=True).fit_transform(table)


PEERS: dict[str, Peer] = {
    "spalor": Peer("spalor", "spalor", spalor),
    "cmfrec": Peer("cmfrec", "cmfrec", cmfrec_defaults),
    "cmfrec_tuned": Peer("cmfrec", "cmfrec", cmfrec_tuned),
    "matrix_completion_svt": Peer("matrix-completion", "matrix_completion", svt),
    "matrix_completion_pmf": Peer("matrix-completion", "matrix_completion", pmf),
    "csmc_soft_impute": Peer("csmc", "csmc", csmc_soft_impute),
    "csmc_svp": Peer("csmc", "csmc", csmc_svp),
    "pca_impute": Peer("pca-impute", "pca_impute", pca_impute),
    "sklearn_knn": Peer("scikit-learn", "sklearn", nearest_neighbors),
    "sklearn_iterative": Peer("scikit-learn", "sklearn", iterative_imputer),
}


class Fill(Task):
    """A completion whose truth is known, filled by a peer, which is told the rank of the truth."""

    keys = ("problem", "peer", "key")

    def seeded(self, settings: Settings, seed: int) -> Settings:
        """As for `solve`."""
        return TASKS["solve"].seeded(settings, seed)

    def check(self, settings: Settings, folder: Path) -> None:
        """The peer must be known, and the problem a completion with a truth."""
        refuse_unknown(settings, self.keys, "")
        known(section(settings, "peer", ""), PEERS, "peer")
        check_kind(settings.get("key", 0), {"int"}, "key")
        drawn(settings, folder)

    def run(self, many: Sequence[Settings], folder: Path, progress: Progress | None = None) -> list[Outcome]:
        """One after the other."""
        del progress
        return [_one(settings, folder) for settings in many]


def _one(settings: Settings, folder: Path) -> Outcome:
    peer = PEERS[settings["peer"]]
    if find_spec(peer.module) is None:
        raise ImportError(f"{peer.package} is not installed: pip install {peer.package}")
    problem, truth = drawn(settings, folder)
    table = np.full(problem.shape, np.nan)
    table[problem.rows, problem.cols] = problem.values
    begun = time.perf_counter()
    matrix = np.asarray(peer.fill(table, truth.rank, settings.get("key", 0)), float)
    seconds = time.perf_counter() - begun
    numbers = final_numbers(matrix, problem, None, truth) if np.isfinite(matrix).all() else {}
    try:
        words = f"{peer.package} {version(peer.package)}"
    except PackageNotFoundError:
        words = f"{peer.package} (no version)"
    return Outcome("filled" if numbers else "not_finite", words, seconds, numbers=numbers)


TASKS["peer"] = Fill()
