"""That a drill passed, left where the fleet's routers find it: an alarm rings when the last one is too long ago."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

from runbooks.stack import Stack

PASSED_KEY = "drills/passed.json"


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
    body = json.dumps({"page": page, "at_ms": int(now.timestamp() * 1000)}).encode()
    client.put_object(Bucket=stack.index_bucket, Key=PASSED_KEY, Body=body)
