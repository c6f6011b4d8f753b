"""Models of Amazon Bedrock: Titan text embeddings, one text a request, and Cohere's, many texts a request.

The formats: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.embedding.model import EmbeddingError, ModelUnavailable, UnknownModel
from service.embedding.patience import Patience
from service.embedding.remote import SIDE_BY_SIDE, RequestRefused, failure
from service.storage.builds import Embedding

CONNECT_SECONDS = 1.0


class BedrockRequests:
    """Requests with the credentials of the instance's role; botocore retries throttled and unanswered ones."""

    most_characters = 150_000

    def __init__(self, embedding: Embedding, patience: Patience) -> None:
        self._id, self._dims = embedding.model, embedding.dims
        if "titan-embed-text" in self._id:
            self.most_texts, self._body, self._read = 1, self._titan, _titan_vectors
        elif "cohere.embed" in self._id:
            self.most_texts, self._body, self._read = 96, self._cohere, _cohere_vectors
        else:
            raise UnknownModel(
                f"Bedrock model {self._id!r} is unknown; allowed: ids with titan-embed-text or cohere.embed"
            )
        self._patient, self._once = (_client(patience, attempts) for attempts in (patience.attempts, 1))

    def send(self, texts: Sequence[str], *, query: bool, once: bool = False) -> list[list[float]]:
        body = json.dumps(self._body(texts, query))
        client = self._once if once else self._patient
        try:
            answer = client.invoke_model(modelId=self._id, body=body, contentType="application/json")
            return self._read(json.loads(answer["body"].read()))
        except ClientError as error:
            said = error.response["Error"]
            if said["Code"] == "ValidationException":
                raise RequestRefused(f"Bedrock refused the request: {said.get('Message', '')}") from error
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            raise failure(status, f"Bedrock failed: {error}") from error
        except BotoCoreError as error:
            raise EmbeddingError(f"Bedrock does not answer: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EmbeddingError(f"Bedrock returned no embeddings: {error!r}") from error

    def _titan(self, texts: Sequence[str], query: bool) -> Mapping[str, Any]:
        # The first version has one size and refuses the option.
        sized = {} if self._id.endswith("text-v1") else {"dimensions": self._dims, "normalize": True}
        return {"inputText": texts[0], **sized}

    def _cohere(self, texts: Sequence[str], query: bool) -> Mapping[str, Any]:
        # Only the fourth generation has several sizes.
        sized = {"output_dimension": self._dims} if "embed-v4" in self._id else {}
        kind = "search_query" if query else "search_document"
        return {"texts": list(texts), "input_type": kind, "embedding_types": ["float"], **sized}


def _client(patience: Patience, attempts: int) -> Any:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=patience.timeout_seconds,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=SIDE_BY_SIDE,
    )
    try:
        # boto3 reads only AWS_DEFAULT_REGION, and the service's processes have AWS_REGION.
        return boto3.client("bedrock-runtime", os.environ.get("AWS_REGION"), config=config)
    except BotoCoreError as error:
        raise ModelUnavailable(f"Bedrock can't be reached: {error}") from error


def _titan_vectors(answer: Any) -> list[list[float]]:
    return [answer["embedding"]]


def _cohere_vectors(answer: Any) -> list[list[float]]:
    return list(answer["embeddings"]["float"])
