"""The verbs that erase documents and list erasures."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from infra.stack.outputs import Fleet, read_fleet
from runbooks.durations import DURATION
from runbooks.fleet.status import answered, connect
from runbooks.guard import says_errors
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import console, print_json, table
from vectorfleet.refusal import Refusal, failing

# Arrow takes a second to import.
if TYPE_CHECKING:
    from runbooks.fleet.erasure_records import Record


@click.command()
@outputs_option
@click.argument("source_ids", nargs=-1)
@click.option("--collection", default="", help="The documents' collection; by default that outside collections.")
@click.option("--resume", is_flag=True, help="Go on with every erasure that has not ended.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--within", type=DURATION, default="30m", show_default=True, help="Longest wait of a step.")
@json_option
@says_errors
def erase(
    outputs: Path,
    source_ids: tuple[str, ...],
    collection: str,
    resume: bool,
    yes: bool,
    within: float,
    as_json: bool,
) -> None:
    """Erase SOURCE_IDS for ever: from logs, snapshots, memory, old versions.

    Nobody can bring them back. All snapshots before the erasure are deleted; the logs still lead to every position.
    Copies in the vault end with their locks. With --resume it goes on where an earlier call ended. It needs a key of
    role admin, and an administrator of the fleet's AWS account.
    """
    if bool(source_ids) == resume:
        raise Refusal("Name documents to erase, or give --resume to go on with an erasure that has not ended.")
    from runbooks.fleet.erasure import Erasure
    from runbooks.fleet.erasure_records import Record, Records
    from service.storage.entry import Damaged
    from service.storage.objects import StoreError

    fleet, say = read_fleet(outputs), partial(click.echo, err=True)
    with failing(StoreError, Damaged):
        records = Records(fleet)
        if source_ids:
            if not yes:
                click.confirm(f"Erase {len(source_ids)} documents for ever?", abort=True, err=as_json)
            begun = Record(
                id=f"{time.time_ns() // 1_000_000}-{uuid4().hex[:6]}",
                begun_ms=time.time_ns() // 1_000_000,
                count=len({*source_ids}),
                collection=_id_of(fleet, collection),
                source_ids=sorted({*source_ids}),
            )
            wanted = [Erasure(fleet, records, begun, say)]
            records.begin(begun)
        else:
            wanted = [Erasure(fleet, records, record, say) for record in records.all() if not record.done_ms]
        done = [erasure.run(within) for erasure in wanted]
    _show(done, as_json)


@click.command()
@outputs_option
@json_option
@says_errors
def erasures(outputs: Path, as_json: bool) -> None:
    """List the erasures with their states."""
    from runbooks.fleet.erasure_records import Records
    from service.storage.objects import StoreError

    with failing(StoreError):
        _show(Records(read_fleet(outputs)).all(), as_json)


def _id_of(fleet: Fleet, collection: str) -> int:
    return int(answered(lambda: connect(fleet.endpoint).collection(collection))["id"]) if collection else 0


def _show(records: list[Record], as_json: bool) -> None:
    rows = [_row(one) for one in records]
    if as_json:
        print_json(rows)
        return
    shown = table("erasure", "documents", "position", "entries rewritten", "state", "vault until", title="Erasures")
    for row in rows:
        shown.add_row(*(str(value or "-") for value in row.values()))
    console().print(shown)


def _row(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "documents": record.count,
        "position": record.position,
        "rewritten": record.rewritten,
        "state": f"erased {_time(record.done_ms)}" if record.done_ms else f"begun {_time(record.begun_ms)}",
        "vault_until": _time(record.vault_until_ms) if record.vault_until_ms else None,
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
