"""What an instance is told at launch: cloud-config with the role manifest and a thin bootstrap."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.model_files import ModelFiles
from infra.sections import Traces
from infra.wheelhouse import Wheelhouse

ROLE_PATH = "/etc/vectorfleet/role.json"
BOOTSTRAP_PATH = "/usr/local/sbin/vectorfleet-bootstrap"
BOOTSTRAP_SOURCE = Path(__file__).with_name("bootstrap.sh")
USER_DATA_LIMIT_BYTES = 16 * 1024  # EC2's limit, before base64
PROCESS_PORT = 8080
LAUNCH_HOOK = "ready"
EMBEDDERS = ("router", "indexer")
PROGRAMS = {"generator": ("loadtests", "worker")}  # every other process kind is a verb of the service


@dataclass(frozen=True)
class Role:
    """
    One process kind of one slot, and for nodes which replica of which shard.

    `configuration` is a hash of the parameters that it reads at its start: another one makes another launch template.
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
        """The environment the manifest carries, all values strings."""
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
        if self.configuration and self.name not in PROGRAMS:
            environment["VECTORFLEET_CONFIGURATION"] = self.configuration
        return environment | self._traced()

    def _traced(self) -> dict[str, str]:
        """OpenTelemetry's own variables, which the processes and others understand."""
        if self.traces is None or self.traces.endpoint is None or self.name in PROGRAMS:
            return {}
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.traces.endpoint,
            # Whoever calls with a trace of its own has decided for it.
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(self.traces.sample_share),
        }

    def tags(self) -> dict[str, str]:
        """Tags of everything that belongs to the process; routers discover replicas by them."""
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
        """`<fleet>-<slot>-node-0-a` or `<fleet>-<slot>-router`."""
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
    The role manifest: the artifact, what to run from it, and with which environment.

    Wheelhouse and model lie in the same bucket. A rehearsal has no wheelhouse: its instances run with the project's own
    packages. Only those that embed get the model.
    """
    stored = {"artifact": {"bucket": bucket, "key": key, "sha256": sha256}}
    if wheelhouse is not None:
        stored["wheelhouse"] = {"bucket": bucket, "key": wheelhouse.key, "sha256": wheelhouse.sha256}
    if model is not None and role.name in EMBEDDERS:
        stored["model"] = {"bucket": bucket, "key": model.key, "sha256": model.sha256}
    return {
        **stored,
        "argv": ["python", "-m", *PROGRAMS.get(role.name, ("service", role.name))],
        "environment": role.environment(),
    }


def render(role_manifest: Mapping[str, object], bootstrap: str) -> str:
    """The user data in clear. Raises ValueError when EC2 would refuse its length."""
    config = {
        "write_files": [
            {
                "path": ROLE_PATH,
                "permissions": "0644",
                "content": json.dumps(role_manifest, indent=1, sort_keys=True) + "\n",
            },
            {"path": BOOTSTRAP_PATH, "permissions": "0755", "content": bootstrap},
        ],
        "runcmd": [[BOOTSTRAP_PATH]],
    }
    text = "#cloud-config\n" + json.dumps(config) + "\n"
    if len(text.encode()) > USER_DATA_LIMIT_BYTES:
        raise ValueError(
            f"user data has {len(text.encode())} bytes, EC2 takes {USER_DATA_LIMIT_BYTES}: shorten bootstrap.sh"
        )
    return text


def encode(role_manifest: Mapping[str, object]) -> str:
    """User data as a launch template takes it: base64 of `render`."""
    return base64.b64encode(render(role_manifest, BOOTSTRAP_SOURCE.read_text()).encode()).decode()
