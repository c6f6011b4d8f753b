"""What callers may send, and the limits that hold before anything is done with it."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import msgspec
import numpy as np
from starlette.requests import Request

from service.bodies import UTF_8, body_of, content_type
from service.index.filters import BadFilter, parse
from service.index.metric import METRICS, Metric
from service.problems import Problem
from service.storage.builds import Embedding, IndexParameters
from service.storage.collections import (
    DEFAULT_ID,
    DEFAULT_NAME,
    NAME_PATTERN,
    REFERENCE_PATTERN,
    UNNAMED_MODEL,
    Collection,
    Kind,
    Source,
)
from service.storage.documents import ANY_POSITION, Document
from service.storage.metadata import Value, problem_with, to_text

T = TypeVar("T")
RAW_MEDIA_TYPE = "application/octet-stream"
# What clients say of JSON where they are not told: nothing, curl's -d, a browser's fetch.
SENT_AS_JSON = ("", "application/json", "application/x-www-form-urlencoded", "text/plain")

MAX_K = 1_000
MAX_COMPONENT = 1e15
MAX_BATCH = 1_000
MAX_SEARCHES = 64
MAX_SNAPSHOTS = 100
MAX_BODY_BYTES = 16 << 20
MAX_SOURCE_ID = 512
MAX_TEXT_BYTES = 1 << 20
# Every chunk is embedded under its title, so a long one costs the indexer its length times thousands.
MAX_TITLE = 1_024
# A text is embedded between two other requests: 7 s of nothing else for 2.4 MB.
MAX_QUERY = 20_000
MIN_DIMS, MAX_DIMS = 2, 16_384
SourceId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_ID)]
Position = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
# Python's $ also stands before a line break at the end.
END = r"$(?!\n)"
CollectionName = Annotated[str, msgspec.Meta(pattern=f"^{NAME_PATTERN}{END}")]
# A name means whichever has it, `name@id` that one and no later namesake.
CollectionReference = Annotated[str, msgspec.Meta(pattern=f"^{REFERENCE_PATTERN}{END}")]


class Space(NamedTuple):
    """Where the vectors of a collection lie in a slot, and by what they are near."""

    embedding: Embedding
    metric: Metric
    collection: int = DEFAULT_ID

    @classmethod
    def of(cls, embedding: Embedding, index: IndexParameters) -> Space:
        """The space that a recipe or a configuration names."""
        return cls(embedding, METRICS[index.metric])

    def within(self, collection: Collection) -> Space:
        """That of a collection, where this one is the default collection's."""
        kind = collection.kind
        metric = METRICS[kind.index.metric] if kind.index is not None else self.metric
        return Space(kind.embedding(self.embedding), metric, collection.id)

    def check(self, model: str) -> None:
        """Raises Problem 409 where a request names another model; one that names none is taken at its word."""
        if model and model != self.embedding.name:
            has = "this collection has vectors of" if self.collection else "this slot serves"
            raise Problem(409, f"{has} model {self.embedding.name}, the request names {model}")


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
        """The deletion of a document that a path names; raises Problem for a source_id that none can have."""
        return cls(named(source_id), delete=True)

    def document(self, space: Space) -> Document:
        """The document as the log keeps it; raises Problem where no index of this space can ever hold it."""
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
        """As little-endian float32; raises Problem where it is missing, not wanted, or can't be."""
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
        """Every request_id names one document: the fold drops a second one as a repetition of the first."""
        given = [document.request_id for document in self.documents if document.request_id]
        repeated = next((name for name, count in Counter(given).items() if count > 1), None)
        if repeated is not None:
            raise Problem(
                422,
                f"request_id {repeated!r} stands at more than one document; only the first would count, "
                "so give each its own",
            )


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of these documents are held, as of `min_position` or later?"""

    source_ids: Annotated[list[SourceId], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    min_position: Position = 0
    collection: CollectionReference = DEFAULT_NAME


class SnapshotRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Have snapshots made that reflect at least `min_position`."""

    min_position: Position = 0


class VerificationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of how many snapshots of each shard every byte is to be read and hashed, newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SNAPSHOTS)] = 1


class SnapshotsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many snapshots of each shard are wanted, newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SNAPSHOTS)] = 5


class DocumentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document of a collection is wanted as of `min_position` or later."""

    min_position: Position = 0
    collection: CollectionReference = DEFAULT_NAME


class DeletionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which collection a document is to be deleted."""

    collection: CollectionReference = DEFAULT_NAME


class IndexChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a collection is indexed; each type reads its own parameters alone, within the ranges of the configuration."""

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
        """Raises Problem 422 where one is out of its range."""
        chosen = msgspec.convert(msgspec.to_builtins(self), IndexParameters)
        if problem := chosen.problem():
            raise Problem(422, f"index: {problem}")
        return chosen


class CollectionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a collection holds, for life: see service.storage.collections.Kind."""

    source: Source = "text"
    dims: Annotated[int, msgspec.Meta(ge=MIN_DIMS, le=MAX_DIMS)] | None = None
    model: Annotated[str, msgspec.Meta(pattern=r"^[^/\n]{1,128}/[^/\n]{1,128}" + END)] | None = None
    index: IndexChoice | None = None

    def kind(self, slot: Embedding) -> Kind:
        """As the log keeps it; raises Problem 422 for what can't be, or not where slots are like this one."""
        index = None if self.index is None else self.index.parameters()
        if self.source == "vector":
            if self.dims is None:
                raise Problem(422, f"a collection of vectors needs dims, from {MIN_DIMS} to {MAX_DIMS}")
            # Never the slot's: another slot may have another metric, and near would mean something else there.
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
    A search by text or by vector, which is a list of numbers or base64 of little-endian float32.

    `model` ("name/version") is refused unless it is the slot's; `filter` is about metadata, as service.index.filters
    has it.
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
        """The filter with every condition spelt out; raises Problem 422 for one that can't be meant so."""
        try:
            return None if self.filter is None else {name: dict(one) for name, one in parse(self.filter).items()}
        except BadFilter as error:
            raise Problem(422, str(error)) from error

    def check(self) -> None:
        """Exactly one of text and vector."""
        if bool(self.text.strip()) == (self.vector is not None):
            raise Problem(422, "give either text or vector, and exactly one of them")


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several searches, answered side by side."""

    searches: Annotated[list[SearchRequest], msgspec.Meta(min_length=1, max_length=MAX_SEARCHES)]

    def check(self) -> None:
        """All texts together are no longer than one may be: they are embedded one after the other, between requests."""
        characters = sum(len(search.text) for search in self.searches)
        if characters > MAX_QUERY:
            raise Problem(422, f"the texts have {characters} characters in all, allowed are {MAX_QUERY}; send fewer")


async def decoded(request: Request, shape: type[T]) -> T:
    """Decode the JSON body as `shape`; raises Problem 413, 415 or 422 saying what is wrong."""
    if query := request.scope.get("query_string"):
        raise Problem(422, f"?{query.decode(errors='replace')[:100]}: this takes no query string; put it into the body")
    declared = content_type(request)
    if declared.charset not in UTF_8:
        raise Problem(415, f"the charset is {declared.charset}; JSON is sent in UTF-8")
    body = await body_of(request, MAX_BODY_BYTES)
    try:
        # All that a collection needs to be told may be its name.
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError) and declared.media_type not in SENT_AS_JSON:
            raise Problem(415, f"a body of {declared.media_type} is not taken here; send JSON") from error
        raise Problem(422, f"the body is not a {shape.__name__}: {error}") from error


async def refuse_body(request: Request) -> None:
    """Raise Problem 422 where there is a body, which would count for nothing."""
    if await body_of(request, MAX_BODY_BYTES):
        raise Problem(422, f"{request.method} takes no body; what it is about stands in the path and the query string")


def named(source_id: str) -> str:
    """The source_id that a path names; raises Problem 422 for one that no document can have."""
    try:
        return msgspec.convert(source_id, SourceId)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{source_id[:MAX_SOURCE_ID]!r} is no source_id: {error}") from error


def collection_name(name: str) -> str:
    """The name that a path gives a new collection; raises Problem 422 for one that none can have."""
    return _of_collection(name, CollectionName)


def collection_reference(name: str) -> str:
    """The collection that a path names, or name@id; raises Problem 422 for what none can be named by."""
    return _of_collection(name, CollectionReference)


def _of_collection(name: str, shape: Any) -> str:
    try:
        return str(msgspec.convert(name, shape))
    except msgspec.ValidationError as error:
        raise Problem(
            422, f"{name[:100]!r} names no collection: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"
        ) from error


def queried(request: Request, shape: type[T], **besides: str) -> T:
    """
    Decode the query string, and what it has `besides`, as `shape`; raises Problem 422 saying what is wrong.

    A name that stands twice, or bytes that are no UTF-8, would be read as something else than was sent.
    """
    given = request.query_params.multi_items()
    if twice := [name for name, count in Counter(name for name, _ in given).items() if count > 1]:
        raise Problem(422, f"the query string has {', '.join(twice)} more than once")
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
        return msgspec.convert({**dict(given), **besides}, shape, strict=False)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Problem(422, f"the query string is not a {shape.__name__}: {error}") from error


async def decoded_search(request: Request) -> SearchRequest:
    """Decode a search: JSON, or the raw float32 of its vector with the rest in the query string; raises Problem."""
    if content_type(request).media_type != RAW_MEDIA_TYPE:
        return await decoded(request, SearchRequest)
    vector = base64.b64encode(await body_of(request, MAX_BODY_BYTES)).decode()
    return queried(request, SearchRequest, vector=vector)


def float32_of(vector: list[float] | str, space: Space) -> np.ndarray:
    """What was given as a vector, shape (dims,); raises Problem 422 where it does not lie in the space."""
    dims = space.embedding.dims
    array = _from_base64(vector) if isinstance(vector, str) else np.asarray(vector, np.float64)
    if array.shape != (dims,):
        raise Problem(422, f"the vector has {array.size} components, needed are {dims}")
    # So small that sums of squares still fit into float32; a NaN fails the comparison.
    if not np.abs(array).max() <= MAX_COMPONENT:
        raise Problem(422, f"the vector's components must be finite, from -{MAX_COMPONENT:g} to {MAX_COMPONENT:g}")
    given = array.astype(np.float32)
    if space.metric.normal and not given.any():
        raise Problem(422, "the vector must not be all zeros: nothing is near it by its direction")
    return given


def _from_base64(text: str) -> np.ndarray:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        raise Problem(422, f"the vector is no base64 of little-endian float32: {error}") from error
