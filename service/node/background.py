"""Work beside searches: it takes the processor where they leave it, and goes first where memory ends."""

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
    """One thread of lower priority; Linux keeps a priority for each thread."""
    return ThreadPoolExecutor(1, name, initializer=_step_back)


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def give_way() -> None:
    """Let this whole process, which is not the one that serves, come after that one."""
    os.nice(NICENESS)
    _score(str(FIRST_TO_GO))


def in_background(work: Callable[[], T]) -> T:
    """Do `work` in a thread of lower priority, while this process is the first that the kernel ends for memory."""
    before = OOM_SCORE.read_text()
    _score(str(FIRST_TO_GO))
    try:
        with background_thread("background") as thread:
            return thread.submit(work).result()
    finally:
        _score(before)


def _score(value: str) -> None:
    with suppress(PermissionError):  # a machine that forbids it does without the order
        OOM_SCORE.write_text(value)
