"""Random keys: one argument `key`, an int or a JAX key, for compiled and host code alike."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def _is_integer(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def as_generator(key: Any) -> np.random.Generator:
    """A NumPy generator from a non-negative int, a JAX key or a generator.

    Raises:
        ValueError: if the key is none of these.
    """
    if isinstance(key, np.random.Generator):
        return key
    if _is_integer(key) and key >= 0:
        return np.random.default_rng(int(key))
    if "jax" in sys.modules and isinstance(key, sys.modules["jax"].Array):
        return np.random.default_rng(np.asarray(_key_data(key), dtype=np.uint32).tolist())
    raise ValueError(f"key must be a non-negative int or a JAX key, not {key!r}")


def as_jax_key(key: Any) -> Any:
    """A typed JAX key from a non-negative int or a JAX key.

    Raises:
        ValueError: if the key is neither.
    """
    import jax

    if _is_integer(key) and key >= 0:
        return jax.random.key(int(key))
    if isinstance(key, jax.Array):
        return key if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key) else jax.random.wrap_key_data(key)
    raise ValueError(f"key must be a non-negative int or a JAX key, not {key!r}")


def _key_data(key: Any) -> Any:
    import jax

    typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(key) if typed else key
