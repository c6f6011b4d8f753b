"""When a node's delta has grown, one replica has the next generation built; on each a fresh process takes over."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from service import traces
from service.index.delta import large_delta_rows, long_log_entries
from service.node.replica import Replica
from service.node.restore import claimed, sized_in
from service.node.room import PROC, modelled_bytes, shortage
from service.settings import SNAPSHOT_SECONDS
from service.storage import verdicts
from service.storage.entry import Damaged
from service.storage.objects import Refused, Stored, StoreError
from service.storage.snapshot import Manifest, position_of

QUIET_SECONDS = 3.0
QUIET_DELTA_ROWS = 500
CLAIM_SECONDS = 120.0
LONGEST_PAUSE_SECONDS = 3600.0
POLL_SECONDS = 2.0
# A store that was unwell may be to blame once.
SUCCESSORS = 3

Succeed = Callable[[str], Awaitable[bool]]

log = logging.getLogger(__name__)


class Claim(msgspec.Struct, frozen=True):
    """Who builds a generation, since when by the store's clock. Advisory: double work does no harm."""

    instance: str
    at_ms: int


def is_due(*, changed_rows: int, base_rows: int, quiet_seconds: float, entries: int = 0) -> bool:
    """
    Whether a new generation is worth its while: much has changed since the base, or a fair amount and nobody is
    writing, or a replay of the `entries` since would take long.

    `changed_rows` counts the delta's rows and the base's dead ones: both make searches slower.
    """
    is_quiet = changed_rows >= QUIET_DELTA_ROWS and quiet_seconds >= QUIET_SECONDS
    return is_quiet or changed_rows >= large_delta_rows(base_rows) or entries >= long_log_entries(base_rows)


def _claimed_at_ms(stored: Stored) -> int:
    """When a claim was made; one that can't be read is as good as outlived."""
    try:
        return msgspec.json.decode(stored.body, type=Claim).at_ms
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


class Generations:
    """
    Watches one replica's delta and its shard's snapshots. A write is in a snapshot after `snapshot_seconds`, and as
    long as the next generation takes to build.

    `succeed` has a process from a newer snapshot take over, after which this one is told to end; where none came to
    serve it returns whether that one found the snapshot damaged. `proc` is where the kernel shows its figures.

    The files are the successor's to fetch and prove: beside searches, threads that download make those wait.
    """

    def __init__(
        self,
        replica: Replica,
        instance: str,
        succeed: Succeed,
        proc: Path = PROC,
        *,
        snapshot_seconds: float = SNAPSHOT_SECONDS,
    ) -> None:
        self._replica = replica
        self._snapshot_seconds = snapshot_seconds
        self._instance = instance
        self._succeed = succeed
        self._proc = proc
        self._asked_position = 0
        self._refused: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._failed_builds, self._paused_until = 0, 0.0

    def ask(self) -> int:
        """Have a snapshot made of what is applied now, however little is new; returns its least position."""
        self._asked_position = self._replica.position
        return self._asked_position

    async def run(self) -> None:
        """Give way to newer snapshots and build when it is due, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._give_way()
                # A further generation would be held back like the one that stands.
                if not self._replica.held_back and self._is_due() and await asyncio.to_thread(self._claimed):
                    await self._build()
            except (StoreError, OSError) as error:
                log.warning(
                    "store or disk failed; trying again",
                    extra={"reason": str(error)},
                )

    async def _give_way(self) -> None:
        """To a process from the newest snapshot that can be trusted, if one is newer than what is served."""
        names = await asyncio.to_thread(self._replica.shard.snapshots)
        for name in names:
            position = position_of(name)
            if position is None or name in self._refused or position > self._replica.position:
                continue
            if position <= self._replica.base_position:
                return
            try:
                manifest = await asyncio.to_thread(claimed, self._replica.shard, name)
            except Damaged as damage:
                await self._refuse(name, str(damage))
                continue
            if self._has_room(manifest):
                with traces.span("take over", position=position, rows=manifest.rows):
                    damaged = await self._succeed(name)
                self._failures[name] += 1
                if damaged:
                    await self._refuse(name, f"snapshot {name}: the process that was to serve from it found it damaged")
                    continue
                if self._failures[name] >= SUCCESSORS:
                    await self._refuse(
                        name, f"snapshot {name}: {SUCCESSORS} processes that were to serve from it ended"
                    )
            return

    async def _refuse(self, name: str, reason: str) -> None:
        self._refused.add(name)
        log.error("snapshot refused", extra={"reason": reason})
        shard = self._replica.shard
        await asyncio.to_thread(verdicts.refuse, shard.store, shard.build, shard.shard, name, reason, self._instance)

    def _has_room(self, manifest: Manifest) -> bool:
        """Whether a second process fits beside this one; the replica says so where it does not, and serves on."""
        reason = shortage(modelled_bytes(sized_in(manifest)), self._proc)
        if reason and not self._replica.held_back:
            log.error("a newer generation is held back", extra={"reason": reason})
        self._replica.held_back = reason
        return not reason

    def _is_due(self) -> bool:
        if time.monotonic() < self._paused_until:
            return False
        if self._replica.base_position < self._asked_position:
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

    def _claimed(self) -> bool:
        """Claim the next generation; a claim that has outlived its builder may be taken over."""
        shard = self._replica.shard
        key = f"builds/{shard.build.id}/shard-{shard.shard:02d}/claims/{self._replica.generation + 1:06d}.json"
        now_ms = shard.store.clock.now_ms()
        body = msgspec.json.encode(Claim(self._instance, now_ms))
        try:
            shard.store.create(key, body)
            return True
        except Refused:
            stored = shard.store.get(key)
        if now_ms - _claimed_at_ms(stored) < CLAIM_SECONDS * 1000:
            return False
        try:
            shard.store.replace(key, body, stored.etag)
        except Refused:
            return False
        return True

    async def _build(self) -> None:
        """Run the builder to its end: the serving process never holds more than its own copy and the next."""
        replica = self._replica
        arguments = ("--entry", str(replica.tail.number), "--generation", str(replica.generation + 1))
        with traces.span("build", generation=replica.generation + 1, rows=replica.index.rows) as built:
            child = await asyncio.create_subprocess_exec(sys.executable, "-m", "service", "build", *arguments)
            try:
                code = await child.wait()
            finally:
                if child.returncode is None:
                    child.kill()
            built.set(exit_code=code)
        self._note(code)

    def _note(self, exit_code: int) -> None:
        """After a second builder in a row that failed, wait twice as long each time: a large one works for hours."""
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
