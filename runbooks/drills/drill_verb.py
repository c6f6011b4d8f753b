"""The verb that runs a drill."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from runbooks.drills.settings import RB_02, DrillSettings
from runbooks.drills.shard_lost import run
from runbooks.durations import DURATION
from runbooks.guard import says_errors
from runbooks.pages.lint import check_file
from runbooks.pages.page import find_page
from vectorfleet.number_types import SHARD
from vectorfleet.options import json_option, outputs_option, stack_slot_option
from vectorfleet.output import console, print_json
from vectorfleet.refusal import Refusal


@click.command()
@click.argument("page", metavar="PAGE", default="RB-02")
@outputs_option
@stack_slot_option
@click.option("--shard", type=SHARD, default=0, show_default=True, help="The shard that is lost.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), default=Path(".rehearsal/report/drill"))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Golden answers that `vectorfleet golden --save` kept; without them the drill asks those of aws.",
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
def drill(page: str, load: str | None, as_json: bool, **settings: Any) -> None:
    """Break the fleet, run the page, and measure recovery time and loss."""
    # A drill must stop what it started, so SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _run(DrillSettings(page=_drillable(page), load=tuple(shlex.split(load or "")), **settings), as_json)


def _drillable(name: str) -> Path:
    page = find_page(name)
    if page.resolve() != RB_02.resolve():
        raise Refusal(f"{page.name} has no drill. {RB_02.name} has one.")
    if problems := check_file(page):
        raise Refusal("\n".join(map(str, problems)))
    return page


def _run(settings: DrillSettings, as_json: bool) -> None:
    began = time.monotonic()
    result = run(settings, lambda sentence: click.echo(f"{time.monotonic() - began:7.1f} s  {sentence}", err=True))
    if as_json:
        print_json(result.to_json(), default=str)
    else:
        console().print(result.render())
        click.echo(f"The whole result: {settings.files.result}")
    sys.exit(result.verdict.exit_code)
