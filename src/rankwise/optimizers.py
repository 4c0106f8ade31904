"""Optimizers by name and numbers: comparable, printable, and an optax transformation when dynamics run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rankwise.plain import Plain, checked, positive_integer
from rankwise.registry import nearest

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True)
class Optimizer(Plain):
    """An optax transformation by name: `Optimizer("adam", 1e-3, b1=0.9)`.

    The learning rate is 1e-3 unless given; for "lbfgs", where it multiplies the direction before the line search, 1.

    Raises:
        ValueError: on an unknown name (the nearest is named), a learning rate that is not positive, or a setting that
            the optimizer does not have or that is out of its range.
    """

    name: str = "adam"
    learning_rate: Any = 1e-3
    settings: tuple[tuple[str, Any], ...] = ()

    def __init__(
        self,
        name: str = "adam",
        learning_rate: Any = None,
        settings: Mapping[str, Any] | tuple[tuple[str, Any], ...] = (),
        **more: Any,
    ) -> None:
        if name not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {name!r}{nearest(name, OPTIMIZERS)}")
        rate = (1.0 if name == "lbfgs" else 1e-3) if learning_rate is None else learning_rate
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "learning_rate", checked(rate, "learning_rate", above=0))
        numbers = {setting: _setting(name, setting, value) for setting, value in {**dict(settings), **more}.items()}
        object.__setattr__(self, "settings", tuple(sorted(numbers.items())))

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The optax transformation."""
        import optax

        made = OPTIMIZERS[self.name](self.learning_rate, **dict(self.settings))
        return optax.with_extra_args_support(made)

    def __str__(self) -> str:
        numbers = [f"{self.learning_rate:g}", *(f"{k}={v:g}" for k, v in self.settings)]
        return f"{self.name}({', '.join(numbers)})"


class GroupScale(NamedTuple):
    """The state of group RMSprop: the steps taken and the running mean of the squared norm."""

    count: Any
    mean_square: Any


def group_rmsprop(learning_rate: Any, beta: float = 0.99, eps: float = 1e-4) -> optax.GradientTransformation:
    """RMSprop with one scalar for all parameters together, so that the direction stays the gradient's.

    q <- beta q + (1 - beta) sum over all layers of |gradient|_F^2;  step = -learning_rate /
    (sqrt(q / (1 - beta^t)) + eps) * gradient. It follows gradient flow in rescaled time.

    Source: the experiments of Arora, Cohen, Hu, Luo 2019 (`arora2019implicit`), appendix.
    """
    import jax
    import jax.numpy as jnp
    import optax

    def init(params: Any) -> GroupScale:
        dtype = jax.tree.leaves(params)[0].dtype
        return GroupScale(jnp.zeros([], jnp.int32), jnp.zeros([], dtype))

    def update(grads: Any, state: GroupScale, params: Any = None) -> tuple[Any, GroupScale]:
        del params
        square = sum(jnp.sum(g**2) for g in jax.tree.leaves(grads))
        mean_square = beta * state.mean_square + (1 - beta) * square
        count = state.count + 1
        corrected = mean_square / (1 - jnp.power(beta, count.astype(mean_square.dtype)))
        step = -learning_rate / (jnp.sqrt(corrected) + eps)
        return jax.tree.map(lambda g: step * g, grads), GroupScale(count, mean_square)

    return optax.GradientTransformation(init, update)


def _optax(name: str, **fixed: Any) -> Callable[..., Any]:
    def make(learning_rate: Any, **settings: Any) -> Any:
        import optax

        return getattr(optax, name)(learning_rate, **{**fixed, **settings})

    return make


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "gradient_descent": _optax("sgd"),
    "momentum": _optax("sgd", momentum=0.9),
    "nesterov": _optax("sgd", momentum=0.9, nesterov=True),
    "adagrad": _optax("adagrad"),
    "adadelta": _optax("adadelta"),
    "rmsprop": _optax("rmsprop", decay=0.99),
    "group_rmsprop": group_rmsprop,
    "adam": _optax("adam"),
    "amsgrad": _optax("amsgrad"),
    "adamax": _optax("adamax"),
    "adamw": _optax("adamw"),
    "nadam": _optax("nadam"),
    "radam": _optax("radam"),
    "lbfgs": _optax("lbfgs"),
}

SETTINGS: dict[str, tuple[str, ...]] = {
    "gradient_descent": (),
    "momentum": ("momentum",),
    "nesterov": ("momentum",),
    "adagrad": ("initial_accumulator_value", "eps"),
    "adadelta": ("rho", "eps"),
    "rmsprop": ("decay", "eps", "momentum"),
    "group_rmsprop": ("beta", "eps"),
    "adam": ("b1", "b2", "eps"),
    "amsgrad": ("b1", "b2", "eps"),
    "adamax": ("b1", "b2", "eps"),
    "adamw": ("b1", "b2", "eps", "weight_decay"),
    "nadam": ("b1", "b2", "eps"),
    "radam": ("b1", "b2", "eps", "threshold"),
    "lbfgs": ("memory_size",),
}


# Settings that are shares: between 0 and 1.
SHARES = frozenset({"momentum", "rho", "decay", "beta", "b1", "b2"})


def _setting(name: str, setting: str, value: Any) -> Any:
    """The value of a setting, checked; floats, but for the whole memory_size."""
    what = f"setting {setting!r} of optimizer {name!r}"
    if setting not in SETTINGS[name]:
        raise ValueError(
            f"optimizer {name!r} has no setting {setting!r}; it has: {', '.join(SETTINGS[name]) or 'none'}"
        )
    if setting == "memory_size":
        positive_integer(value, what)
        return int(value)
    return checked(value, what, least=0, most=1 if setting in SHARES else math.inf)
