"""A shard with a history in a memory store: documents, the indexer that folds them, and snapshots along the way."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from service.embedding.model import Embedder
from service.embedding.splitter import split
from service.index.rows import digest_text
from service.index.shard import ShardIndex
from service.indexer.indexer import Indexer
from service.node.builder import publish_generation
from service.node.recovery import ShardStore
from service.storage.builds import Build
from service.storage.content import content_hash
from service.storage.documents import ANY_POSITION, Document, Place, documents_log, to_rows
from service.storage.log import Append, Change, Tail, tail_of
from service.storage.objects import ObjectStore
from service.storage.shards import from_entry, shard_log, shard_of
from service.storage.voids import Void, Voids, to_text
from tests.service.small_space import WordEmbedder, document

Batch = Sequence[Document]
Live = set[tuple[str, int, bytes]]
WORDS = ("stop", "start", "a", "bucket", "the", "table", "rotate", "key", "of", "queue.", "Machine", "list")


def histories(seed: int, *, batches: int, sources: int = 6, hopeless: float = 0.1, voids: float = 0.0) -> list[Batch]:
    """Return batches of writes, deletions, repeated request_ids, early and late, and a share of `hopeless` documents.

    WordEmbedder can't embed the hopeless ones. A share of `voids` name earlier writes, and voids among them.
    """
    rng = random.Random(seed)
    sent: list[Document] = []
    log: list[Batch] = []
    known = Voids()
    for number in range(batches):
        if voids and number and rng.random() < voids:
            known = known.with_one(any_void(rng, known, number + 1))
            log.append([void(known)])
            continue
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
    # Among a dozen entries, some condition holds now and then.
    condition = rng.randrange(12) if rng.random() < 0.3 else ANY_POSITION
    return msgspec.structs.replace(document(request_id, source_id, text), if_position=condition)


def any_void(rng: random.Random, known: Voids, position: int, collections: Sequence[int] = (0,)) -> Void:
    """Return a void of a random range before `position`, perhaps with conditions, or of exactly one of the known."""
    if known.voids and rng.random() < 0.3:
        earlier = Place(rng.choice(known.voids).position, 0)
        return Void(position, f"v{position}", earlier, earlier)
    first, last = sorted(Place(rng.randrange(1, position), rng.randrange(4)) for _ in range(2))
    return Void(
        position,
        f"v{position}",
        first,
        last,
        only_deletes=rng.random() < 0.2,
        source_prefix=rng.choice(["", "", "", "s1", "s"]),
        collection=rng.choice(collections) if rng.random() < 0.2 else None,
    )


def void(known: Voids) -> Document:
    """Return the row of an entry that sets these voids."""
    return Document(f"void {len(known.voids)}", "", void=to_text(known))


def voided(batches: Sequence[Batch], until: int) -> set[Place]:
    """Compute plainly the places of rows that count no more after an entry, those of voids without effect included."""
    rows = {Place(p, i): one for p, batch in enumerate(batches[:until], 1) for i, one in enumerate(batch)}
    gone: set[Place] = set()
    for place in sorted(rows, reverse=True):
        if rows[place].void and place not in gone:
            void = msgspec.json.decode(rows[place].void, type=Voids).voids[-1]
            for other, one in rows.items():
                plain = not (void.only_deletes or void.source_prefix or void.collection is not None)
                meant = one.source_id.startswith(void.source_prefix) and (one.delete or not void.only_deletes)
                meant = plain if one.void else meant and void.collection in (None, one.collection)
                if other < place and void.first <= other <= void.last and meant and not one.registry:
                    gone.add(other)
    return gone


def write(store: ObjectStore, batches: Iterable[Batch]) -> None:
    """Append each batch to the documents log."""
    log = documents_log(store)
    tail = log.tail()
    for batch in batches:
        changes: Change | None = "voids" if batch[0].void else "collections" if batch[0].registry else None
        append_id = f"append {tail.number + 1}"
        tail = tail_of(Append(log, tail, to_rows(batch), append_id, changes=changes).run())


def fold(batches: Sequence[Batch], build: Build, shard: int, until: int) -> Live:
    """Compute plainly what the shard must hold after documents position `until`."""
    live: dict[str, list[tuple[str, int, bytes]]] = {}
    seen: set[str] = set()
    written: dict[str, int] = {}
    gone = voided(batches, until)
    rows = ((number, item, one) for number, batch in enumerate(batches[:until], 1) for item, one in enumerate(batch))
    for position, item, one in rows:
        if one.void or one.request_id in seen or shard_of(one.source_id, build.recipe.shards) != shard:
            seen.add(one.request_id)
            continue
        seen.add(one.request_id)
        if Place(position, item) in gone:
            continue
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
    """Return the contents of a shard's log, read to its end, and the documents position there; check every link."""
    live: dict[str, list[tuple[str, int, bytes]]] = {}
    written: dict[str, int] = {}
    tail = Tail()
    for entry in shard_log(store, build.id, shard, build.recipe.embedding.dims).follow(tail):
        for record in from_entry(entry):
            assert entry.header.start <= record.made_at < entry.header.end
            if not record.counts(written.get(record.source_id, 0)):
                continue
            written[record.source_id] = record.position if record.chunks else 0
            live.pop(record.source_id, None)
            live[record.source_id] = [
                (record.source_id, ordinal, record.content_hash) for ordinal in range(len(record.chunks))
            ]
        tail = tail_of(entry)
    return {chunk for chunks in live.values() for chunk in chunks}, tail.end - 1


def summed(store: ObjectStore, build: Build) -> tuple[str, int]:
    """Return the sum of the digests of all shards, as their logs make them, and the number of live chunks."""
    total = rows = 0
    for shard in range(build.recipe.shards):
        index = ShardIndex(build.recipe)
        for entry in shard_log(store, build.id, shard, build.recipe.embedding.dims).follow(Tail()):
            for record in from_entry(entry):
                index.apply(record)
        total += int(index.digest, 16)
        rows += index.rows
    return digest_text(total), rows


def indexer(store: ObjectStore, build: Build, embedder: Embedder | None = None, until: int | None = None) -> Indexer:
    """Return an indexer of documents and shard logs in one store, caught up."""
    one = Indexer(store, store, build, embedder or WordEmbedder(), until)
    one.catch_up()
    return one


def index_all(store: ObjectStore, build: Build, embedder: Embedder | None = None, until: int | None = None) -> None:
    """Step until nothing is left."""
    one = indexer(store, build, embedder, until)
    while one.step().entries:
        pass


def shard_store(store: ObjectStore, build: Build, shard: int, folder: Path) -> ShardStore:
    """Return the shard with a fresh disk."""
    folder.mkdir(parents=True, exist_ok=True)
    return ShardStore(store, build, shard, folder, store)


def snapshot_at(shard: ShardStore, entry: int, generation: int) -> str:
    """Build and publish the generation after log entry `entry`."""
    return publish_generation(shard, entry=entry, generation=generation)
