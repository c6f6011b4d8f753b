"""What the conductor gives out to its workers, and what a worker takes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.queries import QuerySet
from loadtests.settings import Settings
from loadtests.writer import Documents
from service.client import key_header

ORDERS_OPTION = "vectorfleet_orders"


@dataclass(frozen=True)
class Order:
    """
    What a process was told to offer: share number ``share`` of ``shares`` in the run of that name.

    With all that it needs for it: a worker may run on a machine that has none of the conductor's files, and Locust
    keeps options of its own, such as the run time, from it.
    """

    run: str
    share: int
    shares: int
    settings: Settings
    queries: QuerySet
    documents: Documents
    headers: dict[str, str]


def orders(
    run: str, workers: Sequence[str], settings: Settings, queries: QuerySet, documents: Documents
) -> dict[str, Any]:
    """What the conductor gives out to workers of these ids, as plain values."""
    return {
        "run": run,
        "shares": {worker: share for share, worker in enumerate(workers)},
        "settings": settings.values(),
        "queries": queries.as_json(),
        "documents": asdict(documents),
        "headers": key_header(),
    }


def take_order(environment: Any) -> Order | None:
    """This process's part in the run that starts; None when a user took it before, so load is never doubled.

    Orders travel inside Locust's options, because those reach a worker together with the command to spawn.
    """
    given: Any = getattr(environment.parsed_options, ORDERS_OPTION, None)
    share = given["shares"].get(environment.runner.client_id) if given else None
    if share is None or getattr(environment, "vectorfleet_taken", None) == given["run"]:
        return None
    environment.vectorfleet_taken = given["run"]
    documents = Documents(tuple(map(tuple, given["documents"]["texts"])), given["documents"]["seed"])
    queries = QuerySet.from_json(given["queries"])
    settings = Settings.from_values(given["settings"])
    return Order(given["run"], share, len(given["shares"]), settings, queries, documents, given["headers"])
