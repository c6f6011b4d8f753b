"""Documents that keep arriving while searches are timed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.settings import SettingsError

_SHORT = (
    ("Rotation of keys", "A key that is rotated keeps its identifier and gets new key material once a year."),
    ("Quota of a queue", "A queue refuses messages above its quota and says in its answer when to try again."),
    ("Owner of a bucket", "The owner of a bucket decides who may read and who may write the objects inside it."),
    ("Age of a snapshot", "A snapshot older than its schedule allows is reported before it is removed."),
)


@dataclass(frozen=True)
class Documents:
    """
    Title, text and vector of what to write, again from the first when all were used; every document has its own
    source_id. A vector is as the service takes it, empty for none.
    """

    texts: tuple[tuple[str, str, Any], ...]
    seed: int

    def batch(self, first: int, count: int) -> list[dict[str, Any]]:
        """Documents number ``first`` to ``first + count - 1``."""
        return [self._document(number) for number in range(first, first + count)]

    def _document(self, number: int) -> dict[str, Any]:
        title, text, vector = self.texts[number % len(self.texts)]
        said = {"source_id": source_id(self.seed, number), "title": title, "text": text}
        return said | ({"vector": vector} if vector else {})


def source_id(seed: int, number: int) -> str:
    """The id of a document that the run of this seed writes."""
    return f"load/{seed}/{number}"


def load_documents(path: str, seed: int) -> Documents:
    """
    Read ``{"title", "text", "vector"}`` lines, or take the built-in short texts. Raises SettingsError naming file and
    line.
    """
    if not path:
        return Documents(tuple((title, text, "") for title, text in _SHORT), seed)
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsError(f"The documents file {path} cannot be read: {error.strerror}.") from error
    texts = tuple(_text(path, number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if not texts:
        raise SettingsError(f"{path} holds no document.")
    return Documents(texts, seed)


def _text(path: str, number: int, line: str) -> tuple[str, str, Any]:
    try:
        entry = json.loads(line)
        vector = entry.get("vector", "")
        if others := sorted(entry.keys() - {"title", "text", "vector"}):
            raise SettingsError(
                f"{path}, line {number} has {', '.join(others)}; it may have title, text and vector alone."
            )
        return str(entry.get("title", "")), str(entry.get("text", "") if vector else entry["text"]), vector
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path}, line {number} is not a JSON object with a text or a vector.") from error
