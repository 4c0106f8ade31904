"""What a run is, in words: every setting and number that its bits depend on, so that another run is told by name."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import scipy

from rankwise.source import code, versions

Described = dict[str, str]


def described(value: Any, name: str) -> Described:
    """A value as words by dotted path: numbers as they are, arrays by type, shape and hash, functions by their code.

    Raises:
        ValueError: naming the path, if there is something in it that has no such description.
    """
    return dict(_lines(value, name, frozenset()))


def surroundings() -> Described:
    """The versions of everything that computes, and the hash of rankwise's own code."""
    return {
        **{f"the version of {name}": version for name, version in versions().items()},
        "the code of rankwise": code(),
    }


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str | None:
    """The first thing in which two descriptions differ, in words; None if they are the same."""
    for name in (*here, *there):
        if there.get(name) != here.get(name):
            return f"{name} was {there.get(name, 'absent')} and is {here.get(name, 'absent')}"
    return None


def _lines(value: Any, name: str, within: frozenset[int]) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, bool | int | str):
        yield name, repr(value)
    elif isinstance(value, float | np.number | np.bool_):
        yield name, repr(value.item() if isinstance(value, np.generic) else value)
    elif isinstance(value, Enum):
        yield name, value.name
    elif id(value) in within:
        return  # a function that knows itself
    elif hasattr(value, "dtype") and hasattr(value, "ndim"):
        yield from _array(value, name)
    else:
        for part, item in _pieces(value, name):
            if part is None:
                yield name, item
            else:
                yield from _lines(item, name + part, within | {id(value)})


def _pieces(value: Any, name: str) -> Iterator[tuple[str | None, Any]]:
    """What a value is (None and words), then what it is made of (the end of the path and a value)."""
    if isinstance(value, tuple | list):
        yield None, f"{type(value).__name__} of {len(value)}"
        yield from ((f"[{i}]", item) for i, item in enumerate(value))
    elif isinstance(value, Mapping):
        yield None, f"{type(value).__name__} of {len(value)}"
        yield from ((f".{key}", item) for key, item in value.items())
    elif is_dataclass(value) and not isinstance(value, type):
        yield None, type(value).__name__
        yield from ((f".{field.name}", getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, np.random.Generator):
        yield None, type(value.bit_generator).__name__
        yield ".state", value.bit_generator.state
    elif isinstance(value, ModuleType):
        yield None, value.__name__
    elif callable(value):
        yield from _function(value)
    else:
        raise ValueError(f"{name} is a {type(value).__name__}, by which a checkpoint cannot tell one run from another")


def _function(value: Any) -> Iterator[tuple[str | None, Any]]:
    """Where a function comes from, its instructions, and what it has taken along."""
    if isinstance(value, functools.partial):
        yield None, "partial"
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield None, value.__qualname__
        yield ".self", value.__self__
    elif isinstance(value, FunctionType):
        yield None, f"{value.__module__}.{value.__qualname__} {_hash(_instructions(value.__code__))}"
        yield from ((f".{key}", cell.cell_contents) for key, cell in _taken(value))
        yield ".defaults", (value.__defaults__, value.__kwdefaults__)
    elif hasattr(value, "__wrapped__"):
        yield None, type(value).__name__
        yield ".wrapped", value.__wrapped__
    else:
        yield None, f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"


def _taken(function: FunctionType) -> Iterator[tuple[str, Any]]:
    return zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)


def _instructions(program: CodeType) -> bytes:
    """The instructions of a function and of those inside it, without the places of its lines."""
    inner = [one for one in program.co_consts if isinstance(one, CodeType)]
    plain = [
        sorted(map(repr, one)) if isinstance(one, frozenset) else one  # a set has no order of its own
        for one in program.co_consts
        if not isinstance(one, CodeType)
    ]
    return program.co_code + repr((plain, program.co_names)).encode() + b"".join(map(_instructions, inner))


def _array(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if scipy.sparse.issparse(value):
        value = value.tocoo()
        yield name, f"{value.dtype} {value.shape}, sparse, {_hash(value.row, value.col, value.data)}"
        return
    words = f"{value.dtype} {value.shape}"
    if "key<" in words:  # a typed JAX key
        import jax

        value = jax.random.key_data(value)
    value = np.asarray(value)
    if value.dtype.kind == "O":
        raise ValueError(f"{name} is an array of Python objects, which a checkpoint cannot compare")
    yield name, f"{words} {_hash(value)}"


def _hash(*contents: Any) -> str:
    """Ten hexadecimal digits of the hash of arrays or bytes."""
    whole = hashlib.sha256()
    for content in contents:
        whole.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes())
    return whole.hexdigest()[:10]
