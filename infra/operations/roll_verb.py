"""The verb `roll`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from infra.operations.deployed import unanswered
from infra.operations.roll import ROLES, Groups, RefreshError, RollOut, Target, targets
from infra.stack.outputs import Stack, StackError, read_stack
from vectorfleet.exit_codes import ExitCode
from vectorfleet.number_types import SHARD, WEEK_SECONDS
from vectorfleet.options import outputs_option, stack_slot_option
from vectorfleet.output import print_json
from vectorfleet.refusal import Failure, Refusal

JUDGING_ALARM = "retrieval_p95"


@click.command()
@outputs_option
@stack_slot_option
@click.option("--shard", "shards", type=SHARD, multiple=True, help="Only cells of this shard; again for more.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, help="Only these groups.  [default: all, cells first]"
)
@click.option(
    "--warm-up", type=click.IntRange(0, 86_400), help="Seconds that old and new serve together.  [default: the alarm's]"
)
@click.option(
    "--bake",
    type=click.IntRange(0, 86_400),
    help="Seconds that the new one is watched without the old.  [default: the alarm's and a period]",
)
@click.option("--within", type=WEEK_SECONDS, default=3600, show_default=True, help="Seconds that a group may take.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="The result as plain JSON; progress goes to standard error.")
def roll(
    outputs: Path,
    slot: str,
    shards: tuple[int, ...],
    roles: tuple[str, ...],
    warm_up: int | None,
    bake: int | None,
    within: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring a slot to its newest launch template, group after group.

    The roll-out stops at the first group that fails, and rolls that group back.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from infra.operations.refreshes import AwsGroups, Proof, proof
    from infra.operations.replicas import SeenReplicas

    try:
        stack = read_stack(outputs, slot=slot)
        order = _order(stack, roles, shards)
        alarm = stack.alarms[JUDGING_ALARM]
        usual = proof(stack, alarm)
        watched = Proof(
            usual.warmup_seconds if warm_up is None else warm_up, usual.bake_seconds if bake is None else bake
        )
        groups = AwsGroups(stack, alarm=alarm, proof=watched)
        if dry_run:
            _show_views(order, groups, as_json=as_json)
            return
        replicas = SeenReplicas(stack)
        result = RollOut(groups, replicas, lambda line: click.echo(line, err=as_json), within_seconds=within).run(order)
    except StackError as error:
        raise Refusal(str(error)) from None
    except (RefreshError, BotoCoreError, ClientError) as error:
        raise Failure(f"{unanswered(error)}. Finished groups stay rolled out; the same call continues.") from None
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(result.render())
    if result.failed:
        sys.exit(ExitCode.FAIL)


def _order(stack: Stack, roles: tuple[str, ...], shards: tuple[int, ...]) -> list[Target]:
    if shards and set(roles) - {"node"}:
        raise Refusal(f"--shard goes with cells alone; --role {', '.join(roles)} has no shards. Leave one of them out.")
    unknown = sorted(set(shards) - {cell.shard for cell in stack.cells})
    if unknown:
        raise Refusal(f"There is no shard {unknown[0]}; the stack has 0 to {max(cell.shard for cell in stack.cells)}.")
    return targets(stack, roles=roles or ROLES, shards=shards)


def _show_views(order: list[Target], groups: Groups, *, as_json: bool) -> None:
    views = {target: groups.view(target.group) for target in order}
    if as_json:
        rows = {
            target.title: asdict(view) | {"is_new": view.is_new(target.types), "wanted_types": target.types}
            for target, view in views.items()
        }
        print_json(rows)
        return
    for target, view in views.items():
        what = "nothing to do" if view.is_new(target.types) else f"{view.own} → {view.newest}"
        types = "" if view.types == target.types else f", {', '.join(view.types)} → {', '.join(target.types)}"
        click.echo(f"{target.title}: {what}{types}")
