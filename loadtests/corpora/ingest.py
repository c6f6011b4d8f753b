"""Ingestion of a corpus through the API of a fleet; a second ingestion writes nothing."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from loadtests.corpora.corpus import Document
from loadtests.errors import LoadTestError
from service.client import Client, ServiceError, Unanswered
from service.storage import content
from service.storage.metadata import to_text
from vectorfleet.waiting import until

BATCH_DOCUMENTS = 250
# A write may take twice as many bytes in the log, and four times as many as JSON.
BATCH_BYTES = 4 << 20
ATTEMPTS = 8
PAUSE_SECONDS = 0.5
POLL_SECONDS = 0.2

Progress = Callable[[int], None]


class IngestError(LoadTestError):
    """Documents that could not be written or did not become searchable."""


@dataclass(frozen=True)
class IngestResult:
    """The result of an ingestion; `position` is the newest one that holds any of its documents, 0 for none."""

    written: int
    unchanged: int
    position: int
    seconds: float


def ingest(client: Client, documents: Iterable[Document], progress: Progress) -> IngestResult:
    """
    Write the documents that the fleet lacks or holds with another content.

    `progress` gets the number of documents of each batch that is done. A batch that is sent again keeps its request
    ids, so the fleet writes a document once.
    """
    started = time.monotonic()
    head = int(_patiently(client.status)["head"])
    written = unchanged = position = 0
    for batch in _batches(documents):
        missing = _missing(client, batch, head) if head else batch
        if missing:
            position = int(_write(client, missing)["position"])
        written += len(missing)
        unchanged += len(batch) - len(missing)
        progress(len(batch))
    return IngestResult(written, unchanged, position, time.monotonic() - started)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        more = len(document.title.encode()) + len(document.text.encode()) + len(document.vector)
        if batch and (len(batch) == BATCH_DOCUMENTS or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += more
    if batch:
        yield batch


def _missing(client: Client, batch: Sequence[Document], head: int) -> list[Document]:
    answer = _patiently(lambda: client.lookup([document.source_id for document in batch], head))
    held = answer["documents"]
    return [
        document
        for document in batch
        if held[document.source_id] is None or held[document.source_id]["content_hash"] != content_hash(document)
    ]


def content_hash(document: Document) -> str:
    """Return the service's hash of a content, in hex."""
    return content.content_hash(document.title, document.text, to_text(document.metadata), document.vector).hex()


def _write(client: Client, documents: Sequence[Document]) -> dict[str, Any]:
    body = [_body(document) for document in documents]
    return _patiently(lambda: client.write(body))


def _body(document: Document) -> dict[str, Any]:
    said: dict[str, Any] = {"source_id": document.source_id, "title": document.title, "text": document.text}
    if document.metadata:
        said["metadata"] = dict(document.metadata)
    if document.vector:
        said["vector"] = base64.b64encode(document.vector).decode()
    return said | {"request_id": uuid4().hex}


def _patiently(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call until there is an answer, up to ATTEMPTS times while the fleet is busy or starting."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except (ServiceError, Unanswered) as error:
            final = isinstance(error, ServiceError) and error.status not in (429, 502, 503, 504)
            if final or attempt == ATTEMPTS:
                raise IngestError(f"{error} (attempt {attempt} of {ATTEMPTS})") from error
            time.sleep(PAUSE_SECONDS * attempt)
    raise AssertionError("the loop returns or raises")


def wait_until_searchable(client: Client, position: int, timeout_seconds: float) -> None:
    """Wait until every replica of every shard has applied `position`. Raises IngestError."""
    slowest = 0

    def is_searchable() -> bool:
        nonlocal slowest
        slowest = _slowest(_patiently(client.status))
        return slowest >= position

    if not until(is_searchable, timeout_seconds, POLL_SECONDS):
        raise IngestError(
            f"after {timeout_seconds:g} s the slowest replica is at position {slowest} of {position}; "
            "see the indexer's log"
        )


def _slowest(status: dict[str, Any]) -> int:
    """Return the smallest position of any ready replica; 0 while a shard has none."""
    shards = [[r for r in shard["replicas"] if r["ready"]] for shard in status["shards"]]
    if not all(shards):
        return 0
    return int(min(replica["position"] for replicas in shards for replica in replicas))
