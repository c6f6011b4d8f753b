"""The splitter: whole sentences of a document in chunks, because long chunks drown a static model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.storage.builds import Chunking

# Any change of the splitter changes the contents of a build, so its name is part of the build's fingerprint.
SPLITTER = "sentences-2"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|\n+")


def split(title: str, text: str, chunking: Chunking) -> list[str]:
    """Return the chunks of a document: runs of whole sentences of at most `chunking.size` characters each.

    The first sentences of a chunk repeat up to `chunking.overlap` characters of the one before. A document without text
    has its title as its only chunk. A sentence longer than the size is cut between words.
    """
    pieces = (piece for sentence in _sentences(text) for piece in _fitting(sentence, chunking.size))
    chunks: list[str] = []
    current: list[str] = []
    length = 0  # of `current` when joined; summing it for each piece would take quadratic time
    for piece in pieces:
        if current and length + 1 + len(piece) > chunking.size:
            chunks.append(" ".join(current))
            current = _tail(current, min(chunking.overlap, chunking.size - len(piece) - 1))
            length = sum(map(len, current)) + max(0, len(current) - 1)
        length += len(piece) + bool(current)
        current.append(piece)
    if current:
        chunks.append(" ".join(current))
    return chunks or [title]


def heading(title: str, chunk: str) -> str:
    """Return the text that is embedded for a chunk: the title, then the chunk."""
    return f"{title}. {chunk}" if title and chunk != title else chunk


def texts_of(title: str, text: str, chunking: Chunking) -> list[str]:
    """Return the texts that are embedded for a document."""
    return [heading(title, chunk) for chunk in split(title, text, chunking)]


def _sentences(text: str) -> list[str]:
    # White space is folded, so that a tab between words is as good a place to cut as a space.
    return [folded for part in _SENTENCE_END.split(text) if (folded := " ".join(part.split()))]


def _fitting(sentence: str, size: int) -> Iterator[str]:
    """Cut a sentence of folded white space into pieces of at most `size` characters, at spaces if there are any."""
    start = 0
    while len(sentence) - start > size:
        space = sentence.rfind(" ", start + 1, start + size + 1)
        end = space if space > 0 else start + size
        yield sentence[start:end]
        start = end + sentence.startswith(" ", end)
    yield sentence[start:]


def _tail(sentences: list[str], room: int) -> list[str]:
    """Return the last sentences that together fit into the room."""
    length, first = -1, len(sentences)
    while first and length + 1 + len(sentences[first - 1]) <= room:
        first -= 1
        length += 1 + len(sentences[first])
    return sentences[first:]
