"""Instances as processes: boot, crash, start limit, termination."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.emulator import processes
from tests.wire.fleet import Fleet, eventually, unique
from tests.wire.machines import computing

PROJECT = Path(__file__).resolve().parents[2]
Connect = Callable[[str], Any]

SERVE = """
import http.server, json, os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(os.path.join(os.environ["VECTORFLEET_DATA"], "mark"), "a").write("boot\\n")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({**os.environ, "CWD": os.getcwd(), "FILE": __file__}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
print("serving", flush=True)
address = os.environ["VECTORFLEET_HOST"], int(os.environ["VECTORFLEET_PORT"])
class Server(http.server.ThreadingHTTPServer):
    def server_bind(self):
        import socketserver
        socketserver.TCPServer.server_bind(self)
Server(address, Handler).serve_forever()
"""


def artifact(program: str) -> tuple[bytes, str]:
    """Return a zip with the package `vectorfleet`, and its sha256."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("vectorfleet/__init__.py", '"""Stands in for the service."""\n')
        archive.writestr("vectorfleet/__main__.py", program)
    body = buffer.getvalue()
    return body, hashlib.sha256(body).hexdigest()


def user_data(bucket: str, digest: str, *, named_digest: str | None = None) -> str:
    manifest = {
        "artifact": {"bucket": bucket, "key": f"service/{digest}.zip", "sha256": named_digest or digest},
        "argv": ["python", "-m", "vectorfleet", "node"],
        "environment": {
            "VECTORFLEET_ROLE": "node",
            "VECTORFLEET_SHARD": "0",
            "VECTORFLEET_REPLICA": "a",
            "VECTORFLEET_PORT": "8080",
        },
    }
    files = [{"path": "/etc/vectorfleet/role.json", "content": json.dumps(manifest)}]
    return "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": [["/bin/true"]]})


class Site:
    """A state folder on which compute runs."""

    def __init__(self, root: Path, fleet: Fleet) -> None:
        self.root = root
        self.fleet = fleet

    def table(self) -> dict[str, dict[str, Any]]:
        path = self.root / "compute.json"
        rows = json.loads(path.read_text())["instances"] if path.exists() else []
        return {row["instance"]: row for row in rows}

    def row(self, instance: str, state: str = "running") -> dict[str, Any]:
        return dict(eventually(lambda: self._in(instance, state)))

    def _in(self, instance: str, state: str) -> dict[str, Any] | None:
        row = self.table().get(instance)
        return row if row and row["state"] == state else None

    def program(self, program: str, connect: Connect, **changes: str) -> str:
        """Store an artifact, and return a launch template that runs it."""
        body, digest = artifact(program)
        bucket = unique("artifacts")
        connect("s3").create_bucket(Bucket=bucket)
        connect("s3").put_object(Bucket=bucket, Key=f"service/{digest}.zip", Body=body)
        return self.fleet.template(user_data(bucket, digest, **changes))


def ask(address: str) -> dict[str, str] | None:
    try:
        with urllib.request.urlopen(f"http://{address}:8080/", timeout=2) as reply:
            return dict(json.load(reply))
    except OSError:
        return None


def describe(connect: Connect, instance: str) -> dict[str, Any]:
    answer = connect("ec2").describe_instances(InstanceIds=[instance])
    return dict(answer["Reservations"][0]["Instances"][0])


@pytest.fixture(scope="module")
def site(emulator: str, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run compute on a fresh state folder, and check at the end that all its processes have ended."""
    root = tmp_path_factory.mktemp("site")
    with computing(emulator, root):
        yield Site(root, fleet)


def test_an_instance_boots_from_its_user_data(site: Site, connect: Connect, fleet: Fleet) -> None:
    with fleet.group(site.program(SERVE, connect), 1) as group:
        (instance,) = fleet.instances(group)
        name = instance["InstanceId"]
        row = site.row(name)
        seen = eventually(lambda: ask(instance["PrivateIpAddress"]))
        assert seen["VECTORFLEET_HOST"] == instance["PrivateIpAddress"]
        assert seen["VECTORFLEET_INSTANCE"] == name
        assert seen["VECTORFLEET_ZONE"] == instance["Placement"]["AvailabilityZone"]
        assert seen["VECTORFLEET_SHARD"] == "0"
        disk = site.root / "instances" / name / "disk"
        assert seen["CWD"] == seen["VECTORFLEET_DATA"] == str(disk)
        assert Path(row["log"]).name == f"node-0a-{name}.log"
        assert "serving" in Path(row["log"]).read_text()
        allowed = {"PYTHONPATH", "PYTHONUNBUFFERED", "PATH", "HOME", "LANG", "CWD", "FILE", "LC_CTYPE"}
        assert {key for key in seen if not key.startswith(("VECTORFLEET_", "AWS_"))} <= allowed


def test_a_crashed_process_comes_back_and_leaves_no_children(site: Site, connect: Connect, fleet: Fleet) -> None:
    with fleet.group(site.program(SERVE, connect), 1) as group:
        name = fleet.instances(group)[0]["InstanceId"]
        first = site.row(name)["pid"]
        members = eventually(lambda: (m := processes.session(first)) and len(m) > 1 and m)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: site.row(name)["restarts"] == 1)
        second = site.row(name)["pid"]
        assert second != first
        assert [pid for pid in members if processes.start_time(pid)] == []


