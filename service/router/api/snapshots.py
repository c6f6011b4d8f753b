"""Routes of snapshots: list them, have them made, have them verified."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import AskedShard, AskedSnapshots
from service.router.api.decoding import decoded, queried
from service.router.api.requests import SnapshotRequest, SnapshotsQuery, VerificationRequest
from service.router.s3_view import S3View
from service.router.scatter import wait_seconds_for
from service.router.slot import Slot
from service.router.verification import Verification
from service.serving import json_response
from service.wire.messages import ShardSnapshotRequest
from service.wire.problems import Problem


class SnapshotRoutes:
    """Everything under /v1/snapshots."""

    def __init__(self, slot: Slot, s3_view: S3View, verification: Verification) -> None:
        self._slot = slot
        self._s3_view = s3_view
        self._verification = verification

    def routes(self) -> list[Route]:
        return [
            Route("/v1/snapshots", self.snapshots),
            Route("/v1/snapshots", self.take, methods=["POST"]),
            Route("/v1/snapshots/verify", self.verify, methods=["POST"]),
        ]

    async def snapshots(self, request: Request) -> Response:
        _, build = self._slot.serving()
        return json_response(await self._s3_view.snapshots(build, queried(request, SnapshotsQuery).limit))

    async def take(self, request: Request) -> Response:
        """Ask every replica for a snapshot; the answer does not wait for them."""
        body = await decoded(request, SnapshotRequest)
        scatter, build = self._slot.serving()
        wanted = ShardSnapshotRequest(build.id, body.min_position, wait_seconds_for(body.min_position))
        taken = await scatter.snapshots(wanted)
        shards = self._slot.replicas.shards
        if missing := sorted(set(range(shards)) - taken.keys()):
            raise Problem(
                503,
                f"no replica of shards {missing} can make a snapshot now; /v1/status shows their state, the other "
                "shards make theirs",
                shards_answered=len(taken),
                shards_total=shards,
                retry_after_seconds=5,
            )
        return json_response(AskedSnapshots(build.id, [AskedShard(*one) for one in sorted(taken.items())]), 202)

    async def verify(self, request: Request) -> Response:
        """Have every byte of the newest snapshots read and hashed; the answer does not wait for it."""
        body = await decoded(request, VerificationRequest)
        _, build = self._slot.serving()
        listed = await self._s3_view.snapshots(build, body.limit)
        return json_response(self._verification.ask(build, listed), 202)
