"""The digest counts documents, so builds of other shards and other chunks have equal sums."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from service.index.rows import digest_text, document_digest
from service.storage.builds import Build
from service.storage.content import content_hash
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, summed, write
from tests.service.small_space import document, recipe

shapes = st.tuples(st.integers(1, 8), st.integers(1, 60))


def _summed(store: MemoryStore, name: str, shape: tuple[int, int]) -> tuple[str, int]:
    """Index into a build of so many shards and characters a chunk; return the sum of its digests, and its rows."""
    shards, size = shape
    made = Build(name, recipe(shards=shards, size=size))
    index_all(store, made)
    return summed(store, made)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), one=shapes, other=shapes)
def test_every_number_of_shards_and_chunks_has_one_digest(
    seed: int, one: tuple[int, int], other: tuple[int, int]
) -> None:
    store = MemoryStore()
    write(store, histories(seed, batches=8))
    assert _summed(store, "b-one", one)[0] == _summed(store, "b-other", other)[0]


def test_the_digest_is_the_sum_over_the_live_documents() -> None:
    store = MemoryStore()
    texts = {f"s{number}": f"word {number} and another. And one more" for number in range(9)}
    write(store, [[document(f"r{name}", name, text)] for name, text in texts.items()])
    write(store, [[document("gone", "s0")], [document("again", "s1", "another text")]])
    live = texts | {"s1": "another text"}
    del live["s0"]
    wanted = digest_text(sum(document_digest(name, content_hash("", text)) for name, text in live.items()))
    few, many = _summed(store, "b-few", (3, 60)), _summed(store, "b-many", (2, 5))
    assert few[0] == many[0] == wanted
    assert few[1] < many[1]
