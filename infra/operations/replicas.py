"""What the fleet's routers say of its replicas, for verbs that must not touch a shard that is not whole."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from infra.operations.outputs import Cell
from infra.operations.roll import RefreshError

TIMEOUT_SECONDS = 5.0
# Waiting mends neither a name that leads nowhere nor a certificate for another one.
_REMEDY = (
    "Is hostname the name that the certificate is for, and does it lead to the load balancer? Another way in is "
    "VECTORFLEET_ENDPOINT, SSL_CERT_FILE names an authority of your own"
)


class SeenReplicas:
    """Implements `infra.operations.roll.Replicas` by GET /v1/status."""

    def __init__(self, endpoint: str, cells: Sequence[Cell], key: str) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/status"
        self._cells = cells
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ready(self, shard: int) -> Mapping[str, frozenset[str]]:
        """Ready instances by the shard's replicas; none when nobody answers. Raises RefreshError without key or way."""
        shards = self._status().get("shards")
        if shards is None:
            return {}
        seen = [row for entry in shards if entry["shard"] == shard for row in entry["replicas"] if row["ready"]]
        names = [cell.replica for cell in self._cells if cell.shard == shard]
        return {name: frozenset(row["instance"] for row in seen if row["replica"] == name) for name in names}

    def indexers(self) -> Mapping[str, str] | None:
        """The state of each indexer by its instance; None where no router says. Raises RefreshError as `ready` does."""
        found = self._status().get("indexers")
        return None if found is None else {row["instance"]: row["state"] for row in found}

    def refusal(self) -> str:
        """Ask what the build refuses of the configuration; empty where nobody says. Raises as `ready` does."""
        return str(self._status().get("misconfigured") or "")

    def _status(self) -> Mapping[str, Any]:
        """The answer; empty when there is none."""
        try:
            asked = urllib.request.Request(self._url, headers=self._headers)
            with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise RefreshError(
                        "The routers want a key: set VECTORFLEET_KEY, or keep one beside the outputs with "
                        "`python -m infra keys create NAME --save`"
                    ) from None
            return {}
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError | socket.gaierror):
                raise RefreshError(f"{self._url} can't be reached: {error.reason}. {_REMEDY}") from None
            return {}
        except (OSError, ValueError, TypeError):
            return {}
