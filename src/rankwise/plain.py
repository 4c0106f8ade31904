"""Plain frozen data: what NumPy code reads as it stands and compiled code can take apart and trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, fields, is_dataclass, replace
from functools import cache, partial
from typing import Any, ClassVar, Self

import numpy as np


class Plain:
    """Base of every settings and data class; subclasses are frozen dataclasses.

    Compiled dynamics treat the numbers in such an object (floats, arrays, nested plain objects) as
    traced values and the rest (integers, names, flags, None) as the shape of the program. So changing a
    learning rate never compiles again, and a batch is the same object with arrays in place of numbers.
    """

    classes: ClassVar[list[type[Plain]]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Plain.classes.append(cls)

    def replace(self, **changes: Any) -> Self:
        """The same object with some fields changed, checked anew."""
        if not is_dataclass(self):
            raise TypeError(f"{type(self).__name__} is not a dataclass")
        return replace(self, **changes)


def fixed(default: Any) -> Any:
    """A dataclass field whose number belongs to the program's shape: changing it compiles anew."""
    return field(default=default, metadata={"fixed": True})


def checked(
    value: Any, name: str, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> Any:
    """One number as a float within its range, finite; traced values, and arrays of numbers within it, as they are.

    Raises:
        ValueError: naming the setting, if the value is no number or out of range.
    """
    if isinstance(value, np.ndarray):
        if value.ndim and value.dtype.kind in "fiu":
            for each in value.flat:
                checked(each, name, least=least, above=above, most=most)
            return value
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "dtype"):
            raise ValueError(f"{name} must be a number, not {value!r}")
        return value
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} must be {_range(least, above, most)}, not an integer beyond the floats") from None
    if not (math.isfinite(number) and number >= least and number > above and number <= most):
        raise ValueError(f"{name} must be {_range(least, above, most)}, not {value}")
    return number


def _range(least: float, above: float, most: float) -> str:
    """The range of a setting in words."""
    if most < math.inf:
        return f"{f'above {above:g}' if above > -math.inf else f'at least {least:g}'} and at most {most:g}"
    if above == 0:
        return "positive and finite"
    if least == 0:
        return "finite and not negative"
    bounds = [f"at least {least:g}"] * (least > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
    return " and ".join([*bounds, "finite"])


def check_given(settings: Plain, names: tuple[str, ...], check: Callable[..., Any], **limits: float) -> None:
    """Check by name, with `checked` or `positive_integer`, those of the settings that are not None."""
    for name in names:
        value = getattr(settings, name)
        if value is not None:
            check(value, name, **limits)


def boolean(value: Any, name: str) -> None:
    """Raise a ValueError unless the value is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, not {value!r}")


def positive_integer(value: Any, name: str) -> None:
    """Raise a ValueError unless the value is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")


class Slot:
    """Where a number was taken out of a tuple of settings."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot)

    def __hash__(self) -> int:
        return hash(Slot)


def is_number(value: Any) -> bool:
    """Whether compiled code traces this value (floats, arrays, plain objects) instead of fixing it."""
    if isinstance(value, bool | int | str | np.integer | tuple) or value is None:
        return False
    return isinstance(value, float | Plain) or hasattr(value, "dtype")


def take_apart(value: Any) -> tuple[list[Any], Any]:
    """The numbers in a field (tuples are searched) and the rest of it, with slots where they stood."""
    if isinstance(value, tuple):
        parts = [take_apart(item) for item in value]
        return [number for numbers, _ in parts for number in numbers], tuple(rest for _, rest in parts)
    return ([value], Slot()) if is_number(value) else ([], value)


def put_together(rest: Any, numbers: Iterator[Any]) -> Any:
    """The inverse of `take_apart`."""
    if isinstance(rest, tuple):
        return tuple(put_together(item, numbers) for item in rest)
    return next(numbers) if isinstance(rest, Slot) else rest


def flatten(obj: Plain) -> tuple[list[Any], tuple[Any, ...]]:
    """The numbers of a plain object, and everything else about it (hashable)."""
    parts = [
        ([], getattr(obj, each.name)) if each.metadata.get("fixed") else take_apart(getattr(obj, each.name))
        for each in fields(obj)  # pyright: ignore[reportArgumentType]
    ]
    return [number for numbers, _ in parts for number in numbers], tuple(rest for _, rest in parts)


def structure(obj: Plain) -> tuple[Any, ...]:
    """All of a plain object but its numbers, hashable: objects of equal structure share one compiled program."""
    numbers, rest = flatten(obj)
    return type(obj), rest, tuple(structure(one) if isinstance(one, Plain) else np.shape(one) for one in numbers)


def unflatten(cls: type[Plain], rest: tuple[Any, ...], numbers: Iterable[Any]) -> Plain:
    """The inverse of `flatten`, without validation: the numbers may be tracers."""
    obj = object.__new__(cls)
    values = put_together(rest, iter(numbers))
    for each, value in zip(fields(cls), values, strict=True):  # pyright: ignore[reportArgumentType]
        object.__setattr__(obj, each.name, value)
    return obj


def register() -> None:
    """Let JAX see through every plain class defined so far."""
    for cls in Plain.classes:
        _register(cls)


@cache
def _register(cls: type[Plain]) -> None:
    import jax

    jax.tree_util.register_pytree_node(cls, flatten, partial(unflatten, cls))
