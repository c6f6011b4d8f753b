"""The drill on RB-02: lose every replica of a shard, run the page, measure recovery time and loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from infra.stack.outputs import read_stack
from runbooks.drills import golden_comparison
from runbooks.drills.audit import AuditError, audit_ledger
from runbooks.drills.judge import Findings, judge
from runbooks.drills.measure import Marks, Recovery, measure
from runbooks.drills.result import DrillResult, leave_pass
from runbooks.drills.settings import DrillSettings
from runbooks.drills.surroundings import NotMeasuredError, Surroundings
from runbooks.drills.watch import Watch
from runbooks.durations import spoken
from runbooks.faults.shard_lost import FaultError, Injection, ShardLost
from runbooks.fleet.status import connect
from runbooks.observe.exchange import Exchange
from runbooks.observe.ledger import Ledger
from runbooks.observe.observer import LONGEST_SECONDS, sweep
from runbooks.observe.windows import Yardstick, judge_window
from runbooks.pages.page import read_page
from runbooks.runner.run import Run, Runner
from runbooks.runner.shell import Shell
from service.client import Client
from vectorfleet.verdicts import Verdict
from vectorfleet.waiting import until

POLL_SECONDS = 0.5
SLACK_SECONDS = 300.0
AUDIT_TIMEOUT_SECONDS = 20.0
SWEEP_TIMEOUT_SECONDS = 30.0

Progress = Callable[[str], None]


def run(settings: DrillSettings, progress: Progress) -> DrillResult:
    """Run the drill and write its result; `progress` gets a sentence at each stage.

    Raises StackError, PageError or FaultError before anything is touched. The processes that the drill started are
    gone when this returns or raises.
    """
    return _Drill(settings, progress).run()


class _Drill:
    def __init__(self, settings: DrillSettings, progress: Progress) -> None:
        self.settings = settings
        self.say = progress
        self.files = settings.files
        self.stack = read_stack(settings.outputs, settings.aws_endpoint, slot=settings.slot)
        self.page = read_page(settings.page)
        self.fault = ShardLost(self.stack, settings.shard, settings.allow_remote)
        self.client = connect(self.stack.endpoint, self.stack.slot)
        self.target_seconds = settings.rto_target_seconds or self.page.rto_seconds
        self.yardstick = Yardstick(settings.window_seconds, settings.interval_seconds, settings.slow_seconds)
        self.findings = Findings()
        self.watch: Watch | None = None
        self.surroundings = Surroundings(self.stack, self.files, settings.folder)

    def run(self) -> DrillResult:
        self.files.clear()
        try:
            self._break_and_recover()
            self._account()
        except NotMeasuredError as reason:
            self.findings.unproven.append(str(reason))
        finally:
            self._end_children()
        result = self._result()
        result.write(self.files.result)
        if result.verdict is Verdict.PASS:
            try:
                leave_pass(self.stack, self.page.identity)
            except (BotoCoreError, ClientError) as error:
                self.say(f"The pass is not in the index bucket, so the fleet's alarm on old drills may ring: {error}")
        return result

    def _break_and_recover(self) -> None:
        baseline = self._baseline()
        if self.settings.load:
            self.say("Starting the background load")
            self.surroundings.start_load(self.settings.load)
        self.say(f"Starting the observer; waiting for {self.settings.healthy_canaries} healthy canaries in a row")
        self.surroundings.start_observer(self.stack.endpoint, self.settings.interval_seconds, self._longest_seconds)
        self.surroundings.await_healthy(self.settings.healthy_canaries, self.settings.healthy_within_seconds)
        self.watch = Watch(self.stack, self.settings.shard, self.client)
        self.watch.start()
        injection = self._inject()
        self.findings.runbook = self._run_page(baseline)
        self._prove(injection)
        self._await_recovery(injection)

    def _account(self) -> None:
        """Stop the observer, then measure by its ledger, audit it and ask the golden set."""
        self._end_children()
        ledger = self.surroundings.ledger()
        injection = self.findings.injection
        if ledger is None or injection is None:
            raise NotMeasuredError("The observer left no ledger.")
        self._measure(ledger, injection)
        self._audit(ledger)
        self._sweep(ledger)
        self._ask_golden()

    @property
    def _longest_seconds(self) -> float:
        """The observer's own bound: it must not end before the drill, nor run for ever."""
        settings = self.settings
        wanted = settings.healthy_within_seconds + settings.recover_within_seconds + self.page.rto_seconds
        return min(wanted + SLACK_SECONDS, LONGEST_SECONDS)

    def _baseline(self) -> Path:
        if self.settings.baseline is not None:
            return self.settings.baseline
        self.say("Asking the golden set before the fault")
        call = self.settings.golden or golden_comparison.command(self.settings.outputs)
        try:
            golden_comparison.record_baseline(
                call, self.settings.folder, self.surroundings.environment, self.files.baseline
            )
        except golden_comparison.GoldenError as error:
            raise NotMeasuredError(f"{error}.") from error
        return self.files.baseline

    def _inject(self) -> Injection:
        self.say(f"Injecting the fault: every replica of shard {self.settings.shard} is terminated")
        try:
            injection = self.fault.inject()
        except FaultError as error:
            raise NotMeasuredError(f"The fault was not injected: {error}.") from error
        self.findings.injection = injection
        return injection

    def _run_page(self, baseline: Path) -> Run:
        self.say(f"Running {self.page.identity} {self.page.title}")
        variables = {
            "VECTORFLEET_BASELINE": str(baseline.resolve()),
            "VECTORFLEET_WINDOW": spoken(self.settings.window_seconds),
        }
        shell = Shell(self.settings.folder, {**self.surroundings.environment, **variables})
        return Runner(self.page, shell, self.files.journal, self.say).run()

    def _prove(self, injection: Injection) -> None:
        effect = self.fault.effect(injection)
        self.findings.proof = effect.sentence
        if not effect.proven:
            self.findings.unproven.append(f"The fault is not proven: {effect.sentence}.")

    def _await_recovery(self, injection: Injection) -> None:
        """Wait until T5 is known, the time for it is over, or the observer has ended."""
        self.say(f"Waiting for a good window of {spoken(self.settings.window_seconds)}")

        def recovered() -> bool:
            ledger = self.surroundings.ledger()
            return ledger is not None and self._recovery(ledger, injection).t5 is not None

        left_seconds = injection.at + self.settings.recover_within_seconds - time.monotonic()
        until(lambda: recovered() or not self.surroundings.observing, left_seconds, POLL_SECONDS)
        if not self.surroundings.observing and not recovered():
            self.findings.doubts.append(f"The observer ended before the drill did: {self.surroundings.last_words()}.")

    def _recovery(self, ledger: Ledger, injection: Injection) -> Recovery:
        assert self.watch is not None
        marks = Marks(
            injected=injection.at,
            launched=self.watch.first("launched"),
            ready=self.watch.first("ready"),
            alarm=self.watch.first("alarm"),
        )
        return measure(ledger.canaries, marks, self.yardstick)

    def _measure(self, ledger: Ledger, injection: Injection) -> None:
        found = ledger.canaries
        recovery = self._recovery(ledger, injection)
        self.findings.canaries = len(found)
        self.findings.recovery = recovery
        if recovery.t0 is None:
            self.findings.unproven.append("No canary failed after the fault, so there was nothing to recover from.")
            return
        self.findings.proof += f"; the first canary failed {recovery.t0 - injection.at:.2f} s after the injection"
        if recovery.t5 is not None:
            self.findings.window = judge_window(found, recovery.t5, self.yardstick)
            if silence := ledger.hole(recovery.t5 + self.settings.window_seconds):
                self.findings.doubts.append(f"The measurement has a hole: {silence}.")

    def _audit(self, ledger: Ledger) -> None:
        self.say(f"Auditing {len(ledger.writes)} writes of the ledger")
        recovery, injection = self.findings.recovery, self.findings.injection
        assert recovery is not None
        assert injection is not None
        t0 = injection.at if recovery.t0 is None else recovery.t0
        client = Client(self.stack.endpoint, timeout_seconds=AUDIT_TIMEOUT_SECONDS, slot=self.stack.slot)
        try:
            self.findings.audited = audit_ledger(client, ledger, t0, self.settings.audit_within_seconds)
        except AuditError as error:
            self.findings.doubts.append(f"The ledger could not be audited: {error}.")

    def _sweep(self, ledger: Ledger) -> None:
        exchange = Exchange(self.stack.endpoint, SWEEP_TIMEOUT_SECONDS, self.stack.slot)
        left = len(ledger.source_ids) - sweep(exchange, ledger)
        if left:
            self.say(f"{left} of the observer's documents could not be deleted again")

    def _ask_golden(self) -> None:
        self.say("Asking the golden set after recovery")
        baseline = self.settings.baseline or self.files.baseline
        call = self.settings.golden or golden_comparison.command(self.settings.outputs)
        self.findings.golden = golden_comparison.compare(
            call, baseline, self.settings.folder, self.surroundings.environment, self.files.golden
        )

    def _end_children(self) -> None:
        if self.watch is not None:
            self.watch.stop()
        self.surroundings.stop()

    def _result(self) -> DrillResult:
        found = self.findings
        verdict, reasons = judge(found, self.target_seconds)
        return DrillResult(
            **vars(found),
            drill=f"{self.page.identity} {self.page.title}",
            fleet=self.stack.fleet,
            shard=self.settings.shard,
            verdict=verdict,
            reasons=reasons,
            rto_target_seconds=self.target_seconds,
            sightings=self.watch.sightings if self.watch else (),
            already_alarming=self.watch.already_alarming if self.watch else (),
            local=self.stack.is_loopback,
            wall_offset_seconds=time.time() - time.monotonic(),
            ledger=self.files.ledger,
        )
