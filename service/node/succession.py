"""
One serving process after another behind one listening socket: the next takes over when it has loaded and replayed.

Loading a base holds the interpreter for as long as it takes, and what an old base held is only given back when its
process ends. So a node's own process serves nothing: it keeps the socket, and starts who serves.
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
# A process that was killed a moment ago may hold the port for another.
BIND_SECONDS = 10.0
BIND_POLL_SECONDS = 0.1
# Longer than a process drains; systemd's own bound is longer still.
END_SECONDS = 30.0
# To fetch, load and replay a shard of ten million rows; one that takes longer hangs.
BOOT_SECONDS = 3600.0
SERVING = "serving"
SUCCEED = "succeed"
FAILED = "failed"
REFUSED = "refused"
NEWEST = "newest"  # in the place of a snapshot's name
DAMAGED_EXIT = 65  # of a successor whose snapshot can not be trusted
_PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


class Channel:
    """Lines of words between a node's own process and one that serves."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """The channel over one end of a socket pair."""
        return cls(*await asyncio.open_connection(sock=end))

    async def say(self, *words: str) -> None:
        """Send one line. Nothing is raised where the other end is gone: the process there is, too."""
        try:
            self._writer.write(" ".join(words).encode() + b"\n")
            await self._writer.drain()
        except ConnectionError:
            log.debug("nobody listens any more", extra={"words": words})

    async def hear(self) -> list[str]:
        """The words of the next line; none when the other end is gone."""
        try:
            return (await self._reader.readline()).decode().split()
        except ConnectionError:
            return []

    def close(self) -> None:
        """Say and hear nothing more."""
        self._writer.close()


@dataclass(frozen=True)
class Server:
    """A serving process, or one that is about to be."""

    process: asyncio.subprocess.Process
    channel: Channel

    def end(self) -> None:
        """Let it drain."""
        if self.process.returncode is None:
            self.process.terminate()

    async def ended(self) -> int:
        """Its exit code; whoever does not end in END_SECONDS after it was told to, is killed."""
        try:
            return await asyncio.wait_for(self.process.wait(), END_SECONDS)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


class Succession:
    """Keeps the port of a node and one process that serves on it; ends when that one does."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._servers: list[Server] = []
        self._stopped = False

    def run(self) -> int:
        """Until told to stop, or until the serving process ends; returns the exit code."""
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
        return code if code >= 0 else 128 - code  # as a shell has it for a signal

    def _stop(self) -> None:
        self._stopped = True
        for server in self._servers:
            server.end()

    async def _start(self, listener: socket.socket, *arguments: str) -> Server:
        ours, theirs = socket.socketpair()
        fds = [listener.fileno(), theirs.fileno()]
        words = ("serve", "--listener", str(fds[0]), "--channel", str(fds[1]), *arguments)
        # The watchdog's variable names the process that systemd started; the one that serves shall give the signs.
        environment = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"}
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service", *words, pass_fds=fds, env=environment
            )
        server = Server(process, await Channel.over(ours))
        self._servers.append(server)
        if self._stopped:
            server.end()
        return server

    @staticmethod
    async def _wish(serving: Server) -> list[str]:
        """
        From which snapshot a successor should serve, its least position, and from which on it is ready, where that is
        known; none when the process has ended.
        """
        while words := await serving.channel.hear():
            if words[0] == SUCCEED:
                return words[1:]
        return []

    async def _succeed(
        self, listener: socket.socket, serving: Server, snapshot: str, position: str, *covers: str
    ) -> Server:
        """Who serves after a successor was tried."""
        started = time.monotonic()
        try:
            known = ("--covers", *covers) if covers else ()
            successor = await self._start(listener, "--snapshot", snapshot, "--position", position, *known)
        except OSError as error:
            log.error("a successor can't be started", extra={"snapshot": snapshot, "reason": str(error)})
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
        log.error("a successor did not come to serve", extra={"snapshot": snapshot, "exit_code": code})
        await serving.channel.say(REFUSED if code == DAMAGED_EXIT else FAILED, snapshot)
        return serving

    @staticmethod
    async def _comes_to_serve(successor: Server, serving: Server) -> bool:
        """Whether a successor says so before it ends, hangs, or there is nobody to succeed any more."""
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
    """A listening socket; raises BadSettings where the address can't be had in BIND_SECONDS."""
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
    """Let the kernel end this process when its parent does, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
