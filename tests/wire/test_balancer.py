"""The balancer process: rules, weights, health, failing targets, its own answers."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import aiohttp
import pytest

from rehearsal.emulator import processes
from tests.wire.fleet import Fleet, eventually, unique

PROJECT = Path(__file__).resolve().parents[2]
Connect = Callable[[str], Any]
MOVES = 20
LEAST_ARRIVALS = 500
PACE_SECONDS = 0.01
FAST = {
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
    "HealthCheckPath": "/healthz",
}


class Handler(BaseHTTPRequestHandler):
    """A handler that answers with the request; /healthz fails while the server is sick."""

    protocol_version = "HTTP/1.1"
    server: Backend

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/slow":
            time.sleep(3)
        if self.path == "/work":
            time.sleep(0.05)
        if self.path == "/held":
            self.server.holds.set()
            self.server.released.wait(10)
        if self.path == "/chunks":
            self._chunks()
            return
        sick = self.path == "/healthz" and self.server.sick
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = json.dumps({"me": self.server.name, "length": len(body), "headers": headers}).encode()
        self.send_response(503 if sick else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_POST = do_HEAD = do_GET  # noqa: N815

    def _chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"one", b"two", b""):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))

    def log_message(self, *_: object) -> None:
        """Silence."""


class Backend(ThreadingHTTPServer):
    """A target on an instance's address."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.name = address
        self.sick = False
        self.connections: set[Any] = set()
        self.holds, self.released = threading.Event(), threading.Event()
        super().__init__((address, 8080), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_bind(self) -> None:
        # The name lookup of HTTPServer's own version may take seconds.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of these tests."""

    def die(self) -> None:
        self.shutdown()
        self.server_close()


class Stage:
    """Two groups of two targets behind one listener, with a balancer process."""

    def __init__(self, connect: Connect, fleet: Fleet) -> None:
        self.connect = connect
        self.fleet = fleet
        self.elb = connect("elbv2")
        balancer = self.elb.create_load_balancer(Name=unique("front"), Subnets=fleet.subnets)
        self.address = balancer["LoadBalancers"][0]["DNSName"]
        self.arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.groups = [fleet.target_group(**FAST) for _ in range(2)]
        self.backends: list[list[Backend]] = []
        self.listener = ""

    def weigh(self, *weights: int) -> None:
        pairs = zip(self.groups, weights, strict=True)
        config = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in pairs]}
        action = {"Type": "forward", "ForwardConfig": config}
        if self.listener:
            self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=[action])
            return
        made = self.elb.create_listener(LoadBalancerArn=self.arn, Protocol="HTTP", Port=8080, DefaultActions=[action])
        self.listener = made["Listeners"][0]["ListenerArn"]

    def ask(self, path: str = "/", data: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(f"http://{self.address}:8080{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, {}
        except OSError:
            return 0, {}

    def served(self, count: int) -> Counter[str]:
        return Counter(self.ask()[1].get("me", "nobody") for _ in range(count))

    def names(self, group: int) -> set[str]:
        return {backend.name for backend in self.backends[group]}

    def states(self, group: int) -> set[str]:
        return set(self.fleet.targets(self.groups[group]).values())


@pytest.fixture
def stage(emulator: str, connect: Connect, fleet: Fleet, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(connect, fleet)
    argv = [sys.executable, "-m", "rehearsal.emulator.balancer", "--endpoint", emulator, "--poll-seconds", "0.2"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with (tmp_path / "balancer.log").open("wb") as log:
        child: subprocess.Popen[bytes] = processes.spawn(argv, environment=environment, directory=tmp_path, log=log)
    template = fleet.template()
    with (
        fleet.group(template, 2, TargetGroupARNs=[stage.groups[0]]) as blue,
        fleet.group(template, 2, TargetGroupARNs=[stage.groups[1]]) as green,
    ):
        for group in (blue, green):
            stage.backends.append([Backend(i["PrivateIpAddress"]) for i in fleet.instances(group)])
        stage.weigh(1, 0)
        eventually(lambda: stage.states(0) == {"healthy"})
        yield stage
        for backend in [b for backends in stage.backends for b in backends]:
            backend.die()
    stage.elb.delete_load_balancer(LoadBalancerArn=stage.arn)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=10) == 0
    assert "Traceback" not in (tmp_path / "balancer.log").read_text()


def test_requests_go_round_the_healthy_targets(stage: Stage) -> None:
    assert stage.served(10) == dict.fromkeys(stage.names(0), 5)


def test_weights_share_exactly_and_a_change_takes_effect(stage: Stage) -> None:
    stage.weigh(3, 1)
    eventually(lambda: set(stage.served(8)) == stage.names(0) | stage.names(1))
    served = stage.served(40)
    assert sum(served[name] for name in stage.names(1)) == 10
    stage.weigh(0, 1)
    eventually(lambda: set(stage.served(4)) == stage.names(1))


async def arrivals(url: str, moved: threading.Event) -> Counter[str]:
    """Send requests at their pace, whatever becomes of those before, until all moves are made."""
    seen: Counter[str] = Counter()

    async def one(session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(url) as reply:
                told = await reply.json(content_type=None) if reply.status == 200 else {}
                seen[told.get("me", f"status {reply.status}")] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            seen[repr(error)] += 1

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        sent = 0
        while sent < LEAST_ARRIVALS or not moved.is_set():
            tasks.create_task(one(session))
            sent += 1
            await asyncio.sleep(PACE_SECONDS)
    return seen


def test_no_request_fails_while_weights_move(stage: Stage) -> None:
    stage.weigh(1, 1)
    eventually(lambda: stage.states(0) | stage.states(1) == {"healthy"})
    moved, wrong = threading.Event(), list[object]()

    def serves(group: int) -> bool:
        status, told = stage.ask()
        if status != 200:
            wrong.append(status)
        return told.get("me") in stage.names(group)

    def move() -> None:
        try:
            for number in range(MOVES):
                stage.weigh(number % 2, 1 - number % 2)
                eventually(partial(serves, 1 - number % 2))
        except BaseException as error:
            wrong.append(error)
        finally:
            moved.set()

    mover = threading.Thread(target=move)
    mover.start()
    seen = asyncio.run(arrivals(f"http://{stage.address}:8080/work", moved))
    mover.join()
    assert wrong == []
    assert seen.keys() == stage.names(0) | stage.names(1)
    assert seen.total() >= LEAST_ARRIVALS


def test_a_move_leads_the_next_request_and_lets_one_end(stage: Stage) -> None:
    eventually(lambda: stage.states(1) == {"healthy"})
    connection = http.client.HTTPConnection(stage.address, 8080, timeout=20)
    connection.request("GET", "/held")
    eventually(lambda: any(backend.holds.is_set() for backend in stage.backends[0]))
    stage.weigh(0, 1)
    eventually(lambda: set(stage.served(2)) <= stage.names(1))
    for backend in stage.backends[0]:
        backend.released.set()
    told = []
    for path in ("", "/"):
        if path:
            connection.request("GET", path)
        reply = connection.getresponse()
        told.append((reply.status, json.load(reply)["me"]))
    connection.close()
    assert [status for status, _ in told] == [200, 200]
    assert (told[0][1] in stage.names(0), told[1][1] in stage.names(1)) == (True, True)


def test_a_header_names_the_group_whatever_the_weights(stage: Stage) -> None:
    empty = stage.fleet.target_group(**FAST)
    for priority, (name, group) in enumerate([("green", stage.groups[1]), ("gold*", empty)], 1):
        header = {"HttpHeaderName": "X-Slot", "Values": [name]}
        stage.elb.create_rule(
            ListenerArn=stage.listener,
            Priority=priority,
            Conditions=[{"Field": "http-header", "HttpHeaderConfig": header}],
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )
    eventually(lambda: stage.ask("/", None, **{"x-slot": "Golden"})[0] == 503)
    eventually(lambda: stage.states(1) == {"healthy"})
    named = Counter(stage.ask("/", None, **{"X-Slot": "GREEN"})[1].get("me", "nobody") for _ in range(10))
    assert named == dict.fromkeys(stage.names(1), 5)
    assert stage.served(10) == dict.fromkeys(stage.names(0), 5)
    assert stage.ask("/", None, **{"X-Slot": "greens"})[1]["me"] in stage.names(0)


def test_a_sick_target_leaves_and_returns(stage: Stage) -> None:
    sick, sound = stage.backends[0]
    sick.sick = True
    eventually(lambda: "unhealthy" in stage.states(0))
    assert set(stage.served(6)) == {sound.name}
    answer = stage.elb.describe_target_health(TargetGroupArn=stage.groups[0])
    reasons = {e["TargetHealth"].get("Reason") for e in answer["TargetHealthDescriptions"]}
    assert reasons == {None, "Target.ResponseCodeMismatch"}
    sick.sick = False
    eventually(lambda: stage.states(0) == {"healthy"})
    assert set(stage.served(6)) == stage.names(0)


def test_all_targets_sick_fails_open(stage: Stage) -> None:
    for backend in stage.backends[0]:
        backend.sick = True
    eventually(lambda: stage.states(0) == {"unhealthy"})
    assert set(stage.served(6)) == stage.names(0)


def test_a_terminated_target_gets_no_more_requests(stage: Stage, connect: Connect) -> None:
    victim = stage.backends[0][0]
    filters = [{"Name": "private-ip-address", "Values": [victim.name]}]
    found = connect("ec2").describe_instances(Filters=filters)["Reservations"][0]["Instances"][0]
    connect("ec2").terminate_instances(InstanceIds=[found["InstanceId"]])
    eventually(lambda: victim.name not in stage.served(4))


def measured(connect: Connect, metric: str, statistic: str = "Sum", **dimensions: str) -> list[float]:
    """Return the statistic of a metric over the last hour."""
    found = connect("cloudwatch").get_metric_statistics(
        Namespace="AWS/ApplicationELB",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return [float(point[statistic]) for point in found]


def test_requests_and_errors_are_published_as_metrics(stage: Stage, connect: Connect) -> None:
    assert stage.ask()[0] == 200
    assert stage.ask("/cut")[0] == 502
    balancer = stage.arn.partition(":loadbalancer/")[2]
    group = stage.groups[0].rpartition(":")[2]

    def counted(metric: str, **more: str) -> float:
        return sum(measured(connect, metric, LoadBalancer=balancer, **more))

    eventually(lambda: counted("HTTPCode_ELB_5XX_Count") == 1)
    assert counted("RequestCount") == counted("HTTPCode_Target_2XX_Count") + 1 >= 2
    assert counted("HTTPCode_Target_2XX_Count", TargetGroup=group) == counted("HTTPCode_Target_2XX_Count")
    assert counted("HTTPCode_Target_5XX_Count") == 0
    assert measured(connect, "HealthyHostCount", "Maximum", LoadBalancer=balancer, TargetGroup=group) == [2]
    assert measured(connect, "UnHealthyHostCount", "Minimum", LoadBalancer=balancer, TargetGroup=group) == [0]
    assert sum(measured(connect, "RequestCountPerTarget", TargetGroup=group)) >= 1


def test_own_answers_503_without_targets_502_for_a_broken_one(stage: Stage) -> None:
    assert stage.ask("/cut")[0] == 502
    for backend in stage.backends[0]:
        backend.die()
    assert stage.ask()[0] == 502
    stage.elb.modify_listener(
        ListenerArn=stage.listener,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": stage.fleet.target_group(**FAST)}],
    )
    eventually(lambda: stage.ask()[0] == 503)


def test_a_silent_target_is_504_after_the_idle_timeout(stage: Stage) -> None:
    attributes = [{"Key": "idle_timeout.timeout_seconds", "Value": "1"}]
    stage.elb.modify_load_balancer_attributes(LoadBalancerArn=stage.arn, Attributes=attributes)
    eventually(lambda: stage.ask("/slow")[0] == 504)


def test_messages_pass_unchanged_with_the_client_named(stage: Stage) -> None:
    status, seen = stage.ask("/?a=b", b"x" * 3_000_000, **{"X-Forwarded-For": "10.1.1.1", "X-Mine": "y"})
    assert (status, seen["length"]) == (200, 3_000_000)
    assert seen["headers"]["x-forwarded-for"] == "10.1.1.1, 127.0.0.1"
    assert seen["headers"]["x-mine"] == "y"
    assert seen["headers"]["host"] == f"{stage.address}:8080"


def test_one_connection_carries_many_kinds_of_requests(stage: Stage) -> None:
    connection = http.client.HTTPConnection(stage.address, 8080, timeout=5)
    for method, path, length in [("GET", "/chunks", 6), ("HEAD", "/", 0), ("GET", "/chunks", 6)]:
        connection.request(method, path)
        reply = connection.getresponse()
        assert (reply.status, len(reply.read())) == (200, length)
    connection.close()


def test_connections_to_targets_are_reused(stage: Stage) -> None:
    for backend in stage.backends[0]:
        backend.connections.clear()
    stage.served(40)
    # Health checks come on connections of their own.
    assert sum(len(backend.connections) for backend in stage.backends[0]) < 10
