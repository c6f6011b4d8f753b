"""
The process of a load-generating instance: a Locust worker for the master that the fleet's parameters name.

The parameter `load-master` exists while a load test needs generators; `vectorfleet generators` writes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from service.serving import Service
from service.settings import Process
from service.storage.objects import aws_client

POLL_SECONDS = 2.0
END_SECONDS = 10.0
PARAMETER = "load-master"
LOCUSTFILE = Path(__file__).resolve().parents[1] / "locustfile.py"
log = logging.getLogger(__name__)


class Master(msgspec.Struct, frozen=True):
    """The address of Locust's master, and the number of processes that each instance offers it."""

    host: str
    port: int = 5557
    processes: int = 1

    def command(self) -> list[str]:
        """Return the command line of a worker."""
        located = ["--master-host", self.host, "--master-port", str(self.port)]
        return ["-f", str(LOCUSTFILE), "--worker", *located, "--processes", str(self.processes)]


class LoadWorker:
    """A Locust process while there is a master; the master ends it with each run, and the next run gets a new one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._name = f"{process.parameters}/{PARAMETER}"
        self._child: asyncio.subprocess.Process | None = None
        self._master: Master | None = None

    def run(self) -> int:
        """Serve health and work until stopped; return the exit code."""
        return Service([], lambda: (True, {"ready": True, "master": self._master}), [self._work]).serve(self._process)

    async def _work(self) -> None:
        try:
            while True:
                await self._follow(await asyncio.to_thread(find_master, self._name, self._master))
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await self._end()

    async def _follow(self, master: Master | None) -> None:
        """Run a worker for this master, and for no other."""
        if master != self._master:
            await self._end()
            self._master = master
        if master is not None and (self._child is None or self._child.returncode is not None):
            log.info("worker started for a master", extra={"host": master.host, "port": master.port})
            # A session of its own lets all its processes be ended together.
            command = [sys.executable, "-m", "locust", *master.command()]
            self._child = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )

    async def _end(self) -> None:
        """End the worker with its processes, which share its session and may outlive it."""
        child, self._child = self._child, None
        if child is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
            with suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), END_SECONDS)


def find_master(name: str, known: Master | None) -> Master | None:
    """Return the master of the parameter, None without one, and `known` while SSM does not answer."""
    client = aws_client("ssm")
    try:
        return msgspec.json.decode(client.get_parameter(Name=name)["Parameter"]["Value"], type=Master)
    except client.exceptions.ParameterNotFound:
        return None
    except msgspec.MsgspecError as error:
        log.error("the parameter is not a valid master", extra={"parameter": name, "reason": str(error)})
        return None
    except (BotoCoreError, ClientError) as error:
        log.warning("SSM did not return the master", extra={"reason": str(error)})
        return known
