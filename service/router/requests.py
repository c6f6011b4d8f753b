"""What callers may send, and the limits that hold before anything is done with it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, TypeVar
from uuid import uuid4

import msgspec
import numpy as np
from starlette.requests import Request

from service.problems import Problem
from service.storage.documents import Document

T = TypeVar("T")

MAX_K = 1_000
MAX_BATCH = 1_000
MAX_BODY_BYTES = 16 << 20
MAX_SOURCE_ID = 512
MAX_TEXT_BYTES = 1 << 20
# Every chunk is embedded under its title, so a long one costs the indexer its length times thousands.
MAX_TITLE = 1_024
# A text is embedded between two other requests: 7 s of nothing else for 2.4 MB.
MAX_QUERY = 20_000
SourceId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_ID)]
Position = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class DocumentWrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document to write or delete; without a request_id the router makes one."""

    source_id: SourceId
    title: Annotated[str, msgspec.Meta(max_length=MAX_TITLE)] = ""
    text: str = ""
    delete: bool = False
    request_id: Annotated[str, msgspec.Meta(max_length=128)] = ""

    @classmethod
    def deletion(cls, source_id: str) -> DocumentWrite:
        """The deletion of a document that a path names; raises Problem for a source_id that none can have."""
        try:
            return msgspec.convert({"source_id": source_id, "delete": True}, cls)
        except msgspec.ValidationError as error:
            raise Problem(422, f"{source_id[:MAX_SOURCE_ID]!r} is no source_id: {error}") from error

    def document(self) -> Document:
        """The document as the log keeps it; raises Problem where it can never be indexed."""
        if self.delete and (self.title or self.text):
            raise Problem(422, f"document {self.source_id!r}: a deletion has no title or text")
        if not self.delete and not (self.title.strip() or self.text.strip()):
            raise Problem(
                422, f"document {self.source_id!r}: title and text are empty; to remove it, send delete: true"
            )
        if len(self.text.encode()) > MAX_TEXT_BYTES:
            raise Problem(
                413,
                f"document {self.source_id!r}: {len(self.text.encode())} bytes of text, allowed {MAX_TEXT_BYTES}",
            )
        return Document(self.request_id or uuid4().hex, self.source_id, self.delete, self.title, self.text)


class WriteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch of documents: one commit, all or nothing."""

    documents: Annotated[list[DocumentWrite], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]

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


class SearchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A search by text or by vector. `model` ("name/version") is refused unless it is the slot's."""

    text: Annotated[str, msgspec.Meta(max_length=MAX_QUERY)] = ""
    vector: list[float] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 10
    exact: bool = False
    min_position: Position = 0
    model: str = ""

    def check(self) -> None:
        """Exactly one of text and vector."""
        if bool(self.text.strip()) == (self.vector is not None):
            raise Problem(422, "give either text or vector, and exactly one of them")


async def decoded(request: Request, shape: type[T]) -> T:
    """The request's JSON body as `shape`; raises Problem 413 or 422 saying what is wrong."""
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_BODY_BYTES:
            raise Problem(413, f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer documents at a time")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem(422, f"the body is not a {shape.__name__}: {error}") from error


def unit_vector(vector: list[float], dims: int) -> np.ndarray:
    """The vector, shape (dims,), scaled to length one; raises Problem where that can't be."""
    # In double precision, since the squares of a float32 vector may not fit into float32.
    array = np.asarray(vector, np.float64)
    if array.shape != (dims,):
        raise Problem(422, f"the vector has {array.size} components, this slot's model has {dims}")
    largest = float(np.max(np.abs(array)))
    if not np.isfinite(largest) or largest == 0:
        raise Problem(422, "the vector must be finite and not all zeros")
    scaled = array / largest
    return np.asarray(scaled / np.linalg.norm(scaled), np.float32)
