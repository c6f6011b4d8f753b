"""Documents to chunks: whole sentences under their document's heading, because long chunks drown a static model."""

from __future__ import annotations

import re

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
    pieces = [piece for sentence in _sentences(text) for piece in _fitting(sentence, chunking.size)]
    chunks: list[str] = []
    current: list[str] = []
    for piece in pieces:
        if current and _length([*current, piece]) > chunking.size:
            chunks.append(" ".join(current))
            current = _tail(current, chunking.overlap, chunking.size - len(piece) - 1)
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


def _fitting(sentence: str, size: int) -> list[str]:
    """The sentence cut into pieces of at most `size` characters, at spaces where there are any."""
    pieces = []
    while len(sentence) > size:
        cut = sentence.rfind(" ", 1, size + 1)
        cut = cut if cut > 0 else size
        pieces.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [piece for piece in [*pieces, sentence] if piece]


def _tail(sentences: list[str], overlap: int, room: int) -> list[str]:
    """The last sentences that fit into the overlap and the room."""
    kept: list[str] = []
    for sentence in reversed(sentences):
        if _length([sentence, *kept]) > min(overlap, room):
            break
        kept.insert(0, sentence)
    return kept


def _length(sentences: list[str]) -> int:
    return sum(map(len, sentences)) + len(sentences) - 1
