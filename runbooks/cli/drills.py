"""Verbs for drills: the whole drill, and its observer alone."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import click

from infra.numbers import SHARD
from runbooks.cli.options import json_option, outputs_option, says_errors
from runbooks.cli.pages import find_page
from runbooks.drills.settings import RB_02, DrillSettings
from runbooks.durations import DURATION
from runbooks.ledger import LedgerWriter, read_ledger
from runbooks.observer import LONGEST_SECONDS, Observer, ObserverError, ObserverSettings
from runbooks.runner.lint import check_file
from vectorfleet.output import console, print_json
from vectorfleet.refusal import Failure, Refusal


@click.command()
@click.argument("page", metavar="PAGE", default="RB-02")
@outputs_option
@click.option("--shard", type=SHARD, default=0, show_default=True, help="The shard that is lost.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), default=Path(".rehearsal/report/drill"))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Golden set before, as `python -m loadtests golden --save` writes it; without it aws is asked.",
)
@click.option("--window", "window_seconds", type=DURATION, default="60s", show_default=True, help="Must stay good.")
@click.option("--interval", "interval_seconds", type=DURATION, default="0.25s", show_default=True)
@click.option("--target", "rto_target_seconds", type=DURATION, help="RTO instead of the page's.")
@click.option(
    "--within", "recover_within_seconds", type=DURATION, default="30m", show_default=True, help="Then give up."
)
@click.option("--load", help="A command that runs beside the drill, as one string.")
@click.option("--allow-remote", is_flag=True, help="Break a stack that is not on this machine. It stays broken.")
@json_option
@says_errors
def drill(
    page: str,
    outputs: Path,
    shard: int,
    report: Path,
    baseline: Path | None,
    window_seconds: float,
    interval_seconds: float,
    rto_target_seconds: float | None,
    recover_within_seconds: float,
    load: str | None,
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Break the fleet, run the page, and measure recovery time and loss."""
    settings = DrillSettings(
        outputs=outputs,
        report=report,
        page=_drillable(page),
        shard=shard,
        baseline=baseline,
        window_seconds=window_seconds,
        interval_seconds=interval_seconds,
        rto_target_seconds=rto_target_seconds,
        recover_within_seconds=recover_within_seconds,
        load=tuple(shlex.split(load or "")),
        allow_remote=allow_remote,
    )
    _end_on_sigterm()
    _run(settings, as_json)


def _drillable(name: str) -> Path:
    page = find_page(name)
    if page.resolve() != RB_02.resolve():
        raise Refusal(f"{page.name} has no drill yet; {RB_02.name} has one")
    if problems := check_file(page):
        raise Refusal("\n".join(map(str, problems)))
    return page


def _end_on_sigterm() -> None:
    """A drill that is told to end must still stop what it started, as after Ctrl-C."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _run(settings: DrillSettings, as_json: bool) -> None:
    # Imported here: `observe` starts in every drill and should not wait for what it does not use.
    from runbooks.drills.shard_lost import run

    began = time.monotonic()
    result = run(settings, lambda sentence: click.echo(f"{time.monotonic() - began:7.1f} s  {sentence}", err=True))
    if as_json:
        print_json(result.to_json(), default=str)
    else:
        console().print(result.render())
        click.echo(f"All of it: {settings.files.result}")
    sys.exit(result.verdict.exit_code)


@click.command()
@click.option("--endpoint", required=True, help="The service, as in http://127.64.0.10:8080.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A new file.")
@click.option("--interval", "interval_seconds", type=DURATION, default="0.25s", show_default=True)
@click.option("--timeout", "timeout_seconds", type=DURATION, default="3s", show_default=True)
@click.option("--for", "max_seconds", type=DURATION, default="15m", show_default=True, help="End after this at last.")
@click.option("--end-with-parent", is_flag=True, help="End when the process that started this one ends.")
@says_errors
def observe(
    endpoint: str,
    ledger: Path,
    interval_seconds: float,
    timeout_seconds: float,
    max_seconds: float,
    end_with_parent: bool,
) -> None:
    """Search and write at fixed instants and keep a ledger, until SIGTERM."""
    if ledger.exists() and ledger.stat().st_size:
        raise Refusal(f"{ledger} is there already; a ledger is of one observer, name a new file")
    if not 0 < interval_seconds <= 60 or not 0 < max_seconds <= LONGEST_SECONDS:
        raise Refusal("--interval is above 0 and at most 1m, --for is above 0 and at most 4h")
    parent = os.getppid() if end_with_parent else None
    settings = ObserverSettings(endpoint, interval_seconds, timeout_seconds, max_seconds, parent)
    _observe(settings, ledger)


def _observe(settings: ObserverSettings, path: Path) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    writer = LedgerWriter(path)
    try:
        reason = Observer(settings, writer, uuid4().hex[:12]).run(stop)
    except ObserverError as error:
        raise Failure(str(error)) from None
    ledger = read_ledger(path)
    assert ledger is not None
    good = sum(o.outcome in ("right", "acknowledged") for o in ledger.canaries)
    click.echo(f"{len(ledger.canaries)} canaries, {good} good; ended because {reason}. Ledger: {path}")
