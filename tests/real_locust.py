"""Locust inside a test's process, without its monkey patch, which would stay for all later tests."""

from __future__ import annotations

import os
from unittest import mock

with mock.patch.dict(os.environ, LOCUST_SKIP_MONKEY_PATCH="1"):
    from locust import argument_parser
    from locust.contrib.fasthttp import FastHttpSession
    from locust.event import EventHook

__all__ = ("EventHook", "FastHttpSession", "argument_parser")
