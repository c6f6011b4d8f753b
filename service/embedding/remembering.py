"""An embedder that asks its model only for texts that the embedding memory does not hold."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
from prometheus_client import Counter

from service.embedding.memory import VectorMemory
from service.embedding.model import Embedder, Vectors

CHARACTERS_PER_TOKEN = 4

HITS = Counter("vectorfleet_memory_hits_total", "Texts whose vector was remembered")
MISSES = Counter("vectorfleet_memory_misses_total", "Texts that the model was asked for")
CALLS = Counter("vectorfleet_memory_model_calls_total", "Batches of texts that the model was asked for")
SAVED = Counter("vectorfleet_memory_saved_tokens_total", "Tokens not embedded again, estimated as 4 characters each")


class RememberingEmbedder:
    """A model with a memory. Each text of a batch is looked up, and asked for, once.

    `asked` counts the texts that the model was asked for.
    """

    def __init__(self, model: Embedder, memory: VectorMemory) -> None:
        self.fingerprint, self.side_by_side = model.fingerprint, model.side_by_side
        self.asked = 0
        self._model, self._memory = model, memory

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Embed documents; see `Embedder.embed`. Queries and failed texts are never remembered."""
        if query:
            return self._model.embed(texts, query=True, reasons=reasons)
        keys = [self._memory.segments.key_of(text) for text in texts]
        vectors = self._memory.find({*keys})
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        HITS.inc(len(vectors))
        MISSES.inc(len(missing))
        self.asked += len(missing)
        SAVED.inc((sum(map(len, texts)) - sum(map(len, missing.values()))) / CHARACTERS_PER_TOKEN)
        failed: dict[bytes, str] = {}
        if missing:
            made, failed = self._asked(missing)
            vectors |= made
            self._memory.remember({key: vector for key, vector in made.items() if key not in failed})
        if reasons is not None:
            reasons.update({number: failed[key] for number, key in enumerate(keys) if key in failed})
        return np.stack([vectors[key] for key in keys]) if keys else np.empty((0, self._memory.segments.dims), "f4")

    def _asked(self, missing: Mapping[bytes, str]) -> tuple[dict[bytes, Vectors], dict[bytes, str]]:
        """Return the model's vectors, and the reasons of those texts on which it fails."""
        reasons: dict[int, str] = {}
        CALLS.inc()
        made = self._model.embed(list(missing.values()), reasons=reasons)
        failed = {key: reasons[number] for number, key in enumerate(missing) if number in reasons}
        return dict(zip(missing, made, strict=True)), failed
