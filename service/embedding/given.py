"""Given: vectors come with the documents and with the searches, from a model that the caller runs."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from service.embedding.model import UnknownModel, Vectors
from service.storage.builds import Embedding


class Given:
    """Embeds nothing; its name is all that is known of the model."""

    side_by_side = 0

    def __init__(self, embedding: Embedding) -> None:
        self.fingerprint = f"given-{embedding.model}-{embedding.version}"

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Raises UnknownModel: there is no text that it could embed."""
        raise UnknownModel("the vectors of this fleet come with its documents; ask with a vector of the same model")
