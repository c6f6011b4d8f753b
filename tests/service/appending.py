"""A process that appends to a documents log and prints each acknowledgement: `python -m tests.service.appending`."""

from __future__ import annotations

import json
import sys
from uuid import uuid4

from service.storage.documents import Document, documents_log, to_rows
from service.storage.log import Append, AppendFailed, tail_of
from service.storage.objects import ObjectStore


def append(bucket: str, name: str, count: int, deadline_seconds: float) -> None:
    """Append `count` entries of two documents, and print one JSON line per outcome."""
    log = documents_log(ObjectStore(bucket))
    tail = log.tail()
    for number in range(count):
        ids = [f"{name}.{number}.{item}" for item in range(2)]
        rows = to_rows([Document(one, f"source {one}", False, "", f"text of {one}") for one in ids])
        try:
            tail = tail_of(Append(log, tail, rows, uuid4().hex).run(deadline_seconds))
            outcome, position = "acknowledged", tail.number
        except AppendFailed as failed:
            outcome, position = failed.outcome, 0
        print(json.dumps({"outcome": outcome, "position": position, "ids": ids}), flush=True)


if __name__ == "__main__":
    append(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
