"""The real bootstrap, from user data to a service that answers, on a machine that is a folder."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infra.boot import artifact, wheelhouse
from infra.boot.model_files import ModelFiles, pack
from infra.boot.user_data import Role, encode, manifest
from infra.boot.wheelhouse import Wheelhouse
from tests.service.tiny_onnx import DIMS, folder
from tests.wire.machine import FLAGS, Machine
from tests.wire.service_fleet import PROJECT, ServiceFleet, get, new_bucket, new_fleet

Connect = Callable[[str], Any]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != wheelhouse.PYTHON, reason="the fleet's wheels are for Python 3.11, and so is their builder"
)


@pytest.fixture(scope="module")
def wheels() -> Wheelhouse:
    """The real wheelhouse, which `make test` builds before: tests ask no package index."""
    made = wheelhouse.built(PROJECT)
    if made is None:
        pytest.skip("there is no wheelhouse; make artifact builds one")
    return made


@dataclass(frozen=True)
class Store:
    """The bucket of artifacts with the real objects in it, and the parameters of a fleet."""

    connect: Connect
    bucket: str
    fleet: ServiceFleet
    wheels: Wheelhouse

    def put(self, name: str, content: bytes) -> Wheelhouse:
        """Store some other wheelhouse."""
        digest = hashlib.sha256(content).hexdigest()
        other = replace(self.wheels, path=Path(name), sha256=digest)
        self.connect("s3").put_object(Bucket=self.bucket, Key=other.key, Body=content)
        return other

    def user_data(
        self, port: int = 1, wheels: Wheelhouse | None = None, model: ModelFiles | None = None, **changed: str
    ) -> str:
        """User data of a router of the fleet; `changed` replaces the artifact's bucket, key or sha256."""
        role = _Role("router", self.fleet.name, "blue", "us-east-1", f"/vectorfleet/{self.fleet.name}", port=port)
        made = artifact.build()
        named = {"bucket": self.bucket, "key": made.key, "sha256": made.sha256, **changed}
        bucket, key, sha256 = named["bucket"], named["key"], named["sha256"]
        return encode(
            manifest(role, bucket=bucket, key=key, sha256=sha256, wheelhouse=wheels or self.wheels, model=model)
        )


@dataclass(frozen=True)
class _Role(Role):
    port: int = 1

    def environment(self) -> dict[str, str]:
        hook = {"VECTORFLEET_LIFECYCLE_HOOK": "launch", "VECTORFLEET_PORT": str(self.port)}
        return {**super().environment(), **hook}


@pytest.fixture(scope="module")
def store(connect: Connect, emulator: str, wheels: Wheelhouse, tmp_path_factory: pytest.TempPathFactory) -> Store:
    fleet = new_fleet(connect, emulator, tmp_path_factory.mktemp("fleet"), shards=1)
    fleet.configure(replicas=1)
    bucket = new_bucket(connect, "artifacts")
    made = artifact.build()
    connect("s3").put_object(Bucket=bucket, Key=made.key, Body=made.content)
    connect("s3").upload_file(str(wheels.path), bucket, wheels.key)
    return Store(connect, bucket, fleet, wheels)


def new_machine(root: Path, emulator: str) -> Machine:
    place = {"local-ipv4": "127.0.0.1", "instance-id": "i-0abc", "placement/availability-zone": "us-east-1a"}
    return Machine(root, emulator, {**place, "tags/instance/aws:autoscaling:groupName": "main-blue-router"})


