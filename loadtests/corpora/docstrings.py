"""Docstrings of Python source, which is parsed and never imported."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_Definition = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_Conditional = (ast.If, ast.Try, ast.With)


@dataclass(frozen=True, slots=True)
class Docstring:
    """The docstring of a definition; `name` is dotted and relative to its module, "" for the module itself."""

    name: str
    text: str

    @property
    def private(self) -> bool:
        """True if a part of the name begins with an underscore."""
        return any(part.startswith("_") for part in self.name.split("."))


def docstrings(tree: ast.Module) -> Iterator[Docstring]:
    """Yield the docstrings of a module, its classes, functions and methods, in the order of the source."""
    if text := ast.get_docstring(tree, clean=False):
        yield Docstring("", inspect.cleandoc(text))
    yield from _below(tree.body, ())


def _below(body: Sequence[ast.stmt], path: tuple[str, ...]) -> Iterator[Docstring]:
    for node in _definitions(body):
        name = (*path, node.name)
        if text := ast.get_docstring(node):
            yield Docstring(".".join(name), text)
        if isinstance(node, ast.ClassDef):
            yield from _below(node.body, name)


def _definitions(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in _statements(body):
        if isinstance(node, _Definition):
            yield node


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body and of its branches, which define names by platform."""
    for node in body:
        yield node
        if isinstance(node, _Conditional):
            branches = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
            branches += [handler.body for handler in getattr(node, "handlers", [])]
            for branch in branches:
                yield from _statements(branch)


def reexports(package: str, tree: ast.Module) -> Mapping[str, frozenset[str]]:
    """Return the names that a package imports from its own modules: {"json.decoder": {"JSONDecoder"}}, "*" for all."""
    found: dict[str, frozenset[str]] = {}
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module and node.level < 2:
            module = f"{package}.{node.module}" if node.level else node.module
            names = frozenset(name.name for name in node.names if name.asname in (None, name.name))
            found[module] = found.get(module, frozenset()) | names
    return found
