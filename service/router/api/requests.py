"""Requests of the public API as types, with their limits."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
import numpy as np

from service.index.filters import BadFilter, parse
from service.router.slot import Space
from service.storage.builds import Embedding, IndexParameters
from service.storage.collections import DEFAULT_NAME, NAME_PATTERN, REFERENCE_PATTERN, UNNAMED_MODEL, Kind, Source
from service.storage.documents import ANY_POSITION, Document
from service.storage.metadata import Value, problem_with, to_text
from service.wire.limits import (
    MAX_BATCH,
    MAX_COMPONENT,
    MAX_DIMS,
    MAX_K,
    MAX_QUERY,
    MAX_SEARCHES,
    MAX_SNAPSHOTS,
    MAX_SOURCE_ID,
    MAX_TEXT_BYTES,
    MAX_TITLE,
    MIN_DIMS,
)
from service.wire.problems import Problem

SourceId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_ID)]
Position = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
# Python's $ also matches before a final line break.
END = r"$(?!\n)"
CollectionName = Annotated[str, msgspec.Meta(pattern=f"^{NAME_PATTERN}{END}")]
# A name means the collection that has it now; `name@id` means that one and no later one of the name.
CollectionReference = Annotated[str, msgspec.Meta(pattern=f"^{REFERENCE_PATTERN}{END}")]


class DocumentWrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document to write or delete; without a request_id the router makes one."""

    source_id: SourceId
    title: Annotated[str, msgspec.Meta(max_length=MAX_TITLE)] = ""
    text: str = ""
    delete: bool = False
    metadata: dict[str, Value] = {}
    vector: list[float] | str | None = None
    if_position: Position | None = None
    request_id: Annotated[str, msgspec.Meta(max_length=128)] = ""

    @classmethod
    def deletion(cls, source_id: str) -> DocumentWrite:
        """Return the deletion of a document; raise Problem for a source_id that is not valid."""
        return cls(checked_source_id(source_id), delete=True)

    def document(self, space: Space) -> Document:
        """Return the document for the log; raise Problem if no index of this space could hold it."""
        if self.delete and (self.title or self.text or self.metadata or self.vector is not None):
            raise Problem(422, f"document {self.source_id!r}: a deletion has no title, text, metadata or vector")
        if problem := problem_with(self.metadata):
            raise Problem(422, f"document {self.source_id!r}: {problem}")
        vector = b"" if self.delete else self._vector(space)
        if not (self.delete or vector or self.title.strip() or self.text.strip()):
            raise Problem(
                422, f"document {self.source_id!r}: title and text are empty; to remove it, send delete: true"
            )
        if len(self.text.encode()) > MAX_TEXT_BYTES:
            raise Problem(
                413,
                f"document {self.source_id!r}: {len(self.text.encode())} bytes of text, allowed {MAX_TEXT_BYTES}",
            )
        name, metadata = self.request_id or uuid4().hex, to_text(self.metadata)
        condition = ANY_POSITION if self.if_position is None else self.if_position
        return Document(
            name,
            self.source_id,
            self.delete,
            self.title,
            self.text,
            metadata,
            vector,
            condition,
            collection=space.collection,
        )

    def _vector(self, space: Space) -> bytes:
        """Return the vector as little-endian float32; raise Problem if it is missing, not allowed, or not valid."""
        if space.embedding.given and self.vector is None:
            raise Problem(422, f"document {self.source_id!r} needs a vector, of model {space.embedding.name}")
        if self.vector is None:
            return b""
        if not space.embedding.given:
            raise Problem(
                422,
                f"document {self.source_id!r} may not have a vector: its text is embedded, with "
                f"{space.embedding.name}; to give vectors, make a collection with source vector, or set the fleet's "
                "embedding.provider to given",
            )
        try:
            return float32_of(self.vector, space).astype("<f4").tobytes()
        except Problem as problem:
            raise Problem(422, f"document {self.source_id!r}: {problem.detail}") from problem


class WriteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch of documents: one commit, all or nothing."""

    documents: Annotated[list[DocumentWrite], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    model: str = ""
    collection: CollectionReference = DEFAULT_NAME

    def check(self) -> None:
        """Raise Problem 422 for a repeated request_id: the fold would drop the second document."""
        given = [document.request_id for document in self.documents if document.request_id]
        repeated = next((name for name, count in Counter(given).items() if count > 1), None)
        if repeated is not None:
            raise Problem(
                422,
                f"request_id {repeated!r} is given for more than one document; only the first would count, "
                "so give each its own",
            )


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A look-up of documents, as of `min_position` or later."""

    source_ids: Annotated[list[SourceId], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    min_position: Position = 0
    collection: CollectionReference = DEFAULT_NAME


class UndoRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"first": "from", "last": "to"}):
    """The writes to undo: from one bound to another, both included, that every condition lets through.

    A bound is a position, "42.3" for item 3 of entry 42, or a time with its zone.
    """

    first: Position | Annotated[str, msgspec.Meta(max_length=64)]
    last: Position | Annotated[str, msgspec.Meta(max_length=64)]
    only_deletes: bool = False
    source_prefix: Annotated[str, msgspec.Meta(max_length=MAX_SOURCE_ID)] = ""
    collection: CollectionReference | None = None
    dry_run: bool = False
    request_id: Annotated[str, msgspec.Meta(max_length=128)] = ""


class SnapshotRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for snapshots of at least `min_position`."""

    min_position: Position = 0


class VerificationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of snapshots of each shard to read and hash, newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SNAPSHOTS)] = 1


class SnapshotsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of snapshots of each shard to list, newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SNAPSHOTS)] = 5


class DocumentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The collection of a document, to be read as of `min_position` or later."""

    min_position: Position = 0
    collection: CollectionReference = DEFAULT_NAME


class DeletionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The collection of a document to delete."""

    collection: CollectionReference = DEFAULT_NAME


class IndexChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The index of a collection. Each type reads its own parameters alone, within the configuration's ranges."""

    type: Literal["flat", "hnsw", "ivf", "pq"] = "hnsw"
    metric: Literal["cosine", "ip", "l2"] = "cosine"
    m: int = 16
    ef_construction: int = 200
    ef_search: int = 100
    lists: int = 0
    probes: int = 0
    code_dims: int = 4
    rescored: int = 8

    def parameters(self) -> IndexParameters:
        """Return the parameters; raise Problem 422 if one is out of its range."""
        chosen = msgspec.convert(msgspec.to_builtins(self), IndexParameters)
        if problem := chosen.problem():
            raise Problem(422, f"index: {problem}")
        return chosen


class CollectionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The kind of a collection, fixed for its life: see service.storage.collections.Kind."""

    source: Source = "text"
    dims: Annotated[int, msgspec.Meta(ge=MIN_DIMS, le=MAX_DIMS)] | None = None
    model: Annotated[str, msgspec.Meta(pattern=r"^[^/\n]{1,128}/[^/\n]{1,128}" + END)] | None = None
    index: IndexChoice | None = None

    def kind(self, slot: Embedding) -> Kind:
        """Return the kind for the log; raise Problem 422 if it is not valid, or not in this fleet's slots."""
        index = None if self.index is None else self.index.parameters()
        if self.source == "vector":
            if self.dims is None:
                raise Problem(422, f"a collection of vectors needs dims, from {MIN_DIMS} to {MAX_DIMS}")
            # Never the slot's index: another slot may have another metric, which would change the results.
            return Kind("vector", self.dims, self.model or UNNAMED_MODEL, index or IndexChoice().parameters())
        if slot.given:
            raise Problem(422, "this fleet embeds no texts: its embedding.provider is given; make it of source vector")
        if self.dims is not None or self.model is not None:
            raise Problem(
                422,
                f"texts are embedded by the slot's model, {slot.name}: leave dims and model out, or, to give vectors "
                'of your own, add "source": "vector"',
            )
        if index is not None and index.metric != "cosine":
            raise Problem(422, f"index: metric {index.metric} is for given vectors; those of a model have length one")
        return Kind("text", index=index)


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    A search by text or by vector: a list of numbers or base64 of little-endian float32.

    A `model` ("name/version") other than the slot's is refused. `filter` is a filter of metadata, see
    service.index.filters.
    """

    text: Annotated[str, msgspec.Meta(max_length=MAX_QUERY)] = ""
    vector: list[float] | str | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 10
    exact: bool = False
    min_position: Position = 0
    model: str = ""
    collection: CollectionReference = DEFAULT_NAME
    filter: dict[str, Any] | None = None

    def conditions(self) -> dict[str, dict[str, Any]] | None:
        """Return the filter with every condition spelt out; raise Problem 422 if it is not valid."""
        try:
            return None if self.filter is None else {name: dict(one) for name, one in parse(self.filter).items()}
        except BadFilter as error:
            raise Problem(422, str(error)) from error

    def check(self) -> None:
        """Raise Problem 422 unless exactly one of text and vector is given."""
        if bool(self.text.strip()) == (self.vector is not None):
            raise Problem(422, "give either text or vector, and exactly one of them")


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several searches, answered side by side."""

    searches: Annotated[list[SearchRequest], msgspec.Meta(min_length=1, max_length=MAX_SEARCHES)]

    def check(self) -> None:
        """Raise Problem 422 if all texts together are longer than one may be: they are embedded in one go."""
        characters = sum(len(search.text) for search in self.searches)
        if characters > MAX_QUERY:
            raise Problem(422, f"the texts have {characters} characters in all, allowed are {MAX_QUERY}; send fewer")


def checked_source_id(source_id: str) -> str:
    """Return the source_id of a path; raise Problem 422 if it is not valid."""
    try:
        return msgspec.convert(source_id, SourceId)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{source_id[:MAX_SOURCE_ID]!r} is not a source_id: {error}") from error


def collection_name(name: str) -> str:
    """Return the name of a new collection in a path; raise Problem 422 if it is not valid."""
    return _of_collection(name, CollectionName)


def collection_reference(name: str) -> str:
    """Return the name or name@id of a collection in a path; raise Problem 422 if it is not valid."""
    return _of_collection(name, CollectionReference)


def _of_collection(name: str, shape: Any) -> str:
    try:
        return str(msgspec.convert(name, shape))
    except msgspec.ValidationError as error:
        raise Problem(
            422,
            f"{name[:100]!r} is not the name of a collection: 1 to 63 of a-z, 0-9, _ and -, first a letter or digit",
        ) from error


def float32_of(vector: list[float] | str, space: Space) -> np.ndarray:
    """Return a given vector, shape (dims,); raise Problem 422 if it is not in the space."""
    dims = space.embedding.dims
    array = _from_base64(vector) if isinstance(vector, str) else np.asarray(vector, np.float64)
    if array.shape != (dims,):
        raise Problem(422, f"the vector has {array.size} components; {dims} are required")
    # The sum of so small squares fits into float32; a NaN fails the comparison.
    if not np.abs(array).max() <= MAX_COMPONENT:
        raise Problem(422, f"the vector's components must be finite, from -{MAX_COMPONENT:g} to {MAX_COMPONENT:g}")
    given = array.astype(np.float32)
    if space.metric.normal and not given.any():
        raise Problem(422, "the vector must not be all zeros: it has no direction")
    return given


def _from_base64(text: str) -> np.ndarray:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        raise Problem(422, f"the vector is not base64 of little-endian float32: {error}") from error
