"""Routes that describe the fleet, its slots, and the API itself."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import ShardStatus, StatusAnswer
from service.router.api.openapi import JSON, encoded
from service.router.configuration import Configuration
from service.router.lag import Lag
from service.router.s3_view import S3View
from service.router.slot import Slot
from service.serving import json_response
from service.settings import FleetShape


class StatusRoutes:
    """/v1/status, /v1/slots and /openapi.json."""

    def __init__(
        self, fleet: str, shape: FleetShape, slot: Slot, lag: Lag, configuration: Configuration, s3_view: S3View
    ) -> None:
        self._fleet, self._shape = fleet, shape
        self._slot = slot
        self._lag = lag
        self._configuration = configuration
        self._s3_view = s3_view

    def routes(self) -> list[Route]:
        return [
            Route("/v1/slots", self.slots),
            Route("/v1/status", self.status),
            Route("/openapi.json", self.openapi),
        ]

    async def slots(self, _: Request) -> Response:
        return json_response(await self._s3_view.slots())

    async def openapi(self, _: Request) -> Response:
        return Response(encoded(), media_type=JSON)

    async def status(self, _: Request) -> Response:
        await self._lag.look()
        slot, replicas = self._slot, self._slot.replicas
        shards = zip(replicas.status(), self._lag.all(), strict=True)
        return json_response(
            StatusAnswer(
                fleet=self._fleet,
                slot=slot.name,
                build=slot.build_id or None,
                recipe=slot.build.recipe if slot.build else None,
                misconfigured=self._configuration.refused,
                head=self._lag.head,
                head_fault=self._lag.fault,
                lag_limit_seconds=self._lag.limit_seconds,
                until=self._shape.until,
                digests=replicas.digests(slot.build_id),
                indexing=self._shape.indexing,
                indexers=replicas.indexers.status(),
                shards=[ShardStatus(number, lag, described) for number, (described, lag) in enumerate(shards)],
            )
        )
