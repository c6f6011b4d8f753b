"""`python -m rehearsal.emulator.balancer`: the load balancers of the emulated AWS as one process.

It reads elbv2 about once a second, listens on every listener's address and port, checks the targets, forwards by rule,
weight and health, and publishes target health and metrics.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import aiohttp
import click
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.emulator.account import client
from rehearsal.emulator.balancer.counts import EVERY_SECONDS, NAMESPACE, Counts, Hosts
from rehearsal.emulator.balancer.forwarding import Client
from rehearsal.emulator.balancer.listeners import Listener, View, read
from rehearsal.emulator.balancer.probes import Prober, http_probe
from rehearsal.emulator.balancer.routing import Router, eligible
from rehearsal.emulator.balancer.upstream import Pool
from vectorfleet.number_types import Number

_log = logging.getLogger("rehearsal.emulator.balancer")


class Balancer:
    """Open listeners, their routers and the health of all targets."""

    def __init__(self, elb: Any, ec2: Any, endpoint: str, session: aiohttp.ClientSession) -> None:
        self._elb = elb
        self._ec2 = ec2
        self._endpoint = endpoint
        self._session = session
        self._prober = Prober(http_probe(session), self._health_changed)
        self._publish_now = asyncio.Event()
        self._pool = Pool()
        self._counts = Counts()
        self._view = View(groups={})
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._routers: dict[tuple[str, int], Router] = {}

    def _health_changed(self) -> None:
        self._route()
        self._publish_now.set()

    def _state_of(self, group: str, target: Any) -> str:
        return self._prober.health(group, target).state

    def _route(self) -> None:
        """Give every router its eligible targets."""
        targets = {arn: eligible(group, self._state_of) for arn, group in self._view.groups.items()}
        for listener in self._view.listeners:
            router = self._routers.get((listener.address, listener.port))
            if router:
                router.update(listener, targets)

    async def _open(self, listener: Listener) -> None:
        place = listener.address, listener.port
        router = Router(listener)
        loop = asyncio.get_running_loop()

        def count(status: int, group: str | None, by_target: bool) -> None:
            self._counts.answered(listener.balancer, status, group=group, by_target=by_target)

        try:
            server = await loop.create_server(
                lambda: Client(router.next, self._pool, lambda: router.listener.idle_timeout_seconds, count),
                *place,
                backlog=1024,
            )
        except OSError as problem:
            _log.error("cannot listen on %s:%d: %s; trying again", *place, problem.strerror)
            return
        _log.info("listening on %s:%d", *place)
        self._servers[place], self._routers[place] = server, router

    async def apply(self, view: View) -> None:
        """Open and close listeners, follow targets, route."""
        self._view = view
        used = {arn for listener in view.listeners for arn in listener.groups}
        self._prober.follow({arn: group for arn, group in view.groups.items() if arn in used})
        wanted = {(listener.address, listener.port): listener for listener in view.listeners}
        for place in set(self._servers) - set(wanted):
            _log.info("closing %s:%d", *place)
            self._servers.pop(place).close()
            del self._routers[place]
        for place in set(wanted) - set(self._servers):
            await self._open(wanted[place])
        self._route()

    def _results(self) -> list[dict[str, Any]]:
        results = []
        for arn, group in self._view.groups.items():
            for target in group.targets:
                health = self._prober.health(arn, target)
                entry: dict[str, Any] = {"target_group": arn, "id": target.id, "state": health.state}
                results.append(entry | {"reason": health.reason, "description": health.description})
        return results

    def _hosts(self) -> list[Hosts]:
        """Return the numbers of targets of each group that a balancer may forward to."""
        used = {(listener.balancer, arn) for listener in self._view.listeners for arn in listener.groups}
        hosts = []
        for balancer, arn in sorted(pair for pair in used if pair[1] in self._view.groups):
            states = [self._state_of(arn, target) for target in self._view.groups[arn].targets]
            hosts.append(Hosts(balancer, arn, len(states), states.count("healthy"), states.count("unhealthy")))
        return hosts

    async def _post(self, what: str, body: object) -> None:
        async with self._session.post(f"{self._endpoint}/_vectorfleet/{what}", json=body) as reply:
            if reply.status != 200:
                _log.error("the emulator refused the %s: %s", what, await reply.text())

    async def _count_forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._post("metrics", {"namespace": NAMESPACE, "data": self._counts.take(self._hosts())})
            except (aiohttp.ClientError, OSError) as problem:
                _log.warning("metrics cannot be published (%s) and are lost", problem)

    async def _publish_forever(self) -> None:
        while True:
            try:
                await self._post("target-health", {"targets": self._results()})
            except (aiohttp.ClientError, OSError) as problem:
                _log.warning("target health cannot be published (%s); trying again", problem)
            self._publish_now.clear()
            with_timeout = asyncio.wait_for(self._publish_now.wait(), 1.0)
            await asyncio.gather(with_timeout, return_exceptions=True)

    async def _poll_forever(self, every_seconds: float) -> None:
        while True:
            try:
                await self.apply(await asyncio.to_thread(read, self._elb, self._ec2))
            except (BotoCoreError, ClientError) as problem:
                _log.warning("elbv2 cannot be read (%s); the last view stays in force", problem)
            self._pool.prune()
            await asyncio.sleep(every_seconds)

    async def run(self, every_seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_forever(every_seconds))
            tasks.create_task(self._publish_forever())
            tasks.create_task(self._count_forever())

    async def close(self) -> None:
        for server in self._servers.values():
            server.close()
        await self._prober.close()


async def _run(endpoint: str, every_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Each check opens a connection: a pooled one would not notice that a process was replaced.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        elb, ec2 = (client(service, endpoint, read_seconds=10, attempts=2) for service in ("elbv2", "ec2"))
        balancer = Balancer(elb, ec2, endpoint, session)
        work = asyncio.create_task(balancer.run(every_seconds))
        waiter = asyncio.create_task(ended.wait())
        await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await balancer.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--endpoint", default="http://127.0.0.1:4566", show_default=True, help="The emulated AWS.")
@click.option(
    "--poll-seconds",
    default=1.0,
    show_default=True,
    type=Number(0.05, 3_600),
    help="Seconds between two reads of elbv2.",
)
def main(endpoint: str, poll_seconds: float) -> None:
    """Run the load balancers of the emulated AWS until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_run(endpoint.rstrip("/"), poll_seconds))
