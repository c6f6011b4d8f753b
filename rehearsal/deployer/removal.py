"""Deletion of resources in order: dependents first, independent ones at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from rehearsal.deployer.state import Resource

WORKERS = 8


def needs(resource: Resource) -> set[str]:
    """Return the URNs of all resources that a resource depends on, by reference or by request."""
    by_property = {urn for urns in resource.property_dependencies.values() for urn in urns}
    return {*resource.dependencies, *by_property} - {resource.urn}


def ready(doomed: Sequence[Resource]) -> list[Resource]:
    """Return the resources without dependents, or the newest one if all depend on each other in a circle."""
    needed = {urn for resource in doomed for urn in needs(resource)}
    free = [resource for resource in doomed if resource.urn not in needed]
    return free or sorted(doomed, key=lambda resource: -resource.order)[:1]


def remove_all(doomed: Sequence[Resource], remove: Callable[[Resource], None], stopped: Callable[[], bool]) -> None:
    """Call `remove` for each resource, and for several at once if the order allows it.

    After an error, or once `stopped` is true, start no further call. Wait for the running ones, then raise the first
    error.
    """
    left = list(doomed)
    running: dict[Future[None], Resource] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(WORKERS) as pool:
        while left or running:
            if failure is None and not stopped():
                for resource in [r for r in ready(left) if r not in running.values()]:
                    running[pool.submit(remove, resource)] = resource
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                left.remove(running.pop(done))
                failure = failure or done.exception()
    if failure is not None:
        raise failure


def dependents(urn: str, resources: Sequence[Resource], forces: Callable[[Resource, str], bool]) -> list[Resource]:
    """Return the resources that refer to this URN by a property that forces replacement, and their own dependents.

    `forces(resource, property)` tells whether a change of that property replaces the resource. The result is in the
    order of deletion.
    """
    found: dict[str, Resource] = {}
    queue = [urn]
    while queue:
        target = queue.pop()
        for resource in resources:
            hit = any(target in urns and forces(resource, p) for p, urns in resource.property_dependencies.items())
            if hit and resource.urn not in found and resource.urn != urn:
                found[resource.urn] = resource
                queue.append(resource.urn)
    return sorted(found.values(), key=lambda resource: -resource.order)
