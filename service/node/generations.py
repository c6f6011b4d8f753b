"""The generations of a replica: it has the next one built when due, and a fresh process takes over from a newer one."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from service.index.rebuild_policy import is_due
from service.node.memory import PROC, modelled_bytes, shortage
from service.node.recovery import sizes_in, trusted_manifest
from service.node.replica import Replica
from service.settings import SNAPSHOT_SECONDS
from service.storage import verdicts
from service.storage.entry import Damaged
from service.storage.objects import PreconditionFailed, StoredObject, StoreError
from service.storage.snapshot import Manifest, position_of
from service.tracing import spans

CLAIM_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 3600.0
POLL_SECONDS = 2.0
# A failing store may be to blame once.
SUCCESSORS = 3

Succeed = Callable[[str], Awaitable[bool]]

log = logging.getLogger(__name__)


class Claim(msgspec.Struct, frozen=True):
    """The instance that builds a generation, and when it claimed it by the store's clock.

    A claim is advisory: double work does no harm.
    """

    instance: str
    at_ms: int


def _claimed_at_ms(stored: StoredObject) -> int:
    """Return when a claim was made; an unreadable one counts as expired."""
    try:
        return msgspec.json.decode(stored.body, type=Claim).at_ms
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


class Generations:
    """The watch over one replica's delta and its shard's snapshots.

    A write is in a snapshot after `snapshot_seconds`, plus the time the next generation takes to build.

    A snapshot was ordered at `asked_position` or later, perhaps of the process before this one; 0 for none.

    `succeed` lets a process take over from a newer snapshot, and this process is then told to end. If no process took
    over, it returns whether the snapshot was found damaged. `proc` is where the kernel shows its figures.

    The successor downloads and verifies the files: beside searches, downloading threads would slow them.
    """

    def __init__(
        self,
        replica: Replica,
        instance: str,
        succeed: Succeed,
        proc: Path = PROC,
        *,
        snapshot_seconds: float = SNAPSHOT_SECONDS,
        asked_position: int = 0,
    ) -> None:
        self._replica = replica
        self._snapshot_seconds = snapshot_seconds
        self._instance = instance
        self._succeed = succeed
        self._proc = proc
        self.asked_position = asked_position
        self._refused: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._failed_builds, self._paused_until = 0, 0.0

    def ask(self) -> int:
        """Order a snapshot of the records applied so far, however few are new; return its least position."""
        self.asked_position = self._replica.position
        return self.asked_position

    async def run(self) -> None:
        """Give way to newer snapshots, and build when it is due, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._give_way()
                # Another generation would be held back like the one that waits.
                if not self._replica.held_back and self._is_due() and await asyncio.to_thread(self._claim):
                    await self._build()
            except (StoreError, OSError) as error:
                log.warning(
                    "the store or the disk failed; trying again",
                    extra={"reason": str(error)},
                )

    async def _give_way(self) -> None:
        """Hand over to a process with the newest snapshot that can be trusted, if it is newer than the served one."""
        names = await asyncio.to_thread(self._replica.shard.snapshots)
        for name in names:
            position = position_of(name)
            if position is None or name in self._refused or position > self._replica.position:
                continue
            if position <= self._replica.base_position:
                return
            try:
                manifest = await asyncio.to_thread(trusted_manifest, self._replica.shard, name)
            except Damaged as damage:
                await self._refuse(name, str(damage))
                continue
            if self._has_room(manifest):
                with spans.span("take over", position=position, rows=manifest.rows):
                    damaged = await self._succeed(name)
                self._failures[name] += 1
                if damaged:
                    await self._refuse(name, f"snapshot {name}: the process that was to serve it found it damaged")
                    continue
                if self._failures[name] >= SUCCESSORS:
                    await self._refuse(name, f"snapshot {name}: {SUCCESSORS} processes that were to serve it ended")
            return

    async def _refuse(self, name: str, reason: str) -> None:
        self._refused.add(name)
        log.error("snapshot refused", extra={"reason": reason})
        shard = self._replica.shard
        await asyncio.to_thread(verdicts.refuse, shard.store, shard.build, shard.shard, name, reason, self._instance)

    def _has_room(self, manifest: Manifest) -> bool:
        """Return whether a second process fits beside this one; if not, the replica says so and serves on."""
        reason = shortage(modelled_bytes(sizes_in(manifest)), self._proc)
        if reason and not self._replica.held_back:
            log.error("a newer generation is held back", extra={"reason": reason})
        self._replica.held_back = reason
        return not reason

    def _is_due(self) -> bool:
        if time.monotonic() < self._paused_until:
            return False
        if self._replica.base_position < self.asked_position:
            return True
        if self._replica.backup_age_seconds >= self._snapshot_seconds:
            return True
        index = self._replica.index
        return is_due(
            changed_rows=index.changed_rows,
            base_rows=index.base_rows,
            quiet_seconds=time.monotonic() - self._replica.applied_at,
            entries=self._replica.tail.number - self._replica.base_entry,
        )

    def _claim(self) -> bool:
        """Claim the next generation; a claim older than CLAIM_SECONDS may be taken over."""
        shard = self._replica.shard
        key = f"{shard.prefix}claims/{self._replica.generation + 1:06d}.json"
        now_ms = shard.store.clock.now_ms()
        body = msgspec.json.encode(Claim(self._instance, now_ms))
        try:
            shard.store.create(key, body)
            return True
        except PreconditionFailed:
            stored = shard.store.get(key)
        if now_ms - _claimed_at_ms(stored) < CLAIM_SECONDS * 1000:
            return False
        try:
            shard.store.replace(key, body, stored.etag)
        except PreconditionFailed:
            return False
        return True

    async def _build(self) -> None:
        """Run the builder to its end: the serving process never holds more than its own copy and the next."""
        replica = self._replica
        arguments = ("--entry", str(replica.tail.number), "--generation", str(replica.generation + 1))
        with spans.span("build", generation=replica.generation + 1, rows=replica.index.rows) as built:
            child = await asyncio.create_subprocess_exec(sys.executable, "-m", "vectorfleet", "build", *arguments)
            try:
                code = await child.wait()
            finally:
                if child.returncode is None:
                    child.kill()
            built.set(exit_code=code)
        self._after_build(code)

    def _after_build(self, exit_code: int) -> None:
        """After the second failed builder in a row, double the wait each time: a large build takes hours."""
        if exit_code == 0:
            self._failed_builds = 0
            return
        self._failed_builds += 1
        again = self._failed_builds > 1
        pause = min(CLAIM_SECONDS * 2 ** (self._failed_builds - 1), LONGEST_PAUSE_SECONDS) if again else 0.0
        self._paused_until = time.monotonic() + pause
        log.error(
            "the builder failed; the base and delta serve on", extra={"exit_code": exit_code, "pause_seconds": pause}
        )
