"""What a process is told at start: its role from the environment, the fleet's configuration from parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from infra import slo
from service.embedding.model import Access
from service.storage.builds import Chunking, Embedding, IndexParameters, Recipe
from service.storage.objects import aws_client

T = TypeVar("T")
SNAPSHOT_SECONDS = 6 * 3600


class BadSettings(Exception):
    """The environment or a parameter can't be used; the message says which and what to set."""


class Storage(msgspec.Struct, frozen=True):
    """Bucket names."""

    documents: str
    index: str
    artifacts: str


class FleetShape(msgspec.Struct, frozen=True):
    """
    A slot's shards and replicas, how often metrics go to CloudWatch, after how long a write has to be in a
    snapshot, below which prefix of parameters the API's keys stand (without one, everybody is let in), how old a write
    may be that a shard does not cover yet, and whether indexers run always or at set times.
    """

    shards: int
    replicas: int
    metrics_period_seconds: int = 60
    snapshot_seconds: int = SNAPSHOT_SECONDS
    access_keys: str = ""
    lag_seconds: float = slo.LAG_SECONDS
    indexing: Literal["realtime", "batch"] = "realtime"


class Parameters(msgspec.Struct, frozen=True):
    """The fleet's configuration, one SSM parameter per field; `access` stands in the one of `embedding`."""

    storage: Storage
    embedding: Embedding
    chunking: Chunking
    index: IndexParameters
    fleet: FleetShape
    access: Access = Access()

    def recipe(self, fingerprint: str = "") -> Recipe:
        """The recipe that a build of this configuration has; without a fingerprint where no model is at hand."""
        return Recipe(self.embedding, self.chunking, self.index, self.fleet.shards, fingerprint)


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process's place in the fleet. Those of `tls` are files; service.tls says what they do."""

    fleet: str
    role: str
    slot: str
    parameters: str
    shard: int = 0
    replica: str = ""
    host: str = "0.0.0.0"
    port: int = 8080
    instance: str = "local"
    zone: str = ""
    data: str = "/var/lib/vectorfleet"
    lifecycle_hook: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_authority: str = ""
    model_folder: str = ""

    @property
    def data_folder(self) -> Path:
        """The instance's disk: a cache, empty after a replacement."""
        return Path(self.data)

    def access(self, parameters: Parameters) -> Access:
        """The way to the model: as the fleet's parameters say, or in this machine's folder."""
        return msgspec.structs.replace(parameters.access, folder=self.model_folder)


def process_from_environment() -> Process:
    """This process's place, from VECTORFLEET_* variables; raises BadSettings naming the variable."""
    prefix = "VECTORFLEET_"
    given = {key.removeprefix(prefix).lower(): value for key, value in os.environ.items() if key.startswith(prefix)}
    try:
        return msgspec.convert(given, Process, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(
            f"the environment variables {prefix}* don't describe a process: {error}; needed are at least "
            f"{prefix}FLEET, {prefix}ROLE, {prefix}SLOT and {prefix}PARAMETERS"
        ) from error


def load_parameters(prefix: str) -> Parameters:
    """The fleet's configuration from the SSM parameters below `prefix`."""
    client = aws_client("ssm")
    pages = client.get_paginator("get_parameters_by_path").paginate(Path=prefix)
    found = {item["Name"].rsplit("/", 1)[1]: item["Value"] for page in pages for item in page["Parameters"]}
    return Parameters(
        storage=_decode(found, prefix, "storage", Storage),
        embedding=_decode(found, prefix, "embedding", Embedding),
        access=_decode(found, prefix, "embedding", Access),
        chunking=_decode(found, prefix, "chunking", Chunking),
        index=_checked(prefix, _decode(found, prefix, "index", IndexParameters)),
        fleet=_decode(found, prefix, "fleet", FleetShape),
    )


def _checked(prefix: str, index: IndexParameters) -> IndexParameters:
    if problem := index.problem():
        raise BadSettings(f"parameter {prefix}/index: {problem}")
    return index


def _decode(found: dict[str, str], prefix: str, name: str, shape: type[T]) -> T:
    if name not in found:
        raise BadSettings(f"parameter {prefix}/{name} is missing; there are {sorted(found) or 'none'}")
    try:
        return msgspec.json.decode(found[name], type=shape)
    except msgspec.MsgspecError as error:
        raise BadSettings(f"parameter {prefix}/{name} is {found[name]!r}: {error}") from error
