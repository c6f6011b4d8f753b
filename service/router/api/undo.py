"""The route that undoes a range of writes."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.router.answers import MomentAnswer, UndoAnswer, UndoneDocument, UndoneDocuments
from service.router.api.decoding import decoded
from service.router.api.requests import UndoRequest
from service.router.s3_view import S3View
from service.router.slot import Slot
from service.router.undo import Planned, Range, Undoing, VoidChange, written_at
from service.router.write_queue import GroupCommits
from service.serving import json_response
from service.storage.collections import BadChange
from service.storage.repair import Change
from service.storage.voids import Void
from service.wire.problems import Problem

SHOWN = 20


class UndoRoutes:
    """The route /v1/undo."""

    def __init__(self, slot: Slot, commits: GroupCommits, s3_view: S3View, undoing: Undoing) -> None:
        self._collections, self._commits = slot.collections, commits
        self._s3_view, self._undoing = s3_view, undoing

    def routes(self) -> list[Route]:
        return [Route("/v1/undo", self.undo, methods=["POST"])]

    async def undo(self, request: Request) -> Response:
        """Void a range of writes, or only say what that would change."""
        body = await decoded(request, UndoRequest)
        collection = None if body.collection is None else (await self._collections.find(body.collection)).id
        found = await self._s3_view.read(self._undoing.range_of, body.first, body.last)
        void = Void(
            position=0,
            request_id=body.request_id or uuid4().hex,
            first=found.first,
            last=found.last,
            only_deletes=body.only_deletes,
            source_prefix=body.source_prefix,
            collection=collection,
        )
        planned = await self._s3_view.read(self._undoing.plan, void, found.head)
        if body.dry_run or planned.is_stored:
            return json_response(_answer(planned, found, planned.void.position if planned.is_stored else None))
        change = VoidChange(self._undoing.log, void)
        try:
            await self._commits.change(change)
        except BadChange as error:
            raise Problem(409, str(error)) from error
        return json_response(_answer(planned, found, change.made.position))


def _answer(planned: Planned, found: Range, position: int | None) -> UndoAnswer:
    void, repair = planned.void, planned.repair
    return UndoAnswer(
        position=position,
        request_id=void.request_id,
        first=void.first,
        last=void.last,
        around=[MomentAnswer(one.position, written_at(one), one.documents) for one in found.around],
        writes=len(repair.writes),
        deletes=sum(write.delete for write in repair.writes),
        source_ids=len({write.source for write in repair.writes}),
        voids=[one.position for one in repair.voids],
        restored=_shown(change for change in repair.changes if change.before is None),
        replaced=_shown(change for change in repair.changes if change.before is not None and change.after is not None),
        removed=_shown(change for change in repair.changes if change.after is None),
    )


def _shown(changes: Iterable[Change]) -> UndoneDocuments:
    every = list(changes)
    return UndoneDocuments(
        len(every),
        [
            UndoneDocument(
                one.source.source_id,
                one.source.collection,
                None if one.before is None else one.before.place.position,
                None if one.after is None else one.after.place.position,
            )
            for one in every[:SHOWN]
        ],
    )
