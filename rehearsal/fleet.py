"""The fleet of a rehearsal: its stack applied, its key taken, its status awaited and shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rich.table import Table

from infra.configuration.settings import Settings
from infra.configuration.stack_file import own_values, stack_config
from infra.configuration.stack_settings import settings_from
from infra.operations.access_keys import AccessKeyError, AccessKeys
from infra.stack.outputs import read_fleet
from rehearsal import deployer
from rehearsal.narrator import Narrator
from rehearsal.session import Session
from service.client import Client, ServiceError, Unanswered
from vectorfleet.api_key import KEY_FILE, KEY_VARIABLE, save_key
from vectorfleet.output import table
from vectorfleet.waiting import until

STACK = "rehearsal"
KEY_NAME = "rehearsal"
READY_SECONDS = 120.0
POLL_SECONDS = 0.25
# Below this a node doesn't rebuild its base when it is quiet; see service.index.rebuild_policy.
SETTLED_DELTA_ROWS = 500

Status = dict[str, Any]


class NotReachedError(Exception):
    """The fleet did not reach a state in time; the message has the last state."""


def stack_settings() -> Settings:
    """Read the settings of Pulumi.rehearsal.yaml; raises ConfigError."""
    return settings_from(own_values(stack_config(STACK)))


def apply(
    session: Session,
    narrator: Narrator,
    bar_name: str = "resources",
    config: Mapping[str, str] = MappingProxyType({}),
) -> deployer.Summary:
    """Apply the program with a progress bar, with `config` over the stack file. Raises DeployError."""
    with narrator.steps(bar_name) as bar:
        report = lambda step: bar(step.done, step.expected)  # noqa: E731
        return deployer.up(STACK, session.root, session.endpoint, report, config=config)


def take_key(session: Session) -> None:
    """Give this process and its children the API key in the state folder; create the key if it is missing."""
    path = session.root / KEY_FILE
    if not path.exists():
        save_key(session.outputs, _fresh_key(AccessKeys(read_fleet(session.outputs))))
    os.environ[KEY_VARIABLE] = path.read_text(encoding="utf-8").strip()


def _fresh_key(keys: AccessKeys) -> str:
    try:
        return keys.create(KEY_NAME, "write")
    except AccessKeyError:
        # The file is lost, and AWS keeps only a digest of the key.
        keys.revoke(KEY_NAME)
        return keys.create(KEY_NAME, "write")


def replicas(status: Status) -> list[dict[str, Any]]:
    return [replica for shard in status["shards"] for replica in shard["replicas"]]


def await_ready(outputs: dict[str, Any]) -> dict[str, Status]:
    """Wait until every replica of each slot is ready; return the status by slot. Raises NotReachedError."""
    return {
        slot: _await_slot(outputs["endpoint"], slot, int(own["replicas"])) for slot, own in outputs["slots"].items()
    }


def _await_slot(endpoint: str, slot: str, replicas: int) -> Status:
    client = Client(endpoint, slot=slot)
    return await_status(client, lambda status: all_ready(status, replicas), f"a ready slot {slot}", READY_SECONDS)


def await_status(client: Client, reached: Callable[[Status], bool], what: str, timeout_seconds: float) -> Status:
    """Poll /v1/status until `reached`. Raises NotReachedError, which names `what` and the last state."""
    last = "no answer"

    def look() -> Status | None:
        nonlocal last
        try:
            status = client.status()
        except (ServiceError, Unanswered) as error:
            last = str(error)
            return None
        last = described(status)
        return status if reached(status) else None

    status = until(look, timeout_seconds, POLL_SECONDS)
    if status is None:
        raise NotReachedError(f"{what} was not reached in {timeout_seconds:g} s; last seen: {last}")
    return status


def described(status: Status) -> str:
    parts = [
        f"{shard['shard']}{replica['replica']} {'ready' if replica['ready'] else 'not ready'} at {replica['position']}"
        for shard in status["shards"]
        for replica in shard["replicas"]
    ]
    return f"head {status['head']}; {', '.join(parts) or 'no replica'}"


def replica_table(status: Status) -> Table:
    names = ("replica", "zone", "instance", "address", "ready", "position", "generation", "rows")
    shown = table("shard", *names[:-1], "chunks")
    for shard in status["shards"]:
        for replica in shard["replicas"]:
            shown.add_row(str(shard["shard"]), *(str(replica[name]) for name in names))
    return shown


def all_ready(status: Status, replicas_per_shard: int) -> bool:
    return all(
        len(shard["replicas"]) == replicas_per_shard and all(replica["ready"] for replica in shard["replicas"])
        for shard in status["shards"]
    )


def settled(status: Status, position: int) -> bool:
    """Return whether every replica serves `position` from a base, where it has enough rows for one."""
    return all(
        replica["ready"]
        and replica["position"] >= position
        and (replica["generation"] > 0 or replica["rows"] < SETTLED_DELTA_ROWS)
        and replica["delta_rows"] < SETTLED_DELTA_ROWS
        for replica in replicas(status)
    )


def replicas_agree(status: Status) -> bool:
    """Return whether the replicas of each shard have the same digest at the same position."""
    return all(
        len({(replica["position"], replica["digest"]) for replica in shard["replicas"]}) == 1
        for shard in status["shards"]
    )
