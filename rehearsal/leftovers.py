"""Whether anything of a rehearsal still runs: asked of the kernel, not of our own records."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

# Every process of a rehearsal inherits this variable with its state folder; instances have a data folder in there.
MARK = "VECTORFLEET_REHEARSAL"
DATA = "VECTORFLEET_DATA"


def leftovers(root: Path) -> list[str]:
    """Living processes that belong to the rehearsal on `root`; this one and its parents don't count."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        f"{process.pid} {' '.join(process.cmdline())[:120]}"
        for process in psutil.process_iter()
        if process.pid not in own and _belongs(process, str(root.resolve()))
    ]


def _belongs(process: psutil.Process, root: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        environment = process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return bool(environment.get(MARK) == root or environment.get(DATA, "").startswith(root + "/"))
