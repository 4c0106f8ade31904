"""The code that results depend on, as one short hash, and the versions of what it runs on."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import rankwise

PACKAGES = ("rankwise", "numpy", "scipy", "jax", "jaxlib", "optax", "diffrax")
# Parts of rankwise that no result of a run depends on.
ASIDE = ("cli", "report", "estimators", "studies", "vocabulary.py")


@cache
def versions() -> dict[str, str]:
    """The version of rankwise and of every package that its numbers depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@cache
def code() -> str:
    """Eight hexadecimal digits of the hash of what computes in rankwise, without comments, docstrings and layout."""
    root = Path(str(rankwise.__file__)).parent
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        part = path.relative_to(root)
        if part.parts[0] not in ASIDE:
            whole.update(part.as_posix().encode() + ast.dump(stripped(path.read_bytes())).encode())
    return whole.hexdigest()[:8]


def stripped(source: bytes) -> ast.AST:
    """The syntax tree of Python text without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]
    return tree


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
