"""The documents that a run writes while its searches are timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from loadtests.corpora.json_lines import lines_of, parse_line
from loadtests.run.settings import SettingsError

_SHORT = (
    ("Rotation of keys", "A key that is rotated keeps its identifier and gets new key material once a year."),
    ("Quota of a queue", "A queue refuses messages above its quota and says in its answer when to try again."),
    ("Owner of a bucket", "The owner of a bucket decides who may read and who may write the objects inside it."),
    ("Age of a snapshot", "A snapshot older than its schedule allows is reported before it is removed."),
)


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Any = ""
    text: Any = None
    vector: Any = ""


@dataclass(frozen=True)
class Documents:
    """
    Title, text and vector of the documents to write; after the last comes the first again, with another source_id.

    A vector is as the service takes it, empty for none.
    """

    texts: tuple[tuple[str, str, Any], ...]
    seed: int

    def batch(self, first: int, count: int) -> list[dict[str, Any]]:
        """Return the documents number ``first`` to ``first + count - 1``."""
        return [self._document(number) for number in range(first, first + count)]

    def _document(self, number: int) -> dict[str, Any]:
        title, text, vector = self.texts[number % len(self.texts)]
        said = {"source_id": source_id(self.seed, number), "title": title, "text": text}
        return said | ({"vector": vector} if vector else {})


def source_id(seed: int, number: int) -> str:
    """Return the id of a document that the run of this seed writes."""
    return f"load/{seed}/{number}"


def load_documents(path: str, seed: int) -> Documents:
    """
    Return the documents of a file of ``{"title", "text", "vector"}`` lines, or the built-in ones for an empty path.

    SettingsError names file and line.
    """
    if not path:
        return Documents(tuple((title, text, "") for title, text in _SHORT), seed)
    texts = tuple(_text(place, line) for place, line in lines_of(path, SettingsError))
    if not texts:
        raise SettingsError(f"{path} holds no document.")
    return Documents(texts, seed)


def _text(place: str, line: str) -> tuple[str, str, Any]:
    entry = parse_line(place, line, _Entry, SettingsError)
    if entry.text is None and not entry.vector:
        raise SettingsError(f"{place} has neither a text nor a vector; a document needs one of them.")
    return str(entry.title), str(entry.text or ""), entry.vector
