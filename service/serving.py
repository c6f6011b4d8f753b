"""The HTTP server of every process: health, readiness and metrics beside its own API, start and drain."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Process
from service.tls import Tls
from service.tracing import exporter, spans
from service.wire.problems import (
    Problem,
    answer_departure,
    answer_fault,
    answer_http_exception,
    answer_problem,
    problem_response,
    request_id,
)
from service.wire.protocol import BoundedHeads
from vectorfleet.slots import SLOT_HEADER, SLOTS, slot_header

KEEP_ALIVE_SECONDS = 120
DRAIN_SECONDS = 5
# Routers probe each node every second, so each of their connections gets an answer to end with.
PARTING_SECONDS = 1.0
PARTING_POLL_SECONDS = 0.02
# Notices to systemd.
READY = "READY=1"
WATCHDOG = "WATCHDOG=1"
REQUEST_ID_HEADER = "x-request-id"
NAMED = re.compile(r"[\x21-\x7e]{1,128}")

Task = Callable[[], Coroutine[Any, Any, None]]
Readiness = Callable[[], tuple[bool, object]]
Admit = Callable[[str, str, str], Awaitable[None]]
MISDIRECTED = Counter("vectorfleet_requests_misdirected_total", "Requests that named another slot than this router's")
log = logging.getLogger(__name__)


def json_response(body: object, status: int = 200) -> Response:
    """Return a JSON response; `body` may hold msgspec structs."""
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


async def healthz(_: Request) -> Response:
    """Answer that the process lives. Shards and stores don't count: a lost shard must not look like dead routers."""
    return json_response({"status": "ok"})


async def metrics(_: Request) -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@dataclass(frozen=True)
class Supervisor:
    """The address of notices, and the watchdog's limit of silence; None for each that is not used."""

    address: str | None
    watchdog_seconds: float | None

    def tell(self, notice: str) -> None:
        """Send one notice; serving goes on if the supervisor is absent or busy."""
        if self.address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(notice.encode(), self.address)
            except OSError:
                return  # the next notice tries again, and the watchdog allows for a missed one

    async def keep_awake(self) -> None:
        """Notify the watchdog three times in its period, until cancelled."""
        while self.watchdog_seconds is not None:
            self.tell(WATCHDOG)
            await asyncio.sleep(self.watchdog_seconds / 3)


def supervisor(environment: Mapping[str, str] = os.environ) -> Supervisor:
    """Return the environment's supervisor; its watchdog counts only if it is for this process."""
    address = environment.get("NOTIFY_SOCKET")
    if address is not None and address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    microseconds = environment.get("WATCHDOG_USEC")
    ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return Supervisor(address, int(microseconds) / 1e6 if microseconds and ours else None)


class Server(uvicorn.Server):
    """A server that notifies its supervisor when it accepts requests, and then while its event loop runs."""

    def __init__(self, config: uvicorn.Config, watcher: Supervisor) -> None:
        super().__init__(config)
        self._watcher = watcher
        self.parting = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then notify the supervisor."""
        await super().startup(sockets)
        if self.started:
            self._watcher.tell(READY)
            self._awake = asyncio.create_task(self._watcher.keep_awake())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Take no new connection, end the open ones with their next answer, then drain.

        A connection may have a request under way, so it is not closed at once. systemd limits the whole shutdown.
        """
        for server in self.servers:
            server.close()
        self.parting = True
        until = time.monotonic() + PARTING_SECONDS
        # uvicorn has no event for the end of a connection.
        while self.server_state.connections and not self.force_exit and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(PARTING_POLL_SECONDS)
        await super().shutdown(sockets)
        # Not after `run`: a signal that uvicorn caught ends the process as soon as `run` returns.
        await asyncio.to_thread(exporter.flush)
        self._awake.cancel()


class RequestIds:
    """
    An application whose answers have the request's id in their head: the caller's own, or a new one.

    The head also names the `slot`, if there is one. It closes the connection once `parting()`, and if the caller asked
    for another protocol, after which the connection is not read any more.
    """

    def __init__(self, app: ASGIApp, parting: Callable[[], bool], slot: str = "") -> None:
        self._app, self._parting = app, parting
        self._slot = [(name.lower().encode(), value.encode()) for name, value in slot_header(slot).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID_HEADER, "")
        name = given if NAMED.fullmatch(given) else os.urandom(16).hex()
        request_id.set(name)

        async def head(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = [(REQUEST_ID_HEADER.encode(), name.encode()), *self._slot]
                if self._parting() or _upgrades(headers):
                    said.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *said]
            await send(message)

        await self._app(scope, receive, head)


