"""Which model a configuration names, and where it runs."""

from __future__ import annotations

from service.embedding.model import Access, Embedder, Patience, UnknownModel
from service.storage.builds import Embedding

PROVIDERS = ("wordllama", "openai", "bedrock", "given")


def load(embedding: Embedding, access: Access, patience: Patience) -> Embedder:
    """The embedder that a configuration names. Raises UnknownModel, or Unavailable where it runs elsewhere."""
    # Imported here: a process loads one of them, and a node none.
    if embedding.provider == "wordllama":
        from service.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder(embedding)
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
