"""Starts of a process are counted on its machine and told, also by one that ends at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from service import cloudwatch, logs, starts
from service.settings import Process
from service.starts import WINDOW_SECONDS, announce, count
from vectorfleet.door import main as vectorfleet


class Sent:
    """A CloudWatch that remembers, or does not answer."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.data: list[dict[str, Any]] = []

    def put_metric_data(self, **asked: Any) -> None:
        if not self.answers:
            raise EndpointConnectionError(endpoint_url="https://monitoring")
        self.data += asked["MetricData"]


def test_starts_within_the_window_count(tmp_path: Path) -> None:
    path = tmp_path / "new" / "starts.json"
    assert [count(path, at) for at in (0.0, 60.0, 120.0)] == [1, 2, 3]
    assert count(path, WINDOW_SECONDS + 90.0) == 2


@given(st.lists(st.floats(0, 3 * WINDOW_SECONDS), min_size=1, max_size=20))
def test_a_clock_that_jumps_never_counts_more_than_there_were(moments: list[float]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        counted = [count(Path(folder) / "starts.json", at) for at in moments]
    assert all(1 <= found <= number for number, found in enumerate(counted, start=1))


@pytest.mark.parametrize("body", [b"", b"{", b'["x"]'])
def test_a_note_that_can_not_be_read_is_begun_anew(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "starts.json"
    path.write_bytes(body)
    assert [count(path, 1.0), count(path, 2.0)] == [1, 2]


def test_a_disk_that_can_not_be_written_stops_no_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert count(tmp_path / "file" / "starts.json", 1.0) == 1


@pytest.mark.parametrize("answers", [True, False])
def test_a_start_is_told_and_an_unwell_cloudwatch_borne(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    sent = Sent(answers=answers)
    monkeypatch.setattr(cloudwatch, "aws_client", lambda _: sent)
    process = Process(fleet="f", role="indexer", slot="blue", parameters="/f", data=str(tmp_path))
    for _ in range(2):
        announce(process).join()
    assert [datum["Value"] for datum in sent.data] == ([1.0, 2.0] if answers else [])


@pytest.mark.parametrize("role", ["node", "router", "indexer"])
def test_a_process_that_can_not_even_begin_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    told = list[str]()
    monkeypatch.setattr(starts, "announce", lambda process: told.append(process.role))
    monkeypatch.setattr(logs, "configure", lambda process: None)

    def broken(*_: object) -> None:
        raise RuntimeError("a release gone bad")

    for name in ("service.node.succession.Succession", "service.settings.load_parameters"):
        monkeypatch.setattr(name, broken)
    for part in ("router", "indexer"):
        monkeypatch.setattr(f"service.{part}.process.load_parameters", broken)
        monkeypatch.setattr(f"service.{part}.process.Service", broken, raising=False)
    place = {"FLEET": "f", "ROLE": role, "SLOT": "blue", "PARAMETERS": "/f", "DATA": str(tmp_path)}
    environment = {f"VECTORFLEET_{name}": value for name, value in place.items()}
    ran = CliRunner().invoke(vectorfleet, [role], env=environment)
    assert (str(ran.exception), told) == ("a release gone bad", [role])
