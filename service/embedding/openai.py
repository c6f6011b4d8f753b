"""Servers with OpenAI's `POST /embeddings`: OpenAI itself, and self-hosted servers of open models.

The format: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from service.embedding.model import Access, EmbeddingError, ModelUnavailable, UnknownModel
from service.embedding.patience import Patience
from service.embedding.remote import SIDE_BY_SIDE, RequestRefused, failure
from service.storage.builds import Embedding
from service.storage.objects import aws_client

AGAIN = (408, 429, 500, 502, 503, 504)
TEXT_TO_BLAME = (400, 413, 422)
NOT_ADMITTED = (401, 403)
LONGEST_WAIT_SECONDS = 20
SAID_CHARACTERS = 300


class _Item(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Item]


class OpenAiRequests:
    """Requests to a base URL such as https://api.openai.com/v1, with the key in a secret parameter if there is one."""

    most_texts = 64
    most_characters = 100_000

    def __init__(self, embedding: Embedding, access: Access, patience: Patience) -> None:
        if not access.url.startswith(("http://", "https://")):
            raise UnknownModel(
                f"embedding.url is {access.url!r}; provider openai needs the server's base URL, http…/v1"
            )
        self._url = f"{access.url.rstrip('/')}/embeddings"
        self._model = embedding.model
        # OpenAI's third generation has several sizes; other models have one.
        self._sized = {"dimensions": embedding.dims} if "text-embedding-3" in embedding.model else {}
        self._secret = access.secret
        self._headers = self._with_key()
        self._again = urllib3.Retry(
            total=patience.attempts - 1,
            # A request that timed out is retried once: all attempts would take minutes.
            read=1,
            backoff_factor=0.3,
            backoff_max=LONGEST_WAIT_SECONDS,
            backoff_jitter=0.3,
            status_forcelist=AGAIN,
            allowed_methods=None,
            raise_on_status=False,
            respect_retry_after_header=patience.waits,
            redirect=0,
        )
        timeout = urllib3.Timeout(total=patience.timeout_seconds)
        self._pool = urllib3.PoolManager(maxsize=SIDE_BY_SIDE, timeout=timeout)

    def send(self, texts: Sequence[str], *, query: bool, once: bool = False) -> list[list[float]]:
        """Queries and documents are sent alike."""
        body = {"model": self._model, "input": list(texts), "encoding_format": "float", **self._sized}
        retries = self._again.new(total=0) if once else self._again
        try:
            answer = self._pool.request(
                "POST", self._url, body=json.dumps(body).encode(), headers=self._headers, retries=retries
            )
        except urllib3.exceptions.HTTPError as error:
            raise EmbeddingError(f"{self._url} does not answer: {error}") from error
        if answer.status in TEXT_TO_BLAME:
            raise RequestRefused(f"{self._url} answered {answer.status}: {_said(answer.data)}")
        if answer.status in NOT_ADMITTED:
            # The key may have been changed; the next request uses the new one.
            self._headers = self._with_key()
        if answer.status != 200:
            raise failure(answer.status, f"{self._url} answered {answer.status}: {_said(answer.data)}")
        return _vectors(self._url, answer.data, len(texts))

    def _with_key(self) -> dict[str, str]:
        key = _secret(self._secret) if self._secret else ""
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


def _vectors(url: str, body: bytes, count: int) -> list[list[float]]:
    try:
        items = msgspec.json.decode(body, type=_Answer).data
    except msgspec.MsgspecError as error:
        raise EmbeddingError(f"{url} returned no list of embeddings: {error}") from error
    by_index = {item.index: item.embedding for item in items}
    if len(items) != count or sorted(by_index) != list(range(count)):
        raise EmbeddingError(f"{url} returned embeddings {sorted(by_index)[:5]}… for {count} texts")
    return [by_index[index] for index in range(count)]


def _said(body: bytes) -> str:
    return body[:SAID_CHARACTERS].decode(errors="replace").strip()


def _secret(name: str) -> str:
    """Return the value of a secret parameter; empty if there is none, as for self-hosted servers.

    Raise ModelUnavailable.
    """
    client = aws_client("ssm")
    try:
        return str(client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
    except client.exceptions.ParameterNotFound:
        return ""
    except (BotoCoreError, ClientError) as error:
        raise ModelUnavailable(f"the key of the model's server can't be read: {error}") from error
