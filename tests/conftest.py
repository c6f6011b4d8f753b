"""Settings of all property tests: no deadline, since a shared machine's pauses say nothing about the code."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("shared", settings.get_profile("ci" if os.environ.get("CI") else "default"), deadline=None)
settings.load_profile("shared")
