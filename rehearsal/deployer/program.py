"""Run of the project's Pulumi program, as the CLI's language host runs it."""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Awaitable
from pathlib import Path

import pulumi.runtime
from pulumi.runtime.mocks import MockEngine, MockSettings
from pulumi.runtime.settings import configure
from pulumi.runtime.stack import run_in_stack

from rehearsal.deployer.monitor import Monitor
from rehearsal.deployer.stackfile import Stack

log = logging.getLogger(__name__)


def run(stack: Stack, monitor: Monitor, *, preview: bool = False) -> None:
    """Run the program to its end. Raise its error after all registrations under way have ended."""
    pulumi.runtime.set_all_config(dict(stack.config), [])
    settings = MockSettings(  # type: ignore[no-untyped-call]
        monitor=monitor,
        monitor_features=set(),
        engine=MockEngine(log),
        project=stack.project,
        stack=stack.name,
        dry_run=preview,
        organization="organization",
        callbacks=None,
    )
    configure(settings)
    # Pulumi resolves a program's relative paths and imports in the folder of the program.
    folder = stack.main if stack.main.is_dir() else stack.main.parent
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    asyncio.run(_quietly(stack.main))


def where(error: BaseException) -> str:
    """Return the program's own line that raised, as `file:line`, or an empty text if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith("<")]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


async def _quietly(main: Path) -> None:
    # After a failure the runtime leaves many futures behind. The deployment reports their one reason.
    asyncio.get_running_loop().set_exception_handler(lambda _, context: log.debug("left behind: %s", context))

    def body() -> Awaitable[None] | None:
        runpy.run_path(str(main), run_name="__main__")
        return None

    await run_in_stack(body)
