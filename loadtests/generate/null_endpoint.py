"""An HTTP server that does nothing: its response time is the floor of the harness.

It is a process beside the generator, and ends when its standard input closes, so it never outlives the generator.
Header and body go out in one write: in two, delayed acknowledgements would add 40 ms.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class NullEndpoint:
    """The server process and its URL."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def close(self) -> None:
        """End the process and wait for it."""
        try:
            self._process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        # Probes are GETs without a body, so each blank line ends one request.
        *requests, self._pending = (self._pending + data).split(b"\r\n\r\n")
        self._transport.write(_ANSWER * len(requests))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
