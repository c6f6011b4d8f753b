"""The hash of a document's content, as the service and its callers compute it."""

from __future__ import annotations

import hashlib


def content_hash(title: str, text: str, metadata: str = "", vector: bytes = b"") -> bytes:
    """Return the sha256 of a document's content, the same in every process.

    It is the hash of title and text; with metadata, the hash of that hash and the metadata; with a vector, the hash of
    that hash, a zero byte and the vector.
    """
    said = hashlib.sha256(title.encode() + b"\0" + text.encode()).digest()
    for more in (metadata.encode(), b"\0" + vector if vector else b""):
        said = hashlib.sha256(said + more).digest() if more else said
    return said
