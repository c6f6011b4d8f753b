"""A fresh emulator for the tests that need one, on a port nobody else has."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from rehearsal.emulator.launch import free_port, start
from tests.rehearsal.programs.project import inventory
from tests.wire.deploy_stage import Stage
from tests.wire.fleet import Fleet, build

Connect = Callable[[str], Any]
# The longest files start first, so that two processes end together.
LONGEST = ("test_service_recovery.py", "test_deploy_real_program.py", "test_deploy_kinds.py", "test_deploy_stacks.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint URL of an emulated AWS that lives as long as the test session."""
    port = free_port()
    child: subprocess.Popen[bytes] = start(port, tmp_path_factory.mktemp("emulator"))
    yield f"http://127.0.0.1:{port}"
    child.terminate()
    child.wait(timeout=10)


@pytest.fixture(scope="session")
def connect(emulator: str) -> Connect:
    """A function from a service name to a boto3 client of the emulator, without retries."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=32)

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=emulator, config=config)

    return client


@pytest.fixture(scope="session")
def fleet(connect: Connect) -> Fleet:
    """A network with three subnets in three zones, shared by the tests of the emulator."""
    return build(connect, block=70)


@pytest.fixture(scope="module")
def own_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint URL of an emulated AWS that only one module's programs use."""
    port = free_port()
    child = start(port, tmp_path_factory.mktemp("emulator"))
    yield f"http://127.0.0.1:{port}"
    child.terminate()
    child.wait(timeout=10)


@pytest.fixture
def stage(tmp_path: Path, own_emulator: str) -> Iterator[Stage]:
    """A stage whose leftovers are removed, and nothing else."""
    before = inventory(own_emulator)
    stage = Stage(tmp_path, own_emulator)
    yield stage
    if any(stage.root.glob("deploy.*")):
        stage.destroy()
    assert inventory(own_emulator) == before
