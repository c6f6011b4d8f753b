"""Settings of every test: no deadline of hypothesis on a shared machine, an environment of its own, cheap garbage."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import settings

# Before numpy and FAISS load: threads of theirs that wait for one another burn the cores that other tests need.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

settings.register_profile("shared", settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None)
settings.load_profile("shared")


def pytest_collection_finish() -> None:
    """Exempt the imported modules from garbage collection: half a million objects that no test ever frees."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test, or a tool that it calls, sets is gone after it; no key of a person's shell gets in."""
    with mock.patch.dict(os.environ):
        os.environ.pop("VECTORFLEET_KEY", None)
        yield
