"""The meaning of SDK errors for a write: refused, missing, or unknown."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from service.storage.objects import NoSuchKey, PreconditionFailed, StoreClock, StoreError, Unanswered, _failure


def _error(status: int, code: str) -> ClientError:
    response = {"Error": {"Code": code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_error(404, "NoSuchKey"), NoSuchKey),
        (_error(404, "404"), NoSuchKey),
        (_error(412, "PreconditionFailed"), PreconditionFailed),
        (_error(409, "ConditionalRequestConflict"), Unanswered),
        (_error(429, "SlowDown"), Unanswered),
        (_error(500, "InternalError"), Unanswered),
        (_error(503, "SlowDown"), Unanswered),
        (_error(404, "NoSuchBucket"), StoreError),
        (_error(403, "AccessDenied"), StoreError),
        (ReadTimeoutError(endpoint_url="http://s3"), Unanswered),
        (ConnectionClosedError(endpoint_url="http://s3"), Unanswered),
    ],
)
def test_an_sdk_error_has_its_kind_and_names_the_request(error: Exception, kind: type[StoreError]) -> None:
    failure = _failure(error, "put s3://bucket/key")
    assert type(failure) is kind
    assert "put s3://bucket/key" in str(failure)


def test_a_missing_bucket_is_not_a_missing_key() -> None:
    assert not isinstance(_failure(_error(404, "NoSuchBucket"), "get"), NoSuchKey)


def test_the_clock_follows_the_stores_date(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StoreClock()
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    clock.observe("Sun, 06 Nov 1994 08:49:37 GMT")
    monkeypatch.setattr("time.monotonic", lambda: 102.5)
    assert clock.now_ms() == 784_111_777_000 + 2_500
