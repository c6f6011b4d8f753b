"""The main job: every step in order, the teardown, which always happens, and the report."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from infra.configuration.stack_settings import ConfigError
from infra.planning.plan import PlanError
from infra.stack.outputs import StackError
from loadtests.corpora.choice import choose
from loadtests.corpora.corpus import Corpus
from loadtests.errors import LoadTestError
from rehearsal import report, steps
from rehearsal.blue_green import blue_green
from rehearsal.cli import port_option, root_option
from rehearsal.deployer import DeployError
from rehearsal.fleet import NotReachedError
from rehearsal.narrator import Narrator
from rehearsal.profile import PROFILES, Profile
from rehearsal.record import Record
from rehearsal.session import MARK, SessionError, begin, end, refuse
from rehearsal.steps import Stage
from runbooks.faults.shard_lost import FaultError
from runbooks.pages.blocks import PageError
from service.client import ServiceError, Unanswered
from vectorfleet.exit_codes import ExitCode
from vectorfleet.refusal import refusing

HEADINGS = 7
EXPECTED = (
    ConfigError,
    DeployError,
    FaultError,
    LoadTestError,
    NotReachedError,
    PageError,
    PlanError,
    ServiceError,
    SessionError,
    StackError,
    Unanswered,
)


@click.command()
@root_option
@port_option
@click.option(
    "--profile",
    type=click.Choice([*PROFILES]),
    default="full",
    show_default=True,
    help="Short: less text, shorter load. Acceptance: full, and load in windows of a minute.",
)
@click.option(
    "--corpus",
    metavar="NAME|FILE",
    default="aws",
    show_default=True,
    help="Documents to search: aws, python, or a custom corpus, FILE.jsonl.",
)
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="Golden questions, FILE.yaml; by default those of the named corpus.",
)
def rehearse(root: Path, port: int, profile: str, corpus: str, questions: Path | None) -> None:
    """Run the whole loop, from the plan to the report, then tear it down.

    The loop plans, deploys, ingests, searches, loads, breaks, recovers and reports.
    """
    with refusing(LoadTestError, SessionError):
        chosen = choose(corpus, questions, small=PROFILES[profile].small, hold_back=True)
        # A corpus without usable questions is refused before anything starts.
        chosen.questions()
        sys.exit(run(root, port, PROFILES[profile], chosen))


def run(root: Path, port: int, profile: Profile, corpus: Corpus) -> int:
    """Run the whole loop; the exit code is the worst verdict's, 1 for a step that failed, 130 when interrupted."""
    root = root.resolve()
    narrator = Narrator(headings=HEADINGS + profile.blue_green)
    record = Record(profile.name, corpus.name)
    signal.signal(signal.SIGTERM, _interrupt)
    # A rehearsal that can't begin must not tear down the one that runs, nor remove its report.
    refuse(root, port)
    os.environ[MARK] = str(root)
    try:
        code = _steps(root, port, profile, corpus, record, narrator)
    except EXPECTED as error:
        record.failure = str(error)
        code = ExitCode.FAIL
    except KeyboardInterrupt:
        record.failure = "interrupted"
        code = ExitCode.INTERRUPTED
    except Exception as error:
        # A defect of the program: write the report, then show the traceback.
        record.failure = f"{type(error).__name__}: {error}"
        conclude(root, record, narrator, ExitCode.FAIL, _tear_down(root))
        raise
    return conclude(root, record, narrator, code, _tear_down(root))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _steps(root: Path, port: int, profile: Profile, corpus: Corpus, record: Record, narrator: Narrator) -> int:
    shutil.rmtree(root / "report", ignore_errors=True)
    with _step("Plan", record, narrator):
        steps.plan(record, narrator)
    with _step("Deploy", record, narrator):
        session = begin(root, port, detached=False)
        narrator.say(f"the emulated AWS answers on {session.endpoint}")
        stage = Stage(session, profile, corpus, record, narrator)
        steps.deploy_fleet(stage)
    with _step("Ingest real documents", record, narrator):
        steps.ingest_documents(stage)
    with _step("Search", record, narrator):
        steps.search(stage)
    with _step("Load", record, narrator):
        gate = steps.load(stage).exit_code
    switch = ExitCode.PASS
    if profile.blue_green:
        with _step("Switch slots", record, narrator):
            switch = blue_green(stage).exit_code
    with _step("Break and recover", record, narrator):
        drill = steps.drill(stage)
    return worst(gate, switch, drill)


def worst(*codes: int) -> int:
    """Return the exit code that matters most: FAIL before doubts, and the larger doubt before PASS."""
    return ExitCode.FAIL if ExitCode.FAIL in codes else max(codes)


@contextmanager
def _step(title: str, record: Record, narrator: Narrator) -> Iterator[None]:
    """Print the heading of a step, and record its time."""
    narrator.heading(title)
    with record.timed(title):
        yield


def _tear_down(root: Path) -> list[str]:
    """End everything, and return the processes that are left; a second Ctrl-C must not stop this half way."""
    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        return end(root)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def conclude(root: Path, record: Record, narrator: Narrator, code: int, left: list[str]) -> int:
    """Write the report, print its summary and return the exit code; processes that are left make it 1 at least."""
    narrator.heading("Report")
    if left:
        record.failure = f"{record.failure} left running: {'; '.join(left)}".strip()
        code = code or ExitCode.FAIL
    record["exit_code"] = code
    with record.timed("Report"):
        page = report.write(record, root / "report")
    if record.failure:
        narrator.say(f"{record.failure}", style="bold red")
        narrator.say(f"logs: {root / 'logs'}")
    shown = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
    for name, sentence in (*report.summary(record), ("report", f"{shown}, and the same as {page.stem}.json")):
        narrator.say(f"{name:<8}{sentence}")
    torn_down = "not everything is torn down" if left else "everything is torn down"
    narrator.say(f"{torn_down}; {sum(record.seconds.values()):.0f} s in all", style="bold")
    return code
