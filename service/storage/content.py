"""By which hash the service, and whoever asks it, knows a document's content."""

from __future__ import annotations

import hashlib


def content_hash(title: str, text: str, metadata: str = "", vector: bytes = b"") -> bytes:
    """
    sha256 of a document's title and text; with metadata of that and the metadata; with a vector of that, a zero byte
    and the vector.

    Equal contents have equal hashes in every process.
    """
    said = hashlib.sha256(title.encode() + b"\0" + text.encode()).digest()
    for more in (metadata.encode(), b"\0" + vector if vector else b""):
        said = hashlib.sha256(said + more).digest() if more else said
    return said
