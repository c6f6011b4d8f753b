"""Settings of a process: its role from the environment, the fleet's configuration from SSM parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from infra.facts import slo
from service.embedding.model import Access
from service.storage.builds import Chunking, Embedding, IndexParameters, Recipe
from service.storage.objects import aws_client

T = TypeVar("T")
SNAPSHOT_SECONDS = 6 * 3600


class BadSettings(Exception):
    """A variable or parameter that can't be used; the message names it and says what to set."""


class Storage(msgspec.Struct, frozen=True):
    """Bucket names."""

    documents: str
    index: str
    artifacts: str


class FleetShape(msgspec.Struct, frozen=True):
    """
    A slot's shards and replicas, and its limits.

    `snapshot_seconds` is the longest time until a write is in a snapshot. `access_keys` is the prefix of the
    parameters with the API's keys; without it every request is admitted. `lag_seconds` is the greatest age of a write
    that a shard does not cover. `indexing` says whether indexers run always or at set times. The slot's build ends at
    the documents position `until`, if it has one.
    """

    shards: int
    replicas: int
    metrics_period_seconds: int = 60
    snapshot_seconds: int = SNAPSHOT_SECONDS
    access_keys: str = ""
    lag_seconds: float = slo.LAG_SECONDS
    indexing: Literal["realtime", "batch"] = "realtime"
    until: int | None = None


class Parameters(msgspec.Struct, frozen=True):
    """A slot's configuration, one SSM parameter per field; `access` is in that of `embedding`."""

    storage: Storage
    embedding: Embedding
    chunking: Chunking
    index: IndexParameters
    fleet: FleetShape
    access: Access = Access()

    def recipe(self, fingerprint: str = "") -> Recipe:
        """Return the recipe of a build of this configuration, with the model's fingerprint if it is known."""
        return Recipe(self.embedding, self.chunking, self.index, self.fleet.shards, fingerprint)


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process's place in the fleet. The `tls` ones are files, see service.tls."""

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
        """The folder on the instance's disk: a cache, empty after a replacement."""
        return Path(self.data)

    @property
    def place(self) -> dict[str, str | int]:
        """The process's place in the fleet, for logs and traces."""
        names = ["fleet", "role", "slot", "instance", "zone", *(("shard", "replica") if self.role == "node" else ())]
        return {name: getattr(self, name) for name in names}

    def access(self, parameters: Parameters) -> Access:
        """Return the way to the model: by the fleet's parameters, or in this machine's folder."""
        return msgspec.structs.replace(parameters.access, folder=self.model_folder)


def process_from_environment() -> Process:
    """Return this process's place from VECTORFLEET_* variables; raise BadSettings, which names the variable."""
    prefix = "VECTORFLEET_"
    given = {key.removeprefix(prefix).lower(): value for key, value in os.environ.items() if key.startswith(prefix)}
    try:
        return msgspec.convert(given, Process, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(
            f"the environment variables {prefix}* don't describe a process: {error}; set at least "
            f"{prefix}FLEET, {prefix}ROLE, {prefix}SLOT and {prefix}PARAMETERS"
        ) from error


def load_parameters(prefix: str, slot: str) -> Parameters:
    """
    Load a slot's configuration from the SSM parameters below `prefix`; raise BadSettings.

    Those below `<prefix>/<slot>` come before the fleet's.
    """
    pages = aws_client("ssm").get_paginator("get_parameters_by_path").paginate(Path=prefix, Recursive=True)
    stored = [(*item["Name"].rsplit("/", 1), item["Value"]) for page in pages for item in page["Parameters"]]
    found = {
        name: _Found(f"{folder}/{name}", value)
        for wanted in (prefix, f"{prefix}/{slot}")
        for folder, name, value in stored
        if folder == wanted
    }
    index = _decode(found, prefix, "index", IndexParameters)
    if problem := index.problem():
        raise BadSettings(f"parameter {found['index'].path}: {problem}")
    return Parameters(
        storage=_decode(found, prefix, "storage", Storage),
        embedding=_decode(found, prefix, "embedding", Embedding),
        access=_decode(found, prefix, "embedding", Access),
        chunking=_decode(found, prefix, "chunking", Chunking),
        index=index,
        fleet=_decode(found, prefix, "fleet", FleetShape),
    )


class _Found(NamedTuple):
    path: str
    value: str


def _decode(found: dict[str, _Found], prefix: str, name: str, shape: type[T]) -> T:
    if name not in found:
        raise BadSettings(f"parameter {prefix}/{name} is missing; found: {sorted(found) or 'none'}")
    try:
        return msgspec.json.decode(found[name].value, type=shape)
    except msgspec.MsgspecError as error:
        raise BadSettings(f"parameter {found[name].path} is {found[name].value!r}: {error}") from error
