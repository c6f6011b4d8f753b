"""The runs of a gate: each is a Locust process with its own seed, one after another.

``gate.json`` in the evidence folder holds the plan, registered before the first request, and at the end the judgement.
Each run has its folder ``run-<number>`` and Locust's output in ``run-<number>.log``.
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
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.judge.gate import Judgement, judge
from loadtests.judge.tally import Tally, tally
from loadtests.judge.void_reasons import find_void_reasons
from loadtests.run.documents import load_documents
from loadtests.run.evidence import EvidenceError, Registration, RunEvidence, read_run, write_json
from loadtests.run.queries import load_queries
from loadtests.run.settings import Settings, base_url
from vectorfleet.verdicts import Verdict

PROJECT = Path(__file__).resolve().parents[2]
RUNS = 5
_GRACE_SECONDS = 30.0
# Workers on other machines come back within seconds of the run before.
_WORKERS_SECONDS = 60
_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """The progress of a gate; counts are of the current run, warm-up included."""

    run: int
    runs: int
    run_seconds: float
    elapsed_seconds: float
    searches: int
    slow: int

    @property
    def done_seconds(self) -> float:
        """Seconds of load so far, over all runs."""
        return (self.run - 1) * self.run_seconds + min(self.elapsed_seconds, self.run_seconds)


@dataclass(frozen=True)
class Address:
    """The address of Locust's master."""

    host: str
    port: int


@dataclass(frozen=True)
class Plan:
    """
    The plan of a gate, fixed before the first request. ``extension`` more runs follow once, if the first are UNDECIDED.

    With ``listen``, the workers are processes on other machines that connect to that address.
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
        """The number of times that this plan may judge."""
        return 2 if self.extension else 1

    def of_run(self, number: int) -> Settings:
        """Return the settings of run ``number``, counted from 1; only the seed differs."""
        return self.settings.with_seed(self.settings.load.seed + number - 1)

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with the seed of each run for a reader."""
        seeds = [self.of_run(number).load.seed for number in range(1, self.runs + self.extension + 1)]
        return asdict(self) | {"settings": self.settings.values(), "seeds": seeds}


@dataclass(frozen=True)
class GateResult:
    """The judgement of a gate, with the counts of its runs."""

    judgement: Judgement
    runs: tuple[Tally, ...]
    evidence: Path

    def as_json(self) -> dict[str, Any]:
        """Return plain values for a report."""
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
    doubts = find_void_reasons(runs, settings.targets, settings.limits)
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


class ArrivalCount:
    """A count of the records in a growing ``arrivals.jsonl``."""

    def __init__(self, path: Path, target_ms: float) -> None:
        self._path = path
        self._target_ms = target_ms
        self._read_bytes = 0
        self.searches = 0
        self.slow = 0

    def update(self) -> None:
        """Read on to the last complete line; the file may not exist yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                lines, end, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._read_bytes += len(lines) + len(end)
        for line in lines.splitlines():
            record = json.loads(line)
            self.searches += 1
            self.slow += record["outcome"] != "answered" or record["response_ms"] >= self._target_ms


def _run(plan: Plan, evidence: Path, number: int) -> Iterator[Progress]:
    """Run Locust once, and report every second; kill it if it takes longer than a run can."""
    settings = plan.of_run(number)
    started_seconds = time.monotonic()
    most_seconds = settings.run_seconds + 3 * settings.load.timeout_seconds + _GRACE_SECONDS
    most_seconds += _WORKERS_SECONDS if plan.listen else 0
    count = ArrivalCount(evidence / f"run-{number}" / "arrivals.jsonl", settings.targets.p95_target_ms)
    with (evidence / f"run-{number}.log").open("wb") as log:
        process = _start(plan, settings, evidence / f"run-{number}", log.fileno())
        try:
            while process.poll() is None and (elapsed_seconds := time.monotonic() - started_seconds) <= most_seconds:
                count.update()
                total = max(number, plan.runs)
                yield Progress(number, total, settings.run_seconds, elapsed_seconds, count.searches, count.slow)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_PROGRESS_SECONDS)
        finally:
            _end(process)


def _start(plan: Plan, settings: Settings, folder: Path, log: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "locust", "-f", str(PROJECT / "loadtests" / "locustfile.py")]
    command += ["--headless", "--only-summary", "--loglevel", "WARNING", "--host", plan.endpoint]
    command += [*settings.arguments(), f"--evidence={folder}", *master_arguments(plan)]
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
    """Return Locust's options for its workers: one process, several on this machine, or those on other machines."""
    if plan.listen:
        bound = ["--master-bind-host", plan.listen.host, "--master-bind-port", str(plan.listen.port)]
        awaited = ["--expect-workers", str(plan.workers), "--expect-workers-max-wait", str(_WORKERS_SECONDS)]
        return ["--master", *bound, *awaited]
    if plan.workers == 1:
        return []
    port = str(_free_port())
    bound = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    return ["--processes", str(plan.workers), *bound]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process, if it still runs, with its workers, which share its session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _evidence_of(plan: Plan, evidence: Path, number: int) -> RunEvidence:
    """Return a run's evidence, without records if the run did not even register."""
    try:
        return read_run(evidence / f"run-{number}")
    except EvidenceError:
        return RunEvidence(Registration(plan.endpoint, plan.of_run(number), plan.workers, False, ""))
