"""The pass of a drill that routers read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from runbooks.drills.result import leave_pass
from service.wire.messages import PASSED_DRILL_KEY, PassedDrill


class Bucket:
    """An index bucket whose clock stands at one second after 1970."""

    def __init__(self) -> None:
        self.put: dict[str, Any] = {}

    def head_bucket(self, **_: str) -> Any:
        return {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 1970 00:00:01 GMT"}}}

    def put_object(self, **query: Any) -> None:
        self.put = query


@pytest.mark.parametrize("name", ["index", ""])
def test_a_pass_is_left_in_the_index_bucket_if_there_is_one(name: str) -> None:
    bucket = Bucket()
    stack: Any = SimpleNamespace(index_bucket=name, aws=lambda service: bucket)
    leave_pass(stack, "RB-02")
    if not name:
        assert bucket.put == {}
        return
    assert (bucket.put["Bucket"], bucket.put["Key"]) == ("index", PASSED_DRILL_KEY)
    assert msgspec.json.decode(bucket.put["Body"], type=PassedDrill) == PassedDrill("RB-02", 1000)
