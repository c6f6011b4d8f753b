"""The fleet's parameters as they stand now, beside the build of the router's slot."""

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
    Reads the parameters below `prefix` again and again, so that a change is judged before a process starts with it.

    `refused` says what of them the slot's build can't become, or why they can't be used. It is empty while all is well.
    """

    def __init__(self, prefix: str, slot: str) -> None:
        self._prefix, self._slot = prefix, slot
        self.refused = ""

    def take(self, parameters: Parameters, build: Build) -> None:
        """Judge these parameters."""
        refused = judge(self._slot, build, parameters.recipe()).refused
        if refused and refused != self.refused:
            log.error("the build refuses the configuration", extra={"reason": refused})
        self.refused = refused

    def counts(self) -> dict[str, int]:
        """The figure for CloudWatch, by its metric's name."""
        return {"ConfigurationRefused": int(bool(self.refused))}

    async def run(self, build: Build) -> None:
        """Judge the parameters every LOOK_SECONDS, for ever."""
        while True:
            try:
                self.take(await asyncio.to_thread(load_parameters, self._prefix), build)
            except BadSettings as error:
                self.refused = str(error)
            except (BotoCoreError, ClientError) as error:
                log.warning("the parameters can't be read; trying again", extra={"reason": str(error)})
            await asyncio.sleep(LOOK_SECONDS)
