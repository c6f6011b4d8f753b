"""The shares of a run's load: the conductor gives one to each worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from loadtests.run.documents import Documents
from loadtests.run.queries import QuerySet
from loadtests.run.settings import Settings

# Shares travel inside Locust's options, which reach a worker together with the command to spawn.
SHARES_OPTION = "vectorfleet_shares"


@dataclass(frozen=True)
class LoadShare:
    """
    Share number ``share`` of ``shares`` in the run of that name, with all that a worker needs for it.

    The worker may run on a machine without the conductor's files, and Locust keeps some options, such as the run time,
    from it.
    """

    run: str
    shares: int
    settings: Settings
    queries: QuerySet
    documents: Documents
    headers: dict[str, str]
    share: int = 0


def hand_out(share: LoadShare, workers: Sequence[str]) -> dict[str, Any]:
    """Return plain values for the option that gives each worker, by its id, its own number of this share."""
    return {"workers": list(workers), "share": msgspec.to_builtins(share)}


def take_share(environment: Any) -> LoadShare | None:
    """Return this process's share of the run that starts; None if a user took it before, so load is never doubled."""
    given = getattr(environment.parsed_options, SHARES_OPTION, None)
    worker = environment.runner.client_id
    if given is None or worker not in given["workers"]:
        return None
    share = replace(msgspec.convert(given["share"], LoadShare), share=given["workers"].index(worker))
    if getattr(environment, "vectorfleet_taken", None) == share.run:
        return None
    environment.vectorfleet_taken = share.run
    return share
