"""Serving processes in succession behind one listening socket: the next takes over once it has loaded and replayed.

Loading a base blocks the interpreter, and the memory of an old base is only freed when its process ends. So a node's
own process serves nothing: it keeps the socket and starts the serving processes.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass

from service.settings import BadSettings, Process

BACKLOG = 2048
# A process killed a moment ago may still hold the port.
BIND_SECONDS = 10.0
BIND_POLL_SECONDS = 0.1
# Longer than a process drains; systemd's own limit is longer still.
END_SECONDS = 30.0
# Enough to download, load and replay a shard of ten million rows. A process that takes longer hangs.
BOOT_SECONDS = 3600.0
SERVING = "serving"
SUCCEED = "succeed"
FAILED = "failed"
REFUSED = "refused"
NEWEST = "newest"  # instead of a snapshot's name
DAMAGED_EXIT = 65  # of a successor whose snapshot can't be trusted
_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


class Channel:
    """Lines of words between a node's own process and a serving one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Open a channel over one end of a socket pair."""
        return cls(*await asyncio.open_connection(sock=end))

    async def say(self, *words: str) -> None:
        """Send one line. If the other end is gone, its process is too, so nothing is raised."""
        try:
            self._writer.write(" ".join(words).encode() + b"\n")
            await self._writer.drain()
        except ConnectionError:
            log.debug("the other end of the channel is gone", extra={"words": words})

    async def hear(self) -> list[str]:
        """Return the words of the next line; none if the other end is gone."""
        try:
            return (await self._reader.readline()).decode().split()
        except ConnectionError:
            return []

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class Server:
    """A serving process, or a successor that is starting."""

    process: asyncio.subprocess.Process
    channel: Channel

    def end(self) -> None:
        """Tell it to drain and end."""
        if self.process.returncode is None:
            self.process.terminate()

    async def ended(self) -> int:
        """Return its exit code; kill it if it does not end within END_SECONDS."""
        try:
            return await asyncio.wait_for(self.process.wait(), END_SECONDS)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


class Succession:
    """The owner of a node's port and of the one process that serves on it; it ends when that process does."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._servers: list[Server] = []
        self._stopped = False

    def run(self) -> int:
        """Run until told to stop, or until the serving process ends; return the exit code."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._stop)
        with listen(self._process.host, self._process.port) as listener:
            serving = await self._start(listener)
            while wish := await self._wish(serving):
                serving = await self._succeed(listener, serving, *wish)
        code = await serving.ended()
        if self._stopped:
            return 0
        return code if code >= 0 else 128 - code  # the shell's convention for a signal

    def _stop(self) -> None:
        self._stopped = True
        for server in self._servers:
            server.end()

    async def _start(self, listener: socket.socket, *arguments: str) -> Server:
        ours, theirs = socket.socketpair()
        fds = [listener.fileno(), theirs.fileno()]
        words = ("serve", "--listener", str(fds[0]), "--channel", str(fds[1]), *arguments)
        # WATCHDOG_PID names the process that systemd started, but the serving process sends the keep-alives.
        environment = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "vectorfleet", *words, pass_fds=fds, env=environment
            )
        server = Server(process, await Channel.over(ours))
        self._servers.append(server)
        if self._stopped:
            server.end()
        return server

    @staticmethod
    async def _wish(serving: Server) -> list[str]:
        """Return a successor's snapshot, its least position, that of an ordered snapshot, and, if known, the position
        from which on it is ready.

        Return nothing once the serving process has ended.
        """
        while words := await serving.channel.hear():
            if words[0] == SUCCEED:
                return words[1:]
        return []

    async def _succeed(
        self, listener: socket.socket, serving: Server, snapshot: str, position: str, asked: str, *covers: str
    ) -> Server:
        """Try a successor; return the process that serves afterwards."""
        started = time.monotonic()
        try:
            known = ("--covers", *covers) if covers else ()
            words = ("--snapshot", snapshot, "--position", position, "--asked", asked)
            successor = await self._start(listener, *words, *known)
        except OSError as error:
            log.error("a successor could not be started", extra={"snapshot": snapshot, "reason": str(error)})
            await serving.channel.say(FAILED, snapshot)
            return serving
        if await self._comes_to_serve(successor, serving):
            serving.end()
            await self._bury(serving)
            log.info("taken over", extra={"snapshot": snapshot, "seconds": time.monotonic() - started})
            return successor
        if successor.process.returncode is None:
            successor.process.kill()
        code = await self._bury(successor)
        log.error("a successor did not take over", extra={"snapshot": snapshot, "exit_code": code})
        await serving.channel.say(REFUSED if code == DAMAGED_EXIT else FAILED, snapshot)
        return serving

    @staticmethod
    async def _comes_to_serve(successor: Server, serving: Server) -> bool:
        """Return whether a successor says that it serves, before it ends or hangs or the serving process ends."""
        hearing, ending = asyncio.create_task(successor.channel.hear()), asyncio.create_task(serving.process.wait())
        try:
            await asyncio.wait((hearing, ending), timeout=BOOT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return hearing.done() and hearing.result() == [SERVING]
        finally:
            hearing.cancel()
            ending.cancel()

    async def _bury(self, server: Server) -> int:
        code = await server.ended()
        server.channel.close()
        self._servers.remove(server)
        return code


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise BadSettings if the address can't be had within BIND_SECONDS."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if time.monotonic() >= until:
                raise BadSettings(f"can't listen on {host} port {port}: {error}") from error
            time.sleep(BIND_POLL_SECONDS)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, for whatever reason."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
