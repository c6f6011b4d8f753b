"""The request path of the balancer: HTTP/1.1, parsed just far enough to know where messages end.

Every timed query takes this path, so responses pass as raw bytes and connections to targets are pooled. The balancer
itself answers as an Application Load Balancer does: 503 without a target, 502 if a target breaks off, 504 if it is
silent for the idle timeout. A request body is held until it is complete.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import httptools

from rehearsal.emulator.balancer.listeners import Target
from rehearsal.emulator.balancer.routing import Choice
from rehearsal.emulator.balancer.rules import Head
from rehearsal.emulator.balancer.upstream import Pool, Upstream

BODY_LIMIT_BYTES = 64 * 2**20
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect content-length "
    b"x-forwarded-for x-forwarded-proto x-forwarded-port".split()
)
_REASONS = {400: "Bad Request", 413: "Content Too Large", 502: "Bad Gateway", 503: "Service Unavailable"}
_REASONS[504] = "Gateway Timeout"

Choose = Callable[[Head], Choice | None]
# The status, the ARN of the target's group (None: no target was chosen), and whether the target answered.
Count = Callable[[int, str | None, bool], None]


def own_answer(status: int, *, close: bool) -> bytes:
    """Return a complete response of the balancer itself."""
    body = f"{status} {_REASONS[status]}\n".encode()
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nServer: balancer\r\nContent-Type: text/plain\r\n"
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{end}".encode() + body


class Request:
    """A complete request of a client."""

    __slots__ = ("body", "forwarded_for", "head", "headers", "keep_alive", "method", "size", "url")

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.head: Head = []
        self.headers: list[bytes] = []
        self.forwarded_for = b""
        self.body: list[bytes] = []
        self.size = 0
        self.keep_alive = True

    def encoded(self, client: bytes, port: int) -> bytes:
        """Return the request as the target gets it."""
        chain = self.forwarded_for + b", " + client if self.forwarded_for else client
        lines = [
            b"%b %b HTTP/1.1" % (self.method, self.url),
            *self.headers,
            b"X-Forwarded-For: " + chain,
            b"X-Forwarded-Proto: http",
            b"X-Forwarded-Port: %d" % port,
        ]
        if self.size or self.method not in (b"GET", b"HEAD"):
            lines.append(b"Content-Length: %d" % self.size)
        return b"\r\n".join(lines) + b"\r\n\r\n" + b"".join(self.body)


class Client(asyncio.Protocol):
    """A client's connection to a listener."""

    def __init__(self, choose: Choose, pool: Pool, timeout_seconds: Callable[[], float], count: Count) -> None:
        self._choose = choose
        self._count = count
        self._pool = pool
        self._timeout_seconds = timeout_seconds
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._group: str | None = None
        self._upstream: Upstream | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_byte = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._loop = asyncio.get_running_loop()
        self._address = transport.get_extra_info("peername")[0].encode()
        self._port = transport.get_extra_info("sockname")[1]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(400, None)

    def on_url(self, url: bytes) -> None:
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        self._request.head.append((lower, value.strip()))
        if lower == b"x-forwarded-for":
            self._request.forwarded_for = value
        elif lower == b"expect" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif lower not in _HOP_BY_HOP:
            self._request.headers.append(b"%b: %b" % (name, value))

    def on_body(self, body: bytes) -> None:
        self._request.size += len(body)
        if self._request.size > BODY_LIMIT_BYTES:
            self._end(413, None)
        else:
            self._request.body.append(body)

    def on_message_complete(self) -> None:
        request, self._request = self._request, Request()
        request.method = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(request)
        if self._current is None:
            self._next()

    def _next(self) -> None:
        if not self._waiting or self._transport is None or self._transport.is_closing():
            return
        request = self._current = self._waiting.popleft()
        choice = self._choose(request.head)
        if choice is None:
            self._own(503)
            return
        self._group, target = choice
        self._touch()
        upstream = self._pool.take(target)
        if upstream:
            self._forward(upstream, request)
        else:
            self._task = self._loop.create_task(self._connect(target, request))

    async def _connect(self, target: Target, request: Request) -> None:
        try:
            upstream = await self._pool.connect(target)
        except TimeoutError:
            self._own(504)
        except OSError:
            self._own(502)
        else:
            self._forward(upstream, request)

    def _forward(self, upstream: Upstream, request: Request) -> None:
        if self._transport is None or self._transport.is_closing() or self._current is not request:
            self._pool.put(upstream)
            return
        self._upstream = upstream
        upstream.send(self, request.encoded(self._address, self._port), head_only=request.method == b"HEAD")

    def _touch(self) -> None:
        self._last_byte = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_seconds(), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._current is None:
            return
        left = self._last_byte + self._timeout_seconds() - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._on_timer)
            return
        upstream, self._upstream = self._upstream, None
        started = upstream is not None and upstream.started
        if upstream:
            upstream.close()
        if started and self._transport:
            self._transport.close()
        else:
            self._end(504, self._group)

    def relay(self, data: bytes) -> None:
        self._last_byte = self._loop.time()
        if self._transport:
            self._transport.write(data)

    def answered(self, status: int, *, close: bool) -> None:
        """End the exchange: the target's response is complete."""
        self._count(status, self._group, True)
        self._done(close=close)

    def _done(self, *, close: bool) -> None:
        request, self._current, self._upstream, self._group = self._current, None, None, None
        if (close or (request and not request.keep_alive)) and self._transport:
            self._transport.close()
        else:
            self._next()

    def broken(self, started: bool) -> None:
        """Answer 502 for a target that broke off, or cut the connection if a part of its answer is out."""
        self._upstream = None
        if started and self._transport:
            self._transport.close()
        else:
            self._own(502)

    def _own(self, status: int) -> None:
        keep = self._current is not None and self._current.keep_alive
        if self._transport:
            self._transport.write(own_answer(status, close=not keep))
        self._count(status, self._group, False)
        self._done(close=not keep)

    def _end(self, status: int, group: str | None) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(own_answer(status, close=True))
            self._transport.close()
            self._count(status, group, False)

    def pause_writing(self) -> None:
        if self._upstream and self._upstream.transport:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream and self._upstream.transport:
            self._upstream.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        upstream, self._upstream = self._upstream, None
        self._current = None
        self._transport = None
        if upstream:
            upstream.close()
