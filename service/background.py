"""Work in the background: of lower priority than searches, and the first to be ended if memory runs out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
NICENESS = 10
FIRST_TO_GO = 500
OOM_SCORE = Path("/proc/self/oom_score_adj")


def background_thread(name: str) -> ThreadPoolExecutor:
    """Return one thread of lower priority; Linux keeps a priority for each thread."""
    return ThreadPoolExecutor(1, name, initializer=_step_back)


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def give_way() -> None:
    """Give this whole process a lower priority than the serving one."""
    os.nice(NICENESS)
    _score(str(FIRST_TO_GO))


def in_background(work: Callable[[], T]) -> T:
    """Do `work` in a thread of lower priority, while the kernel would end this process first if memory runs out."""
    before = OOM_SCORE.read_text()
    _score(str(FIRST_TO_GO))
    try:
        with background_thread("background") as thread:
            return thread.submit(work).result()
    finally:
        _score(before)


def _score(value: str) -> None:
    with suppress(PermissionError):  # not every machine allows it
        OOM_SCORE.write_text(value)
