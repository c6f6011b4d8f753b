"""A plan as a person reads it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from infra import cost
from infra.catalog import BY_NAME, PRICES_AS_OF, PRICES_REGION
from infra.plan import Plan, RunnerUp
from infra.restore import EC2_BOOT, LOCAL_BOOT, Restore
from infra.sizing import Ram, total_bytes
from vectorfleet.output import console as wide_console

GB = 1e9
ON_EC2 = (
    "The objective counts from the fault to an answer on this machine, whose loopback network the stack has. "
    f"On EC2 detection, launch and installation alone would take {EC2_BOOT.seconds:g} s."
)


def show_plan(plan: Plan, console: Console | None = None) -> None:
    """Print formula, measured model, fleet, capacity, recovery, the loss of a zone, runners-up and monthly cost."""
    out = console or wide_console()
    out.print(_formula(plan.ram))
    out.print(_model(plan))
    if plan.note:
        out.print(plan.note, highlight=False)
    out.print(_fleet(plan))
    out.print(_capacity(plan))
    out.print(_condition(plan), highlight=False)
    out.print(_recovery(plan))
    if plan.workload.boot == LOCAL_BOOT:
        out.print(ON_EC2, highlight=False)
    out.print(_zones(plan))
    if plan.runners_up:
        out.print(_runners_up(plan))
    out.print(_cost(plan))


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
    table.add_row("cells", str(plan.cells), plan.instance_type)
    table.add_row("routers", str(plan.routers), f"over {len(plan.workload.zones)} zones")
    disk = plan.disk
    table.add_row(
        "disk",
        f"{disk.size_gib} GiB",
        f"gp3, two generations and the system; {disk.throughput_mibps} MiB/s, {disk.iops:,} IOPS",
    )
    return table


def _peak(plan: Plan) -> str:
    work = plan.workload
    return f"one per zone; {work.peak_queries_per_second:g} queries/s fit with one zone lost"


def _capacity(plan: Plan) -> Table:
    work = plan.workload
    table = _table("Capacity of one process", "process", "queries/s", "here on", "scaled from", "source")
    for process, planned, name, measured in (
        ("replica", plan.replica_queries_per_second, plan.instance_type, work.replica),
        ("router", work.router_queries_per_second, work.services.router_type, work.router),
    ):
        here = f"{name}, {BY_NAME[name].vcpus} vCPUs"
        scaled = f"{measured.queries_per_second:g} on {measured.vcpus} vCPUs"
        table.add_row(process, f"{planned:,.0f}", here, scaled, measured.source)
    return table


def _condition(plan: Plan) -> str:
    return (
        f"A replica is scaled by its vCPUs, up to what one event loop does; a router never carries more than it was "
        f"measured to. Both must have been measured at P95 < {plan.workload.retrieval_p95_ms:g} ms: nothing here turns "
        f"one latency into another."
    )


def _recovery(plan: Plan) -> Table:
    restore, objective = plan.restore, plan.workload.recovery_time_seconds
    table = _table("A lost replica is back after", "step", "seconds", "")
    for step, seconds, why in (
        ("detect", restore.detect_seconds, plan.workload.boot.detect_reason),
        ("launch", restore.launch_seconds, "assumed"),
        ("install", restore.install_seconds, "assumed"),
        ("download", restore.download_seconds, _downloaded(restore)),
        ("verify", restore.verify_seconds, "every file's sha256, one core"),
        ("load", restore.load_seconds, "and canaries"),
        ("replay", restore.replay_seconds, _replayed(restore)),
    ):
        table.add_row(step, f"{seconds:,.1f}", why)
    table.add_row("total", f"{restore.seconds:,.1f}", f"within the objective of {objective} s", style="bold")
    return table


def _replayed(restore: Restore) -> str:
    return f"{restore.log_rows:,} rows written since in {restore.log_entries:,} entries, at most"


def _downloaded(restore: Restore) -> str:
    snapshot, log = _gigabytes(restore.snapshot_bytes), _gigabytes(restore.log_bytes)
    return f"{snapshot} of snapshot, {log} of log at {restore.download_mibps:,.0f} MiB/s"


def _zones(plan: Plan) -> Table:
    table = _table("If a zone goes", "zone", "cells lost", "what is left")
    for loss in plan.zone_losses:
        replicas = "1 replica" if loss.replicas_left == 1 else f"{loss.replicas_left} replicas"
        left = (
            f"{replicas} of each of its shards, {plan.routers - loss.routers_lost} of {plan.routers} routers: "
            f"{loss.queries_per_second:,.0f} queries/s"
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
    table.add_row("total", f"{cost.total(bill):,.2f}", cost.NOT_INCLUDED, style="bold")
    return table


def _table(title: str, name: str, figure: str, *texts: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(name)
    table.add_column(figure, justify="right")
    for text in texts:
        table.add_column(text)
    return table
