"""Routes of collections: list, create and drop them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import CollectionAnswer, CollectionsAnswer, DroppedAnswer
from service.router.api.decoding import decoded
from service.router.api.requests import CollectionRequest, collection_name, collection_reference
from service.router.collections import MakeChange, RegistryChange, missing
from service.router.slot import Slot
from service.router.write_queue import GroupCommits
from service.serving import json_response
from service.storage.collections import DEFAULT, DEFAULT_NAME, BadChange, Collection, NoCollection, RegistryUpdate
from service.wire.problems import Problem


class CollectionRoutes:
    """Everything under /v1/collections."""

    def __init__(self, slot: Slot, commits: GroupCommits) -> None:
        self._slot = slot
        self._collections = slot.collections
        self._commits = commits

    def routes(self) -> list[Route]:
        return [
            Route("/v1/collections", self.every),
            Route("/v1/collections/{name:any}", self.one),
            Route("/v1/collections/{name:any}", self.create, methods=["PUT"]),
            Route("/v1/collections/{name:any}", self.drop, methods=["DELETE"]),
        ]

    async def every(self, _: Request) -> Response:
        position = await self._collections.refresh()
        there, counts = [DEFAULT, *self._collections.registry.collections], self._counts()
        return json_response(CollectionsAnswer(position, [self._described(one, counts) for one in there]))

    async def one(self, request: Request) -> Response:
        reference = collection_reference(request.path_params["name"])
        found = await self._collections.find_anew(reference)
        return json_response(self._described(found, self._counts()))

    async def create(self, request: Request) -> Response:
        """Create a collection; nothing changes if the same one exists."""
        name = collection_name(request.path_params["name"])
        body = await decoded(request, CollectionRequest)
        if name == DEFAULT_NAME:
            raise Problem(409, f"{name!r} is the default collection, of the fleet's configuration; choose another name")
        kind = body.kind(self._slot.space.embedding)
        made = await self._change(lambda registry, position: registry.with_one(name, kind, position))
        return json_response(self._described(made.collection, self._counts()))

    async def drop(self, request: Request) -> Response:
        reference = collection_reference(request.path_params["name"])
        made = await self._change(lambda registry, position: registry.without(reference, position))
        gone = made.registry.dropped[-1]
        return json_response(DroppedAnswer(gone.name, gone.id, gone.position))

    async def _change(self, make: MakeChange) -> RegistryUpdate:
        change = RegistryChange(self._collections, make)
        try:
            # Programs create their collections at each start: such a request must not delay writes.
            if (known := await self._collections.without_change(make)) is not None:
                return known
            await self._commits.change(change)
        except NoCollection as error:
            raise missing(error) from error
        except BadChange as error:
            raise Problem(409, str(error)) from error
        assert change.made is not None
        return change.made

    def _described(self, one: Collection, counts: Mapping[int, int]) -> CollectionAnswer:
        space, build = self._slot.space.within(one), self._slot.build
        return CollectionAnswer(
            name=one.name,
            id=one.id,
            source="vector" if space.embedding.given else "text",
            model=space.embedding.name,
            dims=space.embedding.dims,
            metric=space.metric.name,
            index=one.kind.index or (build.recipe.index if build else None),
            documents=counts.get(one.id),
        )

    def _counts(self) -> Mapping[int, int]:
        return self._slot.replicas.documents(self._slot.build_id) if self._slot.build is not None else {}
