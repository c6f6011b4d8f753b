"""The replicas as the routers see them, for verbs that must not touch an incomplete shard."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from infra.operations.roll import RefreshError
from infra.stack.outputs import Stack
from vectorfleet.slots import slot_header

TIMEOUT_SECONDS = 5.0
# Waiting mends neither an unknown host name nor a certificate for another one.
_REMEDY = (
    "Is hostname the name that the certificate is for, and does it lead to the load balancer? Another way in is "
    "VECTORFLEET_ENDPOINT, SSL_CERT_FILE names an authority of your own"
)


class SeenReplicas:
    """Implements `infra.operations.roll.Replicas` by GET /v1/status."""

    def __init__(self, stack: Stack) -> None:
        self._url = f"{stack.endpoint.rstrip('/')}/v1/status"
        self._cells = stack.cells
        self._headers = ({"Authorization": f"Bearer {stack.key}"} if stack.key else {}) | slot_header(stack.slot)

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        """Return ready instances by replica, none without an answer. Raises RefreshError without key or route."""
        shards = self._status().get("shards")
        if shards is None:
            return {}
        seen = [row for entry in shards if entry["shard"] == shard for row in entry["replicas"] if row["ready"]]
        names = [cell.replica for cell in self._cells if cell.shard == shard]
        return {name: frozenset(row["instance"] for row in seen if row["replica"] == name) for name in names}

    def indexers(self) -> Mapping[str, str] | None:
        """Return each indexer's state by instance, None if unknown. Raises RefreshError as `ready` does."""
        found = self._status().get("indexers")
        return None if found is None else {row["instance"]: row["state"] for row in found}

    def refusal(self) -> str:
        """Return why the build refuses the configuration, empty if it does not. Raises as `ready` does."""
        return str(self._status().get("misconfigured") or "")

    def _status(self) -> Mapping[str, Any]:
        """Return the status; empty without an answer."""
        try:
            asked = urllib.request.Request(self._url, headers=self._headers)
            with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise RefreshError(
                        "The routers require a key: set VECTORFLEET_KEY, or keep one beside the outputs with "
                        "`vectorfleet keys create NAME --save`"
                    ) from None
            return {}
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError | socket.gaierror):
                raise RefreshError(f"{self._url} can't be reached: {error.reason}. {_REMEDY}") from None
            return {}
        except (OSError, ValueError, TypeError):
            return {}