class Admission:
    """
    An application that refuses a request, before its body is read, if its head is not valid or `admit` refuses it.

    `admit` raises Problem for a method, a path and an Authorization header. With a `slot`, a request that names another
    one is refused, too.
    """

    def __init__(self, app: ASGIApp, admit: Admit | None, slot: str) -> None:
        self._app, self._admit, self._slot = app, admit, slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            try:
                if self._admit is not None:
                    await self._admit(scope["method"], scope["path"], Headers(scope=scope).get("authorization", ""))
                _check_head(scope)
                _check_slot(scope, self._slot)
            except Problem as problem:
                app = problem_response(problem.status, problem.detail, problem.extra)
        await app(scope, receive, send)


def _check_head(scope: Scope) -> None:
    """Raise Problem for a head that would be read as another request."""
    raw, headers = scope.get("raw_path") or b"", Headers(scope=scope)
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise Problem(422, f"the path {raw[:100].decode(errors='replace')} is not UTF-8: {error}") from error
    if _upgrades(headers) and (headers.get("content-length", "0") != "0" or "transfer-encoding" in headers):
        raise Problem(400, f"Upgrade is {headers['upgrade']}; only HTTP/1.1 is spoken: send the body without Upgrade")


def _check_slot(scope: Scope, slot: str) -> None:
    """Raise Problem 421 if the request names another slot. As for the load balancer, letters may be large or small."""
    named = Headers(scope=scope).getlist(SLOT_HEADER)
    if slot and any(name.lower() != slot for name in named):
        MISDIRECTED.inc()
        raise Problem(
            421,
            f"{SLOT_HEADER} is {', '.join(named)[:100]!r}, and this router serves slot {slot}. "
            f"Name {' or '.join(SLOTS)} at the load balancer of a stack with rules for this header, or leave it out",
        )


def _upgrades(headers: Headers) -> bool:
    """Return whether the parser reads the bytes after the head as another protocol, and the body as empty."""
    return "upgrade" in headers and "upgrade" in ",".join(headers.getlist("connection")).lower()


class Service:
    """
    An application with the common routes, and background `tasks` that run as long as it does.

    `admit` refuses requests by their heads; without it every request is admitted. A router has a `slot`, which its
    answers name; requests that name another one are refused. `readiness` returns whether the
    process should get requests, and its report. A failed task ends the process, so that its supervisor starts another.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        readiness: Readiness,
        tasks: Sequence[Task],
        admit: Admit | None = None,
        slot: str = "",
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
            middleware=[Middleware(Admission, admit=admit, slot=slot)],
            exception_handlers={
                Problem: answer_problem,
                ClientDisconnect: answer_departure,
                HTTPException: answer_http_exception,
                Exception: answer_fault,
            },
        )
        # A redirect would have the scheme of this process, not the load balancer's.
        starlette.router.redirect_slashes = False
        # Around Starlette itself, which answers a fault outside of all its middleware.
        app = spans.traced(starlette, [route.path for route in common])
        self.application: ASGIApp = RequestIds(app, lambda: self._server is not None and self._server.parting, slot)

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
            log.exception("a background task failed; the process ends, so that its supervisor starts another")
            self._failed = True
            if self._server is not None:
                self._server.should_exit = True

    def serve(self, process: Process, listener: socket.socket | None = None, tls: Tls | None = None) -> int:
        """
        Serve until SIGTERM or SIGINT, then drain; return the exit code.

        Serve on `listener` if given, and over HTTPS if the process has a certificate; raise BadSettings if that can't
        be used.
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
            # The caller's address is not used.
            proxy_headers=False,
        )
        config.load()
        config.ssl = tls.server
        self._server = Server(config, supervisor())
        self._server.run(None if listener is None else [listener])
        return 1 if self._failed else 0
