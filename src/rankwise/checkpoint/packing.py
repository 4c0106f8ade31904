"""States as a JSON structure and arrays, and back: exact bits, known classes only, and no code.

A state is made of numbers, words, arrays, tuples, lists, dictionaries, sparse arrays, `RESULTS`, random generators and
keys, and instances of Plain classes or of classes of rankwise's solvers. Arrays keep how they lie in memory, since the
order of a sum follows it. What belongs to the problem or the solver is only named, what occurs twice kept once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy

from rankwise.checkpoint.container import KINDS
from rankwise.plain import Plain
from rankwise.results import RESULTS

# Modules whose classes, Plain or not, a state may hold.
SOLVERS = "rankwise.solvers."
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
SPARSE = {f"{form}_{kind}": ("data", "indices", "indptr") for form in ("csr", "csc") for kind in ("array", "matrix")}


def classes() -> dict[str, type]:
    """The classes that a state may hold, by module and name."""
    own = [
        one
        for name, module in list(sys.modules.items())
        if name.startswith(SOLVERS)
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == name
    ]
    return {_class_name(one): one for one in (*own, *Plain.classes)}


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def parts(item: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The plain objects, arrays and functions that a problem or solver is made of, by dotted path."""
    if isinstance(item, tuple):
        for i, one in enumerate(item):
            yield from parts(one, f"{name}[{i}]")
    elif isinstance(item, Plain):
        yield name, item
        for field in fields(item):  # pyright: ignore[reportArgumentType]
            yield from parts(getattr(item, field.name), f"{name}.{field.name}")
    elif isinstance(item, np.ndarray) or callable(item):
        yield name, item


