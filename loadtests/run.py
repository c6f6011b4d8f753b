"""The gate over several fresh runs: each its own Locust process with its own seed, one after another.

``gate.json`` in the evidence folder holds what was registered before the first request and, after the last,
the judgement; each run has its folder ``run-<number>`` and Locust's own words in ``run-<number>.log``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.doubts import find_doubts
from loadtests.evidence import EvidenceError, Registration, RunEvidence, read_run, write_json
from loadtests.gate import Judgement, Verdict, judge
from loadtests.queries import load_queries
from loadtests.settings import Settings, base_url
from loadtests.tally import Tally, tally
from loadtests.tape import Tape
from loadtests.writer import load_documents

PROJECT = Path(__file__).resolve().parent.parent
RUNS = 5
_GRACE_SECONDS = 30.0
_WORKERS_SECONDS = 60  # workers on other machines come back within seconds of the run before
_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a gate is; counts are of the current run, warm-up included."""

    run: int
    runs: int
    run_seconds: float
    elapsed_seconds: float
    searches: int
    slow: int


@dataclass(frozen=True)
class Address:
    """Where Locust's master listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Plan:
    """
    What is fixed before the first request. ``extension`` more runs follow once, if the first are UNDECIDED.

    With ``listen``, the workers are processes on other machines that come to that address.
    """

    endpoint: str
    settings: Settings
    runs: int = RUNS
    extension: int = 0
    workers: int = 1
    registered_at: str = ""
    listen: Address | None = None

    @property
    def looks(self) -> int:
        """How often this plan may judge."""
        return 2 if self.extension else 1

    def of_run(self, number: int) -> Settings:
        """The settings of run ``number``, counted from 1: all alike but the seed."""
        return self.settings.with_seed(self.settings.load.seed + number - 1)

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the seeds spelt out for a reader."""
        seeds = [self.of_run(number).load.seed for number in range(1, self.runs + self.extension + 1)]
        return asdict(self) | {"settings": self.settings.values(), "seeds": seeds}


@dataclass(frozen=True)
class GateResult:
    """The judgement of a gate with the counts behind it."""

    judgement: Judgement
    runs: tuple[Tally, ...]
    evidence: Path

    def as_json(self) -> dict[str, Any]:
        """Plain values for a report."""
        return self.judgement.as_json() | {
            "evidence": str(self.evidence),
            "runs": [asdict(run) | {"errors": run.errors, "recall": run.recall} for run in self.runs],
        }


def gate_runs(plan: Plan, evidence: Path, progress: Callable[[Progress], None] = lambda _: None) -> GateResult:
    """Register the plan, run it, judge it. Raises SettingsError or EvidenceError before any request."""
    plan.settings.check()
    base_url(plan.endpoint)
    load_queries(plan.settings.load.queries, plan.settings.load.k)
    load_documents(plan.settings.load.documents, plan.settings.load.seed)
    _register(plan, evidence)
    result = _run_and_judge(plan, evidence, range(1, plan.runs + 1), progress)
    if plan.extension and result.judgement.verdict is Verdict.UNDECIDED:
        more = range(plan.runs + 1, plan.runs + plan.extension + 1)
        result = _run_and_judge(plan, evidence, more, progress)
    write_json(evidence / "gate.json", {"registered": _registered(evidence), "judged": result.as_json()})
    return result


def rejudge(evidence: Path) -> GateResult:
    """Judge a gate again from its evidence alone. Raises EvidenceError."""
    registered = _registered(evidence)
    names = ("endpoint", "runs", "extension", "workers")
    settings = Settings.from_values(registered["settings"])
    plan = Plan(settings=settings, **{name: registered[name] for name in names})
    extended = (evidence / f"run-{plan.runs + 1}").exists()
    numbers = range(1, plan.runs + (plan.extension if extended else 0) + 1)
    runs = tuple(tally(_evidence_of(plan, evidence, number)) for number in numbers)
    doubts = find_doubts(runs, settings.targets, settings.limits)
    return GateResult(judge(runs, settings.targets, doubts, plan.looks), runs, evidence)


def _register(plan: Plan, evidence: Path) -> None:
    evidence.mkdir(parents=True, exist_ok=True)
    if (evidence / "gate.json").exists():
        raise EvidenceError(f"{evidence} already holds the evidence of a gate; name another folder.")
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    write_json(evidence / "gate.json", {"registered": plan.as_json() | {"registered_at": at}, "judged": None})


def _registered(evidence: Path) -> dict[str, Any]:
    try:
        registered = json.loads((evidence / "gate.json").read_text(encoding="utf-8"))["registered"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvidenceError(f"{evidence} holds no readable gate.json, so it is not a gate's evidence.") from error
    return dict(registered)


def _run_and_judge(plan: Plan, evidence: Path, numbers: range, progress: Callable[[Progress], None]) -> GateResult:
    for number in numbers:
        for report in _run(plan, evidence, number):
            progress(report)
    return rejudge(evidence)


def _run(plan: Plan, evidence: Path, number: int) -> Iterator[Progress]:
    """Run Locust once, reporting every second; it is killed when it takes longer than it can."""
    settings = plan.of_run(number)
    started_seconds = time.monotonic()
    most_seconds = settings.run_seconds + 3 * settings.load.timeout_seconds + _GRACE_SECONDS
    most_seconds += _WORKERS_SECONDS if plan.listen else 0
    tape = Tape(evidence / f"run-{number}" / "arrivals.jsonl", settings.targets.p95_target_ms)
    with (evidence / f"run-{number}.log").open("wb") as log:
        process = _start(plan, settings, evidence / f"run-{number}", log.fileno())
        try:
            while not _ended(process, _PROGRESS_SECONDS):
                elapsed_seconds = time.monotonic() - started_seconds
                if elapsed_seconds > most_seconds:
                    break
                tape.wind()
                total = max(number, plan.runs)
                yield Progress(number, total, settings.run_seconds, elapsed_seconds, tape.searches, tape.slow)
        finally:
            _end(process)


def _start(plan: Plan, settings: Settings, folder: Path, log: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests" / "locustfile.py")]
    command += ["--headless", "--only-summary", "--loglevel", "WARNING", "--host", plan.endpoint]
    command += [*settings.arguments(), f"--evidence={folder}"]
    command += master_arguments(plan)
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )


def master_arguments(plan: Plan) -> list[str]:
    """Who works: one process alone, several on this machine, or those on others that come to the plan's address."""
    if plan.listen:
        bound = ["--master-bind-host", plan.listen.host, "--master-bind-port", str(plan.listen.port)]
        awaited = ["--expect-workers", str(plan.workers), "--expect-workers-max-wait", str(_WORKERS_SECONDS)]
        return ["--master", *bound, *awaited]
    if plan.workers == 1:
        return []
    port = str(_free_port())
    bound = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(plan.workers), *bound]


def _ended(process: subprocess.Popen[bytes], within_seconds: float) -> bool:
    try:
        process.wait(timeout=within_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with its workers, which share the session it was started in, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _evidence_of(plan: Plan, evidence: Path, number: int) -> RunEvidence:
    """A run's evidence; one that could not even register is a run of which nothing is known."""
    try:
        return read_run(evidence / f"run-{number}")
    except EvidenceError:
        return RunEvidence(Registration(plan.endpoint, plan.of_run(number), plan.workers, False, ""))