@pytest.fixture(scope="module")
def booted(store: Store, emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, str]]:
    """A machine after its first boot, and the address of its service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    machine = new_machine(tmp_path_factory.mktemp("boot") / "m", emulator)
    try:
        machine.launch(store.user_data(port))
        done = machine.boot()
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == "vectorfleet: the service answers."
        yield machine, f"http://127.0.0.1:{port}"
    finally:
        machine.close()


@pytest.fixture
def fresh(emulator: str, tmp_path: Path) -> Iterator[Machine]:
    machine = new_machine(tmp_path / "m", emulator)
    yield machine
    machine.close()


def state(machine: Machine) -> dict[str, tuple[int, int]]:
    """Inode and time of change of everything that the bootstrap made; logs grow."""
    kept = [path for folder in ("etc", "opt", "usr") for path in (machine.root / folder).rglob("*")]
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in kept if "__pycache__" not in str(path)
    }


def refused(machine: Machine, user_data: str) -> str:
    """The last line of a boot that fails before anything runs."""
    machine.launch(user_data)
    done = machine.boot()
    assert done.returncode == 1, done.stdout
    last = done.stdout.splitlines()[-1]
    assert (machine.root / "var/log/vectorfleet/bootstrap.log").read_text().splitlines()[-1] == last
    assert machine.calls[-1] == "systemctl poweroff"
    assert not [call for call in machine.calls if "start" in call and "vectorfleet.service" in call]
    (abandoned,) = [call for call in machine.calls if "complete-lifecycle-action" in call]
    for word in ("--lifecycle-hook-name launch", "main-blue-router", "i-0abc", "--lifecycle-action-result ABANDON"):
        assert word in abandoned
    return last


def test_the_service_runs_from_the_wheelhouse_alone(booted: tuple[Machine, str]) -> None:
    machine, url = booted
    assert get(f"{url}/healthz")[0] == 200
    assert machine.notices.recv(100) == b"READY=1"
    assert machine.notices.recv(100) == b"WATCHDOG=1"
    command = Path(f"/proc/{(machine.root / 'pid').read_text()}/cmdline").read_text().split("\0")
    assert command[0].startswith(f"{machine.root}/opt/vectorfleet/venv-")
    assert command[1:4] == ["-m", "vectorfleet", "router"]


def test_its_unit_bounds_it_and_its_silence(booted: tuple[Machine, str]) -> None:
    machine, _ = booted
    lines = machine.unit.splitlines()
    value = dict(line.split("=", 1) for line in lines if "=" in line)
    assert {"Type=notify", "NotifyAccess=all", "Restart=always", "StartLimitAction=poweroff"} <= set(lines)
    assert {"LimitNOFILE=65536", "MemoryMax=92%", "User=vectorfleet"} <= set(lines)
    # Hanging again and again must reach the limit, too.
    assert int(value["StartLimitBurst"]) * int(value["WatchdogSec"]) < int(value["StartLimitIntervalSec"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line_of_its_units(booted: tuple[Machine, str]) -> None:
    machine, _ = booted
    units = sorted((machine.root / "etc/systemd/system").iterdir())
    assert [one.name for one in units] == [
        "vectorfleet-journal.service",
        "vectorfleet-log.service",
        "vectorfleet-log.timer",
        "vectorfleet.service",
    ]
    command = ["systemd-analyze", "verify", *map(str, units)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr.splitlines()
    assert [line for line in said if "logrotate is not executable" not in line] == []


def test_its_logs_are_kept_small_and_shipped_with_memory(booted: tuple[Machine, str], store: Store) -> None:
    machine, _ = booted
    etc = machine.root / "etc"
    assert "copytruncate" in (etc / "vectorfleet/logrotate.conf").read_text()
    assert "OnUnitActiveSec=1min" in (etc / "systemd/system/vectorfleet-log.timer").read_text()
    config = json.loads((etc / "vectorfleet/cloudwatch-agent.json").read_text())
    shipped = config["logs"]["logs_collected"]["files"]["collect_list"]
    assert {log["file_path"].removeprefix(f"{machine.root}/var/log/vectorfleet/") for log in shipped} == {
        "service.log",
        "system.log",
        "bootstrap.log",
    }
    assert {log["log_group_name"] for log in shipped} == {f"/vectorfleet/{store.fleet.name}/service"}
    assert len({log["log_stream_name"] for log in shipped}) == 3
    journal = (etc / "systemd/system/vectorfleet-journal.service").read_text()
    assert "_TRANSPORT=kernel + UNIT=vectorfleet.service" in journal
    assert f"append:{machine.root}/var/log/vectorfleet/system.log" in journal
    assert "systemctl enable --now vectorfleet-log.timer vectorfleet-journal.service" in machine.calls
    memory = config["metrics"]["metrics_collected"]["mem"]
    assert memory["append_dimensions"] == {"Fleet": store.fleet.name, "Slot": "blue", "Role": "router"}
    assert any(call.startswith("amazon-cloudwatch-agent-ctl -a fetch-config") for call in machine.calls)


def test_a_second_run_changes_nothing(booted: tuple[Machine, str]) -> None:
    machine, url = booted
    pid, before, seen = (machine.root / "pid").read_text(), state(machine), len(machine.calls)
    again = machine.boot()
    assert again.returncode == 0, again.stdout
    assert state(machine) == before
    assert [call for call in machine.calls[seen:] if not call.startswith("id ")] == [
        f"chown vectorfleet:vectorfleet {machine.root}/var/lib/vectorfleet",
        "systemctl start --no-block vectorfleet.service",
    ]
    assert (machine.root / "pid").read_text() == pid
    assert get(f"{url}/healthz")[0] == 200


def test_another_digest_is_refused_and_nothing_of_it_runs(fresh: Machine, store: Store) -> None:
    last = refused(fresh, store.user_data(sha256="0" * 64))
    assert "isn't what the role manifest names" in last
    assert not list((fresh.root / "opt/vectorfleet").glob("artifact-*"))


def test_another_wheelhouse_under_the_name_is_refused(fresh: Machine, store: Store) -> None:
    other = store.put("other", b"another zip")
    store.connect("s3").put_object(Bucket=store.bucket, Key=other.key, Body=b"a changed zip")
    assert f"s3://{store.bucket}/{other.key} isn't what" in refused(fresh, store.user_data(wheels=other))


def test_an_object_that_is_not_there_is_named(fresh: Machine, store: Store) -> None:
    last = refused(fresh, store.user_data(key="service/gone.zip"))
    assert f"s3://{store.bucket}/service/gone.zip can't be fetched" in last
    assert len([call for call in fresh.calls if "service/gone.zip" in call]) == 6


def test_a_cpu_below_the_level_is_refused_with_what_it_lacks(fresh: Machine, store: Store) -> None:
    small = store.put("small", wheelhouse_of({}))
    (fresh.root / "proc/cpuinfo").write_text(FLAGS.replace(" avx2", "").replace(" fma", ""))
    assert "below x86-64-v3, for which the wheels are compiled: it lacks avx2 fma." in refused(
        fresh, store.user_data(wheels=small)
    )
    # The machine is gone in a moment; its reason is shipped first.
    assert any(call.startswith("amazon-cloudwatch-agent-ctl -a fetch-config") for call in fresh.calls)
    assert fresh.calls[-2:] == ["sleep 10", "systemctl poweroff"]


def test_a_listed_wheel_that_the_zip_lacks_is_refused(fresh: Machine, store: Store) -> None:
    broken = store.put("broken", wheelhouse_of({"requirements.txt": f"numpy==2.0 --hash=sha256:{'0' * 64}\n"}))
    assert "the wheelhouse lacks a wheel of its list" in refused(fresh, store.user_data(wheels=broken))
    (venv,) = (fresh.root / "opt/vectorfleet").glob("venv-*")
    (venv / "left-behind").touch()
    again = fresh.boot()
    assert (again.returncode, again.stdout.count("the wheelhouse lacks a wheel")) == (1, 2), again.stdout
    assert not (venv / "left-behind").exists(), "a half-made environment was taken for a whole one"


def test_a_model_is_fetched_with_its_packages(store: Store, fresh: Machine, tmp_path: Path) -> None:
    model = pack(folder(tmp_path / "source"), tmp_path)
    store.connect("s3").upload_file(str(model.path), store.bucket, model.key)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fresh.launch(store.user_data(port, model=model))
    done = fresh.boot()
    assert done.returncode == 0, done.stdout
    process = int((fresh.root / "pid").read_text())
    variables = dict(one.split("=", 1) for one in Path(f"/proc/{process}/environ").read_text().split("\0") if one)
    home = Path(variables["VECTORFLEET_MODEL_FOLDER"])
    assert home == fresh.root / f"opt/vectorfleet/model-{model.sha256}"
    program = f"""
from service.embedding import model, patience, providers
from service.storage.builds import Embedding
embedding = Embedding("tiny", "{model.version}", {DIMS}, "onnx")
print(providers.load(embedding, model.Access(folder="{home}"), patience.QUICK).embed(["red"]).tolist())
"""
    python = Path(f"/proc/{process}/cmdline").read_text().split("\0")[0]
    found = subprocess.run([python, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert found.stdout.startswith("[[0.4472"), found.stderr


def test_a_manifest_without_a_wheelhouse_says_how_to_get_one(fresh: Machine, store: Store) -> None:
    role = _Role("router", "f", "blue", "us-east-1", "/f")
    plain = encode(manifest(role, bucket=store.bucket, key="service/1.zip", sha256="1"))
    assert "run make artifact, then deploy the stack again" in refused(fresh, plain)


def wheelhouse_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("wheels/", "")
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
