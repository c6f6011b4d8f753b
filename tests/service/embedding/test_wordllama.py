"""The model inside its package, in each size that the configuration allows."""

from __future__ import annotations

import numpy as np
import pytest

from service.embedding.wordllama import DIMS, WordLlamaEmbedder
from service.storage.builds import Embedding


@pytest.mark.parametrize("dims", DIMS)
def test_each_size_embeds_and_has_its_own_fingerprint(dims: int) -> None:
    texts = ["delete a bucket", "remove a bucket for good", "the weather in spring"]
    embedder = WordLlamaEmbedder(Embedding("wordllama", "0.4.0.post1", dims))
    vectors = embedder.embed([*texts, ""])
    assert vectors.shape == (4, dims)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    names = {WordLlamaEmbedder(Embedding("wordllama", "0.4.0.post1", other)).fingerprint for other in DIMS}
    assert len(names) == len(DIMS)
