"""The providers of models, and the choice of one by the configuration."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from service.embedding.model import Access, Embedder, UnknownModel, Vectors
from service.embedding.patience import Patience
from service.storage.builds import Embedding

PROVIDERS = ("wordllama", "onnx", "openai", "bedrock", "given")


class GivenVectors:
    """No model: vectors come with documents and searches, from a model that the caller runs."""

    side_by_side = 0

    def __init__(self, embedding: Embedding) -> None:
        self.fingerprint = f"given-{embedding.model}-{embedding.version}"

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        """Raise UnknownModel."""
        raise UnknownModel("the vectors of this fleet come with its documents; search by a vector of the same model")


def load(embedding: Embedding, access: Access, patience: Patience) -> Embedder:
    """Return the embedder that a configuration names. Raise UnknownModel, or ModelUnavailable for a remote model."""
    # Imported here: a process loads one of them, and a node none.
    if embedding.provider == "wordllama":
        from service.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder(embedding)
    if embedding.provider == "onnx":
        return _onnx(embedding, access)
    if embedding.given:
        return GivenVectors(embedding)
    from service.embedding.remote import RemoteEmbedder

    if embedding.provider == "openai":
        from service.embedding.openai import OpenAiRequests

        return RemoteEmbedder(embedding, OpenAiRequests(embedding, access, patience))
    if embedding.provider == "bedrock":
        from service.embedding.bedrock import BedrockRequests

        return RemoteEmbedder(embedding, BedrockRequests(embedding, patience))
    raise UnknownModel(f"embedding provider {embedding.provider!r} is unknown; allowed: {', '.join(PROVIDERS)}")


def _onnx(embedding: Embedding, access: Access) -> Embedder:
    try:
        from service.embedding.onnx import OnnxEmbedder
    except ModuleNotFoundError as missing:
        raise UnknownModel(
            f"provider onnx needs {missing.name}, which is not installed: install the extra onnx"
        ) from None
    return OnnxEmbedder(embedding, access)
