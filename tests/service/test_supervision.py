"""Systemd hears that a process serves and that its event loop turns, and hears nothing from a loop that hangs."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.serving import READY, WATCHDOG, Service, Supervisor, supervisor
from service.settings import Process

NEVER_SECONDS = 10.0


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """Yield the socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(NEVER_SECONDS)
        yield listener


def heard(ear: socket.socket) -> str:
    return ear.recv(4096).decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_systemd_hears_ready_once_and_then_watchdog_notices(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", ear.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    service = Service([], lambda: (True, "ready"), [])
    place = Process(fleet="f", role="router", slot="blue", parameters="/f", host="127.0.0.1", port=free_port())
    serving = threading.Thread(target=service.serve, args=(place,))
    serving.start()
    try:
        assert heard(ear) == READY
        with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/healthz", timeout=NEVER_SECONDS) as answer:
            assert answer.status == 200
        assert [heard(ear) for _ in range(3)] == [WATCHDOG] * 3
    finally:
        assert service._server is not None
        service._server.should_exit = True
        serving.join(NEVER_SECONDS)


def test_a_loop_that_hangs_says_nothing(ear: socket.socket) -> None:
    async def hang() -> bool:
        """Return whether notices came while the loop was blocked, and after it ran again."""
        awake = asyncio.create_task(Supervisor(ear.getsockname(), 0.03).keep_awake())
        await asyncio.sleep(0)
        assert heard(ear) == WATCHDOG
        ear.settimeout(0.2)  # six times the watchdog's patience, and the loop stands meanwhile
        with pytest.raises(TimeoutError):
            heard(ear)
        ear.settimeout(NEVER_SECONDS)
        said = await asyncio.to_thread(heard, ear)
        awake.cancel()
        return said == WATCHDOG

    assert asyncio.run(hang())


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0vectorfleet-{os.getpid()}")
        listener.settimeout(NEVER_SECONDS)
        supervisor({"NOTIFY_SOCKET": f"@vectorfleet-{os.getpid()}"}).tell(READY)
        assert heard(listener) == READY


def test_an_absent_supervisor_changes_nothing(tmp_path: Path) -> None:
    supervisor({}).tell(READY)
    supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": str(os.getpid())}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_a_watchdog_counts_when_it_is_meant_for_this_process(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert supervisor(environment).watchdog_seconds == seconds
