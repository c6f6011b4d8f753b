"""User data of an instance: cloud-config with the role manifest and a thin bootstrap."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.boot.model_files import ModelFiles
from infra.boot.wheelhouse import Wheelhouse
from infra.configuration.settings_sections import Traces

ROLE_PATH = "/etc/vectorfleet/role.json"
BOOTSTRAP_PATH = "/usr/local/sbin/vectorfleet-bootstrap"
BOOTSTRAP_SOURCE = Path(__file__).with_name("bootstrap.sh")
USER_DATA_LIMIT_BYTES = 16 * 1024  # EC2's limit, before base64
PROCESS_PORT = 8080
LAUNCH_HOOK = "ready"
EMBEDDERS = ("router", "indexer")
VERBS = {"generator": "worker"}  # every other role is its own verb


@dataclass(frozen=True)
class Role:
    """
    The role of an instance in one slot; a node also has its shard and replica.

    `configuration` is a hash of the parameters that the process reads at its start, so that a change of them makes
    another launch template.
    """

    name: str
    fleet: str
    slot: str
    region: str
    parameters: str
    shard: int | None = None
    replica: str | None = None
    traces: Traces | None = None
    configuration: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment of the process."""
        environment = {
            "VECTORFLEET_FLEET": self.fleet,
            "VECTORFLEET_ROLE": self.name,
            "VECTORFLEET_SLOT": self.slot,
            "VECTORFLEET_PARAMETERS": self.parameters,
            "VECTORFLEET_PORT": str(PROCESS_PORT),
            "AWS_REGION": self.region,
        }
        if self.shard is not None and self.replica is not None:
            environment |= {
                "VECTORFLEET_SHARD": str(self.shard),
                "VECTORFLEET_REPLICA": self.replica,
                "VECTORFLEET_LIFECYCLE_HOOK": LAUNCH_HOOK,
            }
        if self.name in VERBS:
            return environment
        if self.configuration:
            environment["VECTORFLEET_CONFIGURATION"] = self.configuration
        if self.traces is not None and self.traces.endpoint is not None:
            environment |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.traces.endpoint,
                # A caller with a trace has already decided whether it is sampled.
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": str(self.traces.sample_share),
            }
        return environment

    def tags(self) -> dict[str, str]:
        """Return the tags of instance, volume and network interface; routers discover replicas by them."""
        tags = {
            "Name": self.title,
            "vectorfleet:fleet": self.fleet,
            "vectorfleet:role": self.name,
            "vectorfleet:slot": self.slot,
        }
        if self.shard is not None and self.replica is not None:
            tags |= {"vectorfleet:shard": str(self.shard), "vectorfleet:replica": self.replica}
        return tags

    @property
    def title(self) -> str:
        """Return `<fleet>-<slot>-node-0-a` or `<fleet>-<slot>-router`."""
        place = "" if self.shard is None else f"-{self.shard}-{self.replica}"
        return f"{self.fleet}-{self.slot}-{self.name}{place}"


def manifest(
    role: Role,
    *,
    bucket: str,
    key: str,
    sha256: str,
    wheelhouse: Wheelhouse | None = None,
    model: ModelFiles | None = None,
) -> dict[str, object]:
    """
    Return the role manifest: the artifact, the command to run from it, and its environment.

    Wheelhouse and model lie in the same bucket. A rehearsal has no wheelhouse, since its instances use the project's
    own packages. Only roles that embed get the model.
    """
    objects = {"artifact": {"bucket": bucket, "key": key, "sha256": sha256}}
    if wheelhouse is not None:
        objects["wheelhouse"] = {"bucket": bucket, "key": wheelhouse.key, "sha256": wheelhouse.sha256}
    if model is not None and role.name in EMBEDDERS:
        objects["model"] = {"bucket": bucket, "key": model.key, "sha256": model.sha256}
    verb = VERBS.get(role.name, role.name)
    return {**objects, "argv": ["python", "-m", "vectorfleet", verb], "environment": role.environment()}


def render(role_manifest: Mapping[str, object], bootstrap: str) -> str:
    """Return the user data as text. Raises ValueError if it is longer than EC2 allows."""
    role = json.dumps(role_manifest, indent=1, sort_keys=True) + "\n"
    config = {
        "write_files": [
            {"path": ROLE_PATH, "permissions": "0644", "content": role},
            {"path": BOOTSTRAP_PATH, "permissions": "0755", "content": bootstrap},
        ],
        "runcmd": [[BOOTSTRAP_PATH]],
    }
    text = "#cloud-config\n" + json.dumps(config) + "\n"
    size = len(text.encode())
    if size > USER_DATA_LIMIT_BYTES:
        raise ValueError(
            f"The user data has {size} bytes, and EC2 takes {USER_DATA_LIMIT_BYTES}; shorten bootstrap.sh."
        )
    return text


def encode(role_manifest: Mapping[str, object]) -> str:
    """Return the user data for a launch template: base64 of `render`."""
    return base64.b64encode(render(role_manifest, BOOTSTRAP_SOURCE.read_text()).encode()).decode()
