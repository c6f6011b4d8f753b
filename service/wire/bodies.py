"""Bodies of requests: read within a limit, refused by their head if their coding is not supported."""

from __future__ import annotations

from email.message import Message
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request

from service.wire.problems import Problem

UTF_8 = ("", "utf-8", "utf8", "us-ascii")


class ContentType(NamedTuple):
    """The media type and charset of a body, in lower case; empty if not given."""

    media_type: str
    charset: str


def content_type(request: Request) -> ContentType:
    """Return the header's content type; raise Problem 415 if it is given twice with different values."""
    given = dict.fromkeys(_given(request, b"content-type"))
    if len(given) > 1:
        raise Problem(415, f"Content-Type is {' and '.join(given)}; send it once")
    return _parsed("".join(given))


@lru_cache
def _parsed(header: str) -> ContentType:
    parsed = Message()
    parsed["content-type"] = header
    return ContentType(parsed.get_content_type() if header else "", str(parsed.get_content_charset("")))


def _given(request: Request, name: bytes) -> list[str]:
    """Return the values of every header of a name; Starlette's mapping has only one of them."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


async def body_of(request: Request, most_bytes: int) -> bytearray:
    """Read the whole body; raise Problem 415 if it is compressed, and 413 as soon as it is too large."""
    _check_codings(request)
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > most_bytes:
            raise Problem(413, f"the body is larger than {most_bytes} bytes; send fewer documents at a time")
    return body


def _check_codings(request: Request) -> None:
    """Raise Problem 415 for a coding that is not decoded here."""
    for name, allowed in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        codings = ",".join(_given(request, name.lower().encode())).lower().split(",")
        if strange := [one.strip() for one in codings if one.strip() not in ("", allowed)]:
            raise Problem(415, f"{name} is {', '.join(strange)}; allowed is {allowed}: send the body as it is")
