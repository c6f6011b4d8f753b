"""Connections to targets: each has one request at a time, and waits in a pool for the next."""

from __future__ import annotations

import asyncio
from typing import Protocol

import httptools

from rehearsal.emulator.balancer.listeners import Target

CONNECT_TIMEOUT_SECONDS = 10.0
# Shorter than the keep-alive of the targets (5 s), so that a pooled connection is never half-closed.
POOL_IDLE_SECONDS = 2.0


class Receiver(Protocol):
    """The receiver of a response."""

    def relay(self, data: bytes) -> None:
        """Take bytes of the response."""

    def answered(self, status: int, *, close: bool) -> None:
        """Take the end of the response; with `close` it ends the connection."""

    def broken(self, started: bool) -> None:
        """Take the end of the connection; with `started` a part of the answer is already out."""


class Upstream(asyncio.Protocol):
    """A connection to a target, with one request at a time."""

    def __init__(self, pool: Pool, target: Target) -> None:
        self.pool = pool
        self.target = target
        self.transport: asyncio.Transport | None = None
        self.client: Receiver | None = None
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = False
        self.started = False
        self._complete = False
        self._keep_alive = False
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, client: Receiver, data: bytes, *, head_only: bool) -> None:
        assert self.transport is not None
        self.client = client
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self.started = self._complete = False
        self.transport.write(data)

    def on_headers_complete(self) -> None:
        # The parser knows this only during the message. A HEAD's answer ends here, whatever its length header.
        self._keep_alive = self._parser.should_keep_alive()
        self._status = self._parser.get_status_code()
        self._complete |= self._head_only

    def on_message_complete(self) -> None:
        # The final answer follows an interim one (1xx).
        self._status = self._parser.get_status_code()
        self._complete |= self._status >= 200

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None:
            self.close()
            return
        self.started = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
            return
        client.relay(data)
        if self._complete:
            self._finish()

    def _finish(self) -> None:
        client, self.client = self.client, None
        if self._keep_alive and not self._head_only:
            self.pool.put(self)
        else:
            self.close()
        if client:
            client.answered(self._status, close=not self._keep_alive)

    def _fail(self) -> None:
        client, self.client = self.client, None
        self.close()
        if client:
            client.broken(self.started)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.drop(self)
        if self.client:
            self._fail()

    def close(self) -> None:
        """Close the connection without a call to the client."""
        self.client = None
        if self.transport:
            self.transport.close()


class Pool:
    """Idle connections by target."""

    def __init__(self) -> None:
        self._idle: dict[Target, list[Upstream]] = {}

    def take(self, target: Target) -> Upstream | None:
        """Return the most recently used idle connection that is usable, or None."""
        idle = self._idle.get(target, [])
        now = asyncio.get_running_loop().time()
        while idle:
            upstream = idle.pop()
            fresh = now - upstream.idle_since < POOL_IDLE_SECONDS
            if fresh and upstream.transport and not upstream.transport.is_closing():
                return upstream
            upstream.close()
        return None

    def put(self, upstream: Upstream) -> None:
        upstream.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(upstream.target, []).append(upstream)

    def drop(self, upstream: Upstream) -> None:
        idle = self._idle.get(upstream.target, [])
        if upstream in idle:
            idle.remove(upstream)

    async def connect(self, target: Target) -> Upstream:
        """Open a connection. Raises OSError, or TimeoutError after CONNECT_TIMEOUT_SECONDS."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            _, upstream = await loop.create_connection(lambda: Upstream(self, target), target.address, target.port)
        return upstream

    def prune(self) -> None:
        """Close connections that were idle too long."""
        now = asyncio.get_running_loop().time()
        for idle in self._idle.values():
            for upstream in [u for u in idle if now - u.idle_since >= POOL_IDLE_SECONDS]:
                idle.remove(upstream)
                upstream.close()
