"""What holds for every test: no deadline of hypothesis on a shared machine, and an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import settings

settings.register_profile("shared", settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None)
settings.load_profile("shared")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test, or a tool that it calls, sets is gone after it; no key of a person's shell gets in."""
    with mock.patch.dict(os.environ):
        os.environ.pop("VECTORFLEET_KEY", None)
        yield
