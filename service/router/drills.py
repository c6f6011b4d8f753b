"""How long ago a drill last passed, as the drill left it in the index bucket."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from service.cloudwatch import CloudWatch, Datum
from service.storage.objects import Missing, ObjectStore, StoreError

PASSED_KEY = "drills/passed.json"
LOOK_SECONDS = 300.0

log = logging.getLogger(__name__)


class Passed(msgspec.Struct, frozen=True):
    """The page whose drill passed, and when, in milliseconds since 1970 by the store's clock."""

    page: str
    at_ms: int


class DrillAge:
    """Looks now and then; before a first drill has passed there is nothing to send, and silence alarms."""

    def __init__(self, cloudwatch: CloudWatch, store: ObjectStore) -> None:
        self._cloudwatch = cloudwatch
        self._store = store
        self._passed: Passed | None = None

    async def run(self) -> None:
        """Look and send, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            tasks.create_task(self._cloudwatch.publish(self._collect))

    async def _look(self) -> None:
        while True:
            try:
                self._passed = await asyncio.to_thread(self._read)
            except (StoreError, msgspec.MsgspecError) as error:
                log.warning("the last drill could not be read", extra={"reason": str(error)})
            await asyncio.sleep(LOOK_SECONDS)

    def _read(self) -> Passed | None:
        try:
            return msgspec.json.decode(self._store.get(PASSED_KEY).body, type=Passed)
        except Missing:
            return None

    def _collect(self) -> list[Datum]:
        if self._passed is None:
            return []
        seconds = (self._store.clock.now_ms() - self._passed.at_ms) / 1000
        return [self._cloudwatch.value("DrillAge", "Seconds", max(0.0, seconds))]
