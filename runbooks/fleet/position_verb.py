"""The verb that finds the documents position at a time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.stack.outputs import Fleet, read_fleet
from runbooks.guard import says_errors
from vectorfleet.options import json_option, outputs_option
from vectorfleet.output import console, print_json, table
from vectorfleet.refusal import Failure, Refusal

if TYPE_CHECKING:
    from service.storage.point_in_time import ResolvedTime


class ZonedTime(click.ParamType[datetime]):
    """An ISO 8601 time with its zone, so that it means the same entry in every zone."""

    name = "TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write one like 2026-11-24T14:05:00Z", param, ctx)
        if found.tzinfo is None:
            self.fail(f"{value!r} has no zone; write {value}Z for UTC, or an offset like {value}+01:00", param, ctx)
        return found


@click.command()
@outputs_option
@click.option("--at", type=ZonedTime(), required=True, help="ISO 8601 with a zone, as 2026-11-24T14:05:00Z.")
@json_option
@says_errors
def position(outputs: Path, at: datetime, as_json: bool) -> None:
    """Find the documents position at a time."""
    found = _resolved(read_fleet(outputs), at)
    if as_json:
        print_json(_described(found), indent=None)
        return
    shown = table("", "position", "written at", "documents")
    for moment in found.around:
        mark = "→" if moment.position == found.position else ""
        shown.add_row(mark, str(moment.position), moment.written_at.isoformat(), str(moment.documents))
    console().print(shown)
    click.echo(
        f"At {at.isoformat()} the documents log ended at position {found.position}; it now ends at {found.head}."
    )


def _resolved(stack: Fleet, at: datetime) -> ResolvedTime:
    # Arrow takes a second to import, and no other verb needs it.
    from service.storage.documents import documents_log
    from service.storage.entry import Damaged
    from service.storage.objects import ObjectStore, StoreError
    from service.storage.point_in_time import position_at

    if not stack.documents_bucket:
        raise Refusal(f"{stack.outputs} lacks the stack output documents_bucket; is it from an older deployment?")
    try:
        return position_at(documents_log(ObjectStore(stack.documents_bucket, stack.aws)), at)
    except (StoreError, Damaged) as error:
        raise Failure(str(error)) from None


def _described(found: ResolvedTime) -> dict[str, object]:
    around = [moment._asdict() | {"written_at": moment.written_at.isoformat()} for moment in found.around]
    return {"position": found.position, "head": found.head, "around": around}
