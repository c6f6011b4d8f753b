"""The page of a plan: its tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from infra.facts.instance_types import BY_NAME, PRICES_AS_OF, PRICES_REGION
from infra.planning import cost
from infra.planning.memory import total_bytes
from infra.planning.plan import Plan, Plans
from infra.planning.recovery import EC2_BOOT, LOCAL_BOOT
from vectorfleet.output import console as wide_console

GB = 1e9
ON_EC2 = (
    "The objective counts from the fault to an answer on this machine, whose loopback network the stack has. "
    f"On EC2 detection, launch and installation alone would take {EC2_BOOT.seconds:g} s."
)


def show_plans(plans: Plans, console: Console | None = None) -> None:
    """Print the plan of each slot, named if there are two, and the monthly cost of all."""
    out = console or wide_console()
    for slot, plan in plans.items():
        if len(plans) > 1:
            out.print(f"Slot {slot}", style="bold", highlight=False)
        _show(plan, out)
    out.print(_cost(plans))


def _show(plan: Plan, out: Console) -> None:
    """Print formula, measured model, fleet, capacity, recovery, the loss of a zone and runners-up."""
    out.print(_formula(plan))
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


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / GB:,.1f} GB" if size_bytes >= GB / 10 else f"{size_bytes / 1e6:,.1f} MB"


def _formula(plan: Plan) -> Table:
    steps = (
        ("floor: vectors × dims × 4 B", plan.ram.floor_bytes),
        ("index: × 2", plan.ram.index_bytes),
        ("recommended: × 1.5", plan.ram.recommended_bytes),
    )
    rows = [(step, f"{size_bytes:,}", _gigabytes(size_bytes)) for step, size_bytes in steps]
    return _table("Memory by the formula", ("step", "bytes", ""), rows)


def _model(plan: Plan) -> Table:
    rows = [(term.name, f"{term.bytes:,}", term.meaning) for term in plan.terms]
    total = total_bytes(plan.terms)
    title = f"Memory by the measured model, {plan.workload.index}"
    return _table(title, ("term", "bytes", "what it pays for"), rows, ("total", f"{total:,}", _gigabytes(total)))


def _fleet(plan: Plan) -> Table:
    disk, peak = plan.disk, plan.workload.peak_queries_per_second
    rows = [
        (
            "shards",
            str(plan.shards),
            f"{_gigabytes(plan.shard_bytes)} needed of {_gigabytes(plan.usable_bytes)} usable",
        ),
        ("replicas", str(plan.replicas), f"one per zone; {peak:g} queries/s fit with one zone lost"),
        ("cells", str(plan.cells), plan.instance_type),
        ("routers", str(plan.routers), f"over {len(plan.workload.zones)} zones"),
        (
            "disk",
            f"{disk.size_gib} GiB",
            f"gp3, two generations and the system; {disk.throughput_mibps} MiB/s, {disk.iops:,} IOPS",
        ),
    ]
    return _table("Fleet", ("what", "how many", "why"), rows)


def _capacity(plan: Plan) -> Table:
    work = plan.workload
    processes = (
        ("replica", plan.replica_queries_per_second, plan.instance_type, work.replica),
        ("router", work.router_queries_per_second, work.services.router_type, work.router),
    )
    rows = [
        (
            process,
            f"{planned:,.0f}",
            f"{name}, {BY_NAME[name].vcpus} vCPUs",
            f"{measured.queries_per_second:g} on {measured.vcpus} vCPUs",
            measured.source,
        )
        for process, planned, name, measured in processes
    ]
    return _table("Capacity of one process", ("process", "queries/s", "here on", "scaled from", "source"), rows)


def _condition(plan: Plan) -> str:
    return (
        f"A replica is scaled by its vCPUs, up to what one event loop does; a router never carries more than it was "
        f"measured to. Both must have been measured at P95 < {plan.workload.retrieval_p95_ms:g} ms: nothing here turns "
        f"one latency into another."
    )


def _recovery(plan: Plan) -> Table:
    recovery, burden = plan.recovery, plan.recovery.burden
    snapshot, log = _gigabytes(burden.snapshot_bytes), _gigabytes(burden.log_bytes)
    reasons = {
        "detect": recovery.boot.detect_reason,
        "launch": "assumed",
        "install": "assumed",
        "download": f"{snapshot} of snapshot, {log} of log at {recovery.download_mibps:,.0f} MiB/s",
        "verify": "every file's sha256, one core",
        "load": "and canaries",
        "replay": f"{burden.log_rows:,} rows written since in {burden.log_entries:,} entries, at most",
    }
    rows = [(step, f"{seconds:,.1f}", reasons[step]) for step, seconds in recovery.steps.items()]
    within = f"within the objective of {plan.workload.recovery_time_seconds} s"
    total = ("total", f"{recovery.seconds:,.1f}", within)
    return _table("A lost replica is back after", ("step", "seconds", ""), rows, total)


def _zones(plan: Plan) -> Table:
    rows = []
    for loss in plan.zone_losses:
        replicas = "1 replica" if loss.replicas_left == 1 else f"{loss.replicas_left} replicas"
        left = (
            f"{replicas} of each of its shards, {plan.routers - loss.routers_lost} of {plan.routers} routers: "
            f"{loss.queries_per_second:,.0f} queries/s"
        )
        rows.append((loss.zone, str(loss.cells_lost), left))
    return _table("If a zone goes", ("zone", "cells lost", "what is left"), rows)


def _runners_up(plan: Plan) -> Table:
    rows = [
        (one.instance_type, "-" if one.shards is None else f"{one.shards} × {one.replicas}", one.reason)
        for one in plan.runners_up
    ]
    return _table("Not chosen", ("type", "shards × replicas", "because"), rows)


def _cost(plans: Plans) -> Table:
    bill = cost.lines(plans)
    rows = [
        (
            f"{line.slot}: {line.item}" if line.slot and len(plans) > 1 else line.item,
            f"{line.usd_per_month:,.2f}",
            line.quantity,
        )
        for line in bill
    ]
    title = f"Monthly cost, list prices of {PRICES_AS_OF} in {PRICES_REGION}"
    return _table(title, ("item", "USD", "quantity"), rows, ("total", f"{cost.total(bill):,.2f}", cost.NOT_INCLUDED))


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], total: Iterable[str] = ()) -> Table:
    """Return a table whose second column has figures; a `total` is its last row."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number == 1 else "left")
    for row in rows:
        table.add_row(*row)
    if total:
        table.add_row(*total, style="bold")
    return table
