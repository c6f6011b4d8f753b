"""Open load by hand: ``locust -f loadtests/locustfile.py --host http://…`` with the web page, or
``--headless``.

The exit code is the verdict of the last run: PASS 0, FAIL 1, UNDECIDED 2, VOID 3; settings that cannot be end
with 64. One Locust user is one scheduler, so the number of users is the number of workers and is not asked
for.
"""

from __future__ import annotations

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
from locust import LoadTestShape, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.conductor import Conductor, refusal
from loadtests.evidence import EvidenceError
from loadtests.generator import SearchUser
from loadtests.settings import SettingsError, option_fields
from loadtests.table import show_run
from service.client import find_key


class Searcher(SearchUser):
    """Offers its share of the searches."""

    abstract = False
    offer = task(SearchUser.offer)


class OneSchedulerPerWorker(LoadTestShape):  # type: ignore[misc]  # locust is outside the types
    """As many users as workers; the conductor ends the test when every share was offered."""

    abstract = False

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
    if problem := refusal(environment):
        print(problem, file=sys.stderr)
        sys.exit(64)
    if not isinstance(environment.runner, WorkerRunner):
        environment.vectorfleet_conductor = conductor = Conductor(environment)
        if environment.parsed_options.headless:
            # Locust listens for SIGTERM only after a shape has ended, so a run would die without a verdict.
            gevent.signal_handler(signal.SIGTERM, conductor.stop)


def begin(environment: Environment, **_: Any) -> None:
    """Register the run and hand out its shares, or say why not."""
    if conductor := getattr(environment, "vectorfleet_conductor", None):
        try:
            conductor.begin()
        except (SettingsError, EvidenceError) as error:
            print(error, file=sys.stderr)
            environment.process_exit_code = 64
            gevent.spawn(conductor.stop)


def conclude(environment: Environment, **_: Any) -> None:
    """Judge the run, print the verdict, and make it the exit code."""
    conductor = getattr(environment, "vectorfleet_conductor", None)
    if conductor and conductor.conclude():
        show_run(conductor.tally, conductor.judgement)
        environment.process_exit_code = int(conductor.judgement.verdict)


def conclude_at_the_latest(environment: Environment, **_: Any) -> None:
    """A run that is broken off is judged too, which makes it VOID."""
    conclude(environment)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(set_up)
events.test_start.add_listener(begin)
events.test_stop.add_listener(conclude)
events.quitting.add_listener(conclude_at_the_latest)
