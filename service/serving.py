"""What every process serves beside its own API: health, readiness, metrics, and the way it starts and stops."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.problems import Problem, answer_fault, answer_http_exception, answer_problem
from service.settings import Process
from service.supervision import READY, Supervisor, supervisor

KEEP_ALIVE_SECONDS = 120
DRAIN_SECONDS = 5

Task = Callable[[], Coroutine[Any, Any, None]]
Readiness = Callable[[], tuple[bool, object]]
log = logging.getLogger(__name__)


def json_response(body: object, status: int = 200) -> Response:
    """A JSON response; `body` may hold msgspec structs."""
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


async def healthz(_: Request) -> Response:
    """The process answers: nothing about shards or stores, so that one lost shard never looks like dead routers."""
    return json_response({"status": "ok"})


async def metrics(_: Request) -> Response:
    """Prometheus's text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


class Server(uvicorn.Server):
    """A server whose supervisor hears when it accepts requests, and from then on that its event loop turns."""

    def __init__(self, config: uvicorn.Config, watcher: Supervisor) -> None:
        super().__init__(config)
        self._watcher = watcher

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets)
        if self.started:
            self._watcher.tell(READY)
            self._awake = asyncio.create_task(self._watcher.keep_awake())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain; systemd bounds it by its own time."""
        await super().shutdown(sockets)
        self._awake.cancel()


class Service:
    """
    An application with the common routes and background `tasks` that live as long as it does.

    `readiness` returns whether the process should get requests, and what it says of itself. A task that fails
    ends the process, so that its supervisor starts a fresh one.
    """

    def __init__(self, routes: Sequence[Route], readiness: Readiness, tasks: Sequence[Task]) -> None:
        self._readiness = readiness
        self._tasks = tasks
        self._server: uvicorn.Server | None = None
        self._failed = False
        common = [Route("/healthz", healthz), Route("/readyz", self._readyz), Route("/metrics", metrics)]
        self.application = Starlette(
            routes=[*routes, *common],
            lifespan=self._lifespan,
            exception_handlers={
                Problem: answer_problem,
                HTTPException: answer_http_exception,
                Exception: answer_fault,
            },
        )

    async def _readyz(self, _: Request) -> Response:
        ready, body = self._readiness()
        return json_response(body, 200 if ready else 503)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        running = [asyncio.create_task(self._run(task)) for task in self._tasks]
        yield
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, task: Task) -> None:
        try:
            await task()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a background task failed; the process ends so that it is started afresh")
            self._failed = True
            if self._server is not None:
                self._server.should_exit = True

    def serve(self, process: Process) -> int:
        """Serve until SIGTERM or SIGINT, then drain; returns the exit code."""
        config = uvicorn.Config(
            self.application,
            host=process.host,
            port=process.port,
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server = Server(config, supervisor())
        self._server.run()
        return 1 if self._failed else 0
