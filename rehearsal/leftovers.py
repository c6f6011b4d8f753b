"""Whether anything of a rehearsal still runs: asked of the kernel, not of our own records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

# Every process of a rehearsal inherits this variable with its state folder; instances have a data folder in there.
MARK = "VECTORFLEET_REHEARSAL"
DATA = "VECTORFLEET_DATA"


def leftovers(root: Path) -> list[str]:
    """Living processes that belong to the rehearsal on `root`; this one and its parents don't count."""
    return list(_found(str(root.resolve())))


def _found(root: str) -> Iterator[str]:
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        # One that ends while it is looked at is none that is left.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.pid not in own and _belongs(process, root):
                yield f"{process.pid} {' '.join(process.cmdline())[:120]}"


def _belongs(process: psutil.Process, root: str) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    environment = process.environ()
    return bool(environment.get(MARK) == root or environment.get(DATA, "").startswith(root + "/"))
