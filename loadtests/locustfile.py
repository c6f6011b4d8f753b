"""The locustfile: ``locust -f loadtests/locustfile.py --host http://…`` with the web page, or ``--headless``.

The exit code is the verdict of the last run: PASS 0, FAIL 1, UNDECIDED 2, VOID 3. A bad option ends with 64. One Locust
user is one scheduler, so the number of users is the number of workers and is not an option.

A custom locustfile takes ``SearchUser`` and ``OneSchedulerPerWorker`` from here; see docs/loadtests.md.
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

# Locust puts only this file's folder on the path, and starts in any folder.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import click
import gevent
from locust import LoadTestShape, events, stats
from locust.env import Environment
from locust.runners import WorkerRunner
from rich.console import Console

from loadtests.errors import LoadTestError
from loadtests.generate import web_page
from loadtests.generate.conductor import Conductor, refusal
from loadtests.generate.generator import SearchUser
from loadtests.judge.table import show_runs
from loadtests.run.settings import Settings, option_fields, option_name
from vectorfleet.api_key import find_key
from vectorfleet.exit_codes import ExitCode
from vectorfleet.options import DEFAULT_OUTPUTS, OUTPUTS_VARIABLE


class Searcher(SearchUser):
    """The user that offers a share of the searches."""


class OneSchedulerPerWorker(LoadTestShape):  # type: ignore[misc]  # locust is outside the types
    """A shape with as many users as workers; the conductor ends the test when each share was offered."""

    # Makes --run-time an option, also on the web page.
    use_common_options = True

    def tick(self) -> tuple[int, float]:
        """Return the number of users and the rate at which they start: all at once."""
        workers = max(getattr(self.runner, "worker_count", 1), 1)
        self._wanted = max(getattr(self, "_wanted", 0), workers)
        return self._wanted, float(self._wanted)


def add_options(parser: Any) -> None:
    """Make each setting an option, also on the web page; an option that the parser refuses ends with 64."""
    leave = parser.exit
    # argparse's own exit code, 2, is the verdict UNDECIDED.
    parser.exit = lambda status=0, message=None: leave(int(ExitCode.USAGE) if status == 2 else status, message)
    for item in option_fields():
        kind, text = _argument(item.metadata["kind"]), item.metadata["help"].replace("%", "%%")
        parser.add_argument(option_name(item.name), type=kind, default=item.default, help=text)
    parser.add_argument("--evidence", default="", help="new folder for the evidence; by default .rehearsal/load/<time>")


def _argument(kind: click.ParamType[Any] | None) -> Callable[[str], Any]:
    """Return a reader of an option that refuses as `vectorfleet load gate` does."""

    def read(text: str) -> Any:
        try:
            return text if kind is None else kind(text)
        except click.BadParameter as error:
            raise ArgumentTypeError(error.message) from error

    return read


def set_up(environment: Environment, **_: Any) -> None:
    """Refuse bad options before anything starts, and set up the conductor unless this process is a worker."""
    find_key(Path(os.environ.get(OUTPUTS_VARIABLE, DEFAULT_OUTPUTS)))
    if isinstance(environment.runner, WorkerRunner):
        return
    if problem := refusal(environment, environment.parsed_options):
        print(problem, file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    environment.vectorfleet_conductor = conductor = Conductor(environment)
    if environment.web_ui:
        web_page.extend(environment, conductor)
    else:
        # Locust handles SIGTERM only after a shape has ended, so a run would end without a verdict.
        gevent.signal_handler(signal.SIGTERM, conductor.stop)


def begin(environment: Environment, **_: Any) -> None:
    """Register the run and hand out its shares, or log why not."""
    if conductor := getattr(environment, "vectorfleet_conductor", None):
        try:
            conductor.begin()
            # Points five seconds apart make no chart of a short run; more than a thousand points make a heavy page.
            settings = Settings.from_options(environment.parsed_options)
            stats.HISTORY_STATS_INTERVAL_SEC = max(1.0, settings.run_seconds / 1_000)
        except LoadTestError as error:
            logging.error(str(error))
            environment.process_exit_code = int(ExitCode.USAGE)
            gevent.spawn(conductor.stop)


def conclude(environment: Environment, **_: Any) -> None:
    """Judge the run, print the verdict, and make it the exit code."""
    conductor = getattr(environment, "vectorfleet_conductor", None)
    if conductor and conductor.conclude():
        show_runs([conductor.tally], conductor.judgement, Console())
        environment.process_exit_code = int(conductor.judgement.verdict.exit_code)


def conclude_at_the_latest(environment: Environment, **_: Any) -> None:
    """Judge also a run that was broken off, which is VOID, and let Locust write its files to the end."""
    conclude(environment)
    if environment.parsed_options.csv_prefix:
        # Locust writes these files each second, but not at the end.
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
