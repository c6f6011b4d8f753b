"""The drill on RB-02: lose every replica of a shard, run the page, measure what a customer went through."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from runbooks.drills import golden
from runbooks.drills.audit import AuditError, audit_ledger
from runbooks.drills.evidence import canaries, hole
from runbooks.drills.found import Found
from runbooks.drills.measure import Marks, Recovery, Yardstick, look, measure
from runbooks.drills.passed import leave
from runbooks.drills.result import DrillResult
from runbooks.drills.settings import DrillSettings
from runbooks.drills.surroundings import NotMeasuredError, Surroundings
from runbooks.drills.watch import Watch
from runbooks.durations import spoken
from runbooks.exchange import Exchange
from runbooks.faults.fault import FaultError, Injection
from runbooks.faults.shard_lost import ShardLost
from runbooks.fleet import connect
from runbooks.ledger import Ledger
from runbooks.observer import LONGEST_SECONDS, sweep
from runbooks.runner.page import read_page
from runbooks.runner.run import Run, Runner
from runbooks.runner.shell import Shell
from runbooks.stack import read_stack
from runbooks.verdict import Verdict
from service.client import Client

POLL_SECONDS = 0.5
SLACK_SECONDS = 300.0
AUDIT_TIMEOUT_SECONDS = 20.0
SWEEP_TIMEOUT_SECONDS = 30.0

Progress = Callable[[str], None]


def run(settings: DrillSettings, progress: Progress) -> DrillResult:
    """Run the drill and write its result; `progress` hears a sentence at each turn.

    Raises StackError, PageError, RemoteTargetError or FaultError before anything is touched. Whatever
    happens afterwards, the processes that the drill started are gone when this returns.
    """
    return _Drill(settings, progress).run()


class _Drill:
    def __init__(self, settings: DrillSettings, progress: Progress) -> None:
        self.settings = settings
        self.say = progress
        self.files = settings.files
        self.stack = read_stack(settings.outputs, settings.aws_endpoint)
        self.page = read_page(settings.page)
        self.fault = ShardLost(self.stack, settings.shard, settings.allow_remote)
        self.client = connect(self.stack.endpoint)
        self.target_seconds = settings.rto_target_seconds or self.page.rto_seconds
        self.yardstick = Yardstick(settings.window_seconds, settings.interval_seconds, settings.slow_seconds)
        self.found = Found()
        self.watch: Watch | None = None
        self.surroundings = Surroundings(self.stack, self.files, settings.folder)

    def run(self) -> DrillResult:
        self.files.clear()
        try:
            self._break_and_recover()
            self._account()
        except NotMeasuredError as reason:
            self.found.unproven.append(str(reason))
        finally:
            self._end_children()
        result = self._result()
        result.write(self.files.result)
        if result.verdict is Verdict.PASS:
            self._leave_word()
        return result

    def _leave_word(self) -> None:
        try:
            leave(self.stack, self.page.identity)
        except (BotoCoreError, ClientError) as error:
            self.say(f"The fleet was not told that the drill passed, so its alarm on old drills may ring: {error}")

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
        self.found.runbook = self._run_page(baseline)
        self._prove(injection)
        self._await_recovery(injection)

    def _account(self) -> None:
        """After the observer has stopped: the final reading of the ledger, the audit, the golden set."""
        self._end_children()
        ledger = self.surroundings.ledger()
        injection = self.found.injection
        if ledger is None or injection is None:
            raise NotMeasuredError("The observer left no ledger.")
        self._measure(ledger, injection)
        self._audit(ledger)
        self._sweep(ledger)
        self._ask_golden()

    @property
    def _longest_seconds(self) -> float:
        """The observer's own bound: it must not end before the drill does, nor live on for ever."""
        settings = self.settings
        wanted = settings.healthy_within_seconds + settings.recover_within_seconds + self.page.rto_seconds
        return min(wanted + SLACK_SECONDS, LONGEST_SECONDS)

    def _baseline(self) -> Path:
        if self.settings.baseline is not None:
            return self.settings.baseline
        self.say("Asking the golden set while all is well")
        call = self.settings.golden or golden.command(self.settings.outputs)
        try:
            golden.record_baseline(call, self.settings.folder, self.surroundings.environment, self.files.baseline)
        except golden.GoldenError as error:
            raise NotMeasuredError(f"{error}.") from error
        return self.files.baseline

    def _inject(self) -> Injection:
        self.say(f"Injecting the fault: every replica of shard {self.settings.shard} is terminated")
        try:
            injection = self.fault.inject()
        except FaultError as error:
            raise NotMeasuredError(f"The fault was not injected: {error}.") from error
        self.found.injection = injection
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
        self.found.proof = effect.sentence
        if not effect.proven:
            self.found.unproven.append(f"The fault is not proven: {effect.sentence}.")

    def _await_recovery(self, injection: Injection) -> None:
        """Until T5 is known, or the time for it is over, or nobody observes any more."""
        self.say(f"Waiting for a good window of {spoken(self.settings.window_seconds)}")
        deadline = injection.at + self.settings.recover_within_seconds
        while time.monotonic() < deadline and self.surroundings.observing:
            ledger = self.surroundings.ledger()
            if ledger is not None and self._recovery(ledger, injection).t5 is not None:
                return
            time.sleep(POLL_SECONDS)
        if not self.surroundings.observing:
            self.found.doubts.append(f"The observer ended before the drill did: {self.surroundings.last_words()}.")

    def _recovery(self, ledger: Ledger, injection: Injection) -> Recovery:
        assert self.watch is not None
        marks = Marks(
            injected=injection.at,
            launched=self.watch.first("launched"),
            ready=self.watch.first("ready"),
            alarm=self.watch.first("alarm"),
        )
        return measure(canaries(ledger.canaries), marks, self.yardstick)

    def _measure(self, ledger: Ledger, injection: Injection) -> None:
        found = canaries(ledger.canaries)
        recovery = self._recovery(ledger, injection)
        self.found.canaries = len(found)
        self.found.recovery = recovery
        if recovery.t0 is None:
            self.found.unproven.append("No canary failed after the fault, so there was nothing to recover from.")
            return
        self.found.proof += f"; the first canary failed {recovery.t0 - injection.at:.2f} s after the injection"
        if recovery.t5 is not None:
            self.found.window = look(found, recovery.t5, self.yardstick)
            if silence := hole(ledger, recovery.t5 + self.settings.window_seconds):
                self.found.doubts.append(f"The measurement has a hole: {silence}.")

    def _audit(self, ledger: Ledger) -> None:
        self.say(f"Auditing {len(ledger.writes)} writes of the ledger")
        recovery, injection = self.found.recovery, self.found.injection
        assert recovery is not None
        assert injection is not None
        t0 = injection.at if recovery.t0 is None else recovery.t0
        client = Client(self.stack.endpoint, timeout_seconds=AUDIT_TIMEOUT_SECONDS)
        try:
            self.found.audited = audit_ledger(client, ledger, t0, self.settings.audit_within_seconds)
        except AuditError as error:
            self.found.doubts.append(f"The ledger could not be audited: {error}.")

    def _sweep(self, ledger: Ledger) -> None:
        source_ids = sorted({write.source_id for write in ledger.writes})
        gone = sweep(Exchange(self.stack.endpoint, SWEEP_TIMEOUT_SECONDS), ledger.name, source_ids)
        if gone < len(source_ids):
            self.say(f"{len(source_ids) - gone} of the observer's documents could not be deleted again")

    def _ask_golden(self) -> None:
        self.say("Asking the golden set after recovery")
        baseline = self.settings.baseline or self.files.baseline
        call = self.settings.golden or golden.command(self.settings.outputs)
        self.found.golden = golden.compare(
            call, baseline, self.settings.folder, self.surroundings.environment, self.files.golden
        )

    def _end_children(self) -> None:
        if self.watch is not None:
            self.watch.stop()
        self.surroundings.stop()

    def _result(self) -> DrillResult:
        found = self.found
        verdict, reasons = found.judged(self.target_seconds)
        return DrillResult(
            drill=f"{self.page.identity} {self.page.title}",
            fleet=self.stack.fleet,
            shard=self.settings.shard,
            verdict=verdict,
            reasons=reasons,
            injection=found.injection.sentence if found.injection else "none",
            proof=found.proof,
            rto_target_seconds=self.target_seconds,
            recovery=found.recovery,
            window=found.window,
            audited=found.audited,
            golden=found.golden,
            runbook=found.runbook,
            sightings=self.watch.sightings if self.watch else (),
            already_alarming=self.watch.already_alarming if self.watch else (),
            canaries=found.canaries,
            local=self.stack.is_loopback,
            wall_offset_seconds=time.time() - time.monotonic(),
            ledger=self.files.ledger,
        )
