"""Routes of the router's API, with and without a router behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from service.router.api.collections import CollectionRoutes
from service.router.api.documents import DocumentRoutes
from service.router.api.searches import SearchRoutes
from service.router.api.snapshots import SnapshotRoutes
from service.router.api.status import StatusRoutes
from service.router.api.undo import UndoRoutes

KINDS: tuple[type[Any], ...] = (
    SearchRoutes,
    DocumentRoutes,
    CollectionRoutes,
    SnapshotRoutes,
    StatusRoutes,
    UndoRoutes,
)


def bare(*kinds: type[Any]) -> list[Route]:
    """Return the routes of these kinds, without anything that could answer."""
    return [route for kind in kinds for route in object.__new__(kind).routes()]


def endpoint(routes: Sequence[Route], method: str, path: str) -> Any:
    """Return the function that answers a method of a path."""
    (found,) = (one for one in routes if one.path == path and method in (one.methods or ()))
    return found.endpoint