class Packer:
    """Takes values apart. given: the parts that are only named, by path. arrays: where the arrays are put."""

    def __init__(self, given: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        self.given = {id(item): path for path, item in given.items()}
        self.arrays, self.known = arrays, classes()
        self.seen: dict[int, int] = {}
        self.held: list[Any] = []  # what was seen stays alive, so that its id stays its own

    def pack(self, value: Any) -> Any:
        """The value as JSON."""
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return {"float": value.hex()}
        if type(value) in (tuple, list):
            return {type(value).__name__: [self.pack(one) for one in value]}
        if type(value) is dict:
            return {"dict": [[self.pack(key), self.pack(one)] for key, one in value.items()]}
        if isinstance(value, RESULTS):
            return {"result": value.name}
        if isinstance(value, np.dtype):
            return {"dtype": value.str}
        if isinstance(value, np.generic):
            return {"number": self._kept(np.asarray(value))}
        if id(value) in self.given:
            return {"given": self.given[id(value)]}
        if id(value) in self.seen:
            return {"same": self.seen[id(value)]}
        made = self._object(value)
        self.seen[id(value)] = len(self.held)
        self.held.append(value)
        return made

    def _object(self, value: Any) -> dict[str, Any]:
        kind = type(value)
        if kind is np.ndarray:
            strides = None if value.flags.c_contiguous else list(value.strides)
            return {"array": self._kept(value), "strides": strides}
        if scipy.sparse.issparse(value) and kind.__name__ in SPARSE:
            pieces = [self.pack(getattr(value, name)) for name in SPARSE[kind.__name__]]
            return {"sparse": kind.__name__, "shape": list(value.shape), "pieces": pieces}
        if isinstance(value, np.random.Generator) and type(value.bit_generator).__name__ in GENERATORS:
            return {"generator": self.pack(dict(value.bit_generator.state))}
        if _is_key(value):
            jax = sys.modules["jax"]
            data = self._kept(np.asarray(jax.random.key_data(value)))
            return {"key": data, "implementation": str(jax.random.key_impl(value))}
        name = _class_name(kind)
        if self.known.get(name) is not kind:
            raise ValueError(
                f"a checkpoint cannot hold a {kind.__name__}: what a state holds must be numbers, words, arrays, "
                "tuples, and frozen dataclasses derived from Plain"
            )
        if isinstance(value, tuple):
            return {"class": name, "items": [self.pack(one) for one in value]}
        return {"class": name, "fields": [[key, self.pack(one)] for key, one in vars(value).items()]}

    def _kept(self, array: np.ndarray) -> int:
        if array.dtype.kind not in KINDS:
            raise ValueError(f"a checkpoint cannot hold an array of type {array.dtype}")
        self.arrays.append(array)
        return len(self.arrays) - 1


class Unpacker:
    """The inverse of `Packer`; a structure that none can have made raises one of `BROKEN`."""

    BROKEN = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError)

    def __init__(self, given: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        self.given, self.arrays, self.known = given, arrays, classes()
        self.seen: list[Any] = []

    def unpack(self, packed: Any) -> Any:
        """The value that was packed."""
        if packed is None or isinstance(packed, bool | int | str):
            return packed
        kind = next(iter(packed), "")
        if kind in self.SIMPLE:
            return self.SIMPLE[kind](self, packed[kind])
        made = self.OBJECTS[kind](self, packed)
        self.seen.append(made)
        return made

    def _list(self, packed: Any) -> list[Any]:
        return [self.unpack(one) for one in packed]

    def _array(self, packed: Any) -> np.ndarray:
        """The array as it lay in memory."""
        array, strides = self.arrays[packed["array"]], packed["strides"]
        if strides is None or not array.size:
            return array
        ends = [stride * (length - 1) for stride, length in zip(strides, array.shape, strict=True)]
        first = -sum(end for end in ends if end < 0)
        memory = np.zeros(first + sum(end for end in ends if end > 0) + array.itemsize, np.uint8)
        laid = np.ndarray(array.shape, array.dtype, memory, first, strides)
        laid[...] = array
        return laid

    def _sparse(self, packed: Any) -> Any:
        name, pieces = packed["sparse"], tuple(self._list(packed["pieces"]))
        if name not in SPARSE:
            raise ValueError(f"no sparse array: {name}")
        return getattr(scipy.sparse, name)(pieces, shape=tuple(packed["shape"]))

    def _generator(self, packed: Any) -> np.random.Generator:
        state = self.unpack(packed["generator"])
        if state["bit_generator"] not in GENERATORS:
            raise ValueError(f"no generator: {state['bit_generator']}")
        bits = getattr(np.random, state["bit_generator"])()
        bits.state = state
        return np.random.Generator(bits)

    def _key(self, packed: Any) -> Any:
        import jax

        return jax.random.wrap_key_data(self.arrays[packed["key"]], impl=packed["implementation"])

    def _instance(self, packed: Any) -> Any:
        """An instance of a known class with its fields put in place; nothing of the class is called."""
        kind = self.known[packed["class"]]
        if issubclass(kind, tuple):
            return tuple.__new__(kind, self._list(packed["items"]))
        values = {str(key): self.unpack(one) for key, one in packed["fields"]}
        if is_dataclass(kind) and not {field.name for field in fields(kind)} <= values.keys():
            raise ValueError(f"fields of {packed['class']} are missing")
        made = object.__new__(kind)
        vars(made).update(values)
        return made

    # By what stands first in a packed value; objects are those that may occur again.
    SIMPLE = {  # noqa: RUF012
        "float": lambda self, packed: float.fromhex(packed),
        "tuple": lambda self, packed: tuple(self._list(packed)),
        "list": _list,
        "dict": lambda self, packed: {self.unpack(key): self.unpack(one) for key, one in packed},
        "result": lambda self, packed: RESULTS[packed],
        "dtype": lambda self, packed: np.dtype(packed),
        "number": lambda self, packed: self.arrays[packed][()],
        "given": lambda self, packed: self.given[packed],
        "same": lambda self, packed: self.seen[packed],
    }
    OBJECTS = {"array": _array, "sparse": _sparse, "generator": _generator, "key": _key, "class": _instance}  # noqa: RUF012


def _is_key(value: Any) -> bool:
    """Whether a value is a typed JAX key, without importing JAX."""
    if "jax" not in sys.modules:
        return False
    jax = sys.modules["jax"]
    return isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)
