"""Decoding of requests: bodies, query strings, and paths with ids that may be any text."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request

from service.wire.bodies import UTF_8, body_of, content_type
from service.wire.limits import MAX_BODY_BYTES
from service.wire.problems import Problem

T = TypeVar("T")
# Content types that clients send with JSON unless told otherwise: none, curl's -d, a browser's fetch.
SENT_AS_JSON = ("", "application/json", "application/x-www-form-urlencoded", "text/plain")


class AnyText(StringConvertor):
    """The rest of a path, line breaks included; Starlette's own `path` stops before them."""

    regex = r"[\s\S]*"


register_url_convertor("any", AnyText())


async def decoded(request: Request, shape: type[T]) -> T:
    """Decode the JSON body as `shape`; raise Problem 413, 415 or 422."""
    if query := request.scope.get("query_string"):
        raise Problem(422, f"?{query.decode(errors='replace')[:100]}: this takes no query string; put it into the body")
    declared = content_type(request)
    if declared.charset not in UTF_8:
        raise Problem(415, f"the charset is {declared.charset}; JSON is sent in UTF-8")
    body = await body_of(request, MAX_BODY_BYTES)
    try:
        # No body is an empty one: a collection needs no more than its name.
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError) and declared.media_type not in SENT_AS_JSON:
            raise Problem(415, f"a body of {declared.media_type} is not taken here; send JSON") from error
        raise Problem(422, f"the body is not a {shape.__name__}: {error}") from error


async def refuse_body(request: Request) -> None:
    """Raise Problem 422 if there is a body, which would be ignored."""
    if await body_of(request, MAX_BODY_BYTES):
        raise Problem(422, f"{request.method} takes no body; send its parameters in the path and the query string")


def queried(request: Request, shape: type[T], **besides: str) -> T:
    """
    Decode the query string, with further values `besides`, as `shape`; raise Problem 422.

    Repeated names and bytes that are not UTF-8 are refused: a part of them would be lost.
    """
    given = request.query_params.multi_items()
    if twice := [name for name, count in Counter(name for name, _ in given).items() if count > 1]:
        raise Problem(422, f"the query string has {', '.join(twice)} more than once")
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
        return msgspec.convert({**dict(given), **besides}, shape, strict=False)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Problem(422, f"the query string is not a {shape.__name__}: {error}") from error
