"""Matrices as vectors: short rows would leave most of a CPU's vector unit idle in elementwise updates."""

from __future__ import annotations

from typing import Any


def vectors(arrays: Any) -> Any:
    """Every array of a structure as a vector."""
    import jax

    return jax.tree.map(lambda array: array.reshape(-1), arrays)


def shaped(flat: Any, forms: Any) -> Any:
    """The structure that `vectors` made flat, in the shapes of `forms`, which has arrays or their forms."""
    import jax

    return jax.tree.map(lambda vector, form: vector.reshape(form.shape), flat, forms)
