"""The main job: every step in order, the report, and a teardown that leaves nothing, whatever happened before."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from infra.config import ConfigError
from infra.plan import PlanError
from loadtests.corpora.corpus import Corpus, CorpusError
from loadtests.evidence import EvidenceError
from loadtests.golden import PartialError
from loadtests.ingest import IngestError
from loadtests.questions import GoldenSetError
from loadtests.settings import SettingsError
from loadtests.truth import TruthError
from rehearsal import report, steps
from rehearsal.deploy import DeployError
from rehearsal.fleet import NotReachedError
from rehearsal.leftovers import MARK, leftovers
from rehearsal.narrator import Narrator
from rehearsal.profile import PROFILES, Profile
from rehearsal.record import Record
from rehearsal.session import SessionError, begin, end, refuse
from rehearsal.steps import Stage
from runbooks.faults.fault import FaultError
from runbooks.faults.target import RemoteTargetError
from runbooks.runner.blocks import PageError
from runbooks.stack import StackError
from service.client import ServiceError, Unanswered
from vectorfleet.exit_codes import ExitCode

STEPS = 7
EXPECTED = (
    ConfigError,
    CorpusError,
    DeployError,
    EvidenceError,
    FaultError,
    GoldenSetError,
    IngestError,
    NotReachedError,
    PageError,
    PartialError,
    PlanError,
    RemoteTargetError,
    ServiceError,
    SessionError,
    SettingsError,
    StackError,
    TruthError,
    Unanswered,
)


def rehearse(root: Path, port: int, profile_name: str, corpus: Corpus) -> int:
    """Run the whole loop; the exit code is the worst verdict's, 1 for a step that failed, 130 when interrupted."""
    root = root.resolve()
    profile = PROFILES[profile_name]
    narrator = Narrator()
    record = Record(profile.name, corpus.name)
    signal.signal(signal.SIGTERM, _interrupt)
    # Whoever runs here already must not lose the report or be torn down by a rehearsal that can't begin.
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
        # A fault of ours: the report is written all the same, and then it is told as what it is.
        record.failure = f"{type(error).__name__}: {error}"
        _conclude(root, record, narrator, ExitCode.FAIL, _tear_down(root))
        raise
    return _conclude(root, record, narrator, code, _tear_down(root))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _steps(root: Path, port: int, profile: Profile, corpus: Corpus, record: Record, narrator: Narrator) -> int:
    shutil.rmtree(root / "report", ignore_errors=True)
    with _step(1, "Plan", record, narrator):
        steps.plan(record, narrator)
    with _step(2, "Deploy", record, narrator):
        session = begin(root, port, detached=False)
        narrator.say(f"the emulated AWS answers on {session.endpoint}")
        stage = Stage(session, profile, corpus, record, narrator)
        steps.deploy_fleet(stage)
    with _step(3, "Ingest real documents", record, narrator):
        steps.ingest_documents(stage)
    with _step(4, "Search", record, narrator):
        steps.search(stage)
    with _step(5, "Load", record, narrator):
        gate = int(steps.load(stage))
    with _step(6, "Break and recover", record, narrator):
        drill = steps.drill(stage)
    return worst(gate, drill)


def worst(*codes: int) -> int:
    """The exit code that says most: a FAIL before a doubt, and any doubt before a PASS."""
    return ExitCode.FAIL if ExitCode.FAIL in codes else max(codes)


@contextmanager
def _step(number: int, title: str, record: Record, narrator: Narrator) -> Iterator[None]:
    """A heading before a step, its time after it."""
    narrator.heading(number, STEPS, title)
    with record.timed(title):
        yield


def _tear_down(root: Path) -> list[str]:
    """End everything; a second Ctrl-C must not stop this half way."""
    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        end(root)
        return leftovers(root)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _conclude(root: Path, record: Record, narrator: Narrator, code: int, left: list[str]) -> int:
    narrator.heading(7, STEPS, "Report")
    if left:
        record.failure = f"{record.failure} left running: {'; '.join(left)}".strip()
        code = code or ExitCode.FAIL
    record["exit_code"] = code
    with record.timed("Report"):
        page = report.write(record, root / "report")
    if record.failure:
        narrator.say(f"{record.failure}", style="bold red")
        narrator.say(f"logs: {root / 'logs'}")
    narrator.say(f"{page}\n{page.with_suffix('.json')}")
    torn_down = "not everything is torn down" if left else "everything is torn down"
    narrator.say(f"{torn_down}; {sum(record.seconds.values()):.0f} s in all", style="bold")
    return code
