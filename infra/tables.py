"""A plan as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from infra import cost
from infra.catalog import PRICES_AS_OF, PRICES_REGION
from infra.plan import Plan, RunnerUp
from infra.sizing import Ram, total_bytes

GB = 1e9
PIPE_WIDTH = 120


def show_plan(plan: Plan, console: Console | None = None) -> None:
    """Print formula, measured model, fleet, recovery, the loss of a zone, runners-up and monthly cost."""
    out = console or _wide_where_nobody_looks()
    out.print(_formula(plan.ram))
    out.print(_model(plan))
    if plan.note:
        out.print(plan.note, highlight=False)
    for table in (_fleet(plan), _recovery(plan), _zones(plan)):
        out.print(table)
    if plan.runners_up:
        out.print(_runners_up(plan))
    out.print(_cost(plan))


def _wide_where_nobody_looks() -> Console:
    """A pipe has no width, and rich's 80 columns would break what a reader searches for."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PIPE_WIDTH)


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / GB:,.1f} GB" if size_bytes >= GB / 10 else f"{size_bytes / 1e6:,.1f} MB"


def _formula(ram: Ram) -> Table:
    table = _table("Memory by the formula", "step", "bytes", "")
    steps = (
        ("floor: vectors × dims × 4 B", ram.floor_bytes),
        ("index: × 2", ram.index_bytes),
        ("recommended: × 1.5", ram.recommended_bytes),
    )
    for step, size_bytes in steps:
        table.add_row(step, f"{size_bytes:,}", _gigabytes(size_bytes))
    return table


def _model(plan: Plan) -> Table:
    table = _table(f"Memory by the measured model, {plan.workload.index}", "term", "bytes", "what it pays for")
    for term in plan.terms:
        table.add_row(term.name, f"{term.bytes:,}", term.meaning)
    total = total_bytes(plan.terms)
    table.add_row("total", f"{total:,}", _gigabytes(total), style="bold")
    return table


def _fleet(plan: Plan) -> Table:
    table = _table("Fleet", "what", "how many", "why")
    per_shard = f"{_gigabytes(plan.shard_bytes)} needed of {_gigabytes(plan.usable_bytes)} usable"
    table.add_row("shards", str(plan.shards), per_shard)
    table.add_row("replicas", str(plan.replicas), _peak(plan))
    table.add_row("cells", str(plan.shards * plan.replicas), plan.instance_type)
    table.add_row("routers", str(plan.routers), f"over {len(plan.workload.zones)} zones")
    disk = plan.disk
    table.add_row("disk", f"{disk.size_gib} GiB", f"gp3, {disk.throughput_mibps} MiB/s, {disk.iops:,} IOPS")
    return table


def _peak(plan: Plan) -> str:
    work = plan.workload
    return (
        f"one per zone; {work.peak_queries_per_second:g} queries/s at P95 < {work.retrieval_p95_ms:g} ms "
        "fit with one zone lost"
    )


def _recovery(plan: Plan) -> Table:
    restore, objective = plan.restore, plan.workload.recovery_time_seconds
    table = _table("A lost replica is back after", "step", "seconds", "")
    download = f"{_gigabytes(restore.snapshot_bytes)} at {restore.download_mibps:,.0f} MiB/s"
    for step, seconds, why in (
        ("detect", restore.detect_seconds, "assumed: EC2's status checks"),
        ("launch", restore.launch_seconds, "assumed"),
        ("install", restore.install_seconds, "assumed"),
        ("download", restore.download_seconds, download),
        ("verify", restore.verify_seconds, "every file's sha256, one core"),
        ("load", restore.load_seconds, "and canaries"),
    ):
        table.add_row(step, f"{seconds:,.1f}", why)
    verdict = "within" if restore.seconds <= objective else "LONGER than"
    table.add_row("total", f"{restore.seconds:,.1f}", f"{verdict} the objective of {objective} s", style="bold")
    return table


def _zones(plan: Plan) -> Table:
    table = _table("If a zone goes", "zone", "cells lost", "what is left")
    for loss in plan.zone_losses:
        replicas = "1 replica" if loss.replicas_left == 1 else f"{loss.replicas_left} replicas"
        left = (
            f"{replicas} of each of its shards, {loss.queries_per_second:,.0f} queries/s; "
            f"{plan.routers - loss.routers_lost} of {plan.routers} routers"
        )
        table.add_row(loss.zone, str(loss.cells_lost), left)
    return table


def _runners_up(plan: Plan) -> Table:
    table = _table("Not chosen", "type", "shards × replicas", "because")
    for one in plan.runners_up:
        table.add_row(one.instance_type, _shape(one), one.reason)
    return table


def _shape(one: RunnerUp) -> str:
    return "-" if one.shards is None else f"{one.shards} × {one.replicas}"


def _cost(plan: Plan) -> Table:
    bill = cost.lines(plan)
    table = _table(f"Monthly cost, list prices of {PRICES_AS_OF} in {PRICES_REGION}", "item", "USD", "quantity")
    for line in bill:
        table.add_row(line.item, f"{line.usd_per_month:,.2f}", line.quantity)
    table.add_row("total", f"{cost.total(bill):,.2f}", "without traffic and requests", style="bold")
    return table


def _table(title: str, name: str, figure: str, text: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(name)
    table.add_column(figure, justify="right")
    table.add_column(text)
    return table
