"""A shard with a history in a memory store: documents, the indexer that folds them, and snapshots along the way."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from service.embedding.splitter import split
from service.indexer.indexer import Indexer
from service.node.build import publish_generation
from service.node.restore import ShardStore
from service.storage.builds import Build
from service.storage.content import content_hash
from service.storage.documents import ANY_POSITION, Document, documents_log, to_rows
from service.storage.log import Append, Tail, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import from_entry, shard_log, shard_of
from tests.service.small_space import WordEmbedder, document

Batch = Sequence[Document]
Live = set[tuple[str, int, bytes]]
WORDS = ("stop", "start", "a", "bucket", "the", "table", "rotate", "key", "of", "queue.", "Machine", "list")


def histories(seed: int, *, batches: int, sources: int = 6, hopeless: float = 0.1) -> list[Batch]:
    """
    A log's worth of batches: writes, deletions, request_ids sent again, early and late, and a share of `hopeless`
    documents, which WordEmbedder can't embed.
    """
    rng = random.Random(seed)
    sent: list[Document] = []
    log: list[Batch] = []
    for number in range(batches):
        batch = [
            _write(rng, f"r{number}.{item}", f"s{rng.randrange(sources)}", hopeless)
            for item in range(rng.randint(1, 4))
        ]
        if sent and rng.random() < 0.4:
            batch.append(rng.choice(sent))
        sent += batch
        log.append(batch)
    return log


def _write(rng: random.Random, request_id: str, source_id: str, hopeless: float) -> Document:
    kind = rng.random()
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))
    if kind < 0.2:
        text = ""
    elif kind < 0.2 + hopeless:
        text = "12 34"
    # Of a dozen entries some condition holds now and then.
    condition = rng.randrange(12) if rng.random() < 0.3 else ANY_POSITION
    return msgspec.structs.replace(document(request_id, source_id, text), if_position=condition)


def write(store: ObjectStore, batches: Iterable[Batch]) -> None:
    """Append each batch to the documents log."""
    log = documents_log(store)
    tail = log.tail()
    for batch in batches:
        tail = tail_of(Append(log, tail, to_rows(batch), f"append {tail.number + 1}").run())


def fold(batches: Sequence[Batch], build: Build, shard: int, until: int) -> Live:
    """What the shard must hold after documents position `until`, worked out in the plainest way."""
    live: dict[str, list[tuple[str, int, bytes]]] = {}
    seen: set[str] = set()
    written: dict[str, int] = {}
    for position, one in ((number, one) for number, batch in enumerate(batches[:until], 1) for one in batch):
        if one.request_id in seen or shard_of(one.source_id, build.recipe.shards) != shard:
            seen.add(one.request_id)
            continue
        seen.add(one.request_id)
        if one.if_position not in (ANY_POSITION, written.get(one.source_id, 0)):
            continue
        if one.delete:
            live.pop(one.source_id, None)
            written.pop(one.source_id, None)
        elif any(character.isalpha() for character in one.text):
            content = content_hash(one.title, one.text)
            chunks = split(one.title, one.text, build.recipe.chunking)
            live[one.source_id] = [(one.source_id, ordinal, content) for ordinal in range(len(chunks))]
            written[one.source_id] = position
    return {chunk for chunks in live.values() for chunk in chunks}


def folded(store: ObjectStore, build: Build, shard: int) -> tuple[Live, int]:
    """What a shard's log holds, read to its end, and the documents position there; checks every link on the way."""
    live: dict[str, list[tuple[str, int, bytes]]] = {}
    written: dict[str, int] = {}
    tail = Tail()
    for entry in shard_log(store, build.id, shard, build.recipe.embedding.dims).follow(tail):
        for record in from_entry(entry):
            assert entry.header.start <= record.position < entry.header.end
            if not record.counts(written.get(record.source_id, 0)):
                continue
            written[record.source_id] = record.position if record.chunks else 0
            live.pop(record.source_id, None)
            live[record.source_id] = [
                (record.source_id, ordinal, record.content_hash) for ordinal in range(len(record.chunks))
            ]
        tail = tail_of(entry)
    return {chunk for chunks in live.values() for chunk in chunks}, tail.end - 1


def indexer(store: ObjectStore, build: Build) -> Indexer:
    """An indexer of documents and shard logs that lie in the same store, where it has read as far as it got."""
    one = Indexer(store, store, build, WordEmbedder())
    one.catch_up()
    return one


def index_all(store: ObjectStore, build: Build) -> None:
    """Step until nothing is left."""
    one = indexer(store, build)
    while one.step().entries:
        pass


def shard_store(store: ObjectStore, build: Build, shard: int, folder: Path) -> ShardStore:
    """The shard with a fresh disk."""
    folder.mkdir(parents=True, exist_ok=True)
    return ShardStore(store, build, shard, folder, store)


def snapshot_at(shard: ShardStore, entry: int, generation: int) -> str:
    """Build and publish the generation after log entry `entry`."""
    return publish_generation(shard, entry=entry, generation=generation)
