"""A search service of a few lines on loopback for tests of the load generator: right, wrong or frozen."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Answer = Callable[[dict[str, Any], list[str]], dict[str, Any]]


class SearchServer:
    """Answers searches by ``answer(body, ids written so far)`` and stores writes; freezes once, all connections."""

    def __init__(self, answer: Answer, freeze_at: int = -1, freeze_seconds: float = 0.0) -> None:
        self._answer, self._freeze_at, self._freeze_seconds = answer, freeze_at, freeze_seconds
        self.searches = 0
        self.written: list[str] = []
        self.slots: set[bytes] = set()
        self.first_search = threading.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.slots.update(re.findall(rb"(?im)^x-vectorfleet-slot: (\w*)", head) or [b""])
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:")
                body = json.loads(await reader.readexactly(length))
                reply = json.dumps(self._reply(head.split(b" ", 2)[1], body)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            # Also when the test ends while a client still holds the connection; else the socket outlives the loop.
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _reply(self, path: bytes, body: dict[str, Any]) -> dict[str, Any]:
        if path == b"/v1/documents/lookup":
            held = {one: {"position": 1} if one in self.written else None for one in body["source_ids"]}
            return {"position": len(self.written), "documents": held}
        if path == b"/v1/documents":
            self.written += [document["source_id"] for document in body["documents"]]
            return {"position": len(self.written), "results": []}
        self.first_search.set()
        self.searches += 1
        if self.searches == self._freeze_at:
            # Blocking the event loop is the fault itself: nobody is answered meanwhile.
            time.sleep(self._freeze_seconds)
        return self._answer(body, self.written)


@contextmanager
def serving(server: SearchServer) -> Iterator[str]:
    """Run the server in a thread; yields its endpoint."""
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_close(listening), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _close(listening: asyncio.Server) -> None:
    listening.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
