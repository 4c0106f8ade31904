"""Other people's packages that fill matrices, each optional, as they are documented: a dense array with NaN in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np

Fill = Callable[[np.ndarray, int, int], np.ndarray]


@dataclass(frozen=True)
class Peer:
    """A package, and how it fills a table with holes, given the rank (which some have no use for) and a seed.

    package: what to install; module: what is imported. largest: no more entries than this are tried, since it would not
    finish; None: any.
    """

    package: str
    module: str
    fill: Fill
    knows_rank: bool = True
    largest: int | None = None

    def missing(self) -> str:
        """'' or the line that says what to install."""
        return "" if find_spec(self.module) else f"{self.package} is not installed: pip install {self.package}"

    @property
    def version(self) -> str:
        """Package and version."""
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return f"{self.package} (no version)"


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
    "matrix_completion_svt": Peer("matrix-completion", "matrix_completion", svt, knows_rank=False),
    "matrix_completion_pmf": Peer("matrix-completion", "matrix_completion", pmf),
    "csmc_soft_impute": Peer("csmc", "csmc", csmc_soft_impute, knows_rank=False),
    "csmc_svp": Peer("csmc", "csmc", csmc_svp),
    "pca_impute": Peer("pca-impute", "pca_impute", pca_impute),
    "sklearn_knn": Peer("scikit-learn", "sklearn", nearest_neighbors, knows_rank=False),
    "sklearn_iterative": Peer("scikit-learn", "sklearn", iterative_imputer, knows_rank=False, largest=40_000),
}