def test_termination_ends_the_process_group_and_deletes_the_disk(site: Site, connect: Connect, fleet: Fleet) -> None:
    with fleet.group(site.program(SERVE, connect), 1) as group:
        instance = fleet.instances(group)[0]
        name = instance["InstanceId"]
        leader = site.row(name)["pid"]
        eventually(lambda: ask(instance["PrivateIpAddress"]))
        members = processes.session(leader)
        assert len(members) == 2
        connect("ec2").terminate_instances(InstanceIds=[name])
        eventually(lambda: not (site.root / "instances" / name).exists())
        assert [pid for pid in members if processes.start_time(pid)] == []
        replacement = fleet.instances(group)[0]
        assert eventually(lambda: ask(replacement["PrivateIpAddress"]))


def test_a_crash_loop_powers_the_machine_off(site: Site, connect: Connect, fleet: Fleet) -> None:
    template = site.program("print('no'); raise SystemExit(3)", connect)
    with fleet.group(template, 1) as group:
        name = fleet.instances(group)[0]["InstanceId"]
        eventually(lambda: describe(connect, name)["State"]["Name"] == "terminated")
        (log,) = (site.root / "logs").glob(f"*{name}.log")
        assert log.read_text().count("\nno\n") == 5
        assert "the machine powers itself off" in log.read_text()
        assert fleet.instances(group)[0]["InstanceId"] != name


def test_invalid_user_data_fails_that_instance_only(site: Site, connect: Connect, fleet: Fleet) -> None:
    with fleet.group(fleet.template("#!/bin/sh\necho hello"), 1) as group:
        name = fleet.instances(group)[0]["InstanceId"]
        site.row(name, "failed")
        assert "first line must be #cloud-config" in (site.root / "compute.log").read_text()
        with fleet.group(site.program(SERVE, connect), 1) as sound:
            site.row(fleet.instances(sound)[0]["InstanceId"])


def test_an_artifact_with_another_digest_never_runs(site: Site, connect: Connect, fleet: Fleet) -> None:
    template = site.program(SERVE, connect, named_digest="0" * 64)
    with fleet.group(template, 1) as group:
        name = fleet.instances(group)[0]["InstanceId"]
        log = eventually(lambda: next((site.root / "logs").glob(f"*{name}.log"), None))
        eventually(lambda: "the manifest says 000" in log.read_text())
        assert "serving" not in log.read_text()


def test_machines_end_with_a_killed_compute(emulator: str, fleet: Fleet, connect: Connect) -> None:
    """The kernel's death signal ends the machines, not a handler of the program."""
    script = (
        "import subprocess, sys, time; from rehearsal.emulator import processes; "
        "c = processes.spawn([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "environment={}, directory='/', log=sys.stdout.buffer); print(c.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=PROJECT)
    assert parent.stdout is not None
    child = processes.identify(int(parent.stdout.readline()))
    assert child is not None
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not processes.alive(child))
