"""Clients of the emulated AWS for each provider configuration, with default tags and a count of the calls."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from rehearsal.deployer.errors import DeployError, RefusedError, UnsupportedError
from rehearsal.deployer.stackfile import check_loopback, check_provider, setting
from rehearsal.deployer.state import Properties

READS = ("Describe", "Get", "List", "Head")
# Names of a service in the AWS provider, where the client has another name.
ALIASES = {"elbv2": ("elbv2", "elasticloadbalancingv2", "elb", "lb")}


@dataclass
class Calls:
    """Numbers of API calls: `writes` can change something, `reads` cannot."""

    reads: int = 0
    writes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, operation: str) -> None:
        """Count one call."""
        with self.lock:
            if operation.startswith(READS):
                self.reads += 1
            else:
                self.writes += 1


class Cloud:
    """Clients for one region of one provider configuration. Several threads may use them."""

    def __init__(self, settings: Mapping[str, str], region: str, calls: Calls) -> None:
        self.region = region
        self.calls = calls
        self.account = ""
        self.default_tags: dict[str, str] = (setting(settings, "defaultTags") or {}).get("tags") or {}
        self._settings = settings
        self._endpoints = {k: v for group in setting(settings, "endpoints") or [] for k, v in group.items()}
        self._session = boto3.Session(
            settings.get("accessKey", "test"), settings.get("secretKey", "test"), region_name=region
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service. Raise RefusedError if the configuration has no endpoint for it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connect(service)
            return self._clients[service]

    def call(self, service: str, operation: str, **query: Any) -> Any:
        """Call an operation by its name in the API, such as `CreateVpc`."""
        return getattr(self.client(service), xform_name(operation))(**query)

    def members(self, service: str, operation: str) -> Mapping[str, Any]:
        """Return the shapes of an operation's parameters by name."""
        shape = self.client(service).meta.service_model.operation_model(operation).input_shape
        return shape.members if shape else {}

    def pages(self, service: str, operation: str, path: str, **query: Any) -> list[Any]:
        """Return the items at a JMESPath in all pages of a listing."""
        pages = self.client(service).get_paginator(xform_name(operation)).paginate(**query)
        return list(pages.search(f"{path}[]"))

    def identify(self) -> None:
        """Get the account that answers. Raise RefusedError if the configuration does not allow it."""
        self.account = self.client("sts").get_caller_identity()["Account"]
        allowed = setting(self._settings, "allowedAccountIds")
        if allowed and self.account not in [str(account) for account in allowed]:
            raise RefusedError(f"account {self.account} answers, the stack allows {', '.join(map(str, allowed))} only")

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def _connect(self, service: str) -> Any:
        names = ALIASES.get(service, (service,))
        endpoint = next((self._endpoints[name] for name in names if name in self._endpoints), None)
        if endpoint is None:
            raise RefusedError(
                f"aws:endpoints has none for {names[0]}, so the CLI would call the real service; add it to the stack"
            )
        check_loopback(endpoint)
        config = Config(
            retries={"total_max_attempts": 3, "mode": "standard"},
            max_pool_connections=32,
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=60,
        )
        client = self._session.client(service, endpoint_url=endpoint, config=config)
        client.meta.events.register("before-call", self._counted)
        return client

    def _counted(self, model: Any, **_: object) -> None:
        self.calls.count(model.name)


class Clouds:
    """The clouds of a program, one for each provider and region."""

    def __init__(self, default: Mapping[str, str]) -> None:
        self.calls = Calls()
        self._providers: dict[str, Mapping[str, str]] = {"": default}
        self._clouds: dict[tuple[str, str], Cloud] = {}
        self._lock = threading.Lock()

    def add_provider(self, urn: str, settings: Properties) -> None:
        """Add an explicit provider of the program. It inherits nothing from the stack's configuration.

        Raise UnsupportedError for an unknown setting, RefusedError without a region or local endpoints.
        """
        check_provider(settings, "an explicit provider")
        self._providers[urn] = settings

    def get(self, provider: str = "", region: str = "") -> Cloud:
        """Return the cloud of a provider URN in a region. Both may be empty, for the default ones."""
        settings = self._providers.get(provider)
        if settings is None:
            raise UnsupportedError(f"the provider {provider} is not registered by this program; register it first")
        region = region or settings["region"]
        with self._lock:
            if (provider, region) not in self._clouds:
                cloud = Cloud(settings, region, self.calls)
                self._clouds[provider, region] = cloud
                cloud.identify()
            return self._clouds[provider, region]


def provider_settings(config: Mapping[str, str]) -> dict[str, str]:
    """Return the default provider's settings: the stack's `aws:` configuration without its prefix."""
    return {key.removeprefix("aws:"): value for key, value in config.items() if key.startswith("aws:")}


def check_answers(endpoint: str) -> None:
    """Raise DeployError unless a server accepts connections at the endpoint."""
    parts = urlsplit(endpoint)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=5).close()
    except OSError:
        raise DeployError(
            f"nothing answers at {endpoint}; start the emulated AWS with `python -m rehearsal emulate` and try again"
        ) from None


def missing(error: ClientError) -> bool:
    """Tell whether an error means that the resource does not exist."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    # ELB: LoadBalancerNotFound; EC2: InvalidVpcID.NotFound; IAM: NoSuchEntity; S3: NoSuchBucketPolicy, 404.
    if code in ("404", "ResourceNotFound", "ResourceNotFoundException"):
        return True
    return code.startswith("NoSuch") or "NotFound" in code
