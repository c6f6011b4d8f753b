"""A deployed stack as a runbook sees it: the outputs, and clients for the AWS that it stands on."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from service.client import find_key

OUTPUTS_VARIABLE = "VECTORFLEET_OUTPUTS"
DEFAULT_OUTPUTS = Path(".rehearsal/outputs.json")
NEEDED = ("fleet", "region", "slot", "endpoint", "shards", "cells", "alarms")


class StackError(Exception):
    """The outputs can't be used; the message says what to do."""


@dataclass(frozen=True)
class Cell:
    """One replica's Auto Scaling group."""

    shard: int
    replica: str
    zone: str
    group: str


@dataclass(frozen=True)
class Stack:
    """What `pulumi stack output --json` says, as far as runbooks need it.

    `aws_endpoint` is None on AWS itself. `alarms` maps keys to alarm names.
    """

    outputs: Path
    fleet: str
    region: str
    slot: str
    endpoint: str
    shards: int
    cells: tuple[Cell, ...]
    alarms: Mapping[str, str]
    aws_endpoint: str | None
    documents_bucket: str = ""
    index_bucket: str = ""
    indexer_group: str = ""
    vault_bucket: str = ""

    def cells_of(self, shards: list[int] | None) -> list[Cell]:
        """Cells of the given shards, of all when None."""
        return [cell for cell in self.cells if shards is None or cell.shard in shards]

    def aws(self, service: str, *, attempts: int = 4, region: str = "") -> Any:
        """Make a boto3 client with short time-outs, of another region than the stack's if asked for."""
        return boto3.client(service, **self._client_arguments(attempts, region or self.region))

    @property
    def is_loopback(self) -> bool:
        """Whether both the service and the AWS behind it are on this machine."""
        return is_loopback(self.endpoint) and self.aws_endpoint is not None and is_loopback(self.aws_endpoint)

    def environment(self) -> dict[str, str]:
        """Return this process's environment, in which a page's commands find this stack and this `python`."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        found = {"PATH": path, OUTPUTS_VARIABLE: str(self.outputs.resolve()), "AWS_REGION": self.region}
        return {**os.environ, **found, **({"AWS_ENDPOINT_URL": self.aws_endpoint} if self.aws_endpoint else {})}

    def _client_arguments(self, attempts: int, region: str) -> dict[str, Any]:
        # A runbook must not hang on one call.
        arguments: dict[str, Any] = {
            "region_name": region,
            "endpoint_url": self.aws_endpoint,
            "config": Config(
                connect_timeout=5, read_timeout=20, retries={"total_max_attempts": attempts, "mode": "standard"}
            ),
        }
        # The emulated AWS takes any key; asking for a real one there would be the wrong kind of care.
        if self.aws_endpoint and is_loopback(self.aws_endpoint) and "AWS_ACCESS_KEY_ID" not in os.environ:
            arguments |= {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return arguments


def read_stack(path: Path, aws_endpoint: str | None = None) -> Stack:
    """Read the stack outputs. Raises StackError.

    The AWS endpoint is the one given, else AWS_ENDPOINT_URL, else the emulator's whose `emulator.json`
    lies beside the outputs, else AWS itself. VECTORFLEET_ENDPOINT is another way to the API than the outputs name, such
    as a tunnel. The API's key is found likewise (service.client.find_key).
    """
    outputs = _read_outputs(path)
    find_key(path)
    return Stack(
        outputs=path,
        fleet=outputs["fleet"],
        region=outputs["region"],
        slot=outputs["slot"],
        endpoint=os.environ.get("VECTORFLEET_ENDPOINT") or outputs["endpoint"],
        shards=int(outputs["shards"]),
        cells=tuple(
            Cell(int(cell["shard"]), cell["replica"], cell["zone"], cell["group"]) for cell in outputs["cells"]
        ),
        alarms=outputs["alarms"],
        aws_endpoint=aws_endpoint or os.environ.get("AWS_ENDPOINT_URL") or _emulator_endpoint(path),
        documents_bucket=str(outputs.get("documents_bucket", "")),
        index_bucket=str(outputs.get("index_bucket", "")),
        indexer_group=str(outputs.get("indexer_group", "")),
        vault_bucket=str(outputs.get("vault_bucket") or ""),
    )


def _read_outputs(path: Path) -> dict[str, Any]:
    try:
        outputs = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StackError(
            f"{path} is not there. Write the stack's outputs with `pulumi stack output --json > outputs.json` "
            f"and name the file with --outputs or {OUTPUTS_VARIABLE}"
        ) from None
    except (OSError, ValueError) as error:
        raise StackError(f"{path} can't be read as JSON: {error}") from error
    missing = [name for name in NEEDED if not isinstance(outputs, dict) or name not in outputs]
    if missing:
        raise StackError(f"{path} lacks the stack outputs {', '.join(missing)}; is it from an older deployment?")
    return dict(outputs)


def _emulator_endpoint(outputs: Path) -> str | None:
    emulator = outputs.with_name("emulator.json")
    if not emulator.exists():
        return None
    endpoint: str = json.loads(emulator.read_text(encoding="utf-8"))["endpoint"]
    return endpoint


def is_loopback(url: str) -> bool:
    """Whether a URL's host is a loopback address or `localhost`; names are not looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
