"""Documents to chunks: whole sentences under their document's heading, because long chunks drown a static model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.storage.builds import Chunking

# Changing what the splitter does changes what a build contains, so the name goes into the build's fingerprint.
SPLITTER = "sentences-2"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])|\n+")


def split(title: str, text: str, chunking: Chunking) -> list[str]:
    """
    The chunks of a document: runs of whole sentences of at most `chunking.size` characters each, the first
    sentences of a chunk repeating up to `chunking.overlap` characters of the one before.

    A document without text has its title as its only chunk; a sentence longer than the size is cut at words.
    """
    pieces = (piece for sentence in _sentences(text) for piece in _fitting(sentence, chunking.size))
    chunks: list[str] = []
    current: list[str] = []
    length = 0  # of `current` when it is joined; summed anew for each piece it would cost the square of the pieces
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
    """The text that is embedded for a chunk: what it is about, then what it says."""
    return f"{title}. {chunk}" if title and chunk != title else chunk


def _sentences(text: str) -> list[str]:
    # White space is folded, so that a tab between words is as good a place to cut as a space.
    return [folded for part in _SENTENCE_END.split(text) if (folded := " ".join(part.split()))]


def _fitting(sentence: str, size: int) -> Iterator[str]:
    """Cut a sentence of folded white space into pieces of at most `size` characters, at spaces where there are any."""
    start = 0
    while len(sentence) - start > size:
        space = sentence.rfind(" ", start + 1, start + size + 1)
        end = space if space > 0 else start + size
        yield sentence[start:end]
        start = end + sentence.startswith(" ", end)
    yield sentence[start:]


def _tail(sentences: list[str], room: int) -> list[str]:
    """Take the last sentences that fit into the room together."""
    length, first = -1, len(sentences)
    while first and length + 1 + len(sentences[first - 1]) <= room:
        first -= 1
        length += 1 + len(sentences[first])
    return sentences[first:]
