"""Which model a configuration names, and where it runs."""

from __future__ import annotations

from service.embedding.model import Access, Embedder, Patience, UnknownModel
from service.storage.builds import Embedding

PROVIDERS = ("wordllama", "onnx", "openai", "bedrock", "given")


def load(embedding: Embedding, access: Access, patience: Patience) -> Embedder:
    """The embedder that a configuration names. Raises UnknownModel, or Unavailable where it runs elsewhere."""
    # Imported here: a process loads one of them, and a node none.
    if embedding.provider == "wordllama":
        from service.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder(embedding)
    if embedding.provider == "onnx":
        return _onnx(embedding, access)
    if embedding.given:
        from service.embedding.given import Given

        return Given(embedding)
    from service.embedding.remote import RemoteEmbedder

    if embedding.provider == "openai":
        from service.embedding.openai import OpenAiRequests

        return RemoteEmbedder(embedding, OpenAiRequests(embedding, access, patience))
    if embedding.provider == "bedrock":
        from service.embedding.bedrock import BedrockRequests

        return RemoteEmbedder(embedding, BedrockRequests(embedding, patience))
    raise UnknownModel(f"embedding provider {embedding.provider!r} is not known; allowed: {', '.join(PROVIDERS)}")


def _onnx(embedding: Embedding, access: Access) -> Embedder:
    try:
        from service.embedding.onnx import OnnxEmbedder
    except ModuleNotFoundError as missing:
        raise UnknownModel(
            f"provider onnx needs {missing.name}, which is not installed: install the extra onnx"
        ) from None
    return OnnxEmbedder(embedding, access)
