"""Running the project's Pulumi program as the CLI's language host runs it, against a monitor of ours."""

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
import yaml
from pulumi.runtime.mocks import MockEngine, MockSettings
from pulumi.runtime.settings import configure
from pulumi.runtime.stack import run_in_stack

from rehearsal.deploy.monitor import Monitor
from rehearsal.deploy.stackfile import Stack

log = logging.getLogger(__name__)


def main_of(folder: Path) -> Path:
    """The program that Pulumi.yaml names: a folder with `__main__.py`, or a file."""
    declared = yaml.safe_load((folder / "Pulumi.yaml").read_text()).get("main", ".")
    return Path(folder / declared).resolve()


def run(stack: Stack, monitor: Monitor, *, preview: bool = False) -> None:
    """Run the program to its end; raises what the program raises, after everything under way has settled."""
    main = main_of(stack.folder)
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
    # Relative paths in the program are relative to its own folder, and that folder leads sys.path.
    folder = main if main.is_dir() else main.parent
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    asyncio.run(_quietly(main))


def where(error: BaseException) -> str:
    """The program's own line that raised, as `file:line`; empty when it was none of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith("<")]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


async def _quietly(main: Path) -> None:
    # After a failure the runtime leaves futures behind by the dozen; the one reason is told elsewhere.
    asyncio.get_running_loop().set_exception_handler(lambda _, context: log.debug("left behind: %s", context))

    def body() -> Awaitable[None] | None:
        runpy.run_path(str(main), run_name="__main__")
        return None

    await run_in_stack(body)
