from __future__ import annotations

import ast

from loadtests.corpora.docstrings import Docstring, docstrings, reexports

SOURCE = '''
"""The module."""

import nosuch
raise SystemExit

try:
    from fast import sort
except ImportError:
    def sort():
        """Sort."""
else:
    async def wait():
        """Wait."""

if False:
    class Queue:
        """
        Queue.

            indented
        """
        def put(self):
            "Put."
            def inner(): "Not reached from outside."
        class Full(Exception): "Full."
        @property
        def _size(self): "Size."

def silent(): pass
'''


def test_every_importable_definition_is_read_and_nothing_runs() -> None:
    assert list(docstrings(ast.parse(SOURCE))) == [
        Docstring("", "The module."),
        Docstring("wait", "Wait."),
        Docstring("sort", "Sort."),
        Docstring("Queue", "Queue.\n\n    indented"),
        Docstring("Queue.put", "Put."),
        Docstring("Queue.Full", "Full."),
        Docstring("Queue._size", "Size."),
    ]


def test_a_name_is_private_by_any_of_its_parts() -> None:
    private = [name for name in ("", "a", "a.b", "_a", "_a.b", "a._b", "a.__b__") if Docstring(name, "x").private]
    assert private == ["_a", "_a.b", "a._b", "a.__b__"]


def test_reexports_of_a_package_are_found() -> None:
    source = """
from .tasks import *
from .queues import Queue, Full as QueueFull
from kit.base import Base
from .. import other
from . import whole
if True:
    from .queues import Empty
"""
    assert reexports("kit", ast.parse(source)) == {
        "kit.tasks": {"*"},
        "kit.queues": {"Queue", "Empty"},
        "kit.base": {"Base"},
    }
