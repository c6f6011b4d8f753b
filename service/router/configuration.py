"""The fleet's current parameters, compared with the build of the router's slot."""

from __future__ import annotations

import asyncio
import logging

from botocore.exceptions import BotoCoreError, ClientError

from service.settings import BadSettings, Parameters, load_parameters
from service.storage.builds import Build, judge

LOOK_SECONDS = 5.0

log = logging.getLogger(__name__)


class Configuration:
    """
    The parameters below `prefix`, read again and again, so that a change is checked before a process starts with it.

    `refused` names the parameters that the slot's build refuses, or says why they can't be used. It is empty if the
    build accepts them.
    """

    def __init__(self, prefix: str, slot: str) -> None:
        self._prefix, self._slot = prefix, slot
        self.refused = ""

    def take(self, parameters: Parameters, build: Build) -> None:
        refused = judge(self._slot, build, parameters.recipe()).refused
        if refused and refused != self.refused:
            log.error("the build refuses the configuration", extra={"reason": refused})
        self.refused = refused

    def counts(self) -> dict[str, int]:
        return {"ConfigurationRefused": int(bool(self.refused))}

    async def run(self, build: Build) -> None:
        """Check the parameters every LOOK_SECONDS, for ever."""
        while True:
            try:
                self.take(await asyncio.to_thread(load_parameters, self._prefix, self._slot), build)
            except BadSettings as error:
                self.refused = str(error)
            except (BotoCoreError, ClientError) as error:
                log.warning("the parameters can't be read; trying again", extra={"reason": str(error)})
            await asyncio.sleep(LOOK_SECONDS)
