"""
Models of Amazon Bedrock: Titan text embeddings, one text a request, and Cohere's, many.

The forms: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and
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

from service.embedding.model import Patience, Unavailable, UnknownModel
from service.embedding.remote import SIDE_BY_SIDE, Refused
from service.storage.builds import Embedding

CONNECT_SECONDS = 1.0


class BedrockRequests:
    """Requests by the role of the instance; botocore repeats what is throttled or not answered."""

    most_characters = 150_000

    def __init__(self, embedding: Embedding, patience: Patience) -> None:
        self._id, self._dims = embedding.model, embedding.dims
        if "titan-embed-text" in self._id:
            self.most_texts, self._body, self._read = 1, self._titan, _titan_vectors
        elif "cohere.embed" in self._id:
            self.most_texts, self._body, self._read = 96, self._cohere, _cohere_vectors
        else:
            raise UnknownModel(
                f"model {self._id!r} of Bedrock is not known here; allowed: ids with titan-embed-text or cohere.embed"
            )
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=patience.timeout_seconds,
            retries={"total_max_attempts": patience.attempts, "mode": "standard"},
            max_pool_connections=SIDE_BY_SIDE,
        )
        try:
            # Not by itself: boto3 knows AWS_DEFAULT_REGION alone, and processes have AWS_REGION.
            self._client = boto3.client("bedrock-runtime", os.environ.get("AWS_REGION"), config=config)
        except BotoCoreError as error:
            raise Unavailable(f"Bedrock can't be reached: {error}") from error

    def send(self, texts: Sequence[str], *, query: bool) -> list[list[float]]:
        """See `Requests.send`."""
        body = json.dumps(self._body(texts, query))
        try:
            answer = self._client.invoke_model(modelId=self._id, body=body, contentType="application/json")
            return self._read(json.loads(answer["body"].read()))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationException":
                raise Refused(f"Bedrock says: {error.response['Error'].get('Message', '')}") from error
            raise Unavailable(f"Bedrock refuses: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(f"Bedrock does not answer: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"Bedrock gave no embeddings: {error!r}") from error

    def _titan(self, texts: Sequence[str], query: bool) -> Mapping[str, Any]:
        # The first version has one size and refuses to be asked for it.
        sized = {} if self._id.endswith("text-v1") else {"dimensions": self._dims, "normalize": True}
        return {"inputText": texts[0], **sized}

    def _cohere(self, texts: Sequence[str], query: bool) -> Mapping[str, Any]:
        # Only the fourth generation has several sizes.
        sized = {"output_dimension": self._dims} if "embed-v4" in self._id else {}
        kind = "search_query" if query else "search_document"
        return {"texts": list(texts), "input_type": kind, "embedding_types": ["float"], **sized}


def _titan_vectors(answer: Any) -> list[list[float]]:
    return [answer["embedding"]]


def _cohere_vectors(answer: Any) -> list[list[float]]:
    return list(answer["embeddings"]["float"])
