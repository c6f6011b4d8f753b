"""LanceDB as a peer: a library without a server, so the process that asks is the one that searches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.foreign import PROGRAMS, Foreign, fill, program, task
from benchmarks.peer import Asked
from service.index.part import Vectors
from service.storage.builds import IndexParameters

NAME = "LanceDB, in the caller's process"


@contextmanager
def lance(
    python: Path, folder: Path, vectors: Vectors, index: IndexParameters, asked: Asked, processors: set[int]
) -> Iterator[Foreign]:
    """A table of its own in `folder`, searched on the processors that servers have; raises PeerError."""
    with program(NAME, python, PROGRAMS / "ask_lancedb.py", folder / "ask.log") as caller:
        fill(caller, task(str(folder / "tables"), folder, vectors, index, asked))
        yield Foreign(NAME, caller, asked, processors)
