"""Ingest writes what is missing or different, nothing twice, and keeps its request ids through failures."""

from __future__ import annotations

import pytest

from loadtests.corpora import ingest as module
from loadtests.corpora.corpus import Document
from loadtests.corpora.ingest import (
    BATCH_BYTES,
    BATCH_DOCUMENTS,
    IngestError,
    content_hash,
    ingest,
    wait_until_searchable,
)
from service.client import ServiceError, Unanswered
from service.storage import content as storage
from service.storage.metadata import Value, to_text
from tests.loadtests.memory_fleet import MemoryFleet, unavailable


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)


def documents(count: int) -> list[Document]:
    return [Document(f"aws/s/v/{number}", f"title {number}", f"text {number}") for number in range(count)]


def quiet(_: int) -> None:
    """Progress that nobody looks at."""


def test_a_second_ingestion_writes_nothing() -> None:
    fleet = MemoryFleet()
    first = ingest(fleet, documents(BATCH_DOCUMENTS + 3), quiet)
    assert (first.written, first.unchanged, first.position) == (BATCH_DOCUMENTS + 3, 0, 2)
    second = ingest(fleet, documents(BATCH_DOCUMENTS + 3), quiet)
    assert (second.written, second.unchanged, second.position) == (0, BATCH_DOCUMENTS + 3, 0)
    assert len(fleet.requests) == BATCH_DOCUMENTS + 3


def test_only_a_changed_document_is_written_again() -> None:
    fleet = MemoryFleet()
    ingest(fleet, documents(3), quiet)
    changed = [*documents(2), Document("aws/s/v/2", "title 2", "another text")]
    assert ingest(fleet, changed, quiet).written == 1
    assert fleet.documents["aws/s/v/2"].text == "another text"


@pytest.mark.parametrize("failure", [Unanswered("no reply"), unavailable(), ServiceError(429, "", "", None)])
def test_a_batch_that_is_sent_again_keeps_its_request_ids(failure: Exception) -> None:
    fleet = MemoryFleet()
    status, fleet.failures = fleet.status(), []
    assert status["head"] == 0
    attempts: list[list[str]] = []
    plain = fleet.write

    def write(sent: list[dict[str, str]]) -> dict[str, object]:
        attempts.append([document["request_id"] for document in sent])
        if len(attempts) == 1:
            raise failure
        return plain(sent)

    fleet.write = write  # type: ignore[method-assign,assignment]
    assert ingest(fleet, documents(4), quiet).written == 4
    assert len(attempts) == 2
    assert attempts[0] == attempts[1]
    assert len(set(attempts[0])) == 4


def test_refusal_ends_at_once_failure_after_its_attempts() -> None:
    fleet = MemoryFleet()
    fleet.failures = [ServiceError(422, "Unprocessable", "a title is too long", None)]
    with pytest.raises(IngestError, match=r"a title is too long \(attempt 1 of 8\)"):
        ingest(fleet, documents(1), quiet)
    fleet.failures = [unavailable() for _ in range(20)]
    with pytest.raises(IngestError, match=r"attempt 8 of 8"):
        ingest(fleet, documents(1), quiet)


def test_progress_adds_up_to_the_documents() -> None:
    seen: list[int] = []
    ingest(MemoryFleet(), documents(BATCH_DOCUMENTS * 2 + 1), seen.append)
    assert seen == [BATCH_DOCUMENTS, BATCH_DOCUMENTS, 1]


def test_searchable_means_the_slowest_replica_is_there() -> None:
    fleet = MemoryFleet()
    ingest(fleet, documents(1), quiet)
    wait_until_searchable(fleet, 1, 1)
    fleet.applied = 0
    with pytest.raises(IngestError, match="slowest replica is at position 0 of 1"):
        wait_until_searchable(fleet, 1, 0.01)
    fleet.applied, fleet.ready = None, False
    with pytest.raises(IngestError):
        wait_until_searchable(fleet, 1, 0.01)


def test_large_documents_are_written_in_small_batches() -> None:
    fleet = MemoryFleet()
    large = [Document(f"d/{number}", "", "é" * (BATCH_BYTES // 4)) for number in range(5)]
    assert ingest(fleet, large, quiet).position == 3
    assert len(fleet.documents) == 5


def test_metadata_is_written_and_belongs_to_the_content() -> None:
    fleet = MemoryFleet()
    document = Document("d/1", "title", "text", {"year": 2026, "language": "en"})
    assert ingest(fleet, [document], quiet).written == 1
    assert fleet.documents["d/1"].metadata == {"year": 2026, "language": "en"}
    assert ingest(fleet, [document], quiet).unchanged == 1
    assert ingest(fleet, [Document("d/1", "title", "text")], quiet).written == 1


@pytest.mark.parametrize("metadata", [{}, {"b": 1.5, "a": True}])
def test_a_content_has_the_hash_that_the_service_gives_it(metadata: dict[str, Value]) -> None:
    by_service = storage.content_hash("title", "text", to_text(metadata))
    assert content_hash(Document("d", "title", "text", metadata)) == by_service.hex()
