"""The locustfile: ``locust -f loadtests/locustfile.py --host http://…`` with the web page, or ``--headless``.

The exit code is the verdict of the last run: PASS 0, FAIL 1, UNDECIDED 2, VOID 3. Options that cannot be end with 64.
One Locust user is one scheduler, so the number of users is the number of workers and is not asked for.

A locustfile of your own takes ``SearchUser`` and ``OneSchedulerPerWorker`` from here; see docs/loadtests.md.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

# By hand this file is run from anywhere, and Locust puts only its folder on the path.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import click
import gevent
from locust import LoadTestShape, events, stats
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import web_page
from loadtests.conductor import Conductor, refusal
from loadtests.evidence import EvidenceError
from loadtests.generator import SearchUser
from loadtests.settings import Settings, SettingsError, option_fields
from loadtests.table import show_run
from service.client import find_key
from vectorfleet.exit_codes import ExitCode


class Searcher(SearchUser):
    """Offers its share of the searches."""


class OneSchedulerPerWorker(LoadTestShape):  # type: ignore[misc]  # locust is outside the types
    """As many users as workers; the conductor ends the test when every share was offered."""

    # So that --run-time counts, and is asked for on the web page.
    use_common_options = True

    def tick(self) -> tuple[int, float]:
        """The number of users wanted, all at once."""
        workers = max(getattr(self.runner, "worker_count", 1), 1)
        self._wanted = max(getattr(self, "_wanted", 0), workers)
        return self._wanted, float(self._wanted)


def add_options(parser: Any) -> None:
    """Make every setting an option, also of the web page; whatever the parser refuses ends with 64."""
    leave = parser.exit
    # argparse's own 2 would read as UNDECIDED.
    parser.exit = lambda status=0, message=None: leave(64 if status == 2 else status, message)
    for item in option_fields():
        option, text = f"--{item.name.replace('_', '-')}", item.metadata["help"].replace("%", "%%")
        parser.add_argument(option, type=_argument(item.metadata["kind"]), default=item.default, help=text)
    parser.add_argument("--evidence", default="", help="new folder for the evidence (.rehearsal/load/<time>)")


def _argument(kind: click.ParamType[Any] | None) -> Callable[[str], Any]:
    """Read an option as `python -m loadtests gate` does, and refuse it in the same words."""

    def read(text: str) -> Any:
        try:
            return text if kind is None else kind(text)
        except click.BadParameter as error:
            raise ArgumentTypeError(error.message) from error

    return read


def set_up(environment: Environment, **_: Any) -> None:
    """Refuse what cannot be before anything starts; whoever is no worker conducts."""
    find_key(Path(os.environ.get("VECTORFLEET_OUTPUTS", ".rehearsal/outputs.json")))
    if isinstance(environment.runner, WorkerRunner):
        return
    if problem := refusal(environment, environment.parsed_options):
        print(problem, file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    environment.vectorfleet_conductor = conductor = Conductor(environment)
    if environment.web_ui:
        web_page.extend(environment, conductor)
    else:
        # Locust listens for SIGTERM only after a shape has ended, so a run would die without a verdict.
        gevent.signal_handler(signal.SIGTERM, conductor.stop)


def begin(environment: Environment, **_: Any) -> None:
    """Register the run and hand out its shares, or say why not."""
    if conductor := getattr(environment, "vectorfleet_conductor", None):
        try:
            conductor.begin()
            # A point every five seconds makes no chart of a short run; more than a thousand make a heavy page.
            settings = Settings.from_options(environment.parsed_options)
            stats.HISTORY_STATS_INTERVAL_SEC = max(1.0, settings.run_seconds / 1_000)
        except (SettingsError, EvidenceError) as error:
            logging.error(str(error))
            environment.process_exit_code = int(ExitCode.USAGE)
            gevent.spawn(conductor.stop)


def conclude(environment: Environment, **_: Any) -> None:
    """Judge the run, print the verdict, and make it the exit code."""
    conductor = getattr(environment, "vectorfleet_conductor", None)
    if conductor and conductor.conclude():
        show_run(conductor.tally, conductor.judgement)
        environment.process_exit_code = int(conductor.judgement.verdict)


def conclude_at_the_latest(environment: Environment, **_: Any) -> None:
    """Judge also a run that is broken off, which makes it VOID, and let Locust's own files have all of it."""
    conclude(environment)
    if environment.parsed_options.csv_prefix:
        # Locust writes these files each second, and not once more at the end.
        gevent.sleep(1.1 * stats.CSV_STATS_INTERVAL_SEC)
    report, conductor = environment.parsed_options.html_file, getattr(environment, "vectorfleet_conductor", None)
    if report and conductor and Path(report).is_file():
        web_page.add_to_report(Path(report), conductor)


stats.HISTORY_STATS_INTERVAL_SEC = 1
events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(set_up)
events.test_start.add_listener(begin)
events.test_stop.add_listener(conclude)
events.quitting.add_listener(conclude_at_the_latest)
