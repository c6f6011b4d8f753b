"""What every process serves beside its own API: health, readiness, metrics, and the way it starts and stops."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import traces
from service.problems import (
    Problem,
    answer_departure,
    answer_fault,
    answer_http_exception,
    answer_problem,
    problem_response,
    request_id,
)
from service.protocol import BoundedHeads
from service.settings import Process
from service.supervision import READY, Supervisor, supervisor
from service.tls import Tls

KEEP_ALIVE_SECONDS = 120
DRAIN_SECONDS = 5
# Routers probe each node every second, so each of their connections has an answer to end with.
PARTING_SECONDS = 1.0
PARTING_POLL_SECONDS = 0.02
REQUEST_ID_HEADER = "x-request-id"
NAMED = re.compile(r"[\x21-\x7e]{1,128}")

Task = Callable[[], Coroutine[Any, Any, None]]
Readiness = Callable[[], tuple[bool, object]]
Admit = Callable[[str, str, str], Awaitable[None]]
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
        self.parting = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets)
        if self.started:
            self._watcher.tell(READY)
            self._awake = asyncio.create_task(self._watcher.keep_awake())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Take no new connection, end those that stand with their next answer, then drain.

        A connection that is closed unasked may have a request under way. systemd bounds it all by its own time.
        """
        for server in self.servers:
            server.close()
        self.parting = True
        until = time.monotonic() + PARTING_SECONDS
        # uvicorn tells nobody when a connection ends.
        while self.server_state.connections and not self.force_exit and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(PARTING_POLL_SECONDS)
        await super().shutdown(sockets)
        # Here, since a signal that uvicorn caught ends the process as soon as `run` is done.
        await asyncio.to_thread(traces.flush)
        self._awake.cancel()


class Headed:
    """
    Gives each request the id that its caller named, else one of its own, and says it in the answer's head.

    There it says, too, that the connection ends: once `parting()`, and where the caller asked for another protocol,
    after which this connection is not read any more.
    """

    def __init__(self, app: ASGIApp, parting: Callable[[], bool]) -> None:
        self._app, self._parting = app, parting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        name = given if NAMED.fullmatch(given) else os.urandom(16).hex()
        request_id.set(name)

        async def head(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = [(REQUEST_ID_HEADER.encode(), name.encode())]
                if self._parting() or _upgrades(headers):
                    said.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *said]
            await send(message)

        await self._app(scope, receive, head)


class Guarded:
    """
    Lets a request through unless `admit` raises Problem for its method, path and Authorization header, or its head
    can't be meant so.

    Nothing of the body is read before.
    """

    def __init__(self, app: ASGIApp, admit: Admit | None) -> None:
        self._app, self._admit = app, admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the problem, or hand the request on."""
        app = self._app
        if scope["type"] == "http":
            try:
                if self._admit is not None:
                    await self._admit(scope["method"], scope["path"], Headers(scope=scope).get("authorization", ""))
                _check_head(scope)
            except Problem as problem:
                app = problem_response(problem.status, problem.detail, problem.extra)
        await app(scope, receive, send)


def _check_head(scope: Scope) -> None:
    """Raise Problem for a request that would be taken for another one."""
    raw, headers = scope.get("raw_path") or b"", Headers(scope=scope)
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise Problem(422, f"the path {raw[:100].decode(errors='replace')} is not UTF-8: {error}") from error
    if _upgrades(headers) and (headers.get("content-length", "0") != "0" or "transfer-encoding" in headers):
        raise Problem(400, f"Upgrade is {headers['upgrade']}; only HTTP/1.1 is spoken: send the body without Upgrade")


def _upgrades(headers: Headers) -> bool:
    """Say whether the parser takes what follows the head for another protocol, and the body for empty."""
    return "upgrade" in headers and "upgrade" in ",".join(headers.getlist("connection")).lower()


class Service:
    """
    An application with the common routes and background `tasks` that live as long as it does.

    `admit` judges requests by their heads; without one everybody is let in. `readiness` returns whether the process
    should get requests, and what it says of itself. A task that fails ends the process, so that its supervisor starts
    a fresh one.
    """

    def __init__(
        self, routes: Sequence[Route], readiness: Readiness, tasks: Sequence[Task], admit: Admit | None = None
    ) -> None:
        self._readiness = readiness
        self._tasks = list(tasks)
        self._server: Server | None = None
        self._failed = False
        common = [
            Route("/healthz", healthz),
            Route("/livez", healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", metrics),
        ]
        starlette = Starlette(
            routes=[*routes, *common],
            lifespan=self._lifespan,
            middleware=[Middleware(Guarded, admit=admit)],
            exception_handlers={
                Problem: answer_problem,
                ClientDisconnect: answer_departure,
                HTTPException: answer_http_exception,
                Exception: answer_fault,
            },
        )
        # By the scheme that a process hears, which is not the load balancer's.
        starlette.router.redirect_slashes = False
        # Around Starlette itself, which answers a fault outside of every middleware of its own.
        app = traces.traced(starlette, [route.path for route in common])
        self.application: ASGIApp = Headed(app, lambda: self._server is not None and self._server.parting)

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

    def serve(self, process: Process, listener: socket.socket | None = None, tls: Tls | None = None) -> int:
        """
        Serve until SIGTERM or SIGINT, on `listener` where one is given, then drain; returns the exit code.

        Over HTTPS where the process has a certificate; raises BadSettings where that can't be used.
        """
        tls = tls or Tls(process)
        if tls.server is not None:
            self._tasks.append(tls.renew)
        config = uvicorn.Config(
            self.application,
            host=process.host,
            port=process.port,
            log_config=None,
            access_log=False,
            http=BoundedHeads,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            # Nobody asks where a request came from.
            proxy_headers=False,
        )
        config.load()
        config.ssl = tls.server
        self._server = Server(config, supervisor())
        self._server.run(None if listener is None else [listener])
        return 1 if self._failed else 0
