"""That a drill passed, left where the fleet's routers find it: an alarm rings when the last one is too long ago."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from runbooks.stack import Stack
from service.router.drills import PASSED_KEY, Passed


def leave(stack: Stack, page: str) -> None:
    """
    Write page and time into the index bucket, by the store's clock. Raises botocore's errors.

    A stack without the output `index_bucket` is left alone: nobody looks there.
    """
    if not stack.index_bucket:
        return
    client: Any = stack.aws("s3")
    answer = client.head_bucket(Bucket=stack.index_bucket)
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    body = msgspec.json.encode(Passed(page, int(now.timestamp() * 1000)))
    client.put_object(Bucket=stack.index_bucket, Key=PASSED_KEY, Body=body)
