"""The public API's collections: which there are, making one, dropping one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.problems import Problem
from service.router.answers import CollectionAnswer, CollectionsAnswer, DroppedAnswer
from service.router.collections import Changing, missing
from service.router.commits import GroupCommits
from service.router.paths import COLLECTION
from service.router.replicas import Replicas
from service.router.requests import CollectionRequest, Space, collection_name, collection_reference, decoded
from service.serving import json_response
from service.storage.builds import Build
from service.storage.collections import (
    DEFAULT,
    DEFAULT_NAME,
    BadChange,
    Change,
    Collection,
    NoCollection,
    Registry,
)


class CollectionsApi:
    """`space` and `build` say what the slot has at the moment."""

    def __init__(
        self,
        commits: GroupCommits,
        replicas: Replicas,
        space: Callable[[], Space],
        build: Callable[[], Build | None],
    ) -> None:
        self._commits, self._collections = commits, commits.collections
        self._replicas = replicas
        self._space, self._build = space, build

    def routes(self) -> list[Route]:
        """Everything under /v1/collections."""
        return [
            Route("/v1/collections", self.every),
            Route(f"/v1/collections/{COLLECTION}", self.one),
            Route(f"/v1/collections/{COLLECTION}", self.create, methods=["PUT"]),
            Route(f"/v1/collections/{COLLECTION}", self.drop, methods=["DELETE"]),
        ]

    async def every(self, _: Request) -> Response:
        """Every collection that there is, by what the documents log says now."""
        position = await self._collections.refresh()
        there, counts = [DEFAULT, *self._collections.registry.collections], self._counts()
        return json_response(CollectionsAnswer(position, [self._described(one, counts) for one in there]))

    async def one(self, request: Request) -> Response:
        """One collection."""
        reference = collection_reference(request.path_params["name"])
        found = await self._collections.find_anew(reference)
        return json_response(self._described(found, self._counts()))

    async def create(self, request: Request) -> Response:
        """Have a collection of a name; where the very same is there already nothing changes."""
        name = collection_name(request.path_params["name"])
        body = await decoded(request, CollectionRequest)
        if name == DEFAULT_NAME:
            raise Problem(409, f"{name!r} is the collection of the fleet's own configuration; choose another name")
        kind = body.kind(self._space().embedding)
        made = await self._change(lambda registry, position: registry.with_one(name, kind, position))
        return json_response(self._described(made.collection, self._counts()))

    async def drop(self, request: Request) -> Response:
        """Drop a collection with all its documents."""
        reference = collection_reference(request.path_params["name"])
        made = await self._change(lambda registry, position: registry.without(reference, position))
        gone = made.registry.dropped[-1]
        return json_response(DroppedAnswer(gone.name, gone.id, gone.position))

    async def _change(self, make: Callable[[Registry, int], Change]) -> Change:
        changing = Changing(self._collections, make)
        try:
            # Programs say at each start what they need: a change that is none must not keep writes waiting.
            if (known := await self._collections.without_change(make)) is not None:
                return known
            await self._commits.change(changing)
        except NoCollection as error:
            raise missing(error) from error
        except BadChange as error:
            raise Problem(409, str(error)) from error
        assert changing.made is not None
        return changing.made

    def _described(self, one: Collection, counts: Mapping[int, int]) -> CollectionAnswer:
        space, build = self._space().within(one), self._build()
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
        build = self._build()
        return self._replicas.documents(build.id) if build is not None else {}
