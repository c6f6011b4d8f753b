"""A closed loop of one thread over a few connections: each sends its next request when it has an answer."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
GOOD = b"HTTP/1.1 200 "
RECEIVED_BYTES = 1 << 16
CONNECT_SECONDS = 5.0


class BadAnswer(Exception):
    """An answer other than 200, or a closed connection."""


@dataclass(frozen=True)
class Loop:
    """A turn: its seconds, and the seconds of each request until its whole answer."""

    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def request(host: str, path: str, media_type: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, CONNECT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self._received = b""

    def send(self, body: bytes) -> None:
        self._received, self.sent = b"", time.perf_counter()
        self.socket.sendall(body)

    def answer(self) -> bytes | None:
        """Return the body of the answer; None until it is whole."""
        piece = self.socket.recv(RECEIVED_BYTES)
        self._received += piece
        if not piece or not self._received.startswith(GOOD[: len(self._received)]):
            raise BadAnswer(self._received[:300].decode(errors="replace") or "the connection ended")
        head, found, body = self._received.partition(HEAD_END)
        if not found:
            return None
        lower = head.lower()
        at = lower.index(LENGTH) + len(LENGTH)
        return body if len(body) >= int(lower[at:].split(b"\r\n", 1)[0]) else None


def closed_loop(address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> Loop:
    """Send `requests` round and round for so many seconds; raise BadAnswer for the first bad answer."""
    open_ones = [_Connection(address) for _ in range(connections)]
    latencies: list[float] = []
    try:
        with selectors.DefaultSelector() as selector:
            started = time.perf_counter()
            for number, connection in enumerate(open_ones):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.send(requests[number % len(requests)])
            asked, end = connections, started + seconds
            while (now := time.perf_counter()) < end:
                for key, _ in selector.select(end - now):
                    connection = key.data
                    if connection.answer() is not None:
                        latencies.append(time.perf_counter() - connection.sent)
                        connection.send(requests[asked % len(requests)])
                        asked += 1
            return Loop(time.perf_counter() - started, latencies)
    finally:
        for connection in open_ones:
            connection.socket.close()


def ask(address: tuple[str, int], requests: Sequence[bytes]) -> list[bytes]:
    """Return the body of each answer, one request after another."""
    connection = _Connection(address)
    bodies: list[bytes] = []
    try:
        for one in requests:
            connection.send(one)
            while (body := connection.answer()) is None:
                continue
            bodies.append(body)
    finally:
        connection.socket.close()
    return bodies


@dataclass(frozen=True)
class HttpSearches:
    """Searches of a server over HTTP: a request for each query, and `decode`, which reads the rows of an answer."""

    name: str
    address: tuple[str, int]
    requests: Sequence[bytes]
    decode: Callable[[bytes], list[int]]
    connections: int

    def rows(self) -> list[list[int]]:
        return [self.decode(body) for body in ask(self.address, self.requests)]

    def turn(self, seconds: float) -> Loop:
        return closed_loop(self.address, self.requests, self.connections, seconds)
