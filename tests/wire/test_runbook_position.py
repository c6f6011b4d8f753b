"""The verb that finds a position at a time, against the emulated S3 and its clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.storage.documents import Document, documents_log, to_rows
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import ObjectStore
from tests.stack_outputs import written
from tests.wire.service_fleet import aws_environment, new_bucket
from vectorfleet.door import main


def test_now_is_the_head_and_a_day_ago_is_before_the_first(
    emulator: str, connect: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws_environment(emulator).items():
        monkeypatch.setenv(name, value)
    bucket, tail = new_bucket(connect, "documents"), Tail()
    for number in range(5):
        rows = to_rows([Document(f"r{number}", "s", False, "title", "text")])
        tail = tail_of(Append(documents_log(ObjectStore(bucket)), tail, rows, f"a{number}").run())
    outputs = written(tmp_path, documents_bucket=bucket)

    def call(at: datetime, *words: str) -> str:
        result = CliRunner().invoke(main, ["position", "--outputs", str(outputs), "--at", at.isoformat(), *words])
        assert result.exit_code == 0, result.output
        return result.output

    later = datetime.now(UTC) + timedelta(minutes=1)
    found = json.loads(call(later, "--json"))
    assert (found["position"], found["head"], [one["position"] for one in found["around"]]) == (5, 5, [3, 4, 5])
    assert "ended at position 0; it now ends at 5" in call(later - timedelta(days=1))
    connect("s3").delete_object(Bucket=bucket, Key=documents_log(ObjectStore(bucket)).key(5))
    connect("s3").put_object(Bucket=bucket, Key=documents_log(ObjectStore(bucket)).key(5), Body=b"no entry")
    broken = CliRunner().invoke(main, ["position", "--outputs", str(outputs), "--at", later.isoformat()])
    assert (broken.exit_code, "documents entry 5" in broken.output) == (1, True)
